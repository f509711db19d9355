"""Every rule of the provider's pages, each with an error that names field, value, rule and remedy."""

import warnings
from typing import Any

import pytest

from veo_async._wire import (
    APIKLEY,
    KIE,
    Dialect,
    ExtendRequest,
    UpgradeRequest,
    VideoRequest,
    check,
    problems_of,
    upgrade_from_name,
)
from veo_async._wire.validation import check_encodable, task_id_problems, url_problem
from veo_async.errors import InvalidRequest, UnsupportedByProvider

ONE, TWO, THREE, FOUR = ([f"https://a.example/{n}.png" for n in range(count)] for count in (1, 2, 3, 4))
TEXT, FRAMES, REFERENCE = "TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"


def video(**options: Any) -> VideoRequest:
    """A request with these options; the deprecation has a test of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return VideoRequest(**{"prompt": "a dog", **options})


GOOD: list[dict[str, Any]] = [
    {},
    {"prompt": "ein Hund 🐕 собака"},
    {"prompt": "x" * 100_000},
    {"image_urls": ONE},
    {"image_urls": TWO},
    {"generation_type": TEXT},
    {"generation_type": FRAMES, "image_urls": ONE},
    {"generation_type": FRAMES, "image_urls": TWO},
    {"generation_type": REFERENCE, "image_urls": ONE},
    {"generation_type": REFERENCE, "image_urls": THREE, "aspect_ratio": "9:16", "model": "veo3_lite", "duration": 8},
    *({"model": model} for model in ("veo3", "veo3_fast", "veo3_lite")),
    *({"aspect_ratio": ratio} for ratio in ("16:9", "9:16", "Auto")),
    *({"resolution": resolution} for resolution in ("720p", "1080p", "4k")),
    *({"duration": duration} for duration in (4, 6, 8)),
    {"seeds": 10000},
    {"seeds": 99999},
    {"callback_url": "http://me.example:8080/cb?x=1"},
    {"enable_fallback": True},
    {"enable_fallback": False, "aspect_ratio": "9:16"},
    {"watermark": ""},
]

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": ""}, "prompt", "must not be empty"),
    ({"prompt": " \n\t"}, "prompt", "must not be empty"),
    ({"prompt": "half \ud83d"}, "prompt", "holds half a character (a lone surrogate)"),
    ({"watermark": "\udc15"}, "watermark", "holds half a character (a lone surrogate)"),
    ({"image_urls": THREE}, "image_urls", "a request without generation_type takes 0 to 2 images"),
    ({"generation_type": TEXT, "image_urls": ONE}, "image_urls", "TEXT_2_VIDEO takes no images"),
    ({"generation_type": FRAMES}, "image_urls", "FIRST_AND_LAST_FRAMES_2_VIDEO takes 1 to 2 images"),
    (
        {"generation_type": FRAMES, "image_urls": THREE},
        "image_urls",
        "FIRST_AND_LAST_FRAMES_2_VIDEO takes 1 to 2 images",
    ),
    ({"generation_type": REFERENCE}, "image_urls", "REFERENCE_2_VIDEO takes 1 to 3 images"),
    ({"generation_type": REFERENCE, "image_urls": FOUR}, "image_urls", "REFERENCE_2_VIDEO takes 1 to 3 images"),
    ({"image_urls": ["/home/me/dog.png"]}, "image_urls", "must begin with http:// or https://"),
    ({"image_urls": ["data:image/png;base64,AAAA"]}, "image_urls", "must begin with http:// or https://"),
    ({"model": "veo2"}, "model", "must be one of veo3, veo3_fast, veo3_lite"),
    ({"model": ""}, "model", "must be one of veo3, veo3_fast, veo3_lite"),
    (
        {"generation_type": "IMAGE"},
        "generation_type",
        "must be one of TEXT_2_VIDEO, FIRST_AND_LAST_FRAMES_2_VIDEO, REFERENCE_2_VIDEO",
    ),
    ({"aspect_ratio": "1:1"}, "aspect_ratio", "must be one of 16:9, 9:16, Auto"),
    ({"aspect_ratio": "auto"}, "aspect_ratio", "must be one of 16:9, 9:16, Auto"),
    ({"seeds": 9999}, "seeds", "must lie between 10000 and 99999"),
    ({"seeds": 100000}, "seeds", "must lie between 10000 and 99999"),
    ({"seeds": -1}, "seeds", "must lie between 10000 and 99999"),
    ({"callback_url": "me.example/cb"}, "callback_url", "must begin with http:// or https://"),
    ({"callback_url": ""}, "callback_url", "must begin with http:// or https://"),
    ({"enable_fallback": True, "aspect_ratio": "9:16"}, "enable_fallback", "works with 16:9 only"),
    ({"resolution": "8k"}, "resolution", "must be one of 720p, 1080p, 4k"),
    ({"resolution": "4K"}, "resolution", "must be one of 720p, 1080p, 4k"),
    ({"duration": 5}, "duration", "must be one of 4, 6, 8"),
    (
        {"generation_type": REFERENCE, "image_urls": ONE, "model": "veo3"},
        "model",
        "reference images work with veo3_fast or veo3_lite only",
    ),
    (
        {"generation_type": REFERENCE, "image_urls": ONE, "aspect_ratio": "Auto"},
        "aspect_ratio",
        "reference images work with 16:9 or 9:16 only",
    ),
    (
        {"generation_type": REFERENCE, "image_urls": ONE, "duration": 6},
        "duration",
        "reference images work with 8 only",
    ),
]


@pytest.mark.parametrize("options", GOOD, ids=lambda options: repr(options)[:60])
def test_good_requests(options: dict[str, Any]) -> None:
    """What the pages allow passes without a word."""
    assert problems_of(video(**options), KIE) == ()
    check(video(**options), KIE)


@pytest.mark.parametrize(("options", "field", "rule"), BAD)
def test_bad_requests(options: dict[str, Any], field: str, rule: str) -> None:
    """Field, value, rule and remedy stand in the fault and in the text of the error."""
    with pytest.raises(InvalidRequest) as caught:
        check(video(**options), KIE)
    error = caught.value
    assert type(error) is InvalidRequest
    assert (error.field, error.rule) == (field, rule)
    assert [fault.field for fault in error.problems] == [field]
    given = getattr(video(**options), field)
    assert error.value == given or error.value in given
    assert error.problems[0].remedy in str(error)
    assert rule in str(error)
    assert str(error).isprintable()


def test_all_faults_are_told_at_once_in_order() -> None:
    """One error holds every fault, so that a user mends a request once."""
    request = video(
        prompt="",
        image_urls=["x", "y", "z"],
        model="m",
        generation_type="g",
        aspect_ratio="a",
        seeds=1,
        callback_url="c",
        enable_fallback=True,
        resolution="r",
        duration=1,
    )
    with pytest.raises(InvalidRequest) as caught:
        check(request, KIE)
    assert [fault.field for fault in caught.value.problems] == [
        "prompt",
        "image_urls",
        "image_urls",
        "image_urls",
        "model",
        "generation_type",
        "aspect_ratio",
        "seeds",
        "callback_url",
        "enable_fallback",
        "resolution",
        "duration",
    ]


def test_remedy_for_three_images() -> None:
    """Three images without a mode: the remedy names the mode that takes three."""
    (fault,) = problems_of(video(image_urls=THREE), KIE)
    assert "generation_type='REFERENCE_2_VIDEO'" in fault.remedy
    (fault,) = problems_of(video(image_urls=ONE, generation_type=TEXT), KIE)
    assert fault.remedy == "change their number or the generation_type"


@pytest.mark.parametrize(
    "options",
    [
        {"model": "veo4"},
        {"aspect_ratio": "21:9"},
        {"resolution": "8k"},
        {"duration": 60},
        {"seeds": 5},
        {"generation_type": "NEW_2_VIDEO", "image_urls": FOUR},
    ],
)
def test_validate_false_lets_newer_values_through(options: dict[str, Any]) -> None:
    """A value newer than the library is refused by `check` and passes `check_encodable`."""
    with pytest.raises(InvalidRequest):
        check(video(**options), KIE)
    check_encodable(video(**options), KIE)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"prompt": "\ud800"}, "prompt"),
        ({"watermark": "\ud800"}, "watermark"),
        ({"model": "\ud800"}, "model"),
        ({"image_urls": ["https://a.example", "\ud800"]}, "image_urls"),
    ],
)
def test_what_cannot_be_written_never_passes(options: dict[str, Any], field: str) -> None:
    """Half a character cannot be sent at all, validated or not."""
    for dialect in (KIE, APIKLEY):
        with pytest.raises(InvalidRequest) as caught:
            check_encodable(video(**options), dialect)
        assert caught.value.field == field
    assert problems_of(video(**options), KIE)[0].field == field


@pytest.mark.parametrize("name", ["resolution", "duration"])
def test_options_that_a_dialect_does_not_know(name: str) -> None:
    """A field without a word in this dialect is refused with and without validation: it would be a guess."""
    request = video(**{name: {"resolution": "1080p", "duration": 8}[name]})
    for checker in (check, check_encodable):
        with pytest.raises(UnsupportedByProvider) as caught:
            checker(request, APIKLEY)
        assert [(fault.field, fault.rule) for fault in caught.value.problems] == [(name, "is not an option of apikley")]
    check_encodable(request, KIE)


def test_an_unknown_option_comes_with_the_other_faults() -> None:
    """The unsupported option decides the class, the other faults are told beside it."""
    with pytest.raises(UnsupportedByProvider) as caught:
        check(video(duration=8, model="veo3_lite"), APIKLEY)
    assert [fault.field for fault in caught.value.problems] == ["duration", "model"]


def test_a_dialect_without_images() -> None:
    """An option that is merely empty is no use of it."""
    plain = KIE.variant("plain", unknown_options=frozenset({"image_urls"}))
    check(video(), plain)
    with pytest.raises(UnsupportedByProvider):
        check(video(image_urls=ONE), plain)


@pytest.mark.parametrize("dialect", [KIE, APIKLEY])
def test_extension_that_is_good(dialect: Dialect) -> None:
    """The documented form passes; without known model names nothing is said about the model."""
    check(ExtendRequest("t-1", "and on", seeds=10000, callback_url="https://me.example"), dialect)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"task_id": ""}, "task_id"),
        ({"prompt": ""}, "prompt"),
        ({"model": "veo3_fast"}, "model"),
        ({"seeds": 1}, "seeds"),
        ({"callback_url": "x"}, "callback_url"),
        ({"watermark": "\ud800"}, "watermark"),
    ],
)
def test_extension_that_is_bad(options: dict[str, Any], field: str) -> None:
    """An extension has rules of its own: other model names, and a task."""
    with pytest.raises(InvalidRequest) as caught:
        check(ExtendRequest(**{"task_id": "t-1", "prompt": "on", **options}), KIE)
    assert [fault.field for fault in caught.value.problems] == [field]


@pytest.mark.parametrize(
    "request_",
    [
        UpgradeRequest("t-1"),
        UpgradeRequest("t-1", "4k", index=1, callback_url="https://me.example"),
        UpgradeRequest(after_key="row 17"),
        ExtendRequest(prompt="and on", after_key="row 17"),
    ],
)
def test_going_on_that_is_good(request_: ExtendRequest | UpgradeRequest) -> None:
    """From a task, or from a job, whose key may be anything."""
    check(request_, KIE)


@pytest.mark.parametrize(
    ("request_", "field", "why"),
    [
        (UpgradeRequest(), "task_id", "not a task id"),
        (UpgradeRequest("t-1", "8k"), "to", "one of 1080p, 4k"),
        (UpgradeRequest("t-1", index=-1), "index", "0 or more"),
        (UpgradeRequest("t-1", "4k", callback_url="x"), "callback_url", "http"),
        (UpgradeRequest("t-1", after_key="row"), "after", "beside a task_id"),
        (UpgradeRequest(after_key=""), "after", "names no job"),
        (UpgradeRequest("1080p:t-1"), "task_id", "taken to 1080p already"),
        (UpgradeRequest("t-1\ud800"), "task_id", "surrogate"),
        (ExtendRequest("1080p:t-1", "on"), "task_id", "cannot be extended"),
        (ExtendRequest("4k:t-1", "on"), "task_id", "is an upgrade"),
    ],
)
def test_going_on_that_is_bad(request_: ExtendRequest | UpgradeRequest, field: str, why: str) -> None:
    """What it goes on from must be one thing, and one that can be gone on from."""
    with pytest.raises(InvalidRequest, match=why) as caught:
        check(request_, KIE)
    assert caught.value.problems[0].field == field


@pytest.mark.parametrize("upgrade", [UpgradeRequest("t-1"), UpgradeRequest("t-1", "4k"), UpgradeRequest("t", index=2)])
def test_the_name_of_an_upgrade_tells_what_it_is_of(upgrade: UpgradeRequest) -> None:
    """There and back; ids of the provider's own are no such names."""
    assert upgrade_from_name(upgrade.task_name) == upgrade


