"""The provider's catalogue: every part may be missing."""

from collections.abc import Callable
from typing import Any

import pytest

from veo_async._wire.catalogue import (
    CatalogueModel,
    SuccessRate,
    input_fields,
    mean_success_rate,
    read_models,
    read_price,
    read_schema,
    read_success_rates,
)
from veo_async._wire.envelope import Envelope
from veo_async.errors import MalformedResponse


def response(data: Any) -> Envelope:
    return Envelope(code=200, message="success", data=data, raw={})


def schema(fields: Any) -> dict[str, Any]:
    """Return a document whose request refers to components, as the provider's do."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}
    return {
        "paths": {"/api/v1/jobs/createTask": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": {"Request": {"properties": {"input": {"properties": fields}}}}},
    }


FIELDS: dict[str, Any] = {"prompt": {"type": "string"}, "duration": {"enum": [4, 6, 8]}}


def test_models_with_missing_fields_are_read() -> None:
    listed = {"models": [{"model": "veo-3-1", "title": "Veo", "pricingDesc": "60 credits"}, {"model": "veo/extend"}]}
    full = CatalogueModel(name="veo-3-1", title="Veo", price="60 credits")
    assert read_models(response(listed)) == (full, CatalogueModel(name="veo/extend"))


@pytest.mark.parametrize(
    "data", [None, {}, {"models": None, "points": None, "openapi": []}, {"models": [1, {}], "points": [1]}]
)
def test_catalogue_without_data_is_empty(data: Any) -> None:
    assert read_models(response(data)) == ()
    assert read_success_rates(response(data)) == ()
    assert read_price(response(data)) is None
    assert read_schema(response(data)) is None


@pytest.mark.parametrize("read", [read_models, read_success_rates, read_price, read_schema])
def test_catalogue_that_is_no_object_is_malformed(read: Callable[[Envelope], Any]) -> None:
    with pytest.raises(MalformedResponse, match="data is a list instead of an object"):
        read(response([]))


def test_interval_without_traffic_has_no_rate() -> None:
    points = [{"start": 1, "end": 2, "successRate": 0.5, "errorRate": 0.5}, {"start": 2, "successRate": None}]
    first = SuccessRate(start=1, end=2, success_rate=0.5, error_rate=0.5)
    assert read_success_rates(response({"points": points})) == (first, SuccessRate(start=2))


def test_price_is_prose() -> None:
    assert read_price(response({"pricingDesc": "60 credits per video"})) == "60 credits per video"


def test_success_rate_is_the_mean_of_the_intervals_with_traffic() -> None:
    rates = [SuccessRate(success_rate=90.0), SuccessRate(), SuccessRate(success_rate=100.0)]
    assert mean_success_rate(rates) == 95.0
    assert mean_success_rate([SuccessRate()]) is None


def test_fields_of_the_input_are_found_behind_references() -> None:
    document = read_schema(response({"openapi": schema(FIELDS)}))
    assert document is not None
    assert input_fields(document) == FIELDS


def test_names_of_components_are_percent_encoded_in_references() -> None:
    document = schema({"duration": {"$ref": "#/components/schemas/a%20length%20~1"}})
    document["components"]["schemas"]["a length /"] = {"enum": [8]}
    assert input_fields(document) == {"duration": {"enum": [8]}}


def test_fields_of_alternative_inputs_are_merged() -> None:
    document = schema(None)
    alternatives = [{"properties": {"task_id": {}}}, {"$ref": "#/components/schemas/Urls"}, 7]
    document["components"]["schemas"]["Request"]["properties"]["input"] = {"oneOf": alternatives}
    document["components"]["schemas"]["Urls"] = {"properties": {"image_urls": {}}}
    assert list(input_fields(document)) == ["task_id", "image_urls"]


@pytest.mark.parametrize(
    "document", [{}, {"paths": None}, {"paths": {"/a": None}}, schema(None), {**schema(FIELDS), "components": None}]
)
def test_schema_without_an_input_has_no_fields(document: dict[str, Any]) -> None:
    assert input_fields(document) == {}


def test_schema_that_refers_to_itself_has_no_fields() -> None:
    document = schema({})
    document["components"]["schemas"]["Request"] = {"$ref": "#/components/schemas/Request"}
    assert input_fields(document) == {}
