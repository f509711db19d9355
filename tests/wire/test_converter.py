"""Between requests and JSON: our spelling, the wire's spelling, and nothing coerced in between."""

import json
import warnings
from typing import Any

import pytest

from veo_async._wire import APIKLEY, KIE, ExtendRequest, VideoRequest
from veo_async._wire.converter import from_dict, to_dict, to_wire
from veo_async.errors import InvalidRequest

from .recordings import twins

OPTIONS: dict[str, Any] = {
    "prompt": "A dog playing in a park",
    "image_urls": ["http://example.com/image1.jpg", "http://example.com/image2.jpg"],
    "model": "veo3",
    "generation_type": "FIRST_AND_LAST_FRAMES_2_VIDEO",
    "aspect_ratio": "9:16",
    "seeds": 12345,
    "callback_url": "http://your-callback-url.com/complete",
    "enable_fallback": False,
    "enable_translation": False,
    "watermark": "MyBrand",
    "resolution": "1080p",
    "duration": 8,
}


@pytest.fixture
def full() -> VideoRequest:
    """A request that says everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return from_dict(OPTIONS, VideoRequest)


def test_to_wire_in_full(full: VideoRequest) -> None:
    """Every option under its exact spelling of today's pages."""
    wire = to_wire(full, KIE)
    assert wire == {
        "prompt": "A dog playing in a park",
        "imageUrls": ["http://example.com/image1.jpg", "http://example.com/image2.jpg"],
        "model": "veo3",
        "generationType": "FIRST_AND_LAST_FRAMES_2_VIDEO",
        "aspect_ratio": "9:16",
        "seeds": 12345,
        "callBackUrl": "http://your-callback-url.com/complete",
        "enableFallback": False,
        "enableTranslation": False,
        "watermark": "MyBrand",
        "resolution": "1080p",
        "duration": 8,
    }
    assert json.loads(json.dumps(wire)) == wire


def test_to_wire_of_the_least() -> None:
    """Only the prompt and the three whose defaults the pages disagree about."""
    assert to_wire(VideoRequest("a dog"), KIE) == {
        "prompt": "a dog",
        "model": "veo3_fast",
        "aspect_ratio": "16:9",
        "enableTranslation": True,
    }
    assert to_wire(VideoRequest("a dog"), APIKLEY) == {
        "prompt": "a dog",
        "model": "veo3_fast",
        "aspectRatio": "16:9",
        "enableTranslation": True,
    }


def test_to_wire_of_an_extension() -> None:
    """An extension's fields; the model goes out always."""
    assert to_wire(ExtendRequest("t-1", "and on"), KIE) == {"taskId": "t-1", "prompt": "and on", "model": "fast"}
    full = ExtendRequest("t-1", "on", model="lite", seeds=10000, callback_url="https://me.example", watermark="W")
    assert to_wire(full, KIE) == {
        "taskId": "t-1",
        "prompt": "on",
        "model": "lite",
        "seeds": 10000,
        "callBackUrl": "https://me.example",
        "watermark": "W",
    }


@pytest.mark.filterwarnings("ignore:enable_fallback:DeprecationWarning")
def test_plain_round_trip(full: VideoRequest) -> None:
    """Through our own spelling and JSON text, a request comes back equal."""
    extension = ExtendRequest("t-1", "and on", seeds=10000)
    for request in (full, VideoRequest("a dog")):
        assert from_dict(json.loads(json.dumps(to_dict(request))), VideoRequest) == request
    assert from_dict(json.loads(json.dumps(to_dict(extension))), ExtendRequest) == extension
    assert set(to_dict(full)) == set(OPTIONS)


def test_defaults_are_written_out() -> None:
    """A later version with another default must read back the request that was made, not its own."""
    assert to_dict(VideoRequest("a dog")) == {
        "prompt": "a dog",
        "model": "veo3_fast",
        "aspect_ratio": "16:9",
        "enable_translation": True,
    }


@pytest.mark.parametrize(
    ("plain", "faults"),
    [
        ({}, {"prompt": "is missing"}),
        ({"prompt": None}, {"prompt": "must be a string"}),
        ({"prompt": 5}, {"prompt": "must be a string"}),
        ({"prompt": "x", "image_urls": "https://a.example"}, {"image_urls": "must be a list of strings"}),
        ({"prompt": "x", "image_urls": None}, {"image_urls": "must be a list of strings"}),
        ({"prompt": "x", "image_urls": [None]}, {"image_urls": "must be a list of strings"}),
        ({"prompt": "x", "enable_translation": "false"}, {"enable_translation": "must be true or false"}),
        ({"prompt": "x", "enable_translation": 0}, {"enable_translation": "must be true or false"}),
        ({"prompt": "x", "seeds": True}, {"seeds": "must be a whole number"}),
        ({"prompt": "x", "seeds": "12345"}, {"seeds": "must be a whole number"}),
        ({"prompt": "x", "duration": 8.0}, {"duration": "must be a whole number"}),
        ({"prompt": "x", "model": None}, {"model": "must be a string"}),
        ({"prompt": "x", "aspectRatio": "9:16"}, {"aspectRatio": "is not an option"}),
        ({"prompt": "x", "b": 1, "a": 2}, {"a": "is not an option", "b": "is not an option"}),
        ({"prompt": "x", 5: 1, "a": 2}, {"5": "is not an option", "a": "is not an option"}),
        (
            {"seeds": "1", "model": 5, "extra": 1},
            {
                "prompt": "is missing",
                "model": "must be a string",
                "seeds": "must be a whole number",
                "extra": "is not an option",
            },
        ),
    ],
)
def test_from_plain_refuses(plain: dict[Any, Any], faults: dict[str, str]) -> None:
    """Every fault at once, each with its field, what was given, the rule and the remedy; null is not "None"."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict(plain, VideoRequest)
    error = caught.value
    assert {fault.field: fault.rule for fault in error.problems} == faults
    assert all(fault.remedy for fault in error.problems)
    for fault in error.problems:
        if fault.field in plain and fault.rule != "is not an option":
            assert fault.value == plain[fault.field]
    assert all(twin.problems == error.problems for twin in twins(error))


def test_null_is_left_out_where_it_means_nothing() -> None:
    """An option that may be None may be null in a file."""
    plain = {"prompt": "x", "seeds": None, "watermark": None, "duration": None, "enable_fallback": None}
    assert from_dict(plain, VideoRequest) == VideoRequest("x")


@pytest.mark.parametrize("plain", [None, "a dog", 5, [], ["prompt"], [("prompt", "a dog")]])
def test_from_plain_of_no_object(plain: Any) -> None:
    """What is no object of options is no request."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict(plain, VideoRequest)
    assert caught.value.field == "request"


def test_from_plain_of_a_bad_extension() -> None:
    """The remedy lists the options of this kind of request."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict({"task_id": 5, "duration": 8}, ExtendRequest)
    assert {fault.field for fault in caught.value.problems} == {"task_id", "duration"}
    assert "task_id, prompt, model, seeds, callback_url, watermark" in str(caught.value)


def test_the_value_of_an_unknown_option_is_not_shown() -> None:
    """Somebody will write api_key=…: the name is told, the value is not."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict({"prompt": "x", "api_key": "hunter2"}, VideoRequest)
    assert "api_key" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)


def test_a_warning_made_an_error_stays_itself() -> None:
    """With ``-W error`` the deprecation is not mistaken for a fault of the request."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match="enable_fallback"):
            from_dict({"prompt": "x", "enable_fallback": True}, VideoRequest)
