"""The limit on how many polls may begin, and how it adapts to what the provider accepts."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.polling.budget import (
    DEFAULT_PAUSE_S,
    MAX_PAUSE_S,
    MAX_POLL_RATE,
    MIN_RATE,
    POLL_RATE,
    PollBudget,
)


def fixed(rate: float) -> PollBudget:
    """Return a budget that begins with its maximum."""
    return PollBudget(rate, rate)


def begins_of(budget: PollBudget, count: int, now: float) -> list[float]:
    """Return when *count* polls begin that are due at *now*, counted from *now*."""
    begins = []
    for _ in range(count):
        begins.append(budget.ready_at(now) - now)
        budget.begin(budget.ready_at(now))
    return begins


def poll_late(budget: PollBudget, since: float, until: float) -> list[float]:
    """Poll as often as the budget allows, always for a task that was due long ago; return when each poll began."""
    begins = [budget.ready_at(since)]
    while begins[-1] < until:
        budget.begin(begins[-1], 30.0)
        begins.append(budget.ready_at(begins[-1]))
    return begins


def test_polls_are_spaced_without_a_burst() -> None:
    """One every fifth of a second; an hour without polls saves up nothing."""
    budget = fixed(5.0)
    assert begins_of(budget, 4, 100.0) == pytest.approx([0, 0.2, 0.4, 0.6])
    assert begins_of(budget, 3, 3700.0) == pytest.approx([0, 0.2, 0.4])


def test_default_is_what_the_provider_documents() -> None:
    """Ten polls per second, which stays so while polls are in time."""
    budget = PollBudget()
    for number in range(100):
        budget.begin(number / 10.0, 0.9)
    assert budget.rate == POLL_RATE == 10.0


def test_rate_grows_while_polls_are_late() -> None:
    """By one poll per second every five seconds, up to the maximum."""
    budget = PollBudget()
    poll_late(budget, 0.0, 26.0)
    assert budget.rate == 16.0
    poll_late(budget, 26.0, 600.0)
    assert budget.rate == MAX_POLL_RATE


def test_rate_that_the_user_has_set_never_grows() -> None:
    """It is the maximum, too."""
    budget = fixed(5.0)
    poll_late(budget, 0.0, 60.0)
    assert budget.rate == 5.0


def test_refusal_pauses_all_polls_and_halves_the_rate() -> None:
    """After a 429 no poll begins within the pause, and then they are further apart."""
    budget = fixed(5.0)
    budget.rate_limited(10.0)
    assert budget.rate == 2.5
    assert begins_of(budget, 3, 10.0) == pytest.approx(
        [DEFAULT_PAUSE_S, DEFAULT_PAUSE_S + 1 / 2.5, DEFAULT_PAUSE_S + 2 / 2.5]
    )


def test_simultaneous_refusals_count_once() -> None:
    """All polls in flight are refused together; the rate is halved once for them."""
    budget = fixed(8.0)
    for _ in range(16):
        budget.rate_limited(10.0)
    assert budget.rate == 4.0
    budget.rate_limited(20.0)
    assert budget.rate == 2.0


def test_refused_rate_is_not_tried_again_for_ten_minutes() -> None:
    """Until then the rate grows to 90 % of it; a second refusal doubles that time."""
    budget = PollBudget(20.0)
    budget.rate_limited(0.0)
    poll_late(budget, 3.0, 595.0)
    assert budget.rate == 18.0
    poll_late(budget, 595.0, 620.0)
    assert budget.rate > 20.0
    refused = budget.rate
    budget.rate_limited(620.0)
    poll_late(budget, 623.0, 1800.0)
    assert budget.rate == pytest.approx(0.9 * refused)
    poll_late(budget, 1800.0, 1830.0)
    assert budget.rate > 0.9 * refused


def test_rate_has_a_minimum() -> None:
    """However many refusals, one poll in two seconds remains; a budget below that is unchanged."""
    budget, small = PollBudget(), fixed(0.1)
    for step in range(100):
        budget.rate_limited(10.0 * step)
        small.rate_limited(10.0 * step)
    assert budget.rate == MIN_RATE
    assert small.rate == 0.1


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(7.0, 7.0), (0.0, 0.0), (1e6, MAX_PAUSE_S), (-1.0, DEFAULT_PAUSE_S), (math.nan, DEFAULT_PAUSE_S)],
)
def test_retry_after_is_followed_within_bounds(retry_after: float, wait: float) -> None:
    """The given seconds, two minutes at most; an invalid value is ignored."""
    budget = fixed(5.0)
    budget.rate_limited(0.0, retry_after)
    assert budget.ready_at(0.0) == pytest.approx(wait)


def test_pause_is_never_shortened() -> None:
    """A later refusal with a shorter Retry-After does not allow a poll earlier."""
    budget = fixed(5.0)
    budget.rate_limited(0.0, 60.0)
    budget.rate_limited(1.0, 2.0)
    assert budget.ready_at(1.0) == pytest.approx(60.0)


def test_other_reads_and_polls_take_turns() -> None:
    """While both wait, each begins every second time; alone, each has nearly the whole budget."""
    budget = fixed(5.0)
    budget.is_read_waiting = True
    begun: list[tuple[float, str]] = []
    while len(begun) < 20:
        now = begun[-1][0] if begun else 0.0
        at, name = min((budget.ready_at(now), "poll"), (budget.read_ready_at(now), "read"))
        (budget.begin if name == "poll" else budget.begin_read)(at)
        begun.append((at, name))
    assert [name for _, name in begun[1:]] == ["read", "poll"] * 9 + ["read"]
    assert begun[-1][0] == pytest.approx(19 / 5.0)
    for _ in range(10):
        budget.begin_read(budget.read_ready_at(100.0))
    assert budget.read_ready_at(100.0) - 100.0 <= 10 / 5.0 + 0.2


@given(
    rate=st.sampled_from([0.5, 5.0, 9.0]),
    growth=st.sampled_from([1.0, 4.0]),
    events=st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 12), st.booleans(), st.none() | st.just(-1.0) | st.floats(0, 20)),
        max_size=25,
    ),
)
def test_budget_holds_over_any_span(
    rate: float, growth: float, events: list[tuple[float, int, bool, float | None]]
) -> None:
    """At most ``1 + maximum * t`` polls begin in any t seconds, in order, with and without refusals and growth."""
    budget = PollBudget(rate, rate * growth)
    now, begins = 0.0, []
    for wait, polls, is_late, refusal in events:
        now += wait
        for _ in range(polls):
            begins.append(budget.ready_at(now))
            budget.begin(begins[-1], 30.0 if is_late else 0.0)
        if refusal is not None:
            budget.rate_limited(now, None if refusal < 0 else refusal)
        assert MIN_RATE <= budget.rate <= rate * growth
    assert all(a <= b + 1e-6 for a, b in pairwise(begins))
    for first in range(len(begins)):
        for last in range(first, len(begins)):
            span = begins[last] - begins[first]
            assert last - first <= rate * growth * span + 1e-6
