"""The catalogue compared with our table: every difference is a sentence, and silence means that both agree."""

from typing import Any

import pytest

from veo_async._wire.catalogue import CatalogueModel
from veo_async._wire.comparison import (
    ProviderModel,
    amounts,
    compared,
    our_models,
    schema_differences,
    veo_names,
)

from .test_catalogue import schema

PRICES = {"veo3_fast": {"720p": 60.0, "1080p": 65.0}, "extend": {"fast": 60.0}, "upgrade": {"1080p": 5.0, "4k": 120.0}}
FIELDS: dict[str, Any] = {
    "prompt": {},
    "model": {"enum": ["veo3", "veo3_fast", "veo3_lite"]},
    "image_urls": {},
    "generation_type": {},
    "aspect_ratio": {"enum": ["16:9", "9:16", "Auto"]},
    "resolution": {"enum": ["720p", "1080p", "4k"]},
    "duration": {"enum": [4, 6, 8]},
    "enable_translation": {},
    "enable_fallback": {},
    "watermark": {},
}


def differences(price: str | None = "60 credits", fields: Any = None, **options: Any) -> tuple[str, ...]:
    """Return the differences of ``veo-3-1``."""
    model = CatalogueModel(name="veo-3-1", price=price)
    return compared(model, PRICES, **{"schema": schema(FIELDS if fields is None else fields), **options}).differences


# --- prices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fast 60 credits, Lite 31.5 credits ($0.15), 4K 1 credit, again 31.5 credits", (60.0, 31.5, 1.0)),
        ("1,000 credits and 12,345.5 credits", (1000.0, 12345.5)),
        ("60-250 credits; 5–10 credits; 30/60 credits; 65 to 70 credits", (60.0, 250.0, 5.0, 10.0, 30.0, 65.0, 70.0)),
        ("a 160-credit video", (160.0,)),
        ("$0.30 per video, 720p, 8 s", ()),
        ("$1,000 credits, Veo 3.1 - 60 credits", (60.0,)),
        ("", ()),
    ],
)
def test_amounts_of_credits_are_read_from_prose(text: str, expected: tuple[float, ...]) -> None:
    assert amounts(text) == expected


def test_known_amounts_are_no_difference() -> None:
    assert differences("60 credits at 720p, 65 credits at 1080p") == ()


def test_unknown_amount_is_a_difference() -> None:
    assert differences("1,070 credits") == ("The provider's price names 1,070 credits; our table does not.",)


def test_lower_price_of_a_clip_whose_higher_one_our_table_reserves_is_named_as_such() -> None:
    """Only while the table has the higher one, and only for the model that has both."""
    prices = {"veo3": {"4k": 380.0}, "extend": {"quality": 380.0}}
    clip = CatalogueModel(name="veo-3-1", price="370 credits from images, 380 credits from text")
    sentence = "The provider's price names 370 credits; our table reserves 380 for the same clip."
    assert compared(clip, prices, schema=schema(FIELDS)).differences == (sentence,)
    sentence = "The provider's price names 370 credits; our table does not."
    assert sentence in compared(clip, PRICES, schema=schema(FIELDS)).differences
    extension = CatalogueModel(name="veo/extend", price="370 credits")
    assert sentence in compared(extension, prices, schema=schema(FIELDS)).differences


@pytest.mark.parametrize("price", [None, "free", "$0.30"])
def test_price_without_credits_could_not_be_compared(price: str | None) -> None:
    assert differences(price) == ("The provider's price names no credits, so it could not be compared.",)


def test_each_model_is_compared_with_its_own_prices() -> None:
    """60 credits are a price of a clip, but none of an upgrade."""
    document = schema({"taskId": {}, "index": {}})
    model = compared(CatalogueModel(name="veo/get-1080p-video", price="60 credits"), PRICES, schema=document)
    assert model.our_prices == {"upgrade": {"1080p": 5.0}}
    assert model.differences == ("The provider's price names 60 credits; our table does not.",)


def test_our_table_alone_has_prices_for_four_models() -> None:
    assert {model.name: model.our_prices for model in our_models(PRICES)} == {
        "veo-3-1": {"veo3_fast": {"720p": 60.0, "1080p": 65.0}},
        "veo/extend": {"extend": {"fast": 60.0}},
        "veo/get-1080p-video": {"upgrade": {"1080p": 5.0}},
        "veo/get-4k-video": {"upgrade": {"4k": 120.0}},
    }
    assert [dict(model.our_prices) for model in our_models({})] == [{}] * 4


# --- options ----------------------------------------------------------------------------------------------------


def test_schema_that_equals_our_table_has_no_differences() -> None:
    assert differences() == ()


def test_values_that_only_one_side_has_are_differences() -> None:
    fields = {**FIELDS, "duration": {"enum": [4, 6, 10]}, "resolution": {"type": "string"}}
    assert differences(fields=fields) == (
        "The provider's schema has duration 10; our table does not.",
        "Our table has duration 8; the provider's schema does not.",
    )


def test_options_that_only_one_side_has_are_differences() -> None:
    fields = {name: field for name, field in FIELDS.items() if name != "model"} | {"negative_prompt": {}}
    assert differences(fields=fields) == (
        "veo_async sends model; the provider's schema does not have it.",
        "The provider's schema has negative_prompt; veo_async does not send it.",
    )


@pytest.mark.parametrize(
    ("document", "reason"), [(None, "There is no schema"), ({}, "The provider's schema has no fields")]
)
def test_schema_without_fields_could_not_be_compared(document: Any, reason: str) -> None:
    expected = f"{reason}, so the options could not be compared."
    assert differences(schema=document) == (expected,)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("veo/extend", ("task_id", "prompt", "seeds", "watermark")),
        ("veo/get-1080p-video", ("taskId", "index")),
        ("veo/get-4k-video", ("task_id", "index")),
    ],
)
def test_documented_fields_of_follow_ups_are_no_difference(name: str, fields: tuple[str, ...]) -> None:
    assert list(schema_differences(name, schema({field: {} for field in fields}))) == []


# --- models -----------------------------------------------------------------------------------------------------


def test_other_veo_models_are_listed_after_ours() -> None:
    listed = [CatalogueModel(name=name) for name in ("veo-4", "kling/v2", "veo-3-1")]
    assert veo_names(listed) == ("veo-3-1", "veo/extend", "veo/get-1080p-video", "veo/get-4k-video", "veo-4")


def test_unknown_model_is_a_difference() -> None:
    model = compared(CatalogueModel(name="veo-4", title="Veo 4", price="9 credits"), PRICES, success_rate=99.0)
    assert model == ProviderModel(
        name="veo-4",
        title="Veo 4",
        price="9 credits",
        success_rate=99.0,
        differences=("veo_async does not know this model.",),
    )


def test_part_that_could_not_be_read_is_the_last_difference() -> None:
    assert differences(unread=["The schema could not be read: broken."]) == ("The schema could not be read: broken.",)


def test_model_that_is_not_listed_is_a_difference() -> None:
    assert differences(is_listed=False) == ("The provider's catalogue does not list this model.",)
