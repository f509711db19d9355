"""Every documented rule, each with an error that has field, value, rule and, if needed, a remedy."""

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
    """Return a request with these options; the deprecation has its own test."""
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
    ({"prompt": "half \ud83d"}, "prompt", "contains a lone surrogate"),
    ({"watermark": "\udc15"}, "watermark", "contains a lone surrogate"),
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
    ({"image_urls": ["/home/me/dog.png"]}, "image_urls", "must start with http:// or https://"),
    ({"image_urls": ["data:image/png;base64,AAAA"]}, "image_urls", "must start with http:// or https://"),
    ({"model": "veo2"}, "model", "must be one of veo3, veo3_fast, veo3_lite"),
    ({"model": ""}, "model", "must be one of veo3, veo3_fast, veo3_lite"),
    (
        {"generation_type": "IMAGE"},
        "generation_type",
        "must be one of TEXT_2_VIDEO, FIRST_AND_LAST_FRAMES_2_VIDEO, REFERENCE_2_VIDEO",
    ),
    ({"aspect_ratio": "1:1"}, "aspect_ratio", "must be one of 16:9, 9:16, Auto"),
    ({"aspect_ratio": "auto"}, "aspect_ratio", "must be one of 16:9, 9:16, Auto"),
    ({"seeds": 9999}, "seeds", "must be between 10000 and 99999"),
    ({"seeds": 100000}, "seeds", "must be between 10000 and 99999"),
    ({"seeds": -1}, "seeds", "must be between 10000 and 99999"),
    ({"callback_url": "me.example/cb"}, "callback_url", "must start with http:// or https://"),
    ({"callback_url": ""}, "callback_url", "must start with http:// or https://"),
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
def test_valid_requests_have_no_problems(options: dict[str, Any]) -> None:
    """Everything that the documentation allows is accepted."""
    assert problems_of(video(**options), KIE) == ()
    check(video(**options), KIE)


@pytest.mark.parametrize(("options", "field", "rule"), BAD)
def test_broken_rule_is_a_problem(options: dict[str, Any], field: str, rule: str) -> None:
    """The problem and the error's text contain field, value, rule and remedy."""
    with pytest.raises(InvalidRequest) as caught:
        check(video(**options), KIE)
    error = caught.value
    assert type(error) is InvalidRequest
    assert (error.field, error.rule) == (field, rule)
    assert [problem.field for problem in error.problems] == [field]
    given = getattr(video(**options), field)
    assert error.value == given or error.value in given
    assert str(error.problems[0]) in str(error)
    assert rule in str(error)
    assert str(error).isprintable()


