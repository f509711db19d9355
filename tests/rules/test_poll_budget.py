"""The limit on how many polls may begin."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.polling.budget import DEFAULT_PAUSE_S, MAX_PAUSE_S, MIN_RATE, PollBudget


def test_burst_begins_together_then_polls_are_spaced() -> None:
    """Five polls begin together, then one every fifth of a second, in the order of reservation."""
    budget = PollBudget(rate=5.0)
    assert [budget.reserve(100.0) for _ in range(8)] == pytest.approx([0, 0, 0, 0, 0, 0.2, 0.4, 0.6])


def test_unused_tokens_are_limited_to_a_burst() -> None:
    """An hour without polls saves up one burst and no more."""
    budget = PollBudget(rate=5.0)
    budget.reserve(0.0)
    assert sum(budget.reserve(3600.0) == 0 for _ in range(20)) == 5


def test_refusal_pauses_all_polls_and_reduces_the_rate() -> None:
    """After a 429 no poll begins within the pause, no burst follows it, and the rate is lower."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(10.0)
    assert budget.current_rate(10.0) == pytest.approx(3.5)
    assert [budget.reserve(10.0) for _ in range(3)] == pytest.approx(
        [DEFAULT_PAUSE_S, DEFAULT_PAUSE_S + 1 / 3.5, DEFAULT_PAUSE_S + 2 / 3.5]
    )


def test_simultaneous_refusals_count_once() -> None:
    """All polls in flight are refused together; the rate is reduced once for them."""
    budget = PollBudget(rate=5.0)
    for _ in range(16):
        budget.rate_limited(10.0)
    assert budget.current_rate(10.0) == pytest.approx(3.5)
    budget.rate_limited(20.0)
    assert budget.current_rate(20.0) == pytest.approx((0.7 + 0.05) * 0.7 * 5)


def test_rate_recovers() -> None:
    """By 5 % of the full rate every ten seconds, up to the full rate."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(0.0)
    assert [budget.current_rate(now) for now in (9.9, 10.0, 30.0, 60.0, 999.0)] == pytest.approx(
        [3.5, 3.75, 4.25, 5.0, 5.0]
    )


def test_rate_has_a_minimum() -> None:
    """However many refusals, one poll in five seconds remains; a budget below that is unchanged."""
    budget, small = PollBudget(rate=0.5), PollBudget(rate=0.1)
    for step in range(100):
        budget.rate_limited(10.0 * step)
        small.rate_limited(10.0 * step)
    assert budget.current_rate(990.0) == pytest.approx(MIN_RATE)
    assert small.current_rate(990.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(7.0, 7.0), (0.0, 0.0), (1e6, MAX_PAUSE_S), (-1.0, DEFAULT_PAUSE_S), (math.nan, DEFAULT_PAUSE_S)],
)
def test_retry_after_is_followed_within_bounds(retry_after: float, wait: float) -> None:
    """The given seconds, two minutes at most; an invalid value is ignored."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(0.0, retry_after)
    assert budget.reserve(0.0) == pytest.approx(wait)


def test_pause_is_never_shortened() -> None:
    """A later refusal with a shorter Retry-After does not allow a poll earlier."""
    budget = PollBudget(rate=5.0)
    budget.rate_limited(0.0, 60.0)
    budget.rate_limited(1.0, 2.0)
    assert budget.reserve(1.0) == pytest.approx(59.0)


@given(
    rate=st.sampled_from([0.5, 5.0, 9.0]),
    burst=st.integers(1, 8),
    events=st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 12), st.none() | st.just(-1.0) | st.floats(0, 20)),
        max_size=25,
    ),
)
def test_budget_holds_over_any_span(rate: float, burst: int, events: list[tuple[float, int, float | None]]) -> None:
    """At most burst + rate * t polls begin in any t seconds, in order, with and without refusals."""
    budget = PollBudget(rate, burst)
    now, begins = 0.0, []
    for wait, polls, refusal in events:
        now += wait
        begins += [now + budget.reserve(now) for _ in range(polls)]
        if refusal is not None:
            budget.rate_limited(now, None if refusal < 0 else refusal)
    assert all(a <= b + 1e-6 for a, b in pairwise(begins))
    for first in range(len(begins)):
        for last in range(first, len(begins)):
            span = begins[last] - begins[first]
            assert last - first + 1 <= burst + rate * span + 1e-6
