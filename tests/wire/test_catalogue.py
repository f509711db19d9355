"""The provider's catalogue: every part may be missing, and differences from our table are named."""

from typing import Any

import attrs
import pytest

from veo_async._wire.catalogue import (
    CatalogueModel,
    SuccessRate,
    input_fields,
    read_models,
    read_price,
    read_schema,
    read_success_rates,
    schema_differences,
    unknown_prices,
)
from veo_async._wire.envelope import Envelope
from veo_async._wire.models import MODELS


def response(data: Any) -> Envelope:
    return Envelope(code=200, message="success", data=data, raw={})


def schema(fields: Any) -> dict[str, Any]:
    """Return a document whose request refers to components, as the provider's do."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}
    return {
        "paths": {"/api/v1/jobs/createTask": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": {"Request": {"properties": {"input": {"properties": fields}}}}},
    }


ALL_FIELDS: dict[str, Any] = {
    "model": {"enum": ["veo3", "veo3_fast", "veo3_lite"]},
    "aspect_ratio": {"enum": ["16:9", "9:16", "Auto"]},
    "resolution": {"enum": ["720p", "1080p", "4k"]},
    "duration": {"enum": [4, 6, 8]},
}


def test_models_with_missing_fields_are_read() -> None:
    listed = {"models": [{"model": "veo-3-1", "title": "Veo", "pricingDesc": "60 credits"}, {"model": "veo/extend"}]}
    full = CatalogueModel(name="veo-3-1", title="Veo", price="60 credits")
    assert read_models(response(listed)) == (full, CatalogueModel(name="veo/extend"))


@pytest.mark.parametrize(
    "data", [None, [], "", {}, {"models": None, "points": None}, {"models": [1, {}], "points": [1]}]
)
def test_catalogue_without_data_is_empty(data: Any) -> None:
    assert read_models(response(data)) == ()
    assert read_success_rates(response(data)) == ()
    assert read_price(response(data)) is None
    assert read_schema(response(data)) is None


def test_interval_without_traffic_has_no_rate() -> None:
    points = [{"start": 1, "end": 2, "successRate": 0.5, "errorRate": 0.5}, {"start": 2, "successRate": None}]
    first = SuccessRate(start=1, end=2, success_rate=0.5, error_rate=0.5)
    assert read_success_rates(response({"points": points})) == (first, SuccessRate(start=2))


def test_price_is_prose() -> None:
    assert read_price(response({"pricingDesc": "60 credits per video"})) == "60 credits per video"


def test_schema_that_equals_our_table_has_no_differences() -> None:
    document = read_schema(response({"openapi": schema(ALL_FIELDS)}))
    assert document is not None
    assert schema_differences(input_fields(document)) == []


def test_schema_differences_name_field_and_value() -> None:
    fields = {**ALL_FIELDS, "duration": {"enum": [4, 6, 10]}, "resolution": {"type": "string"}}
    del fields["model"]
    assert schema_differences(input_fields(schema(fields))) == [
        "the provider's schema has no model",
        "duration 10: only in the provider's schema",
        "duration 8: only in our table",
    ]


@pytest.mark.parametrize(
    "document",
    [{}, {"paths": None}, {"paths": {"/a": None}}, schema(None), {**schema(ALL_FIELDS), "components": None}],
)
def test_schema_without_fields_has_no_differences(document: dict[str, Any]) -> None:
    assert schema_differences(input_fields(document)) == []


def test_schema_that_refers_to_itself_has_no_fields() -> None:
    document = schema({})
    document["components"]["schemas"]["Request"] = {"$ref": "#/components/schemas/Request"}
    assert input_fields(document) == {}


def test_unknown_prices_are_amounts_of_credits_that_we_lack() -> None:
    assert unknown_prices("Fast 60 credits, Lite 31.5 credits ($0.15), 4K 1 credit, again 31.5 credits") == [31.5, 1.0]


def test_model_without_extension_price_adds_none() -> None:
    model = attrs.evolve(MODELS[1], extend_credits=None)
    assert unknown_prices("60 credits, 30 credits", [model]) == [30.0]
