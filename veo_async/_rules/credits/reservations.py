"""What a session may spend: each job reserves its price before it is queued, and the sum never passes the budget.

::

    promise ──▶ claim ──▶ (kept, or given back when the job ended without a charge)
        └─────▶ release (no job came of it)

A *reserve* is made by whoever submits, for all steps of a chain at once, before any of them is written down; a *confirm*
by the job, when it is queued. Both go by key, because several callers may submit the same job at the same moment: it
reserves once, and as long as any of them may still bring it about. A claim without a promise is a job that an earlier
session left on the ledger. It was admitted then, so it is not refused now; it counts, and may leave no room for others.

A price that nobody knows cannot be held against a budget. So such a job is refused where there is one: a bound that
the unknown slips under would be none.
"""

from collections import Counter
from collections.abc import Mapping

import attrs

from veo_async.errors import BudgetExceeded

#: What sums of decimal prices may be off by, in credits.
_ROUNDING = 1e-6


@attrs.define(eq=False)
class Reservations:
    """Credits reserved, by job; *budget* is their bound, None for none."""

    budget: float | None = None
    #: All of them together.
    reserved: float = 0.0
    _held: dict[str, float] = attrs.field(factory=dict)
    _pending: Counter[str] = attrs.field(factory=Counter)
    _claimed: set[str] = attrs.field(factory=set)

    def reserve(self, costs: Mapping[str, float | None]) -> None:
        """Reserve for all the jobs called so, or for none; each needs its `release`.

        Raises:
            BudgetExceeded: they would not fit, or nobody knows what they cost.
        """
        self._require_room({key: cost for key, cost in costs.items() if key not in self._held})
        for key, cost in costs.items():
            self._pending[key] += 1
            if key not in self._held:
                self._hold(key, cost)

    def release(self, key: str) -> None:
        """Whoever promised for *key* has done what they could: its job has claimed, or there is none."""
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]
            if key not in self._claimed:
                self._drop(key)

    def confirm(self, key: str, cost: float | None) -> None:
        """The job called *key* will be sent."""
        self._claimed.add(key)
        if key not in self._held:
            self._hold(key, cost)

    def is_confirmed(self, key: str) -> bool:
        """Whether the job called *key* has reserved here."""
        return key in self._claimed

    def reserve_again(self, key: str, cost: float | None) -> None:
        """The job called *key* is to be sent once more, though its last request may have been paid.

        Raises:
            BudgetExceeded: that would not fit.
        """
        self._require_room({key: cost})
        self._claimed.add(key)
        self._hold(key, cost)

    def return_credits(self, key: str, cost: float | None) -> None:
        """The latest request of the job called *key* costs nothing after all."""
        left = self._held.get(key, 0.0) - (cost or 0.0)
        if left > _ROUNDING:  # an earlier request of the same job may have been paid
            self._held[key] = left
            self.reserved -= cost or 0.0
            return
        self._claimed.discard(key)
        if key not in self._pending:  # else whoever promised may bring it about anew, with what is held
            self._drop(key)

    def _require_room(self, costs: Mapping[str, float | None]) -> None:
        if self.budget is None or all(cost == 0 for cost in costs.values()):
            return
        told = f"{self.reserved:g} credits of a budget of {self.budget:g} are reserved"
        known = [cost for cost in costs.values() if cost is not None]
        if len(known) < len(costs):
            error = BudgetExceeded(f"nobody knows what this costs, and {told}")
        elif self.reserved + sum(known) > self.budget + _ROUNDING:
            error = BudgetExceeded(f"this would cost {sum(known):g} credits, and {told}")
            error.cost = sum(known)
        else:
            return
        error.reserved, error.budget = self.reserved, self.budget
        raise error

    def _hold(self, key: str, cost: float | None) -> None:
        self._held[key] = self._held.get(key, 0.0) + (cost or 0.0)
        self.reserved += cost or 0.0

    def _drop(self, key: str) -> None:
        self.reserved -= self._held.pop(key, 0.0)
