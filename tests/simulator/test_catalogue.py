"""The simulator's catalogue of models: names, prices, success rates, schemas, and one limit for all four endpoints."""

from typing import Any

import pytest

from veo_async.errors import UsageError
from veo_async.simulator import SimulatorSettings

from .support import Bench, bench

PATHS = ("/api/v1/models", *(f"/api/v1/models/veo/extend/{part}" for part in ("price", "success-rate", "schema")))


def read(sim: Bench, path: str, **query: str) -> Any:
    """Read the catalogue, a second after the last request."""
    sim.advance(1.0)
    return sim.send("GET", path, query=query).json()


def names(response: Any) -> list[str]:
    return [model["model"] for model in response["data"]["models"]]


def test_all_models_are_listed_with_their_prices() -> None:
    response = read(bench(), "/api/v1/models")
    assert names(response) == ["veo-3-1", "veo/extend", "veo/get-1080p-video", "veo/get-4k-video", "example/image"]
    assert response["data"]["total"] == 5
    assert "Lite 30 credits at 720p" in response["data"]["models"][0]["pricingDesc"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "extend"}, ["veo/extend"]),
        ({"provider": "Example"}, ["example/image"]),
        ({"taskType": "Text to Image,Text to Speech"}, ["example/image"]),
        ({"q": "nothing"}, []),
    ],
)
def test_list_can_be_filtered(query: dict[str, str], expected: list[str]) -> None:
    assert names(read(bench(), "/api/v1/models", **query)) == expected


def test_price_is_the_text_of_the_list() -> None:
    sim = bench()
    listed = read(sim, "/api/v1/models")["data"]["models"][1]["pricingDesc"]
    assert read(sim, "/api/v1/models/veo/extend/price")["data"] == {"model": "veo/extend", "pricingDesc": listed}


def test_success_rates_are_those_of_a_day_in_intervals_of_ten_minutes() -> None:
    sim = bench(wall_clock=lambda: 1_750_000_000.0)
    points = read(sim, "/api/v1/models/veo-3-1/success-rate")["data"]["points"]
    assert len(points) == 144
    assert (points[0]["start"], points[0]["successRate"]) == ("2025-06-14T15:06:40Z", None)
    assert points[-1] == {
        "start": "2025-06-15T14:56:40Z",
        "end": "2025-06-15T15:06:40Z",
        "successRate": 100.0,
        "errorRate": 0.0,
        "isNormal": True,
    }
    assert read(sim, "/api/v1/models/example/image/success-rate")["data"]["points"] == []


def test_schema_is_an_openapi_document_or_null() -> None:
    sim = bench()
    document = read(sim, "/api/v1/models/veo-3-1/schema")["data"]["openapi"]
    assert list(document["paths"]) == ["/api/v1/jobs/createTask"]
    assert document["components"]["schemas"]["create task"]["properties"]["input"]["required"] == ["prompt"]
    assert read(sim, "/api/v1/models/example/image/schema")["data"] == {"model": "example/image", "openapi": None}


def test_unknown_model_is_code_404_in_the_body() -> None:
    response = bench().send("GET", "/api/v1/models/veo3_fast/schema")
    assert (response.status, response.json()["code"]) == (200, 404)


@pytest.mark.parametrize("path", ["/api/v1/models/", "/api/v1/models/veo-3-1", "/api/v1/models/veo-3-1/other"])
def test_other_path_does_not_exist(path: str) -> None:
    assert bench().send("GET", path).status == 404


@pytest.mark.parametrize("path", PATHS)
def test_second_request_within_a_second_gets_429_in_the_body(path: str) -> None:
    """All four endpoints count together; creations are not affected."""
    sim = bench(rate_limit_style="http")
    sim.send("GET", "/api/v1/models")
    sim.advance(0.9)
    response = sim.send("GET", path)
    assert (response.status, response.json()["code"]) == (200, 429)
    sim.generate()
    sim.advance(0.1)
    assert sim.send("GET", path).json()["code"] == 200


def test_limit_can_be_switched_off() -> None:
    sim = bench(catalogue_rate=None)
    assert {sim.send("GET", path).json()["code"] for path in PATHS * 3} == {200}
    with pytest.raises(UsageError, match="catalogue_rate"):
        SimulatorSettings(catalogue_rate=0)  # type: ignore[arg-type]


def test_settings_change_remove_and_add_models() -> None:
    changes = {"veo-3-1": {"pricingDesc": "free"}, "veo/extend": None, "veo-4": {"points": []}}
    sim = bench(catalogue=changes)
    response = read(sim, "/api/v1/models")
    assert names(response) == ["veo-3-1", "veo/get-1080p-video", "veo/get-4k-video", "example/image", "veo-4"]
    assert response["data"]["models"][0]["pricingDesc"] == "free"
    assert response["data"]["models"][0]["title"] == "Veo 3.1"
    assert response["data"]["models"][-1]["title"] == "veo-4"
    assert read(sim, "/api/v1/models/veo/extend/price")["code"] == 404
    assert read(sim, "/api/v1/models/veo-4/success-rate")["data"]["points"] == []


def test_apikley_has_no_catalogue() -> None:
    assert bench(dialect="apikley").send("GET", "/api/v1/models").status == 404
