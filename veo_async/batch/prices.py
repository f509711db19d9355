"""Estimate what a list will cost, in credits, using the same price table as sessions do."""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from veo_async.pricing import PRICES, Prices, price_key, price_of
from veo_async.types import AnyRequest

#: The provider's selling price of one credit.
DOLLARS_PER_CREDIT = 0.005


@attrs.frozen(kw_only=True)
class Estimate:
    """The estimated cost of a list."""

    #: Number of requests by kind: (model, resolution), (``extend``, model) or (``upgrade``, resolution).
    clips: Mapping[tuple[str, str], int]
    #: Sum of the known prices.
    credits: float
    #: Number of requests whose price is unknown; they are not in the sum.
    without_price: int


def estimate(requests: Iterable[AnyRequest], prices: Prices = PRICES) -> Estimate:
    """Return the estimated cost of all *requests* together."""
    requests = list(requests)
    known = [price for request in requests if (price := price_of(request, prices)) is not None]
    clips = Counter(price_key(request) for request in requests)
    return Estimate(clips=clips, credits=sum(known), without_price=len(requests) - len(known))
