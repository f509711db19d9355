"""The credits of a session: the estimated cost of its jobs, its reservations, and the measured balance.

Estimates and measurements are reported next to each other (`CreditUsage`) and never combined: prices change without
notice, and others may spend from the same account.
"""

from collections.abc import Mapping

import attrs

from veo_async._rules.credits.budget import Budget
from veo_async._rules.credits.min_balance import BalanceGuard
from veo_async._rules.credits.prices import Prices, price_of, validate_credits, validate_prices
from veo_async._rules.credits.reservations import Reservations
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.endings import is_certainly_free
from veo_async._runtime.job.live_job import LiveJob
from veo_async._wire import AnyRequest

#: In these states nothing can be returned any more.
_TASK_HAS_ENDED = frozenset({JobState.READY, JobState.SAVED, JobState.FAILED, JobState.EXPIRED})


@attrs.frozen(kw_only=True)
class CreditUsage:
    """What a session spent: estimated from the price table, and measured from the balance.

    Attributes:
        estimated: estimated credits of the accepted jobs, except for those that finished without a charge.
        jobs_without_price: the number of accepted jobs that are not in that sum, because their price is unknown.
        reserved: reserved credits: of jobs that were or may have been accepted, and of queued jobs.
        first_balance: the first balance that this session read; None if it read none. It is read by ``balance()`` and
            for ``min_balance=``.
        last_balance: the last balance that this session read.
    """

    estimated: float
    jobs_without_price: int
    reserved: float
    first_balance: float | None
    last_balance: float | None

    @property
    def measured(self) -> float | None:
        """By how much the balance fell, including the spending of others; negative after a top-up."""
        if self.first_balance is None or self.last_balance is None:
            return None
        return self.first_balance - self.last_balance


@attrs.define(eq=False)
class SharedBudget:
    """A named budget as one session uses it. The ledger counts its jobs and enforces the limit.

    A queued job that was submitted under no budget, and that this session took over, joins the budget when it is sent.
    Until then it is reserved here.
    """

    name: str
    credits: float | None
    _joining: dict[str, float] = attrs.field(factory=dict, init=False)

    @property
    def limit(self) -> float | None:
        """What the jobs on the ledger may cost together; None for any amount."""
        return None if self.credits is None else max(0.0, self.credits - sum(self._joining.values()))

    def reserve(self, job: LiveJob) -> None:
        """Reserve the price of *job* if it will join the budget."""
        if job.budget is None:
            self._joining[job.key] = job.price or 0.0

    def release(self, job: LiveJob) -> None:
        """End that reservation: the ledger counts the job, or it is never sent."""
        self._joining.pop(job.key, None)


class Spending:
    """Prices, reservations and the balance of one session.

    Args:
        prices: the price table.
        budget: the credits that may be reserved; None: unlimited.
        min_balance: the balance to keep; None: none.
        is_shared: whether a named budget is shared with other sessions on the ledger. Then the ledger enforces it.

    Raises:
        UsageError: one of them is not a number of credits.
    """

    def __init__(
        self, prices: Prices, budget: float | Budget | None, min_balance: float | None, *, is_shared: bool = False
    ) -> None:
        self._prices = validate_prices(prices)
        #: The budget that the ledger enforces, for all sessions together.
        self.shared: SharedBudget | None = None
        if isinstance(budget, Budget) and is_shared:
            self.shared = SharedBudget(budget.name, budget.credits)
        self._reservations = Reservations(None if self.shared else _own_limit(budget))
        minimum = None if min_balance is None else validate_credits("min_balance", min_balance)
        self.balance: BalanceGuard = BalanceGuard(minimum)
        #: The estimated prices of the accepted jobs that have not finished, by key.
        self._accepted: dict[str, float | None] = {}
        #: The sum of those that have finished, and how many of them have no price.
        self._finished_credits, self._finished_without_price = 0.0, 0

    @property
    def is_bounded(self) -> bool:
        """Whether there is a budget."""
        return self._reservations.budget is not None

    def price_of(self, request: AnyRequest | None) -> float | None:
        """Return the estimated price of *request*; None if it is unknown."""
        return None if request is None else price_of(request, self._prices)

    def is_reserved(self, key: str) -> bool:
        """Whether the job with *key* has a reservation."""
        return self._reservations.is_confirmed(key)

    @property
    def prices(self) -> Prices:
        """The price table."""
        return self._prices

    def reserve(self, prices: Mapping[str, float | None]) -> None:
        """Reserve the prices of jobs that are being submitted, by key; `release` must follow for each.

        Raises:
            BudgetExceeded: together they exceed the budget.
        """
        self._reservations.reserve(prices)

    def release(self, key: str) -> None:
        """End the temporary reservation of `reserve`: the job was admitted, or it was not."""
        self._reservations.release(key)

    def confirm(self, job: LiveJob) -> None:
        """Reserve the price of *job*, which will be sent, until it finishes without a charge."""
        if job.price is None:  # it was unknown to the session that submitted the job
            job.price = self.price_of(job.request)
        self._reservations.confirm(job.key, job.price)
        if self.shared is not None:
            self.shared.reserve(job)
        job.on_end = self._ended

    def reserve_again(self, job: LiveJob) -> None:
        """Reserve the price of *job* a second time: it is resubmitted although it may have been charged.

        Raises:
            BudgetExceeded: that exceeds the budget.
        """
        job.price = self.price_of(job.request)
        self._reservations.reserve_again(job.key, job.price)

    def cancel_reservation(self, job: LiveJob) -> None:
        """Undo `reserve_again`: the job is not resubmitted by this session."""
        self._reservations.return_credits(job.key, job.price)

    def accepted(self, job: LiveJob) -> None:
        """Count the price of *job*, whose task runs, if this session pays for it."""
        if self.is_reserved(job.key):
            self._accepted[job.key] = job.price

    def _ended(self, job: LiveJob) -> None:
        if self.shared is not None:
            self.shared.release(job)
        if is_certainly_free(job, job.outcome):
            self._accepted.pop(job.key, None)
            self._reservations.return_credits(job.key, job.price)
            job.on_end = None  # only once: a new job may use the key from now on
        elif job.state in _TASK_HAS_ENDED:
            self._finalize(job.key)

    def _finalize(self, key: str) -> None:
        """Only sums are kept of a job that has finished."""
        self._reservations.finalize(key)
        if key in self._accepted:
            price = self._accepted.pop(key)
            self._finished_credits += price or 0.0
            self._finished_without_price += price is None

    def spent(self) -> CreditUsage:
        """Return the present figures."""
        known = [price for price in self._accepted.values() if price is not None]
        return CreditUsage(
            estimated=self._finished_credits + sum(known),
            jobs_without_price=self._finished_without_price + len(self._accepted) - len(known),
            reserved=self._reservations.reserved,
            first_balance=self.balance.first_balance,
            last_balance=self.balance.balance,
        )


def _own_limit(budget: float | Budget | None) -> float | None:
    """Return the credits that a session may reserve without others."""
    if budget is None or isinstance(budget, Budget):
        return None if budget is None else budget.credits
    return validate_credits("budget", budget)
