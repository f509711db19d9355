"""The session's money: what its jobs cost by the table, what they have reserved, and what the balance really did.

Estimates and readings are told side by side (`CreditUsage`) and never made into one figure: prices change without notice, and
others may spend from the same account.
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
    """What a session has spent: by the table of prices, and by the balance as it was read."""

    #: Credits of the jobs that this session had accepted, by the table, save those that ended without a charge.
    estimated: float
    #: How many of these jobs are not in that sum, because nobody knows their price.
    jobs_without_price: int
    #: Credits reserved: what was accepted or may have been, and what waits.
    reserved: float
    #: The balance when this session read it first; None if it never did. It is read by ``credits()`` and for
    #: ``min_balance=``.
    first_balance: float | None
    #: The balance when it was read last.
    last_balance: float | None

    @property
    def measured(self) -> float | None:
        """What the balance fell by between these two; less than nothing after a top-up, and others' doing as well."""
        if self.first_balance is None or self.last_balance is None:
            return None
        return self.first_balance - self.last_balance


class Spending:
    """Prices, reservations and readings of one session.

    Args:
        prices: the table.
        budget: credits that may be reserved; None: any.
        min_balance: credits below which nothing is created; None: none.

    Raises:
        UsageError: one of them is no number of credits.
    """

    def __init__(self, prices: Prices, budget: float | None, min_balance: float | None) -> None:
        self._prices = validate_prices(prices)
        self._reservations = Reservations(None if budget is None else validate_credits("budget", budget))
        self.balance = BalanceGuard(None if min_balance is None else validate_credits("min_balance", min_balance))
        #: What the jobs cost, by the table, that this session had accepted.
        self._accepted: dict[str, float | None] = {}

    @property
    def is_bounded(self) -> bool:
        """Whether there is a budget."""
        return self._reservations.budget is not None

    def price_of(self, request: AnyRequest | None) -> float | None:
        """What *request* costs by the table; None when nobody knows."""
        return None if request is None else price_of(request, self._prices)

    def is_reserved(self, key: str) -> bool:
        """Whether the job called *key* has reserved here; should it end meanwhile, a promise keeps what it held."""
        return self._reservations.is_confirmed(key)

    def reserve(self, requests: Mapping[str, AnyRequest | None]) -> None:
        """Reserve for jobs that are about to be taken in, by key; each needs its `release`.

        Raises:
            BudgetExceeded: they would not all fit.
        """
        self._reservations.reserve({key: self.price_of(request) for key, request in requests.items()})

    def release(self, key: str) -> None:
        """*key* was taken in, or was not."""
        self._reservations.release(key)

    def confirm(self, job: LiveJob) -> None:
        """*entry* will be sent: what it costs is reserved until it ends without a charge."""
        job.price = self.price_of(job.request)
        self._reservations.confirm(job.key, job.price)
        job.on_end = self._ended

    def reserve_again(self, job: LiveJob) -> None:
        """*entry* is to be sent once more, though its last request may have been paid.

        Raises:
            BudgetExceeded: that would not fit.
        """
        job.price = self.price_of(job.request)
        self._reservations.reserve_again(job.key, job.price)

    def cancel_reservation(self, job: LiveJob) -> None:
        """*entry* is not sent once more after all."""
        self._reservations.return_credits(job.key, job.price)

    def accepted(self, job: LiveJob) -> None:
        """*entry*'s task runs; it counts if this session has paid for it."""
        if self.is_reserved(job.key):
            self._accepted[job.key] = job.price

    def _ended(self, job: LiveJob) -> None:
        if is_certainly_free(job):
            self._accepted.pop(job.key, None)
            self._reservations.return_credits(job.key, job.price)
            job.on_end = None  # once: by now the key may be another job's

    def spent(self) -> CreditUsage:
        """Where it stands."""
        known = [price for price in self._accepted.values() if price is not None]
        return CreditUsage(
            estimated=sum(known),
            jobs_without_price=len(self._accepted) - len(known),
            reserved=self._reservations.reserved,
            first_balance=self.balance.first_balance,
            last_balance=self.balance.balance,
        )


def is_certainly_free(job: LiveJob) -> bool:
    """Whether it has ended, and its last request cannot have been paid."""
    is_abandoned = isinstance(job.outcome, Failed) and isinstance(job.outcome.error, JobAbandoned)
    was_never_sent = not job.attempts and job.task_id is None
    return ended_without_charge(job) or (is_abandoned and was_never_sent)
