"""When submission is paused, how a pause is probed, and what ends it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.pauses import (
    LOCAL_PROBE_FIRST_S,
    MAX_ERRORS_IN_A_ROW,
    PROBE_FIRST_S,
    PROBE_MAX_S,
    ROUTE_PROBE_FIRST_S,
    PauseReason,
    PauseState,
    Probe,
)

R = PauseReason


def paused(reason: PauseReason, now: float = 0.0) -> PauseState:
    state = PauseState()
    assert state.pause(reason, now)
    return state


@pytest.mark.parametrize(
    ("reason", "first_at", "probe"),
    [
        (R.INSUFFICIENT_CREDITS, 100.0, Probe.BALANCE),
        (R.KEY_LIMIT, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.MAINTENANCE, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.BLOCKED, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.REPEATED_ERRORS, 100.0 + PROBE_FIRST_S, Probe.JOB),
        (R.ROUTE_GONE, 100.0 + ROUTE_PROBE_FIRST_S, Probe.JOB),
        (R.NETWORK, 100.0 + LOCAL_PROBE_FIRST_S, Probe.JOB),
    ],
)
def test_pause_has_a_reason_and_a_probe(reason: PauseReason, first_at: float, probe: Probe) -> None:
    """Each reason has its kind of probe, and its time for the first one."""
    state = paused(reason, 100.0)
    assert (state.reason, state.next_probe_at, state.next_probe) == (reason, first_at, probe)


@pytest.mark.parametrize("reason", [R.KEY_LIMIT, R.MAINTENANCE, R.BLOCKED, R.REPEATED_ERRORS, R.NETWORK])
def test_probe_delays_double_up_to_the_maximum(reason: PauseReason) -> None:
    """As long as every probe returns the same error."""
    state, now, delays = paused(reason), 0.0, []
    for _ in range(9):
        delays.append(state.next_probe_at - now)
        now = state.next_probe_at
        state.begin_probe()
        assert state.next_probe_at == math.inf
        assert not state.pause(reason, now, is_probe=True)
    first, max_delay = (1.0, 60.0) if reason is R.NETWORK else (60.0, 600.0)
    assert delays == [min(first * 2**n, max_delay) for n in range(9)]


@pytest.mark.parametrize("reason", list(PauseReason))
def test_same_error_of_an_earlier_request_changes_nothing(reason: PauseReason) -> None:
    """Neither before the probe nor while it is in flight."""
    state = paused(reason)
    at = state.next_probe_at
    assert not state.pause(reason, 30.0)
    assert state.next_probe_at == at
    state.begin_probe()
    assert not state.pause(reason, 70.0)
    assert state.next_probe_at == math.inf


@pytest.mark.parametrize("reason", list(PauseReason))
def test_only_the_success_of_the_probe_ends_a_pause(reason: PauseReason) -> None:
    """A success that is older than the pause proves nothing."""
    state = paused(reason)
    assert not state.creation_accepted()
    assert state.reason is reason
    state.begin_probe()
    assert state.creation_accepted(is_probe=True)
    assert state.reason is None
    assert state.next_probe_at < math.inf


def test_newer_reason_replaces_the_pause() -> None:
    """The latest reason applies, and its delays start again."""
    state = paused(R.MAINTENANCE)
    assert state.pause(R.INSUFFICIENT_CREDITS, 10.0)
    assert (state.reason, state.next_probe_at) == (R.INSUFFICIENT_CREDITS, 10.0)


def test_probe_with_another_reason_has_ended() -> None:
    """The next probe is for the new reason."""
    state = paused(R.MAINTENANCE)
    state.begin_probe()
    assert state.pause(R.KEY_LIMIT, 60.0, is_probe=True)
    assert state.next_probe_at == 60.0 + PROBE_FIRST_S


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        (R.MAINTENANCE, True),
        (R.BLOCKED, True),
        (R.REPEATED_ERRORS, True),
        (R.INSUFFICIENT_CREDITS, False),
        (R.KEY_LIMIT, False),
        (R.ROUTE_GONE, False),
    ],
)
def test_refused_probe_ends_a_pause_only_if_the_provider_was_the_problem(reason: PauseReason, ends: bool) -> None:
    """Otherwise it proves nothing about the account, and the next job is sent immediately."""
    state = paused(reason)
    state.begin_probe()
    assert state.creation_refused(60.0, is_probe=True) is ends
    assert state.next_probe_at <= 60.0
    assert (state.reason is None) is ends


def test_refusal_of_an_earlier_request_ends_no_pause() -> None:
    """It is older than the pause."""
    state = paused(R.MAINTENANCE)
    assert not state.creation_refused(5.0)
    assert state.reason is R.MAINTENANCE


@pytest.mark.parametrize("reason", list(PauseReason))
def test_any_response_to_the_probe_ends_local_pauses_only(reason: PauseReason) -> None:
    """The response to another request does not."""
    state = paused(reason)
    assert not state.response_received()
    state.begin_probe()
    assert state.response_received(is_probe=True) is (reason in (R.NETWORK, R.LEDGER_UNAVAILABLE))


# --- the balance ------------------------------------------------------------------------------------------------


def read_balance(state: PauseState, balance: float | None) -> tuple[bool, float]:
    """Read the balance when that is due; return whether this ends the pause, and the seconds until the next probe."""
    now = state.next_probe_at
    assert state.next_probe is Probe.BALANCE
    state.begin_probe()
    is_resumed = state.balance_probed(balance, now)
    return is_resumed, state.next_probe_at - now


def test_higher_balance_is_a_top_up() -> None:
    """An equal or lower balance is not, and charges in the meantime lower the balance that a top-up must exceed."""
    state = paused(R.INSUFFICIENT_CREDITS)
    assert read_balance(state, 100.0) == (False, 60.0)
    assert read_balance(state, 100.0) == (False, 120.0)
    assert read_balance(state, 40.0) == (False, 240.0)
    assert state.balance == 40.0
    assert read_balance(state, 90.0)[0]
    assert state.reason is None


def test_failed_balance_read_makes_a_job_the_next_probe() -> None:
    """If that job is refused again, the balance is read again."""
    state = paused(R.INSUFFICIENT_CREDITS)
    assert read_balance(state, None) == (False, 60.0)
    assert state.next_probe is Probe.JOB
    state.begin_probe()
    state.pause(R.INSUFFICIENT_CREDITS, 60.0, is_probe=True)
    assert read_balance(state, 5.0) == (False, 240.0)
    assert read_balance(state, None)[0] is False
    assert state.balance == 5.0


def test_long_pause_after_a_402_sends_a_job_now_and_then() -> None:
    """When the delays are long, every other probe is a job, because the 402 may have been wrong."""
    state, now, probes = paused(R.INSUFFICIENT_CREDITS), 0.0, []
    for _ in range(10):
        now = state.next_probe_at
        probes.append(state.next_probe)
        state.begin_probe()
        if probes[-1] is Probe.JOB:
            state.pause(R.INSUFFICIENT_CREDITS, now, is_probe=True)
        else:
            state.balance_probed(7.0, now)
    assert probes == [Probe.BALANCE] * 5 + [Probe.JOB, Probe.BALANCE] * 2 + [Probe.JOB]


def test_balance_read_of_a_replaced_pause_ends_only_the_probe() -> None:
    """The reason changed during the read: the probe has ended, the pause has not."""
    state = paused(R.INSUFFICIENT_CREDITS)
    state.begin_probe()
    state.pause(R.MAINTENANCE, 1.0)
    assert not state.balance_probed(100.0, 2.0)
    assert state.reason is R.MAINTENANCE
    assert state.next_probe is Probe.JOB
    assert state.next_probe_at < math.inf


# --- a route that is gone ---------------------------------------------------------------------------------------


def test_lost_route_is_decided_by_the_balance_immediately() -> None:
    """Then the next probe is a job again, unless the pause has ended."""
    state = paused(R.ROUTE_GONE)
    state.begin_probe()
    state.pause(R.ROUTE_GONE, 121.0, is_probe=True)
    state.route_lost(121.0)
    assert (state.next_probe_at, state.next_probe) == (121.0, Probe.BALANCE)
    state.begin_probe()
    state.route_kept(122.0)
    assert state.next_probe is Probe.JOB
    assert 122.0 < state.next_probe_at < math.inf
    assert state.route_found()
    assert state.reason is None


def test_route_changes_nothing_about_another_pause() -> None:
    """Its reason has replaced the first one."""
    state = paused(R.MAINTENANCE)
    at = state.next_probe_at
    state.route_lost(1.0)
    state.route_kept(1.0)
    assert not state.route_found()
    assert (state.reason, state.next_probe_at, state.next_probe) == (R.MAINTENANCE, at, Probe.JOB)


# --- errors in a row -------------------------------------------------------------------------------------------


def test_errors_in_a_row_pause_submission() -> None:
    """The fifth begins the pause; more of them, from earlier requests, change nothing."""
    state = PauseState()
    assert [state.creation_failed(0.0) for _ in range(MAX_ERRORS_IN_A_ROW + 2)] == [False] * (
        MAX_ERRORS_IN_A_ROW - 1
    ) + [True, False, False]
    assert state.reason is R.REPEATED_ERRORS


@pytest.mark.parametrize("result", ["accepted", "refused"])
def test_success_or_refusal_resets_the_error_count(result: str) -> None:
    """A definite refusal shows that the provider works, too."""
    state = PauseState()
    for _ in range(MAX_ERRORS_IN_A_ROW - 1):
        state.creation_failed(0.0)
    _ = state.creation_accepted() if result == "accepted" else state.creation_refused(0.0)
    assert not state.creation_failed(0.0)
    assert state.reason is None


def test_failed_probe_delays_the_next_one() -> None:
    """At most one job in doubt at a time, and less and less often."""
    state = paused(R.REPEATED_ERRORS)
    state.begin_probe()
    assert not state.creation_failed(60.0, is_probe=True)
    assert state.next_probe_at == 60.0 + 120.0


def test_inconclusive_probe_delays_the_next_one() -> None:
    """For example, it got a 429."""
    state = paused(R.KEY_LIMIT)
    state.begin_probe()
    state.probe_inconclusive(60.0)
    assert state.next_probe_at == 180.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pause", "failed", "refused", "accepted", "response", "inconclusive", "earlier"]),
            st.sampled_from(list(PauseReason)),
            st.one_of(st.none(), st.floats(0, 1000)),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_stops_submission_forever(events: list[tuple[str, PauseReason, float | None]]) -> None:
    """Whenever submission is paused and no probe is in flight, one is due within the maximum delay."""
    state, now = PauseState(), 0.0
    state.pause(R.MAINTENANCE, now)
    for what, reason, balance in events:
        if state.reason is None:
            state.pause(reason, now)
        assert state.next_probe_at <= now + PROBE_MAX_S
        now = max(now, state.next_probe_at)
        if what == "earlier":
            state.pause(reason, now)
            state.creation_failed(now)
            continue
        kind = state.next_probe
        state.begin_probe()
        if kind is Probe.BALANCE:
            state.balance_probed(balance, now)
        elif what == "pause":
            state.pause(reason, now, is_probe=True)
        elif what == "failed":
            state.creation_failed(now, is_probe=True)
        elif what == "refused":
            state.creation_refused(now, is_probe=True)
        elif what == "accepted":
            state.creation_accepted(is_probe=True)
        elif not (what == "response" and state.response_received(is_probe=True)):
            state.probe_inconclusive(now)


# --- the minimum balance -------------------------------------------------------------------------------------------


def test_min_balance_pause_is_probed_by_balance_reads_only() -> None:
    """The first when the balance may be read again, then less and less often; a failed read changes nothing."""
    state = PauseState()
    assert state.balance_low(0.0, 25.0)
    assert not state.balance_low(1.0, 1.0)
    assert state.next_probe_at == 25.0
    assert read_balance(state, 10.0) == (False, 60.0)
    assert read_balance(state, None) == (False, 120.0)
    assert read_balance(state, 20.0) == (False, 240.0)
    assert read_balance(state, None) == (False, 480.0)
    assert state.reason is R.MIN_BALANCE
    assert state.balance_sufficient()
    assert state.reason is None


@pytest.mark.parametrize("reason", [reason for reason in PauseReason if reason is not R.MIN_BALANCE])
def test_sufficient_balance_ends_no_other_pause(reason: PauseReason) -> None:
    """A balance above the minimum proves nothing about a maintenance."""
    state = paused(reason)
    assert not state.balance_sufficient()
    assert state.reason is reason


def test_probe_is_never_scheduled_in_the_past() -> None:
    """The balance may have been read long ago."""
    state = PauseState()
    state.balance_low(100.0, 5.0)
    assert state.next_probe_at == 100.0
