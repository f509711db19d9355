"""The server models themselves: what they let through, and that the bound really is one."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_async._rules.gate.gate import Gate, GateSettings

from .limiters import (
    LIMITERS,
    TINY_S,
    WINDOW_S,
    ChangeLimit,
    Disturbance,
    Gcra,
    Server,
    SlidingLog,
    WeightedCounter,
    draw_durations,
    lower_bound,
    simulate,
)

GAPS = st.lists(st.floats(0, 3), min_size=1, max_size=60)


@given(kind=st.sampled_from(sorted(LIMITERS)), limit=st.integers(1, 8), seed=st.integers(0, 99), gaps=GAPS)
def test_next_free_is_the_first_instant_that_is_free(kind: str, limit: int, seed: int, gaps: list[float]) -> None:
    """A call just before `next_free` is refused, and one at it is accepted."""
    now, limiter = 0.0, LIMITERS[kind](limit, Random(seed))
    for gap in gaps:
        now += gap
        limiter.take(now)
        if (free := limiter.next_free(now)) > now + 3 * TINY_S and kind != "slogR":
            assert not limiter.take(free - 2 * TINY_S)
    assert limiter.take(max(now, limiter.next_free(now)))


@given(limit=st.integers(1, 5), gaps=GAPS)
def test_a_sliding_log_never_holds_more_than_its_limit(limit: int, gaps: list[float]) -> None:
    """Whatever comes, no ten seconds hold more accepted calls than the limit."""
    now, limiter, taken = 0.0, SlidingLog(limit), list[float]()
    for gap in gaps:
        now += gap
        if limiter.take(now):
            taken.append(now)
    assert all(later - earlier >= WINDOW_S for earlier, later in zip(taken, taken[limit:], strict=False))


def test_a_log_that_counts_refusals_can_be_kept_shut_by_knocking() -> None:
    """A client that knocks every second never gets in again; one that counts its refusals does."""
    limiter = SlidingLog(2, counts_rejected=True)
    assert [limiter.take(float(second)) for second in range(20)] == [True, True] + 18 * [False]
    assert limiter.take(limiter.next_free(20.0))


def test_a_weighted_counter_remembers_the_window_before() -> None:
    """Right after the cut the window before still counts almost in full."""
    limiter = WeightedCounter(4)
    assert [limiter.take(9.9) for _ in range(5)] == [True] * 4 + [False]
    assert not limiter.take(10.1)
    assert limiter.next_free(10.1) == pytest.approx(12.5, abs=1e-3)


def test_a_bucket_holds_a_burst() -> None:
    """As many as the burst at once, then one for each token."""
    limiter = Gcra(20, burst=5)
    assert [limiter.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert limiter.take(0.5)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(sorted(LIMITERS)),
    limit=st.sampled_from([2, 20, 30]),
    cap=st.sampled_from([None, 3, 25]),
    seed=st.integers(0, 1000),
)
def test_no_client_beats_the_bound(kind: str, limit: int, cap: int | None, seed: int) -> None:
    """The simulated makespan is never below the lower bound, whatever server it is."""

    def make_server() -> Server:
        # No foreign calls here: whether the server takes one depends on how full the client left it, so with them
        # the bound of the greediest client is near, but it is not a bound.
        changes: list[Disturbance] = [ChangeLimit(20.0, limit + 1)]
        return Server(LIMITERS[kind](limit, Random(seed)), cap=cap, disturbances=changes)

    outcome = simulate(Gate(GateSettings()), make_server, jobs=30, seed=seed)
    assert outcome.ratio >= 1
    assert len(outcome.arrivals) == 30


def test_the_bound_without_any_limit_in_reach_is_the_longest_job() -> None:
    """Fewer jobs than the limit are all accepted at once."""
    durations = draw_durations(10, Random(1))
    assert lower_bound(Server(SlidingLog(20)), durations) == max(durations)


def test_a_livelock_is_noticed() -> None:
    """A simulation that does not come to an end fails, saying where it stood."""
    with pytest.raises(AssertionError, match="livelock"):
        simulate(Gate(), lambda: Server(SlidingLog(1)), jobs=5, seed=1, horizon_s=25.0)
