"""What a list will cost, in credits, by a table that users may replace: prices change, and nobody publishes them.

The figures are those that users collected in July and August 2026, for a clip of eight seconds; 1 credit is $0.005.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from veo_async._wire import VideoRequest

#: Credits by model and resolution.
Prices = Mapping[str, Mapping[str, float]]

PRICES: Prices = {
    "veo3_lite": {"720p": 30.0, "1080p": 35.0, "4k": 150.0},
    "veo3_fast": {"720p": 60.0, "1080p": 65.0, "4k": 180.0},
    "veo3": {"720p": 250.0, "1080p": 255.0, "4k": 370.0},
}
DOLLARS_PER_CREDIT = 0.005


@attrs.frozen(kw_only=True)
class Estimate:
    """What a list would cost."""

    #: How many clips of each model and resolution.
    clips: Mapping[tuple[str, str], int]
    credits: float
    #: Clips whose price nobody knows; they are not in the sum.
    unknown: int


def price_of(request: VideoRequest, prices: Prices = PRICES) -> float | None:
    """The credits that one clip will cost; None when nobody knows."""
    return prices.get(request.model, {}).get(request.resolution or "720p")


def estimate(requests: Iterable[VideoRequest], prices: Prices = PRICES) -> Estimate:
    """What *requests* will cost together."""
    wanted = list(requests)
    known = [price for request in wanted if (price := price_of(request, prices)) is not None]
    clips = Counter((request.model, request.resolution or "720p") for request in wanted)
    return Estimate(clips=clips, credits=sum(known), unknown=len(wanted) - len(known))
