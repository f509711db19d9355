"""The model of an extension is by default that of its source clip, and on the jobs route no other. Clips in 1080p are
not extended.
"""

import json
from typing import Any

import pytest

from veo_async import ExtendRequest, VideoRequest
from veo_async._rules.extensions import (
    check_model,
    check_resolution,
    extension_model,
    recorded_model,
    with_model_of,
)
from veo_async._wire import JOBS, VEO, AnyRequest, Route, UpgradeRequest, record_from_raw
from veo_async.errors import InvalidRequest

EXTENSION = ExtendRequest(prompt="It swims ashore")


@pytest.mark.parametrize(
    ("source", "model"),
    [
        (VideoRequest("A dog", model="veo3"), "quality"),
        (VideoRequest("A dog", model="veo3_lite"), "lite"),
        (VideoRequest("A dog", model="veo9"), None),
        (ExtendRequest("t-1", "It runs", model="lite"), "lite"),
        (ExtendRequest("t-1", "It runs"), None),
        (UpgradeRequest("t-1"), None),
        (None, None),
    ],
)
def test_extension_without_a_model_takes_that_of_its_source(source: AnyRequest | None, model: str | None) -> None:
    """A source that does not tell its model leaves it open."""
    assert extension_model(source) == model
    assert with_model_of(source, EXTENSION) == ExtendRequest(prompt="It swims ashore", model=model)


def test_model_that_a_request_names_stays() -> None:
    """Requests of other kinds stay as they are, too."""
    source = VideoRequest("A dog", model="veo3")
    for request in (ExtendRequest("t-1", "It swims", model="fast"), UpgradeRequest("t-1"), VideoRequest("A cat")):
        assert with_model_of(source, request) == request


def record(wire_model: str, **options: Any) -> Any:
    param = {"model": wire_model, "input": json.dumps({"prompt": "A dog", **options})}
    return record_from_raw({"taskId": "t-1", "model": wire_model, "param": json.dumps(param)})


def test_record_tells_the_model_of_a_clip() -> None:
    """A clip whose request named no model has the default one; the record of an extension does not tell."""
    assert recorded_model(record("veo-3-1", model="veo3")) == "quality"
    assert recorded_model(record("veo-3-1")) == "fast"
    assert recorded_model(record("veo/extend", task_id="t-0")) is None
    assert recorded_model(record_from_raw({"taskId": "t-1"})) is None


@pytest.mark.parametrize(("model", "source"), [("quality", "fast"), (None, "quality"), ("fast", None), (None, None)])
def test_model_that_is_not_the_sources_is_refused_on_the_jobs_route(model: str | None, source: str | None) -> None:
    """It would cost what the source's model costs. On the veo route the extension's own model counts."""
    request = ExtendRequest("t-1", "It swims ashore", model=model)
    with pytest.raises(InvalidRequest, match="counts on the jobs route") as caught:
        check_model(request, source, JOBS)
    (problem,) = caught.value.problems
    assert (problem.field, problem.value) == ("model", model or "fast")
    check_model(request, source, VEO)


def test_model_of_the_source_is_accepted_on_the_jobs_route() -> None:
    """An extension without a model expects the provider's default; other requests have no such rule."""
    check_model(ExtendRequest("t-1", "It swims ashore", model="lite"), "lite", JOBS)
    check_model(EXTENSION, "fast", JOBS)
    check_model(VideoRequest("A dog", model="veo3"), "fast", JOBS)


MADE_IN_1080P = VideoRequest("A dog", resolution="1080p")


@pytest.mark.parametrize(
    ("source", "route"), [(UpgradeRequest("t-1"), VEO), (UpgradeRequest("t-1"), JOBS), (MADE_IN_1080P, JOBS)]
)
def test_clip_in_1080p_is_not_extended(source: AnyRequest, route: Route) -> None:
    """The jobs route also does not extend a clip that was made in 1080p."""
    with pytest.raises(InvalidRequest, match=r"1080p.*cannot be extended"):
        check_resolution(EXTENSION, source, route)
    check_resolution(UpgradeRequest("t-1", "4k"), source, route)


@pytest.mark.parametrize(
    ("source", "route"),
    [
        (MADE_IN_1080P, VEO),
        (VideoRequest("A dog", resolution="720p"), JOBS),
        (VideoRequest("A dog"), JOBS),
        (ExtendRequest("t-1", "It runs"), JOBS),
        (None, JOBS),
    ],
)
def test_other_clips_are_extended(source: AnyRequest | None, route: Route) -> None:
    """Also those of which nothing is known."""
    check_resolution(EXTENSION, source, route)
