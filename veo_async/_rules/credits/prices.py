"""What a request costs by a table, which users may replace: prices change, and nobody publishes them.

The figures are those that users collected in July and August 2026, for clips of eight seconds; 1 credit is $0.005.
Nobody wrote down what shorter clips cost. So their price is not known here, as an unknown model's is not, and "not
known" is an answer of its own (None): a guess would be taken for a figure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from veo_async._wire import MODELS, AnyRequest, ExtendRequest, UpgradeRequest, VideoModel
from veo_async._wire.models import UPGRADE_CREDITS
from veo_async.errors import UsageError

#: Credits by row and column. A row is a model, and its columns are resolutions (``"720p"``; ``"720p 4s"`` for clips of
#: another length than eight seconds); the row ``"extend"`` has the models of extensions, ``"upgrade"`` what a clip is
#: taken to.
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

#: The length that a price without a length is for.
_DEFAULT_DURATION_S: Final = 8


def price_of(request: AnyRequest, prices: Prices = PRICES) -> float | None:
    """The credits that *request* will cost; None when nobody knows."""
    row, column = price_key(request)
    return prices.get(row, {}).get(column)


def total(costs: Iterable[float | None]) -> float | None:
    """What all of *costs* come to; None when one of them is not known."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


def validate_prices(prices: Prices) -> Prices:
    """A copy of *prices* that nobody can change under a session.

    Raises:
        UsageError: it is no such table, or something in it is no price.
    """
    if not isinstance(prices, Mapping) or not all(isinstance(row, Mapping) for row in prices.values()):
        raise UsageError("prices= is a table of tables, like {'veo3_fast': {'720p': 60.0}}")
    for name, row in prices.items():
        for column, price in row.items():
            validate_credits(f"prices[{name!r}][{column!r}]", price)
    return {name: dict(row) for name, row in prices.items()}


def validate_credits(name: str, value: float) -> float:
    """*value*, if it is a number of credits.

    Raises:
        UsageError: it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise UsageError(f"{name}={value!r}: must be a number of credits, 0 or more")
    return value


def price_key(request: AnyRequest) -> tuple[str, str]:
    """The row and the column of the price."""
    if isinstance(request, UpgradeRequest):
        return "upgrade", request.to
    if isinstance(request, ExtendRequest):
        return "extend", request.model
    resolution = request.resolution or "720p"
    is_usual = request.duration in (None, _DEFAULT_DURATION_S)
    return request.model, resolution if is_usual else f"{resolution} {request.duration}s"
