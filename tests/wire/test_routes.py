"""The two routes: endpoint and body of each request, and what a route cannot express."""

from typing import Any

import attrs
import pytest

from veo_async import ExtendRequest, VideoRequest
from veo_async._wire import APIKLEY, JOBS, KIE, VEO, AnyRequest, Endpoint, Route, UpgradeRequest, endpoints, route_named
from veo_async._wire.images import LocalImage
from veo_async.errors import InvalidRequest, UnsupportedByProvider

IMAGE = "https://images.example/1.png"
CALLBACK = "https://me.example/cb?t=T1"
LOCAL = LocalImage("0" * 64, "png", "cat.png")
DEFAULTS = {"aspect_ratio": "16:9", "enable_translation": True}

#: Each request with its ``createTask`` body, written by hand from the documentation.
JOB_BODIES: list[tuple[AnyRequest, dict[str, Any]]] = [
    (
        VideoRequest("a kite", callback_url=CALLBACK, enable_translation=False, duration=8, resolution="720p"),
        {
            "model": "veo-3-1",
            "callBackUrl": CALLBACK,
            "input": {
                "prompt": "a kite",
                "model": "veo3_fast",
                "aspect_ratio": "16:9",
                "resolution": "720p",
                "duration": 8,
                "enable_translation": False,
            },
        },
    ),
    (
        VideoRequest("p", image_urls=[IMAGE, IMAGE], generation_type="FIRST_AND_LAST_FRAMES_2_VIDEO", watermark="W"),
        {
            "model": "veo-3-1",
            "input": {
                "prompt": "p",
                "model": "veo3_fast",
                "image_urls": [IMAGE, IMAGE],
                "generation_type": "FIRST_AND_LAST_FRAMES_2_VIDEO",
                "watermark": "W",
                **DEFAULTS,
            },
        },
    ),
    (
        VideoRequest("p", model="veo3_lite", image_urls=[IMAGE], generation_type="REFERENCE_2_VIDEO"),
        {
            "model": "veo-3-1",
            "input": {
                "prompt": "p",
                "model": "veo3_lite",
                "image_urls": [IMAGE],
                "generation_type": "REFERENCE_2_VIDEO",
                **DEFAULTS,
            },
        },
    ),
    (
        ExtendRequest("t-1", "on", seeds=12345, watermark="W", callback_url=CALLBACK),
        {
            "model": "veo/extend",
            "callBackUrl": CALLBACK,
            "input": {"task_id": "t-1", "prompt": "on", "seeds": 12345, "watermark": "W"},
        },
    ),
    (UpgradeRequest("t-1"), {"model": "veo/get-1080p-video", "input": {"taskId": "t-1"}}),
    (UpgradeRequest("t-1", index=0), {"model": "veo/get-1080p-video", "input": {"taskId": "t-1"}}),
    (UpgradeRequest("t-1", index=1), {"model": "veo/get-1080p-video", "input": {"taskId": "t-1", "index": 1}}),
    (UpgradeRequest("t-1", "4k", index=2), {"model": "veo/get-4k-video", "input": {"task_id": "t-1", "index": 2}}),
    (
        UpgradeRequest("t-1", "4k", callback_url=CALLBACK),
        {"model": "veo/get-4k-video", "callBackUrl": CALLBACK, "input": {"task_id": "t-1"}},
    ),
]


@pytest.mark.parametrize(("request_", "body"), JOB_BODIES)
def test_body_on_the_jobs_route_has_the_documented_names(request_: AnyRequest, body: dict[str, Any]) -> None:
    """The options are in ``input``; the model and ``callBackUrl`` are outside it."""
    assert JOBS.body(request_, KIE) == body
    assert tuple(JOBS.problems_of(request_)) == ()
    assert JOBS.endpoint_for(request_) is endpoints.CREATE_TASK


