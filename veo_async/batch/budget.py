"""The budget of one run: what each row may still cost, and the credits reserved for it.

The budget limits what is *reserved*: a row reserves its price before it is submitted, and gets it returned if its job
ends without a charge. A row whose price is unknown does not fit any budget.
"""

from veo_async.pricing import Prices, Reservations, price_of, total
from veo_async.requests import ChainItem
from veo_async.session import VeoSession
from veo_async.types import JobState

from .rows import Row


class RowBudget:
    """Prices and reservations of the rows of one list.

    Args:
        budget: maximum credits to reserve; None for no limit.
    """

    def __init__(self, veo: VeoSession, budget: float | None, prices: Prices) -> None:
        self._veo, self._prices = veo, prices
        self._reservations = Reservations(budget)
        #: Jobs queued by an earlier run. The session sends them whether or not they fit the budget, so they count in
        #: full. Some may be sending already.
        self._queued_earlier = {job.key for job in veo.jobs() if job.state in (JobState.QUEUED, JobState.SENDING)}

    async def price(self, row: Row) -> float | None:
        """Return what the row's job and its follow-ups may still cost; None if a price is unknown.

        Jobs that were paid for in an earlier run cost nothing.
        """
        return total([await self._price_of(item) for item in row.chain])

    async def _price_of(self, item: ChainItem) -> float | None:
        job = await self._veo.ledger.find(item.key)
        if job is None or job.was_not_charged or item.key in self._queued_earlier:
            return price_of(item.request, self._prices)
        return 0.0

    def reserve(self, row: Row, price: float | None) -> None:
        """Reserve *price* for *row*. A job queued by an earlier run reserves even beyond the budget.

        Raises:
            BudgetExceeded: it does not fit the budget, or the price is unknown and there is a budget.
        """
        if row.key in self._queued_earlier:
            self._reservations.confirm(row.key, price)
            return
        self._reservations.reserve({row.key: price})
        self._reservations.confirm(row.key, price)
        self._reservations.release(row.key)

    def return_credits(self, row: Row, price: float | None) -> None:
        """Return the credits reserved for *row*, because nothing was charged."""
        self._reservations.return_credits(row.key, price)
