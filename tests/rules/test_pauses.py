"""When creation pauses, what probes it, and what lifts it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.pauses import (
    MAX_ERRORS_IN_A_ROW,
    PROBE_FIRST_S,
    PROBE_MAX_S,
    UNREACHABLE_FIRST_S,
    PauseReason,
    PauseState,
    Probe,
)

R = PauseReason


def paused(reason: PauseReason, now: float = 0.0) -> PauseState:
    breaker = PauseState()
    assert breaker.pause(reason, now)
    return breaker


@pytest.mark.parametrize(
    ("reason", "first_at", "probe"),
    [
        (R.INSUFFICIENT_CREDITS, 100.0, Probe.BALANCE),
        (R.KEY_LIMIT, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.MAINTENANCE, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.BLOCKED, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.REPEATED_ERRORS, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.NETWORK, 100.0 + UNREACHABLE_FIRST_S, Probe.JOB),
    ],
)
def test_a_pause_has_a_reason_and_a_probe(reason: PauseReason, first_at: float, probe: Probe) -> None:
    """What is tried first, and when."""
    breaker = paused(reason, 100.0)
    assert (breaker.reason, breaker.next_probe_at, breaker.next_probe) == (reason, first_at, probe)


@pytest.mark.parametrize("reason", [R.KEY_LIMIT, R.MAINTENANCE, R.BLOCKED, R.REPEATED_ERRORS, R.NETWORK])
def test_the_waits_double_up_to_the_longest(reason: PauseReason) -> None:
    """While every probe says the same."""
    breaker, now, waits = paused(reason), 0.0, []
    for _ in range(9):
        waits.append(breaker.next_probe_at - now)
        now = breaker.next_probe_at
        breaker.begin_probe()
        assert breaker.next_probe_at == math.inf
        assert not breaker.pause(reason, now, is_probe=True)
    first, longest = (1.0, 60.0) if reason is R.NETWORK else (60.0, 600.0)
    assert waits == [min(first * 2**n, longest) for n in range(9)]


@pytest.mark.parametrize("reason", list(PauseReason))
def test_the_same_refusal_from_one_that_was_under_way_changes_nothing(reason: PauseReason) -> None:
    """Neither before the probe nor while it is under way."""
    breaker = paused(reason)
    at = breaker.next_probe_at
    assert not breaker.pause(reason, 30.0)
    assert breaker.next_probe_at == at
    breaker.begin_probe()
    assert not breaker.pause(reason, 70.0)
    assert breaker.next_probe_at == math.inf


@pytest.mark.parametrize("reason", list(PauseReason))
def test_a_success_lifts_a_pause_only_as_its_probe(reason: PauseReason) -> None:
    """One that is older than the pause is no news."""
    breaker = paused(reason)
    assert not breaker.creation_accepted()
    assert breaker.reason is reason
    breaker.begin_probe()
    assert breaker.creation_accepted(is_probe=True)
    assert breaker.reason is None
    assert breaker.next_probe_at < math.inf


def test_another_reason_takes_over() -> None:
    """The latest is what stands in the way; its waits begin anew."""
    breaker = paused(R.MAINTENANCE)
    assert breaker.pause(R.INSUFFICIENT_CREDITS, 10.0)
    assert (breaker.reason, breaker.next_probe_at) == (R.INSUFFICIENT_CREDITS, 10.0)


def test_a_probe_that_brings_another_reason_is_over() -> None:
    """The next one is for that reason."""
    breaker = paused(R.MAINTENANCE)
    breaker.begin_probe()
    assert breaker.pause(R.KEY_LIMIT, 60.0, is_probe=True)
    assert breaker.next_probe_at == 60.0 + PROBE_FIRST_S


@pytest.mark.parametrize(
    ("reason", "lifts"),
    [
        (R.MAINTENANCE, True),
        (R.BLOCKED, True),
        (R.REPEATED_ERRORS, True),
        (R.INSUFFICIENT_CREDITS, False),
        (R.KEY_LIMIT, False),
    ],
)
def test_a_refused_probe(reason: PauseReason, lifts: bool) -> None:
    """The provider is at work again, but the account's state is not told: there the next job may try at once."""
    breaker = paused(reason)
    breaker.begin_probe()
    assert breaker.creation_refused(60.0, is_probe=True) is lifts
    assert breaker.next_probe_at <= 60.0
    assert (breaker.reason is None) is lifts