@pytest.mark.parametrize(
    ("request_", "endpoint"),
    [
        (VideoRequest("p"), endpoints.GENERATE),
        (ExtendRequest("t-1", "p"), endpoints.EXTEND),
        (UpgradeRequest("t-1"), endpoints.GET_1080P),
        (UpgradeRequest("t-1", "4k"), endpoints.GET_4K),
    ],
)
def test_veo_route_has_an_endpoint_for_each_kind(request_: AnyRequest, endpoint: Endpoint[Any]) -> None:
    """It expresses every option."""
    assert VEO.endpoint_for(request_) is endpoint
    assert tuple(VEO.problems_of(request_)) == ()


def test_body_on_the_veo_route_has_the_spelling_of_the_dialect() -> None:
    """The options are flat."""
    camel = KIE.variant("mine", spelling={"aspect_ratio": "aspectRatio"})
    assert VEO.body(ExtendRequest("t-1", "p"), KIE) == {"taskId": "t-1", "prompt": "p", "model": "fast"}
    assert VEO.body(VideoRequest("p"), camel)["aspectRatio"] == "16:9"


@pytest.mark.parametrize("option", ["seeds", "enable_fallback"])
@pytest.mark.filterwarnings("ignore:enable_fallback is deprecated")
def test_option_that_the_jobs_route_does_not_have_is_a_problem(option: str) -> None:
    """The problem names the option and the remedy; the veo route accepts it."""
    request = attrs.evolve(VideoRequest("p"), **{option: 12345 if option == "seeds" else False})
    (problem,) = JOBS.problems_of(request)
    assert problem.field == option
    assert "veo route" in problem.remedy
    with pytest.raises(InvalidRequest, match=f"{option}=.* does not exist on the jobs route"):
        JOBS.check(request)
    VEO.check(request)
    assert tuple(VEO.problems_of(request)) == ()
    VEO.check(request)
    with pytest.raises(InvalidRequest, match=option):
        JOBS.check(request)


@pytest.mark.parametrize("model", ["fast", "quality", "lite"])
def test_model_of_an_extension_is_not_sent_on_the_jobs_route(model: str) -> None:
    """There the source clip's model counts."""
    request = ExtendRequest("t-1", "p", model=model)
    assert JOBS.body(request, KIE)["input"] == {"task_id": "t-1", "prompt": "p"}
    assert tuple(JOBS.problems_of(request)) == ()


def test_extension_without_a_model_names_the_providers_default_on_the_veo_route() -> None:
    """Nothing is left to a default that the provider may change."""
    assert VEO.body(ExtendRequest("t-1", "p"), KIE)["model"] == "fast"


@pytest.mark.parametrize("route", [VEO, JOBS])
def test_image_that_was_not_uploaded_is_a_problem_on_every_route(route: Route) -> None:
    with pytest.raises(InvalidRequest, match="was not uploaded"):
        route.body(VideoRequest("p", image_urls=[LOCAL.as_reference]), KIE)


def test_upgrades_are_tasks_on_the_jobs_route_only() -> None:
    assert (VEO.upgrades_are_tasks, JOBS.upgrades_are_tasks) == (False, True)
    assert (VEO.record, JOBS.record) == (endpoints.RECORD_INFO, endpoints.JOB_RECORD)


def test_route_is_found_by_name() -> None:
    assert [route_named(route.name) for route in (VEO, JOBS)] == [VEO, JOBS]


@pytest.mark.parametrize("name", ["auto", "old", "", "JOBS"])
def test_unknown_route_is_an_invalid_request(name: str) -> None:
    """The error names the argument and the known routes."""
    with pytest.raises(InvalidRequest, match=r"route.*'veo' or 'jobs'"):
        route_named(name)


@pytest.mark.parametrize("endpoint", [endpoints.CREATE_TASK, endpoints.JOB_RECORD])
def test_jobs_route_is_documented_by_kie_only(endpoint: Endpoint[Any]) -> None:
    KIE.require(endpoint)
    with pytest.raises(UnsupportedByProvider, match="apikley"):
        APIKLEY.require(endpoint)