def test_all_problems_are_reported_together_in_order() -> None:
    """The user can fix a request in one pass."""
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
    assert [problem.field for problem in caught.value.problems] == [
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


def test_remedy_for_three_images_names_the_mode_that_takes_three() -> None:
    """Other wrong counts get a general remedy."""
    (problem,) = problems_of(video(image_urls=THREE), KIE)
    assert "generation_type='REFERENCE_2_VIDEO'" in problem.remedy
    (problem,) = problems_of(video(image_urls=ONE, generation_type=TEXT), KIE)
    assert problem.remedy == "change the number of images or the generation_type"


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
def test_newer_values_pass_without_validation(options: dict[str, Any]) -> None:
    """`check` refuses them, `check_encodable` accepts them."""
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
def test_lone_surrogates_never_pass(options: dict[str, Any], field: str) -> None:
    """They cannot be sent at all, validated or not."""
    for dialect in (KIE, APIKLEY):
        with pytest.raises(InvalidRequest) as caught:
            check_encodable(video(**options), dialect)
        assert caught.value.field == field
    assert problems_of(video(**options), KIE)[0].field == field


@pytest.mark.parametrize("name", ["resolution", "duration"])
def test_undocumented_option_is_refused_with_and_without_validation(name: str) -> None:
    """Sending it would be a guess."""
    request = video(**{name: {"resolution": "1080p", "duration": 8}[name]})
    for checker in (check, check_encodable):
        with pytest.raises(UnsupportedByProvider) as caught:
            checker(request, APIKLEY)
        assert [(problem.field, problem.rule) for problem in caught.value.problems] == [
            (name, "is not an option of apikley")
        ]
    check_encodable(request, KIE)


def test_undocumented_option_is_reported_with_the_other_problems() -> None:
    """The undocumented option decides the class of the error."""
    with pytest.raises(UnsupportedByProvider) as caught:
        check(video(duration=8, model="veo3_lite"), APIKLEY)
    assert [problem.field for problem in caught.value.problems] == ["duration", "model"]


def test_empty_option_is_not_used() -> None:
    """An empty value of an undocumented option is accepted."""
    plain = KIE.variant("plain", unknown_options=frozenset({"image_urls"}))
    check(video(), plain)
    with pytest.raises(UnsupportedByProvider):
        check(video(image_urls=ONE), plain)


@pytest.mark.parametrize("dialect", [KIE, APIKLEY])
def test_valid_extension_has_no_problems(dialect: Dialect) -> None:
    """A dialect without model names for extensions does not check the model."""
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
def test_extension_has_its_own_rules(options: dict[str, Any], field: str) -> None:
    """Extensions have other model names, and need a task."""
    with pytest.raises(InvalidRequest) as caught:
        check(ExtendRequest(**{"task_id": "t-1", "prompt": "on", **options}), KIE)
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    "request_",
    [
        UpgradeRequest("t-1"),
        UpgradeRequest("t-1", "4k", index=1, callback_url="https://me.example"),
        UpgradeRequest(after_key="row 17"),
        ExtendRequest(prompt="and on", after_key="row 17"),
    ],
)
def test_valid_follow_ups_have_no_problems(request_: ExtendRequest | UpgradeRequest) -> None:
    """The source is a task, or a job with any key."""
    check(request_, KIE)


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        (UpgradeRequest(), "task_id", "not a task id"),
        (UpgradeRequest("t-1", "8k"), "to", "one of 1080p, 4k"),
        (UpgradeRequest("t-1", index=-1), "index", "0 or more"),
        (UpgradeRequest("t-1", "4k", callback_url="x"), "callback_url", "http"),
        (UpgradeRequest("t-1", after_key="row"), "after", "combined with task_id"),
        (UpgradeRequest(after_key=""), "after", "is not a job key"),
        (UpgradeRequest("1080p:t-1"), "task_id", "already an upgrade to 1080p"),
        (UpgradeRequest("t-1\ud800"), "task_id", "surrogate"),
        (ExtendRequest("1080p:t-1", "on"), "task_id", "can no longer be extended"),
        (ExtendRequest("4k:t-1", "on"), "task_id", "is an upgrade"),
    ],
)
def test_follow_up_needs_one_valid_source(request_: ExtendRequest | UpgradeRequest, field: str, message: str) -> None:
    """The source must be one thing, and one that can be extended or upgraded."""
    with pytest.raises(InvalidRequest, match=message) as caught:
        check(request_, KIE)
    assert caught.value.problems[0].field == field


@pytest.mark.parametrize("upgrade", [UpgradeRequest("t-1"), UpgradeRequest("t-1", "4k"), UpgradeRequest("t", index=2)])
def test_task_id_of_an_upgrade_round_trips(upgrade: UpgradeRequest) -> None:
    """The request is read back from the task id."""
    assert upgrade_from_name(upgrade.task_name) == upgrade


@pytest.mark.parametrize("name", ["4c9a31a5bb61db65d10f1210d78cc08a", "veo_task_1", "1080p", "1080p:", "8k:t", ""])
def test_other_task_ids_are_not_upgrades(name: str) -> None:
    """Ids of the provider are not ours."""
    assert upgrade_from_name(name) is None


@pytest.mark.parametrize("task_id", ["t", "veo_task_abcdef123456", "bf3e7adb-fb6c", "a/b?c=d", "x" * 200])
def test_task_ids_are_opaque(task_id: str) -> None:
    """Anything that could be an id is accepted."""
    assert list(task_id_problems(task_id)) == []


