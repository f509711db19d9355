"""The hard stop in front of the poll workers."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.polling.budget import DEFAULT_PAUSE_S, MAX_PAUSE_S, MIN_RATE, PollBudget


def test_a_burst_goes_at_once_and_the_rest_in_step() -> None:
    """Five polls begin together, then one every fifth of a second, in the order of asking."""
    budget = PollBudget(rate=5.0)
    assert [budget.reserve(100.0) for _ in range(8)] == pytest.approx([0, 0, 0, 0, 0, 0.2, 0.4, 0.6])


def test_unused_tokens_are_kept_up_to_a_burst() -> None:
    """An hour of silence buys one burst and no more."""
    budget = PollBudget(rate=5.0)
    budget.reserve(0.0)
    assert sum(budget.reserve(3600.0) == 0 for _ in range(20)) == 5


def test_a_refusal_shuts_everybody_out_and_slows_down() -> None:
    """After a 429 nobody begins within the pause, there is no burst after it, and the rate is lower."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(10.0)
    assert budget.current_rate(10.0) == pytest.approx(3.5)
    assert [budget.reserve(10.0) for _ in range(3)] == pytest.approx(
        [DEFAULT_PAUSE_S, DEFAULT_PAUSE_S + 1 / 3.5, DEFAULT_PAUSE_S + 2 / 3.5]
    )


def test_refusals_of_one_cause_count_once() -> None:
    """All the polls under way are refused together; the rate falls once for them."""
    budget = PollBudget(rate=5.0)
    for _ in range(16):
        budget.rate_limited(10.0)
    assert budget.current_rate(10.0) == pytest.approx(3.5)
    budget.rate_limited(20.0)
    assert budget.current_rate(20.0) == pytest.approx((0.7 + 0.05) * 0.7 * 5)


def test_the_rate_comes_back() -> None:
    """A twentieth of the rate every ten seconds, up to what it was."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(0.0)
    assert [budget.current_rate(now) for now in (9.9, 10.0, 30.0, 60.0, 999.0)] == pytest.approx(
        [3.5, 3.75, 4.25, 5.0, 5.0]
    )


def test_it_never_stops_looking() -> None:
    """However many refusals, one poll in five seconds is left; a budget below that is left as it is."""
    budget, small = PollBudget(rate=0.5), PollBudget(rate=0.1)
    for step in range(100):
        budget.rate_limited(10.0 * step)
        small.rate_limited(10.0 * step)
    assert budget.current_rate(990.0) == pytest.approx(MIN_RATE)
    assert small.current_rate(990.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("wish", "wait"), [(7.0, 7.0), (0.0, 0.0), (1e6, MAX_PAUSE_S), (-1.0, DEFAULT_PAUSE_S), (math.nan, DEFAULT_PAUSE_S)]
)
def test_the_servers_wish_is_heard_within_bounds(wish: float, wait: float) -> None:
    """Seconds as told, two minutes at most; nonsense is no wish."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(0.0, wish)
    assert budget.reserve(0.0) == pytest.approx(wait)


def test_the_deadline_only_moves_forward() -> None:
    """A later refusal with a shorter wish does not let anybody in earlier."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(0.0, 60.0)
    budget.rate_limited(1.0, 2.0)
    assert budget.reserve(1.0) == pytest.approx(59.0)


@given(
    rate=st.sampled_from([0.5, 5.0, 9.0]),
    burst=st.integers(1, 8),
    story=st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 12), st.none() | st.just(-1.0) | st.floats(0, 20)),
        max_size=25,
    ),
)
def test_the_budget_holds_over_every_stretch(
    rate: float, burst: int, story: list[tuple[float, int, float | None]]
) -> None:
    """At most burst + rate * t polls begin in any t seconds, in order, refusals or not."""
    budget = PollBudget(rate, burst)
    now, begins = 0.0, []
    for wait, polls, refusal in story:
        now += wait
        begins += [now + budget.reserve(now) for _ in range(polls)]
        if refusal is not None:
            budget.rate_limited(now, None if refusal < 0 else refusal)
    assert all(a <= b + 1e-6 for a, b in pairwise(begins))
    for first in range(len(begins)):
        for last in range(first, len(begins)):
            span = begins[last] - begins[first]
            assert last - first + 1 <= burst + rate * span + 1e-6