def test_a_refusal_of_one_that_was_under_way_lifts_nothing() -> None:
    """It is older than the pause."""
    breaker = paused(R.MAINTENANCE)
    assert not breaker.creation_refused(5.0)
    assert breaker.reason is R.MAINTENANCE


@pytest.mark.parametrize("reason", list(PauseReason))
def test_any_answer_ends_what_was_in_the_way_on_our_side_and_nothing_else(reason: PauseReason) -> None:
    """But only the probe's."""
    breaker = paused(reason)
    assert not breaker.response_received()
    breaker.begin_probe()
    assert breaker.response_received(is_probe=True) is (reason in (R.NETWORK, R.LEDGER_UNAVAILABLE))


# --- the balance ------------------------------------------------------------------------------------------------


def look(breaker: PauseState, balance: float | None) -> tuple[bool, float]:
    """Look at the balance when that is due; whether it lifts, and how long until the next probe."""
    now = breaker.next_probe_at
    assert breaker.next_probe is Probe.BALANCE
    breaker.begin_probe()
    lifted = breaker.balance_probed(balance, now)
    return lifted, breaker.next_probe_at - now


def test_more_than_was_left_is_a_top_up() -> None:
    """Less or the same is not, and what was charged meanwhile lowers what a top-up is measured against."""
    breaker = paused(R.INSUFFICIENT_CREDITS)
    assert look(breaker, 100.0) == (False, 60.0)
    assert look(breaker, 100.0) == (False, 120.0)
    assert look(breaker, 40.0) == (False, 240.0)
    assert breaker.balance == 40.0
    assert look(breaker, 90.0)[0]
    assert breaker.reason is None


def test_a_balance_that_cannot_be_read_lets_a_job_be_the_probe() -> None:
    """And if that is refused again, the balance has another try."""
    breaker = paused(R.INSUFFICIENT_CREDITS)
    assert look(breaker, None) == (False, 60.0)
    assert breaker.next_probe is Probe.JOB
    breaker.begin_probe()
    breaker.pause(R.INSUFFICIENT_CREDITS, 60.0, is_probe=True)
    assert look(breaker, 5.0) == (False, 240.0)
    assert look(breaker, None)[0] is False
    assert breaker.balance == 5.0


def test_a_402_without_an_end_lets_a_job_through_now_and_then() -> None:
    """When the waits have become long, every other probe is a job: the 402 may have been wrong."""
    breaker, now, probes = paused(R.INSUFFICIENT_CREDITS), 0.0, []
    for _ in range(10):
        now = breaker.next_probe_at
        probes.append(breaker.next_probe)
        breaker.begin_probe()
        if probes[-1] is Probe.JOB:
            breaker.pause(R.INSUFFICIENT_CREDITS, now, is_probe=True)
        else:
            breaker.balance_probed(7.0, now)
    assert probes == [Probe.BALANCE] * 5 + [Probe.JOB, Probe.BALANCE] * 2 + [Probe.JOB]


def test_a_balance_that_comes_when_something_else_stands_in_the_way_is_only_noted() -> None:
    """The reason changed while the look was under way: the probe is over, the pause is not."""
    breaker = paused(R.INSUFFICIENT_CREDITS)
    breaker.begin_probe()
    breaker.pause(R.MAINTENANCE, 1.0)
    assert not breaker.balance_probed(100.0, 2.0)
    assert breaker.reason is R.MAINTENANCE
    assert breaker.next_probe is Probe.JOB
    assert breaker.next_probe_at < math.inf


# --- storms -----------------------------------------------------------------------------------------------------


