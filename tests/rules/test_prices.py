"""What a request costs by the table, and what nobody knows."""

import math
from typing import Any

import pytest

from veo_async import ExtendRequest, VideoRequest, errors
from veo_async._rules.credits.prices import PRICES, price_of, total, validate_credits, validate_prices
from veo_async._wire import AnyRequest, UpgradeRequest


@pytest.mark.parametrize(
    ("request_", "credits"),
    [
        (VideoRequest("A dog"), 60.0),
        (VideoRequest("A dog", model="veo3_lite", resolution="1080p"), 35.0),
        (VideoRequest("A dog", model="veo3", resolution="4k", duration=8), 370.0),
        (ExtendRequest("t-1", "It sits"), 60.0),
        (ExtendRequest("t-1", "It sits", model="quality"), 250.0),
        (UpgradeRequest("t-1"), 5.0),
        (UpgradeRequest("t-1", "4k"), 120.0),
    ],
)
def test_the_built_in_table(request_: AnyRequest, credits: float) -> None:
    """Generations by model and resolution, extensions by model, upgrades by what they come to."""
    assert price_of(request_) == credits


@pytest.mark.parametrize(
    "request_",
    [
        VideoRequest("A dog", duration=4),
        VideoRequest("A dog", model="veo4"),
        VideoRequest("A dog", resolution="8k"),
        ExtendRequest("t-1", "It sits", model="veo4"),
    ],
)
def test_what_is_not_on_the_table_has_no_price(request_: AnyRequest) -> None:
    """Shorter clips too: nobody wrote down that they are cheaper, or that they are not."""
    assert price_of(request_) is None


def test_a_table_of_ones_own_may_know_more() -> None:
    """Other lengths have columns of their own."""
    prices = {"veo3_fast": {"720p": 50.0, "720p 4s": 25.0}}
    assert price_of(VideoRequest("A dog", duration=4), prices) == 25.0
    assert price_of(VideoRequest("A dog", model="veo3"), prices) is None


def test_the_sum_of_something_unknown_is_unknown() -> None:
    """A sum that leaves something out would be taken for a price."""
    assert total([60.0, 5.0]) == 65.0
    assert total([]) == 0.0
    assert total([60.0, None]) is None


def test_a_checked_table_is_a_copy() -> None:
    """Who changes theirs later changes nothing here."""
    mine = {"veo3_fast": {"720p": 50.0}}
    checked = validate_prices(mine)
    mine["veo3_fast"]["720p"] = 1.0
    assert checked == {"veo3_fast": {"720p": 50.0}}
    assert validate_prices(PRICES) == PRICES


@pytest.mark.parametrize("table", [None, 60.0, {"veo3_fast": 60.0}])
def test_a_table_is_a_table_of_tables(table: Any) -> None:
    """Told with an example."""
    with pytest.raises(errors.UsageError, match="like"):
        validate_prices(table)


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf, True, "60", None])
def test_a_price_is_a_number_of_credits(price: Any) -> None:
    """A nonsense price would make a nonsense bound."""
    with pytest.raises(errors.UsageError, match=r"prices\['veo3'\]\['720p'\]"):
        validate_prices({"veo3": {"720p": price}})
    with pytest.raises(errors.UsageError, match="budget="):
        validate_credits("budget", price)
