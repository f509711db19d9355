"""The estimated balance, when to read it again, and when to wait for that."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.credits.min_balance import READ_EVERY_S, READ_TIMEOUT_S, STALE_S, BalanceGuard


def test_without_a_minimum_the_balance_is_not_read_and_never_low() -> None:
    """External reads are used nevertheless."""
    guard = BalanceGuard()
    assert not guard.should_read(0.0)
    assert guard.blocked_until(0.0) == 0.0
    guard.read_done(guard.begin_external_read(0.0), 5.0, 0.0)
    assert guard.allows(1000.0)
    assert (guard.first_balance, guard.balance, guard.estimated) == (5.0, 5.0, 5.0)


def test_first_job_waits_for_the_first_balance_read_up_to_a_timeout() -> None:
    """A read that hangs delays it for `READ_TIMEOUT_S`, a failed one not at all."""
    guard = BalanceGuard(100.0)
    assert guard.should_read(0.0)
    read = guard.begin_read(0.0)
    assert not guard.should_read(READ_EVERY_S)
    assert guard.blocked_until(1.0) == READ_TIMEOUT_S
    guard.read_done(read, None, 2.0)
    assert guard.blocked_until(2.0) == 2.0
    assert guard.allows(1000.0)
    assert not guard.should_read(READ_EVERY_S - 0.1)
    assert guard.should_read(READ_EVERY_S)


def test_balance_read_blocks_sending_only_when_stale() -> None:
    """A balance that is two minutes old may have been spent by others."""
    guard = BalanceGuard(100.0)
    guard.read_done(guard.begin_read(0.0), 1000.0, 1.0)
    guard.begin_read(READ_EVERY_S)
    assert guard.blocked_until(READ_EVERY_S) == READ_EVERY_S
    assert guard.blocked_until(2.0 + STALE_S) == READ_EVERY_S + READ_TIMEOUT_S


def test_prices_of_sent_requests_are_subtracted() -> None:
    """From the moment of sending; added again if the request was not charged."""
    guard = BalanceGuard(100.0)
    guard.read_done(guard.begin_read(0.0), 200.0, 0.0)
    guard.request_sent(60.0)
    assert guard.estimated == 140.0
    guard.request_sent(60.0)
    assert not guard.allows(0.0)
    guard.response_received(60.0, is_paid=False)
    assert guard.allows(40.0)
    guard.response_received(60.0, is_paid=True)
    assert guard.estimated == 140.0


def test_balance_read_includes_only_what_was_paid_before_it_began() -> None:
    """A response during the read may or may not be included: it is subtracted once too often at most."""
    guard = BalanceGuard(100.0)
    guard.read_done(guard.begin_read(0.0), 1000.0, 0.0)
    guard.request_sent(60.0)
    guard.response_received(60.0, is_paid=True)
    guard.request_sent(60.0)
    read = guard.begin_read(30.0)
    guard.response_received(60.0, is_paid=True)
    guard.read_done(read, 880.0, 31.0)
    assert guard.estimated == 820.0
    guard.read_done(guard.begin_read(60.0), 880.0, 61.0)
    assert guard.estimated == 880.0


def test_older_read_that_returns_late_is_ignored() -> None:
    """The newer one knows more."""
    guard = BalanceGuard(100.0)
    late = guard.begin_read(0.0)
    guard.read_done(guard.begin_external_read(1.0), 50.0, 1.5)
    guard.read_done(late, 500.0, 2.0)
    assert guard.balance == 50.0
    assert guard.first_balance == 50.0


def test_external_read_is_used_like_our_own() -> None:
    """It does not end our own read."""
    guard = BalanceGuard(100.0)
    ours = guard.begin_read(0.0)
    guard.read_done(guard.begin_external_read(1.0), 500.0, 1.5)
    assert guard.blocked_until(1.5) == 1.5
    assert not guard.should_read(READ_EVERY_S)
    guard.read_done(ours, None, 20.0)
    assert guard.balance == 500.0
    assert guard.should_read(READ_EVERY_S)


def test_balance_equal_to_the_minimum_is_sufficient() -> None:
    """Only a price that leaves less is too high."""
    guard = BalanceGuard(100.0)
    guard.read_done(guard.begin_read(0.0), 160.1, 0.0)
    assert guard.allows(60.1)
    assert not guard.allows(60.2)


def test_unknown_price_is_not_subtracted() -> None:
    """The next read shows it. It is allowed while the balance is at least the minimum."""
    guard = BalanceGuard(100.0)
    guard.read_done(guard.begin_read(0.0), 150.0, 0.0)
    assert guard.allows(None)
    guard.request_sent(None)
    guard.response_received(None, is_paid=True)
    assert guard.estimated == 150.0


@given(st.lists(st.tuples(st.sampled_from(["send", "paid", "free", "begin", "end"]), st.floats(1, 60)), max_size=60))
def test_estimate_never_exceeds_the_actual_balance(events: list[tuple[str, float]]) -> None:
    """With correct prices and no other client."""
    guard, actual, now = BalanceGuard(0.0), 10_000.0, 0.0
    guard.read_done(guard.begin_read(now), actual, now)
    in_flight: list[float] = []
    read = None
    for what, cost in events:
        now += 1.0
        if what == "send":
            guard.request_sent(cost)
            actual -= cost  # from when it is sent, because the provider may charge it at any time after
            in_flight.append(cost)
        elif what in ("paid", "free") and in_flight:
            first = in_flight.pop(0)
            guard.response_received(first, is_paid=what == "paid")
            actual += 0.0 if what == "paid" else first
        elif what == "begin":
            read = guard.begin_read(now)
        elif what == "end" and read is not None:
            guard.read_done(read, actual, now)
            read = None
        assert guard.estimated is not None
        assert guard.estimated <= actual + 1e-6


_EVENTS = st.sampled_from(["send", "send", "send", "paid", "free", "begin", "end", "failed", "top-up", "refund"])


@given(st.floats(0, 1000), st.floats(0, 500), st.lists(st.tuples(_EVENTS, st.floats(0, 400)), max_size=80))
def test_requests_never_take_the_balance_below_the_minimum(
    balance: float, minimum: float, events: list[tuple[str, float]]
) -> None:
    """Whatever the prices, and in whatever order responses, balance reads, refunds and top-ups arrive."""
    guard, actual, now = BalanceGuard(minimum), balance, 0.0
    guard.read_done(guard.begin_read(now), actual, now)
    in_flight: list[float] = []
    read, seen = None, 0.0
    for what, amount in events:
        now += 1.0
        if what == "send" and guard.allows(amount):
            guard.request_sent(amount)
            in_flight.append(amount)
            actual -= amount
            assert actual >= minimum - 1e-5
        elif what in ("paid", "free") and in_flight:
            price = in_flight.pop(int(amount) % len(in_flight))
            guard.response_received(price, is_paid=what == "paid")
            actual += 0.0 if what == "paid" else price
        elif what == "begin":
            read, seen = guard.begin_read(now), actual
        elif what in ("end", "failed") and read is not None:
            # The provider reads the balance at some moment between the beginning and the end.
            guard.read_done(read, (actual if amount < 200 else seen) if what == "end" else None, now)
            read = None
        elif what in ("top-up", "refund"):
            actual += amount


@pytest.mark.parametrize("at", [0.0, 29.9])
def test_reads_are_never_closer_than_the_interval(at: float) -> None:
    """Whatever they return."""
    guard = BalanceGuard(1.0)
    assert guard.due_at == -math.inf
    guard.read_done(guard.begin_read(0.0), 5.0, 0.0)
    assert not guard.should_read(at)
    assert guard.due_at == READ_EVERY_S
