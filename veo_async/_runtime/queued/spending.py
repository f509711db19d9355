"""The credits of a session: the estimated cost of its jobs, its reservations, and the measured balance.

Estimates and measurements are reported next to each other (`CreditUsage`) and never combined: prices change without
notice, and others may spend from the same account.
"""

from collections.abc import Mapping

import attrs

from veo_async._rules.credits.min_balance import BalanceGuard
from veo_async._rules.credits.prices import Prices, price_of, validate_credits, validate_prices
from veo_async._rules.credits.reservations import Reservations
from veo_async._runtime.job.endings import ended_without_charge
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Failed
from veo_async._wire import AnyRequest
from veo_async.errors import JobAbandoned


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


class Spending:
    """Prices, reservations and the balance of one session.

    Args:
        prices: the price table.
        budget: the credits that may be reserved; None: unlimited.
        min_balance: the balance to keep; None: none.

    Raises:
        UsageError: one of them is not a number of credits.
    """

    def __init__(self, prices: Prices, budget: float | None, min_balance: float | None) -> None:
        self._prices = validate_prices(prices)
        self._reservations = Reservations(None if budget is None else validate_credits("budget", budget))
        minimum = None if min_balance is None else validate_credits("min_balance", min_balance)
        self.balance: BalanceGuard = BalanceGuard(minimum)
        #: The estimated prices of the accepted jobs, by key.
        self._accepted: dict[str, float | None] = {}

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

    def reserve(self, requests: Mapping[str, AnyRequest | None]) -> None:
        """Reserve the prices of jobs that are being submitted, by key; `release` must follow for each.

        Raises:
            BudgetExceeded: together they exceed the budget.
        """
        self._reservations.reserve({key: self.price_of(request) for key, request in requests.items()})

    def release(self, key: str) -> None:
        """End the temporary reservation of `reserve`: the job was admitted, or it was not."""
        self._reservations.release(key)

    def confirm(self, job: LiveJob) -> None:
        """Reserve the price of *job*, which will be sent, until it finishes without a charge."""
        job.price = self.price_of(job.request)
        self._reservations.confirm(job.key, job.price)
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
        if is_certainly_free(job):
            self._accepted.pop(job.key, None)
            self._reservations.return_credits(job.key, job.price)
            job.on_end = None  # only once: a new job may use the key from now on

    def spent(self) -> CreditUsage:
        """Return the present figures."""
        known = [price for price in self._accepted.values() if price is not None]
        return CreditUsage(
            estimated=sum(known),
            jobs_without_price=len(self._accepted) - len(known),
            reserved=self._reservations.reserved,
            first_balance=self.balance.first_balance,
            last_balance=self.balance.balance,
        )


def is_certainly_free(job: LiveJob) -> bool:
    """Whether *job* has finished and certainly was not charged."""
    is_abandoned = isinstance(job.outcome, Failed) and isinstance(job.outcome.error, JobAbandoned)
    was_never_sent = not job.attempts and job.task_id is None
    return ended_without_charge(job) or (is_abandoned and was_never_sent)
