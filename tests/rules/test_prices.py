"""The price of a request by the table, and unknown prices."""

import math
from typing import Any

import pytest

from veo_async import ExtendRequest, VideoRequest, errors
from veo_async._rules.credits.prices import (
    PRICES,
    ROUTE_PRICES,
    clips_cost_the_same,
    price_of,
    priced_as,
    total,
    validate_credits,
    validate_prices,
)
from veo_async._wire import AnyRequest, UpgradeRequest


@pytest.mark.parametrize(
    ("request_", "credits"),
    [
        (VideoRequest("A dog"), 60.0),
        (VideoRequest("A dog", model="veo3_lite", resolution="1080p"), 35.0),
        (VideoRequest("A dog", model="veo3", resolution="4k", duration=8), 380.0),
        (VideoRequest("A dog", model="veo3_lite", resolution="1080p", duration=4), 35.0),
        (VideoRequest("A dog", duration=6), 60.0),
        (ExtendRequest("t-1", "It sits"), 60.0),
        (ExtendRequest("t-1", "It sits", model="quality"), 250.0),
        (UpgradeRequest("t-1"), 5.0),
        (UpgradeRequest("t-1", "4k"), 120.0),
    ],
)
def test_built_in_prices(request_: AnyRequest, credits: float) -> None:
    """Generations by model and resolution, whatever their length; extensions by model; upgrades by resolution."""
    assert price_of(request_) == credits


@pytest.mark.parametrize(
    "request_",
    [
        VideoRequest("A dog", model="veo4"),
        VideoRequest("A dog", resolution="8k"),
        ExtendRequest("t-1", "It sits", model="veo4"),
    ],
)
def test_price_that_is_not_in_the_table_is_unknown(request_: AnyRequest) -> None:
    """A new model or resolution; a guess would be mistaken for a price."""
    assert price_of(request_) is None


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (VideoRequest("A dog", model="veo3_lite", resolution="4k", duration=4), "veo3_lite"),
        (ExtendRequest("t-1", "It sits", model="lite"), "extend lite"),
        (UpgradeRequest("t-1", "4k"), "upgrade 4k"),
    ],
)
def test_name_of_what_a_request_buys_has_no_resolution(request_: AnyRequest, name: str) -> None:
    """A model, whatever the resolution and the length; extensions and upgrades have names of their own."""
    assert priced_as(request_) == name


def test_user_table_may_contain_more_prices() -> None:
    """A column with a length counts for clips of that length only."""
    prices = {"veo3_fast": {"720p": 50.0, "720p 4s": 25.0}}
    assert price_of(VideoRequest("A dog", duration=4), prices) == 25.0
    assert price_of(VideoRequest("A dog", duration=6), prices) == 50.0
    assert price_of(VideoRequest("A dog", model="veo3"), prices) is None


def test_sum_with_an_unknown_price_is_unknown() -> None:
    """A sum that omits something would be mistaken for a price."""
    assert total([60.0, 5.0]) == 65.0
    assert total([]) == 0.0
    assert total([60.0, None]) is None


def test_validated_table_is_a_copy() -> None:
    """Changing the original later has no effect."""
    original = {"veo3_fast": {"720p": 50.0}}
    validated = validate_prices(original)
    original["veo3_fast"]["720p"] = 1.0
    assert validated == {"veo3_fast": {"720p": 50.0}}
    assert validate_prices(PRICES) == PRICES


@pytest.mark.parametrize("table", [None, 60.0, {"veo3_fast": 60.0}])
def test_table_must_be_a_nested_mapping(table: Any) -> None:
    """The error gives an example."""
    with pytest.raises(errors.UsageError, match=r"nested mapping, e\.g\."):
        validate_prices(table)


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf, True, "60", None])
def test_price_must_be_a_number_of_credits(price: Any) -> None:
    """An invalid price would make an invalid budget."""
    with pytest.raises(errors.UsageError, match=r"prices\['veo3'\]\['720p'\]"):
        validate_prices({"veo3": {"720p": price}})
    with pytest.raises(errors.UsageError, match="budget="):
        validate_credits("budget", price)


def test_clips_cost_the_same_on_both_routes() -> None:
    """As far as the provider says."""
    assert clips_cost_the_same("veo", "jobs", ROUTE_PRICES)


def test_one_different_price_is_a_difference() -> None:
    """A price that is missing, too."""
    expensive = {**PRICES, "veo3_lite": {**PRICES["veo3_lite"], "720p": 60.0}}
    assert not clips_cost_the_same("veo", "jobs", {"veo": PRICES, "jobs": expensive})
    assert not clips_cost_the_same("veo", "jobs", {"veo": PRICES, "jobs": {}})
