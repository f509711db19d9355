"""What a list will cost, in credits, by the table of prices that sessions go by."""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from veo_async._rules.credits.prices import PRICES, Prices, price_key, price_of
from veo_async._wire import AnyRequest

#: At which the provider sells credits.
DOLLARS_PER_CREDIT = 0.005


@attrs.frozen(kw_only=True)
class Estimate:
    """What a list would cost."""

    #: How many of each: model and resolution, ``extend`` and its model, ``upgrade`` and what to.
    clips: Mapping[tuple[str, str], int]
    credits: float
    #: Those whose price nobody knows; they are not in the sum.
    without_price: int


def estimate(requests: Iterable[AnyRequest], prices: Prices = PRICES) -> Estimate:
    """What *requests* will cost together."""
    wanted = list(requests)
    known = [price for request in wanted if (price := price_of(request, prices)) is not None]
    clips = Counter(price_key(request) for request in wanted)
    return Estimate(clips=clips, credits=sum(known), without_price=len(wanted) - len(known))