def test_broken_creations_in_a_row_are_a_storm() -> None:
    """The fifth begins it; more of them, from before, change nothing."""
    breaker = PauseState()
    assert [breaker.creation_failed(0.0) for _ in range(MAX_ERRORS_IN_A_ROW + 2)] == [False] * (
        MAX_ERRORS_IN_A_ROW - 1
    ) + [True, False, False]
    assert breaker.reason is R.REPEATED_ERRORS


@pytest.mark.parametrize("between", ["went_well", "refused"])
def test_a_good_answer_between_breaks_the_row(between: str) -> None:
    """A definite refusal is a good answer, too."""
    breaker = PauseState()
    for _ in range(MAX_ERRORS_IN_A_ROW - 1):
        breaker.creation_failed(0.0)
    _ = breaker.creation_accepted() if between == "went_well" else breaker.creation_refused(0.0)
    assert not breaker.creation_failed(0.0)
    assert breaker.reason is None


def test_a_probe_that_breaks_makes_the_next_one_later() -> None:
    """One job in doubt at a time, ever more seldom."""
    breaker = paused(R.REPEATED_ERRORS)
    breaker.begin_probe()
    assert not breaker.creation_failed(60.0, is_probe=True)
    assert breaker.next_probe_at == 60.0 + 120.0


def test_a_probe_that_tells_nothing_makes_the_next_one_later() -> None:
    """It met a 429 on its way, say."""
    breaker = paused(R.KEY_LIMIT)
    breaker.begin_probe()
    breaker.probe_inconclusive(60.0)
    assert breaker.next_probe_at == 180.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pause", "broke", "refused", "well", "reached", "nothing", "straggler"]),
            st.sampled_from(list(PauseReason)),
            st.one_of(st.none(), st.floats(0, 1000)),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_stops_creation_for_good(story: list[tuple[str, PauseReason, float | None]]) -> None:
    """Whenever creation is paused and no probe is under way, one is due within the longest wait."""
    breaker, now = PauseState(), 0.0
    breaker.pause(R.MAINTENANCE, now)
    for what, reason, balance in story:
        if breaker.reason is None:
            breaker.pause(reason, now)
        assert breaker.next_probe_at <= now + PROBE_MAX_S
        now = max(now, breaker.next_probe_at)
        if what == "straggler":
            breaker.pause(reason, now)
            breaker.creation_failed(now)
            continue
        kind = breaker.next_probe
        breaker.begin_probe()
        if kind is Probe.BALANCE:
            breaker.balance_probed(balance, now)
        elif what == "pause":
            breaker.pause(reason, now, is_probe=True)
        elif what == "broke":
            breaker.creation_failed(now, is_probe=True)
        elif what == "refused":
            breaker.creation_refused(now, is_probe=True)
        elif what == "well":
            breaker.creation_accepted(is_probe=True)
        elif not (what == "reached" and breaker.response_received(is_probe=True)):
            breaker.probe_inconclusive(now)


# --- what is to be kept -------------------------------------------------------------------------------------------


def test_low_credit_is_probed_by_looks_alone() -> None:
    """The first when the balance may be read again, then ever later; a look that fails changes nothing."""
    breaker = PauseState()
    assert breaker.balance_low(0.0, 25.0)
    assert not breaker.balance_low(1.0, 1.0)
    assert breaker.next_probe_at == 25.0
    assert look(breaker, 10.0) == (False, 60.0)
    assert look(breaker, None) == (False, 120.0)
    assert look(breaker, 20.0) == (False, 240.0)
    assert look(breaker, None) == (False, 480.0)
    assert breaker.reason is R.MIN_BALANCE
    assert breaker.balance_sufficient()
    assert breaker.reason is None


@pytest.mark.parametrize("reason", [each for each in PauseReason if each is not R.MIN_BALANCE])
def test_enough_lifts_no_other_pause(reason: PauseReason) -> None:
    """A balance above the mark says nothing of a maintenance."""
    breaker = paused(reason)
    assert not breaker.balance_sufficient()
    assert breaker.reason is reason


def test_a_probe_that_is_due_already_is_not_put_into_the_past() -> None:
    """The balance might have been read long ago."""
    breaker = PauseState()
    breaker.balance_low(100.0, 5.0)
    assert breaker.next_probe_at == 100.0
