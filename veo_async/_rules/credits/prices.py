"""What a request costs, by a table that users may replace: prices change, and the provider does not publish them all.

The prices were collected by users in July and August 2026; 1 credit is $0.005. A clip of four or six seconds costs what
one of eight seconds costs. The provider documents this, but no bill has confirmed it. The price of an unknown model is
None, because a guess would be mistaken for a price.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from veo_async._wire import MODELS, AnyRequest, ExtendRequest, RouteName, UpgradeRequest, VideoModel
from veo_async._wire.models import DEFAULT_EXTEND_MODEL, UPGRADE_CREDITS
from veo_async.errors import UsageError

#: Credits by row and column. A row is a model, and its columns are resolutions (``"720p"``); ``"720p 4s"``, if it
#: exists, counts for clips of that length. Columns of ``"extend"`` are the models of extensions, those of ``"upgrade"``
#: the resolutions that a clip can be upgraded to.
Prices = Mapping[str, Mapping[str, float]]


def prices_of(models: Sequence[VideoModel]) -> Prices:
    """Return the table of prices for *models*."""
    generations = {model.name: model.credits for model in models}
    extensions = {
        model.extend_name: model.extend_credits
        for model in models
        if model.extend_name is not None and model.extend_credits is not None
    }
    return MappingProxyType({**generations, "extend": extensions, "upgrade": UPGRADE_CREDITS})


#: The default prices.
PRICES: Final = prices_of(MODELS)
#: The default prices on each route. The provider names the same for both.
ROUTE_PRICES: Final[Mapping[RouteName, Prices]] = MappingProxyType({"veo": PRICES, "jobs": PRICES})

#: The length of the clips in a column that names none.
_DEFAULT_DURATION_S: Final = 8


def price_of(request: AnyRequest, prices: Prices = PRICES) -> float | None:
    """Return the price of *request* in credits; None if it is unknown."""
    row, column = price_key(request)
    columns = prices.get(row, {})
    return columns.get(column, columns.get(column.partition(" ")[0]))


def clips_cost_the_same(before: RouteName, after: RouteName, by_route: Mapping[RouteName, Prices]) -> bool:
    """Return whether each model's clips have the same prices on both routes."""
    return all(by_route[before].get(model.name) == by_route[after].get(model.name) for model in MODELS)


def total(costs: Iterable[float | None]) -> float | None:
    """Return the sum of *costs*; None if one of them is unknown."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


def validate_prices(prices: Prices) -> Prices:
    """Return a copy of *prices*, so that later changes by the caller do not affect a session.

    Raises:
        UsageError: *prices* is not a nested mapping, or a price in it is not valid.
    """
    if not isinstance(prices, Mapping) or not all(isinstance(row, Mapping) for row in prices.values()):
        raise UsageError("prices= must be a nested mapping, e.g. {'veo3_fast': {'720p': 60.0}}")
    for name, row in prices.items():
        for column, price in row.items():
            validate_credits(f"prices[{name!r}][{column!r}]", price)
    return {name: dict(row) for name, row in prices.items()}


def validate_credits(name: str, value: float) -> float:
    """Return *value* if it is a valid number of credits.

    Raises:
        UsageError: it is not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise UsageError(f"{name}={value!r}: must be a number of credits >= 0")
    return value


def priced_as(request: AnyRequest) -> str:
    """Return the name of what *request* buys: its model, or ``extend fast`` or ``upgrade 1080p``."""
    row, column = price_key(request)
    return f"{row} {column}" if isinstance(request, ExtendRequest | UpgradeRequest) else row


def price_key(request: AnyRequest) -> tuple[str, str]:
    """Return the row and the column of the price of *request*."""
    if isinstance(request, UpgradeRequest):
        return "upgrade", request.to
    if isinstance(request, ExtendRequest):
        return "extend", request.model or DEFAULT_EXTEND_MODEL
    resolution = request.resolution or "720p"
    has_default_duration = request.duration in (None, _DEFAULT_DURATION_S)
    return request.model, resolution if has_default_duration else f"{resolution} {request.duration}s"
