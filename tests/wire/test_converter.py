"""Conversion between requests and JSON: our names, the wire's names, and no silent coercion."""

import json
import warnings
from typing import Any

import pytest

from veo_async._wire import APIKLEY, KIE, VEO, ExtendRequest, VideoRequest
from veo_async._wire.converter import from_dict, to_dict
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
    """A request with every option set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return from_dict(OPTIONS, VideoRequest)


def test_every_option_has_its_documented_spelling(full: VideoRequest) -> None:
    """All options are sent under the names of today's documentation."""
    wire = VEO.body(full, KIE)
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


def test_minimal_request_sends_options_with_unclear_defaults() -> None:
    """Besides the prompt, only the three options whose documented defaults contradict each other."""
    assert VEO.body(VideoRequest("a dog"), KIE) == {
        "prompt": "a dog",
        "model": "veo3_fast",
        "aspect_ratio": "16:9",
        "enableTranslation": True,
    }
    assert VEO.body(VideoRequest("a dog"), APIKLEY) == {
        "prompt": "a dog",
        "model": "veo3_fast",
        "aspectRatio": "16:9",
        "enableTranslation": True,
    }


def test_extension_has_its_documented_spelling() -> None:
    """The model is always sent."""
    assert VEO.body(ExtendRequest("t-1", "and on"), KIE) == {"taskId": "t-1", "prompt": "and on", "model": "fast"}
    full = ExtendRequest("t-1", "on", model="lite", seeds=10000, callback_url="https://me.example", watermark="W")
    assert VEO.body(full, KIE) == {
        "taskId": "t-1",
        "prompt": "on",
        "model": "lite",
        "seeds": 10000,
        "callBackUrl": "https://me.example",
        "watermark": "W",
    }


@pytest.mark.filterwarnings("ignore:enable_fallback:DeprecationWarning")
def test_dict_round_trip_keeps_the_request(full: VideoRequest) -> None:
    """A request stored as JSON with our own names is read back equal."""
    extension = ExtendRequest("t-1", "and on", seeds=10000)
    for request in (full, VideoRequest("a dog")):
        assert from_dict(json.loads(json.dumps(to_dict(request))), VideoRequest) == request
    assert from_dict(json.loads(json.dumps(to_dict(extension))), ExtendRequest) == extension
    assert set(to_dict(full)) == set(OPTIONS)


def test_defaults_are_stored() -> None:
    """A later version with other defaults must read back the original request."""
    assert to_dict(VideoRequest("a dog")) == {
        "prompt": "a dog",
        "model": "veo3_fast",
        "aspect_ratio": "16:9",
        "enable_translation": True,
    }


@pytest.mark.parametrize(
    ("values", "problems"),
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
def test_from_dict_reports_all_problems_together(values: dict[Any, Any], problems: dict[str, str]) -> None:
    """Each problem has its field, value and rule; null is not the word "None"."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict(values, VideoRequest)
    error = caught.value
    assert {problem.field: problem.rule for problem in error.problems} == problems
    assert all(problem.remedy for problem in error.problems if problem.rule == "is not an option")
    for problem in error.problems:
        assert str(problem) in str(error)
        if problem.field in values and problem.rule != "is not an option":
            assert problem.value == values[problem.field]
    assert all(twin.problems == error.problems for twin in twins(error))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("modle", "modle='…': is not an option. Did you mean model?"),
        ("aspectRatio", "aspectRatio='…': is not an option. Did you mean aspect_ratio?"),
        ("ratio", "ratio='…': is not an option. Did you mean aspect_ratio?"),
        ("watermarks", "watermarks='…': is not an option. Did you mean watermark?"),
        ("fps", "fps='…': is not an option. Use one of prompt, image_urls, model"),
    ],
)
def test_misspelled_option_names_the_nearest_one(name: str, text: str) -> None:
    """Without one that is alike, all options are listed."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict({"prompt": "x", name: 1}, VideoRequest)
    assert text in str(caught.value)


def test_null_is_accepted_for_optional_options() -> None:
    """An option that can be None can be null in a file."""
    values = {"prompt": "x", "seeds": None, "watermark": None, "duration": None, "enable_fallback": None}
    assert from_dict(values, VideoRequest) == VideoRequest("x")


@pytest.mark.parametrize("values", [None, "a dog", 5, [], ["prompt"], [("prompt", "a dog")]])
def test_from_dict_rejects_values_that_are_not_objects(values: Any) -> None:
    """Only an object with options is a request."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict(values, VideoRequest)
    assert caught.value.field == "request"


def test_unknown_option_error_lists_the_options_of_the_kind() -> None:
    """The remedy lists the options of this kind of request."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict({"task_id": 5, "duration": 8}, ExtendRequest)
    assert {problem.field for problem in caught.value.problems} == {"task_id", "duration"}
    assert "task_id, prompt, model, seeds, callback_url, watermark" in str(caught.value)


def test_the_value_of_an_unknown_option_is_not_shown() -> None:
    """The value could be an API key, so only the name is shown."""
    with pytest.raises(InvalidRequest) as caught:
        from_dict({"prompt": "x", "api_key": "hunter2"}, VideoRequest)
    assert "api_key" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)


def test_warning_raised_as_an_error_is_not_converted() -> None:
    """With ``-W error`` the deprecation is not mistaken for a problem of the request."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match="enable_fallback"):
            from_dict({"prompt": "x", "enable_fallback": True}, VideoRequest)
