"""What a task really costs, compared with the price table.

The provider's record may say what its task costs, already while the task waits. A figure above the price can mean
that the request's model did not reach the provider. An unknown price or figure differs from nothing.
"""

import math
from typing import Final

import attrs

#: Figures are rounded by the provider; a smaller difference is none.
_TOLERANCE: Final = 0.005


@attrs.frozen
class PriceDifference:
    """A task costs more or less than the price table says.

    Attributes:
        expected: the price in the table, in credits.
        consumed: the provider's figure, in credits.
    """

    expected: float
    consumed: float

    @property
    def amount(self) -> float:
        """How much more the task costs than expected; negative if it costs less."""
        return self.consumed - self.expected

    @property
    def is_overcharge(self) -> bool:
        """Whether the task costs more than expected."""
        return self.amount > 0


def price_difference(expected: float | None, consumed: float | None) -> PriceDifference | None:
    """Return how *consumed* differs from *expected*; None if they agree or one of them is unknown."""
    if expected is None or consumed is None or math.isclose(expected, consumed, rel_tol=0.0, abs_tol=_TOLERANCE):
        return None
    return PriceDifference(expected, consumed)
