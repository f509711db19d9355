"""Reservations never exceed the budget, for any order of reserving, confirming, releasing and returning."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from veo_async._rules.credits.reservations import Reservations
from veo_async.errors import BudgetExceeded


def test_chain_is_reserved_as_a_whole_or_not_at_all() -> None:
    """A chain that stops half-way for lack of budget would have paid for half of it."""
    budget = Reservations(100.0)
    with pytest.raises(BudgetExceeded, match="costs 125 credits, but 0 credits of a budget of 100") as caught:
        budget.reserve({"dog": 5.0, "dog.4k": 120.0})
    assert (caught.value.cost, caught.value.reserved, caught.value.budget) == (125.0, 0.0, 100.0)
    assert budget.reserved == 0.0
    budget.reserve({"dog": 60.0, "dog.1080p": 5.0})
    assert budget.reserved == 65.0


def test_unknown_price_is_refused_if_there_is_a_budget() -> None:
    """It is accepted without a budget."""
    with pytest.raises(BudgetExceeded, match="price of this request is unknown") as caught:
        Reservations(100.0).reserve({"dog": 60.0, "cat": None})
    assert caught.value.cost is None
    Reservations().reserve({"cat": None})


def test_released_reservation_without_a_job_is_dropped() -> None:
    """The reservation of a job that was queued is kept."""
    budget = Reservations(100.0)
    budget.reserve({"dog": 60.0, "cat": 40.0})
    budget.confirm("cat", 40.0)
    budget.release("dog")
    budget.release("cat")
    assert budget.reserved == 40.0
    assert budget.is_confirmed("cat")
    assert not budget.is_confirmed("dog")


def test_same_job_reserves_once() -> None:
    """However many callers submit it, and as long as one of them may queue it."""
    budget = Reservations(60.0)
    budget.reserve({"dog": 60.0})
    budget.reserve({"dog": 60.0})
    budget.release("dog")
    assert budget.reserved == 60.0
    budget.confirm("dog", 60.0)
    budget.release("dog")
    assert budget.reserved == 60.0


def test_job_of_an_earlier_session_counts_and_is_not_refused() -> None:
    """It was admitted then, but it may leave no budget."""
    budget = Reservations(50.0)
    budget.confirm("old", 60.0)
    assert budget.reserved == 60.0
    budget.reserve({"old": 60.0})
    with pytest.raises(BudgetExceeded):
        budget.reserve({"new": 1.0})


def test_job_without_a_charge_returns_its_reservation() -> None:
    """Its key may then reserve again."""
    budget = Reservations(60.0)
    budget.reserve({"dog": 60.0})
    budget.confirm("dog", 60.0)
    budget.release("dog")
    budget.return_credits("dog", 60.0)
    assert budget.reserved == 0.0
    assert not budget.is_confirmed("dog")
    budget.reserve({"dog": 60.0})
    assert budget.reserved == 60.0


def test_job_that_ends_during_another_submit_leaves_it_the_reservation() -> None:
    """The second caller relies on the reservation."""
    budget = Reservations(60.0)
    budget.confirm("dog", 60.0)
    budget.reserve({"dog": 60.0})
    budget.return_credits("dog", 60.0)
    with pytest.raises(BudgetExceeded):
        budget.reserve({"cat": 60.0})
    budget.release("dog")
    assert budget.reserved == 0.0


def test_second_request_of_a_job_in_doubt_is_reserved_in_addition() -> None:
    """Both may have been charged; only the second is returned."""
    budget = Reservations(120.0)
    budget.confirm("dog", 60.0)
    budget.reserve_again("dog", 60.0)
    assert budget.reserved == 120.0
    with pytest.raises(BudgetExceeded):
        budget.reserve_again("dog", 60.0)
    budget.return_credits("dog", 60.0)
    assert budget.reserved == 60.0
    assert budget.is_confirmed("dog")


def test_free_job_always_fits_and_unknown_key_returns_nothing() -> None:
    """Even if earlier jobs exceed the budget."""
    budget = Reservations(50.0)
    budget.confirm("old", 60.0)
    budget.reserve({"free": 0.0})
    budget.return_credits("unknown", 0.0)
    assert budget.reserved == 60.0


def test_sums_of_decimal_prices_fit_exactly() -> None:
    """Ten tenths make one, despite binary rounding."""
    budget = Reservations(1.0)
    for n in range(10):
        budget.reserve({f"job-{n}": 0.1})
    with pytest.raises(BudgetExceeded):
        budget.reserve({"one more": 0.1})


KEYS = st.sampled_from("abcd")
#: The price of each job.
COSTS = {"a": 10.0, "b": 25.0, "c": 40.0, "d": 0.0}
BUDGET = 70.0


class ReservationMachine(RuleBasedStateMachine):
    """Several callers submit the same few jobs in any order, and jobs end."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Reservations(BUDGET)
        self.submitting: list[str] = []
        self.live: set[str] = set()

    @rule(keys=st.sets(KEYS, min_size=1))
    def submit(self, keys: set[str]) -> None:
        new = {key: COSTS[key] for key in sorted(keys - self.live)}
        try:
            self.budget.reserve(new)
        except BudgetExceeded:
            return
        self.submitting += new

    @precondition(lambda self: self.submitting)
    @rule(which=st.integers(0, 100), is_queued=st.booleans())
    def admit(self, which: int, is_queued: bool) -> None:
        key = self.submitting.pop(which % len(self.submitting))
        if is_queued:
            self.budget.confirm(key, COSTS[key])
            self.live.add(key)
        self.budget.release(key)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 100))
    def end(self, which: int) -> None:
        key = sorted(self.live)[which % len(self.live)]
        self.live.discard(key)
        self.budget.return_credits(key, COSTS[key])

    @invariant()
    def reserved_is_the_sum_of_live_and_submitted_jobs(self) -> None:
        assert self.budget.reserved == sum(COSTS[key] for key in self.live | set(self.submitting))
        assert self.budget.reserved <= BUDGET


TestReservations = ReservationMachine.TestCase
TestReservations.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_finished_job_stays_reserved_without_its_key() -> None:
    """Only the sum is kept; a caller that was submitting the same job at that moment changes nothing."""
    reservations = Reservations(100.0)
    reservations.reserve({"dog": 60.0})
    reservations.confirm("dog", 60.0)
    reservations.finalize("dog")
    reservations.finalize("dog")
    reservations.release("dog")
    assert (reservations.reserved, reservations.is_confirmed("dog")) == (60.0, False)
    with pytest.raises(BudgetExceeded):
        reservations.reserve({"cat": 60.0})
