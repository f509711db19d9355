"""What a session may spend: each job reserves its price before it is queued, and the sum never exceeds the budget.

::

    reserve ──▶ confirm ──▶ finalize       (the job has finished)
        │           └─────▶ return_credits (it ended without a charge)
        └─────▶ release     (no job was queued)

The caller of `submit` reserves for all jobs of a chain together, before any of them is inserted; the job confirms when
it is queued. Both use the key, because several callers may submit the same job at the same moment: it reserves once,
and as long as one of them may still insert it. A confirmation without a reservation is a job that an earlier session
left on the ledger. It was admitted then, so it is not refused now; it counts, and may leave no budget for others.

A job whose price is unknown is refused if there is a budget, because the budget could not limit it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from veo_async._base.numbers import format_number
from veo_async._ports import BudgetUse
from veo_async.errors import BudgetExceeded

#: Tolerance for rounding errors in sums of decimal prices, in credits.
_ROUNDING = 1e-6


def check_limit(costs: Sequence[float | None], use: BudgetUse, limit: float) -> None:
    """Check that new *costs* fit a budget of *limit* credits, of which *use* is used.

    Raises:
        BudgetExceeded: they do not fit, or one of them is unknown.
    """
    known = [cost for cost in costs if cost is not None]
    is_known = len(known) == len(costs)
    if is_known and (not any(known) or use.spent + use.reserved + sum(known) <= limit + _ROUNDING):
        return
    begin = (
        f"this costs {format_number(sum(known))} credits, but" if is_known else "the price of this request is unknown;"
    )
    remedy = None if is_known else "Add the price with Credits(prices=…): a budget cannot limit what has none."
    error = BudgetExceeded(f"{begin} {_usage_text(use, limit)}", remedy=remedy)
    error.cost = sum(known) if is_known else None
    error.spent, error.reserved, error.budget = use.spent, use.reserved, limit
    raise error


def _usage_text(use: BudgetUse, limit: float) -> str:
    """Return what of a budget is used: a session reserves, and a named budget also knows what is spent."""
    reserved, budget = format_number(use.reserved), format_number(limit)
    if not use.spent:
        return f"{reserved} credits of a budget of {budget} are reserved"
    left = format_number(max(0.0, limit - use.spent - use.reserved))
    return f"of a budget of {budget} credits {format_number(use.spent)} are spent, {reserved} reserved and {left} left"


@attrs.define(eq=False)
class Reservations:
    """Reserved credits by job key; *budget* limits their sum, None for no limit."""

    budget: float | None = None
    #: The sum of all reservations, including those of finished jobs.
    reserved: float = 0.0
    _amounts: dict[str, float] = attrs.field(factory=dict)
    _pending: Counter[str] = attrs.field(factory=Counter)
    _confirmed: set[str] = attrs.field(factory=set)

    def reserve(self, costs: Mapping[str, float | None]) -> None:
        """Reserve for all of these jobs or for none. Call `release` once for each of them.

        Raises:
            BudgetExceeded: they do not fit, or a price is unknown.
        """
        self._check_budget({key: cost for key, cost in costs.items() if key not in self._amounts})
        for key, cost in costs.items():
            self._pending[key] += 1
            if key not in self._amounts:
                self._add(key, cost)

    def release(self, key: str) -> None:
        """End one `reserve` of *key*: its job has confirmed, or was not queued."""
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]
            if key not in self._confirmed:
                self._drop(key)

    def confirm(self, key: str, cost: float | None) -> None:
        """Keep the reservation of *key*, or add one, because the job will be sent."""
        self._confirmed.add(key)
        if key not in self._amounts:
            self._add(key, cost)

    def is_confirmed(self, key: str) -> bool:
        """Return whether the job *key* has a confirmed reservation."""
        return key in self._confirmed

    def reserve_again(self, key: str, cost: float | None) -> None:
        """Reserve for another request of the job *key*, although its last one may have been charged.

        Raises:
            BudgetExceeded: it does not fit.
        """
        self._check_budget({key: cost})
        self._confirmed.add(key)
        self._add(key, cost)

    def return_credits(self, key: str, cost: float | None) -> None:
        """Return the reservation of the latest request of *key*, because it was not charged."""
        remaining = self._amounts.get(key, 0.0) - (cost or 0.0)
        if remaining > _ROUNDING:  # an earlier request of the same job may have been charged
            self._amounts[key] = remaining
            self.reserved -= cost or 0.0
            return
        self._confirmed.discard(key)
        if key not in self._pending:  # else a caller may insert the job again and needs the reservation
            self._drop(key)

    def finalize(self, key: str) -> None:
        """Keep the reservation of *key* for good, because its job was or may have been charged and has finished."""
        self._amounts.pop(key, None)
        self._confirmed.discard(key)

    def _check_budget(self, costs: Mapping[str, float | None]) -> None:
        if self.budget is not None:
            check_limit([*costs.values()], BudgetUse(reserved=self.reserved), self.budget)

    def _add(self, key: str, cost: float | None) -> None:
        self._amounts[key] = self._amounts.get(key, 0.0) + (cost or 0.0)
        self.reserved += cost or 0.0

    def _drop(self, key: str) -> None:
        self.reserved -= self._amounts.pop(key, 0.0)