@pytest.mark.parametrize("task_id", ["", " ", "a b", "a\n", "a\x00", "\u2028", "\ud800", "ü", "x" * 201])
def test_impossible_task_ids_are_problems(task_id: str) -> None:
    """Spaces, control characters and very long texts are not ids."""
    assert [problem.field for problem in task_id_problems(task_id)] == ["task_id"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://a.example", None),
        ("HTTP://a.example/x?y#z", None),
        ("http://127.0.0.1:8080/cb", None),
        ("http://[::1]/cb", None),
        ("https://bücher.example/ü", None),
        ("", "must start with http:// or https://"),
        ("a.example", "must start with http:// or https://"),
        ("ftp://a.example", "must start with http:// or https://"),
        ("https://", "has no host"),
        ("https:///x", "has no host"),
        ("https://:80", "has no host"),
        ("https://a.example/a b", "contains a space or a control character"),
        (" https://a.example", "contains a space or a control character"),
        ("https://a.example/\n", "contains a space or a control character"),
        ("https://a.example/\u202e", "contains a space or a control character"),
        ("https://a.example/\ud800", "contains a space or a control character"),
        ("http://[::1", "is not a URL"),
        ("http://a.example:port/", "is not a URL"),
        ("http://a.example:99999/", "is not a URL"),
    ],
)
def test_url_problem_says_why_a_url_is_unusable(url: str, problem: str | None) -> None:
    """Only http(s) URLs with a host that a server could download are accepted."""
    assert url_problem(url) == problem


@pytest.mark.parametrize(
    ("request_", "is_hinted"),
    [
        (video(model="veo9"), True),
        (video(duration=5), True),
        (video(generation_type=REFERENCE, image_urls=ONE, model="veo3"), True),
        (ExtendRequest("t-1", "on", model="turbo"), True),
        (video(prompt=""), False),
        (video(seeds=1), False),
        (video(image_urls=THREE), False),
        (UpgradeRequest("t-1", "8k"), False),
        (video(model=""), False),
        (video(aspect_ratio=" "), False),
        (video(aspect_ratio="auto"), False),
        (video(resolution="4K"), False),
        (ExtendRequest("t-1", "on", model=""), False),
    ],
)
def test_only_values_outside_a_known_set_hint_at_validate_false(request_: Any, is_hinted: bool) -> None:
    """A newer value may be valid; an empty prompt, a wrong seed or a known value in capitals never is."""
    with pytest.raises(InvalidRequest) as caught:
        check(request_, KIE)
    assert ("pass validate=False" in str(caught.value)) is is_hinted


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            video(model="veo3_fsat"),
            "model='veo3_fsat': must be one of veo3, veo3_fast, veo3_lite. Did you mean 'veo3_fast'? If ",
        ),
        (video(model="VEO3"), "model='VEO3': must be one of veo3, veo3_fast, veo3_lite. Did you mean 'veo3'?"),
        (video(generation_type="TEXT_TO_VIDEO"), "Did you mean 'TEXT_2_VIDEO'?"),
        (video(resolution="1080"), "resolution='1080': must be one of 720p, 1080p, 4k. Did you mean '1080p'?"),
        (UpgradeRequest("t-1", "1080"), "to='1080': must be one of 1080p, 4k. Did you mean '1080p'?"),
        (
            ExtendRequest("t-1", "on", model="lit"),
            "must be one of quality, fast, lite. Did you mean 'lite'?",
        ),
    ],
)
def test_misspelled_value_names_the_nearest_one(request_: Any, text: str) -> None:
    """The list of values comes first, then what was probably meant."""
    with pytest.raises(InvalidRequest) as caught:
        check(request_, KIE)
    assert text in str(caught.value)


@pytest.mark.parametrize("request_", [video(model="sora"), video(duration=60), video(resolution="")])
def test_value_that_is_like_no_other_has_no_suggestion(request_: Any) -> None:
    """A wrong suggestion is worse than none."""
    with pytest.raises(InvalidRequest) as caught:
        check(request_, KIE)
    assert "Did you mean" not in str(caught.value)


def test_rule_and_remedy_do_not_repeat_each_other() -> None:
    """No remedy consists mostly of words that the rule has already."""
    requests = [video(**options) for options, *_ in BAD]
    requests += [video(callback_url=url, image_urls=[url]) for url in ("ftp://a.example", "x", "http://", "http://a b")]
    for request in requests:
        for problem in problems_of(request, KIE):
            rule, remedy = ({word.strip(",.;:") for word in text.split()} for text in (problem.rule, problem.remedy))
            assert len(rule & remedy) <= len(remedy) / 3, problem
            assert not ("http" in problem.rule and "http" in problem.remedy), problem
