"""How much there is believed to be, when to look again, and when to wait for that."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.credits.min_balance import READ_EVERY_S, READ_TIMEOUT_S, STALE_S, BalanceGuard


def test_without_a_mark_nothing_is_asked_and_nothing_is_low() -> None:
    """What others read is noted all the same."""
    water = BalanceGuard()
    assert not water.should_read(0.0)
    assert water.blocked_until(0.0) == 0.0
    water.read_done(water.begin_external_read(0.0), 5.0, 0.0)
    assert not water.is_below
    assert (water.first_balance, water.balance, water.estimated) == (5.0, 5.0, 5.0)


def test_the_first_job_waits_for_the_first_look_but_not_for_ever() -> None:
    """A look that hangs is waited for `PATIENCE_S`, one that fails not at all."""
    water = BalanceGuard(100.0)
    assert water.should_read(0.0)
    look = water.begin_read(0.0)
    assert not water.should_read(READ_EVERY_S)
    assert water.blocked_until(1.0) == READ_TIMEOUT_S
    water.read_done(look, None, 2.0)
    assert water.blocked_until(2.0) == 2.0
    assert not water.is_below
    assert not water.should_read(READ_EVERY_S - 0.1)
    assert water.should_read(READ_EVERY_S)


def test_a_look_while_sending_holds_nobody_up_and_one_after_a_long_while_does() -> None:
    """What was known two minutes ago may have been spent by others."""
    water = BalanceGuard(100.0)
    water.read_done(water.begin_read(0.0), 1000.0, 1.0)
    water.begin_read(READ_EVERY_S)
    assert water.blocked_until(READ_EVERY_S) == READ_EVERY_S
    assert water.blocked_until(2.0 + STALE_S) == READ_EVERY_S + READ_TIMEOUT_S


def test_what_was_sent_since_the_look_is_subtracted() -> None:
    """From the moment it leaves; it comes back if it is not paid."""
    water = BalanceGuard(100.0)
    water.read_done(water.begin_read(0.0), 200.0, 0.0)
    water.request_sent(60.0)
    assert water.estimated == 140.0
    water.request_sent(60.0)
    assert water.is_below
    water.response_received(60.0, is_paid=False)
    assert not water.is_below
    water.response_received(60.0, is_paid=True)
    assert water.estimated == 140.0


def test_a_look_counts_what_was_paid_before_it_began_and_nothing_else() -> None:
    """What is answered while it is under way may be in it or not: it is subtracted once more than needed at most."""
    water = BalanceGuard(100.0)
    water.read_done(water.begin_read(0.0), 1000.0, 0.0)
    water.request_sent(60.0)
    water.response_received(60.0, is_paid=True)
    water.request_sent(60.0)
    look = water.begin_read(30.0)
    water.response_received(60.0, is_paid=True)
    water.read_done(look, 880.0, 31.0)
    assert water.estimated == 820.0
    water.read_done(water.begin_read(60.0), 880.0, 61.0)
    assert water.estimated == 880.0


def test_an_older_look_that_comes_late_is_no_news() -> None:
    """The newer one has told more."""
    water = BalanceGuard(100.0)
    late = water.begin_read(0.0)
    water.read_done(water.begin_external_read(1.0), 50.0, 1.5)
    water.read_done(late, 500.0, 2.0)
    assert water.balance == 50.0
    assert water.first_balance == 50.0


def test_somebody_elses_look_is_as_good() -> None:
    """And leaves our own where it is."""
    water = BalanceGuard(100.0)
    ours = water.begin_read(0.0)
    water.read_done(water.begin_external_read(1.0), 500.0, 1.5)
    assert water.blocked_until(1.5) == 1.5
    assert not water.should_read(READ_EVERY_S)
    water.read_done(ours, None, 20.0)
    assert water.balance == 500.0
    assert water.should_read(READ_EVERY_S)


def test_exactly_what_is_to_be_kept_is_enough() -> None:
    """Low is less."""
    water = BalanceGuard(100.0)
    water.read_done(water.begin_read(0.0), 100.0, 0.0)
    assert not water.is_below


def test_a_price_that_nobody_knows_is_not_subtracted() -> None:
    """The next look tells."""
    water = BalanceGuard(100.0)
    water.read_done(water.begin_read(0.0), 150.0, 0.0)
    water.request_sent(None)
    water.response_received(None, is_paid=True)
    assert water.estimated == 150.0


@given(st.lists(st.tuples(st.sampled_from(["send", "paid", "free", "look", "read"]), st.floats(1, 60)), max_size=60))
def test_never_more_is_believed_than_there_is(story: list[tuple[str, float]]) -> None:
    """With true prices, and nobody else on the account; so the mark is passed by one job at most."""
    water, there, now = BalanceGuard(0.0), 10_000.0, 0.0
    water.read_done(water.begin_read(now), there, now)
    under_way: list[float] = []
    look = None
    for what, cost in story:
        now += 1.0
        if what == "send":
            water.request_sent(cost)
            there -= cost  # whenever the provider takes it, it is gone from when it leaves
            under_way.append(cost)
        elif what in ("paid", "free") and under_way:
            first = under_way.pop(0)
            water.response_received(first, is_paid=what == "paid")
            there += 0.0 if what == "paid" else first
        elif what == "look":
            look = water.begin_read(now)
        elif what == "read" and look is not None:
            water.read_done(look, there, now)
            look = None
        assert water.estimated is not None
        assert water.estimated <= there + 1e-6


@pytest.mark.parametrize("at", [0.0, 29.9])
def test_looks_are_never_closer_than_they_may_be(at: float) -> None:
    """Whatever they tell."""
    water = BalanceGuard(1.0)
    assert water.due_at == -math.inf
    water.read_done(water.begin_read(0.0), 5.0, 0.0)
    assert not water.should_read(at)
    assert water.due_at == READ_EVERY_S
