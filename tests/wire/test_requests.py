"""Requests check the types of their values at once and never coerce silently."""

import warnings
from typing import Any

import attrs
import pytest

from veo_async._wire import AspectRatio, ExtendRequest, GenerationType, Model, Resolution, VideoRequest
from veo_async.errors import InvalidRequest

from .recordings import twins

FULL = VideoRequest(
    "a dog",
    image_urls=["https://a.example/1.png"],
    model=Model.LITE,
    generation_type=GenerationType.REFERENCE,
    aspect_ratio=AspectRatio.PORTRAIT,
    seeds=12345,
    callback_url="https://me.example/cb",
    enable_translation=False,
    watermark="W",
    resolution=Resolution.UHD,
    duration=8,
)


def test_defaults_are_fast_landscape_and_translated() -> None:
    """All other options are left to the provider."""
    assert attrs.asdict(VideoRequest("a dog")) == {
        "prompt": "a dog",
        "image_urls": (),
        "model": "veo3_fast",
        "generation_type": None,
        "aspect_ratio": "16:9",
        "seeds": None,
        "callback_url": None,
        "enable_fallback": None,
        "enable_translation": True,
        "watermark": None,
        "resolution": None,
        "duration": None,
    }
    assert attrs.asdict(ExtendRequest("t-1", "and on")) == {
        "task_id": "t-1",
        "prompt": "and on",
        "model": None,
        "seeds": None,
        "callback_url": None,
        "watermark": None,
        "after_key": None,
    }


def test_enums_are_stored_as_strings() -> None:
    """A request with an enum member equals one with the string, including the pickled type."""
    assert [type(value) for value in (FULL.model, FULL.generation_type, FULL.aspect_ratio, FULL.resolution)] == [
        str
    ] * 4
    assert (FULL.model, FULL.generation_type, FULL.aspect_ratio, FULL.resolution) == (
        "veo3_lite",
        "REFERENCE_2_VIDEO",
        "9:16",
        "4k",
    )


@pytest.mark.parametrize(
    "request_",
    [FULL, VideoRequest("a"), ExtendRequest("t-1", "on", model="lite", seeds=10000)],
)
def test_requests_are_values(request_: Any) -> None:
    """They compare, hash, pickle and copy by content, and cannot be changed."""
    for twin in twins(request_):
        assert twin == request_
        assert hash(twin) == hash(request_)
    assert attrs.evolve(request_, prompt="another") != request_
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request_.prompt = "another"


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), iter(["a", "b"]), (letter for letter in "ab")])
def test_image_urls_accept_any_ordered_iterable(given: Any) -> None:
    """Lists, tuples, iterators and generators become a tuple."""
    assert VideoRequest("a dog", image_urls=given).image_urls == ("a", "b")


def test_image_urls_none_means_no_images() -> None:
    """None becomes an empty tuple."""
    none: Any = None
    assert VideoRequest("a dog", image_urls=none).image_urls == ()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("prompt", None, "must be a string"),
        ("prompt", b"a dog", "must be a string"),
        ("prompt", lambda: "a dog", "must be a string"),
        ("image_urls", "https://a.example/1.png", "must be a list of strings"),
        ("image_urls", b"https://a.example/1.png", "must be a list of strings"),
        ("image_urls", {"https://a.example/1.png", "https://a.example/2.png"}, "must be a list of strings"),
        ("image_urls", {"https://a.example/1.png": 1}, "must be a list of strings"),
        ("image_urls", [None], "must be a list of strings"),
        ("image_urls", 5, "must be a list of strings"),
        ("model", None, "must be a string"),
        ("aspect_ratio", None, "must be a string"),
        ("generation_type", 5, "must be a string"),
        ("seeds", "12345", "must be a whole number"),
        ("seeds", True, "must be a whole number"),
        ("seeds", 12345.0, "must be a whole number"),
        ("callback_url", 5, "must be a string"),
        ("enable_fallback", 0, "must be True or False"),
        ("enable_translation", None, "must be True or False"),
        ("enable_translation", "false", "must be True or False"),
        ("watermark", 5, "must be a string"),
        ("resolution", 720, "must be a string"),
        ("duration", "8", "must be a whole number"),
        ("duration", True, "must be a whole number"),
    ],
)
def test_wrong_type_is_an_error(name: str, value: Any, rule: str) -> None:
    """The error has field, value and rule, and can be pickled with any value."""
    with pytest.raises(InvalidRequest) as caught:
        VideoRequest(**{"prompt": "a dog", name: value})
    error = caught.value
    assert (error.field, error.rule, len(error.problems)) == (name, rule, 1)
    assert f"{name}=" in str(error)
    assert rule in str(error)
    assert all(twin.problems == error.problems for twin in twins(error))


@pytest.mark.parametrize(
    ("name", "value"), [("task_id", None), ("prompt", None), ("model", 1), ("seeds", "1"), ("watermark", 1)]
)
def test_wrong_type_in_an_extension_is_an_error(name: str, value: Any) -> None:
    """Extensions are checked in the same way."""
    with pytest.raises(InvalidRequest) as caught:
        ExtendRequest(**{"task_id": "t-1", "prompt": "on", name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("enabled", [True, False])
def test_enable_fallback_warns_at_the_callers_line(*, enabled: bool) -> None:
    """Any value warns; omitting the option does not."""
    with pytest.warns(DeprecationWarning, match="enable_fallback") as caught:
        VideoRequest("a dog", enable_fallback=enabled)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VideoRequest("a dog")


def test_enums_have_exactly_the_documented_values() -> None:
    """No more and no fewer."""
    assert list(Model) == ["veo3", "veo3_fast", "veo3_lite"]
    assert list(AspectRatio) == ["16:9", "9:16", "Auto"]
    assert list(Resolution) == ["720p", "1080p", "4k"]
    assert list(GenerationType) == ["TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"]