@pytest.mark.parametrize("name", ["4c9a31a5bb61db65d10f1210d78cc08a", "veo_task_1", "1080p", "1080p:", "8k:t", ""])
def test_what_is_no_name_of_an_upgrade(name: str) -> None:
    """A task that the provider has named."""
    assert upgrade_from_name(name) is None


@pytest.mark.parametrize("task_id", ["t", "veo_task_abcdef123456", "bf3e7adb-fb6c", "a/b?c=d", "x" * 200, "ü"])
def test_task_ids_are_opaque(task_id: str) -> None:
    """Anything that could be an id is taken as one."""
    assert list(task_id_problems(task_id)) == []


@pytest.mark.parametrize("task_id", ["", " ", "a b", "a\n", "a\x00", "\u2028", "\ud800", "x" * 201])
def test_what_can_never_be_a_task_id(task_id: str) -> None:
    """Blanks, control characters and novels are no ids."""
    assert [fault.field for fault in task_id_problems(task_id)] == ["task_id"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://a.example", None),
        ("HTTP://a.example/x?y#z", None),
        ("http://127.0.0.1:8080/cb", None),
        ("http://[::1]/cb", None),
        ("https://bücher.example/ü", None),
        ("", "must begin with http:// or https://"),
        ("a.example", "must begin with http:// or https://"),
        ("ftp://a.example", "must begin with http:// or https://"),
        ("https://", "names no host"),
        ("https:///x", "names no host"),
        ("https://:80", "names no host"),
        ("https://a.example/a b", "holds a space or a control character"),
        (" https://a.example", "holds a space or a control character"),
        ("https://a.example/\n", "holds a space or a control character"),
        ("https://a.example/\u202e", "holds a space or a control character"),
        ("https://a.example/\ud800", "holds a space or a control character"),
        ("http://[::1", "is not a URL"),
        ("http://a.example:port/", "is not a URL"),
        ("http://a.example:99999/", "is not a URL"),
    ],
)
def test_url_fault(url: str, why: str | None) -> None:
    """Only what a server could fetch is a URL."""
    assert url_problem(url) == why
