"""A budget is never passed by what is reserved, whoever reserves, gives back and gives up in whichever order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from veo_async._rules.credits.reservations import Reservations
from veo_async.errors import BudgetExceeded


def test_all_steps_fit_or_none_is_reserved() -> None:
    """A chain that stops half-way for lack of budget would have paid for half."""
    budget = Reservations(100.0)
    with pytest.raises(BudgetExceeded, match="would cost 125 credits, and 0 credits of a budget of 100") as caught:
        budget.reserve({"dog": 5.0, "dog.4k": 120.0})
    assert (caught.value.cost, caught.value.reserved, caught.value.budget) == (125.0, 0.0, 100.0)
    assert budget.reserved == 0.0
    budget.reserve({"dog": 60.0, "dog.1080p": 5.0})
    assert budget.reserved == 65.0


def test_what_nobody_knows_does_not_fit_a_budget() -> None:
    """And fits where there is none."""
    with pytest.raises(BudgetExceeded, match="nobody knows") as caught:
        Reservations(100.0).reserve({"dog": 60.0, "cat": None})
    assert caught.value.cost is None
    Reservations().reserve({"cat": None})


def test_a_promise_without_a_job_comes_back() -> None:
    """One whose job was queued stays."""
    budget = Reservations(100.0)
    budget.reserve({"dog": 60.0, "cat": 40.0})
    budget.confirm("cat", 40.0)
    budget.release("dog")
    budget.release("cat")
    assert budget.reserved == 40.0
    assert budget.is_confirmed("cat")
    assert not budget.is_confirmed("dog")


def test_the_same_job_reserves_once() -> None:
    """However many submit it, and as long as one of them may bring it about."""
    budget = Reservations(60.0)
    budget.reserve({"dog": 60.0})
    budget.reserve({"dog": 60.0})
    budget.release("dog")
    assert budget.reserved == 60.0
    budget.confirm("dog", 60.0)
    budget.release("dog")
    assert budget.reserved == 60.0


def test_a_job_of_an_earlier_session_counts_and_is_not_refused() -> None:
    """It was admitted then; but it may leave no room."""
    budget = Reservations(50.0)
    budget.confirm("old", 60.0)
    assert budget.reserved == 60.0
    budget.reserve({"old": 60.0})
    with pytest.raises(BudgetExceeded):
        budget.reserve({"new": 1.0})


def test_a_free_end_gives_back() -> None:
    """And the key may reserve anew."""
    budget = Reservations(60.0)
    budget.reserve({"dog": 60.0})
    budget.confirm("dog", 60.0)
    budget.release("dog")
    budget.return_credits("dog", 60.0)
    assert budget.reserved == 0.0
    assert not budget.is_confirmed("dog")
    budget.reserve({"dog": 60.0})
    assert budget.reserved == 60.0


def test_a_job_that_ends_while_it_is_submitted_again_leaves_its_reservation_to_that() -> None:
    """Who promised has relied on what was held."""
    budget = Reservations(60.0)
    budget.confirm("dog", 60.0)
    budget.reserve({"dog": 60.0})
    budget.return_credits("dog", 60.0)
    with pytest.raises(BudgetExceeded):
        budget.reserve({"cat": 60.0})
    budget.release("dog")
    assert budget.reserved == 0.0


def test_another_request_of_a_job_in_doubt_is_reserved_beside_the_first() -> None:
    """Both may have been paid; the second alone comes back."""
    budget = Reservations(120.0)
    budget.confirm("dog", 60.0)
    budget.reserve_again("dog", 60.0)
    assert budget.reserved == 120.0
    with pytest.raises(BudgetExceeded):
        budget.reserve_again("dog", 60.0)
    budget.return_credits("dog", 60.0)
    assert budget.reserved == 60.0
    assert budget.is_confirmed("dog")


def test_what_costs_nothing_always_fits_and_what_was_never_held_gives_nothing_back() -> None:
    """Also where earlier jobs have left less than no room."""
    budget = Reservations(50.0)
    budget.confirm("old", 60.0)
    budget.reserve({"free": 0.0})
    budget.return_credits("stranger", 0.0)
    assert budget.reserved == 60.0


def test_sums_of_decimal_prices_fit_exactly() -> None:
    """Ten tenths are one, whatever the binary says."""
    budget = Reservations(1.0)
    for n in range(10):
        budget.reserve({f"job-{n}": 0.1})
    with pytest.raises(BudgetExceeded):
        budget.reserve({"one more": 0.1})


KEYS = st.sampled_from("abcd")
#: What a job costs goes by its key here, as it goes by its request.
COSTS = {"a": 10.0, "b": 25.0, "c": 40.0, "d": 0.0}
BUDGET = 70.0


class ReservationMachine(RuleBasedStateMachine):
    """Callers who submit the same few jobs in any order, and jobs that end."""

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
    def what_is_reserved_is_what_is_live_or_on_its_way(self) -> None:
        assert self.budget.reserved == sum(COSTS[key] for key in self.live | set(self.submitting))
        assert self.budget.reserved <= BUDGET


TestReservations = ReservationMachine.TestCase
TestReservations.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
