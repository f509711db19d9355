"""One test per contradiction in the provider's documentation: every documented form is accepted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from veo_async import errors
from veo_async._wire import APIKLEY, KIE, VEO, Record, TaskState, VideoRequest, check, codes, problems_of

from .recordings import envelope, json_of, read_json

CLIP = "http://example.com/video1.mp4"


def record(**data: Any) -> Record:
    """Return a record whose ``data`` contains exactly this."""
    found: Record = read_json("record-info", envelope(data))
    return found


def test_aspect_ratio_is_spelled_by_the_dialect() -> None:
    """Snake case for kie, camel case for Apikley, never both; the provider's echo is read in either."""
    request = VideoRequest("a dog", aspect_ratio="9:16")
    assert VEO.body(request, KIE)["aspect_ratio"] == "9:16"
    assert "aspectRatio" not in VEO.body(request, KIE)
    assert VEO.body(request, APIKLEY)["aspectRatio"] == "9:16"
    assert "aspect_ratio" not in VEO.body(request, APIKLEY)
    assert record(paramJson='{"aspectRatio":"9:16"}').params == {"aspectRatio": "9:16"}


def test_model_is_always_sent() -> None:
    """The documentation names two defaults, so none is relied on."""
    assert VEO.body(VideoRequest("a dog"), KIE)["model"] == "veo3_fast"
    assert VEO.body(VideoRequest("a dog"), APIKLEY)["model"] == "veo3_fast"


@pytest.mark.parametrize("enabled", [True, False])
def test_translation_is_always_sent(*, enabled: bool) -> None:
    """The documentation names two defaults, so False is sent as well as True."""
    assert VEO.body(VideoRequest("a dog", enable_translation=enabled), KIE)["enableTranslation"] is enabled


def test_state_is_read_from_either_field() -> None:
    """``successFlag`` and the ``status`` of 2025 mean the same; ``successFlag`` counts if both have a value."""
    assert record(successFlag=1).state is record(status=1).state is TaskState.SUCCEEDED
    assert record(status=3, successFlag=0).state is TaskState.GENERATING
    assert record(status=1, successFlag=None).state is TaskState.SUCCEEDED


@pytest.mark.parametrize(
    ("flag", "state"),
    [
        (0, TaskState.GENERATING),
        (1, TaskState.SUCCEEDED),
        (2, TaskState.FAILED),
        (3, TaskState.FAILED),
        ("0", TaskState.GENERATING),
        ("1", TaskState.SUCCEEDED),
        ("2", TaskState.FAILED),
        ("3", TaskState.FAILED),
        (7, TaskState.UNKNOWN),
        (-1, TaskState.UNKNOWN),
        (None, TaskState.UNKNOWN),
        (True, TaskState.UNKNOWN),
        (1.0, TaskState.UNKNOWN),
        ("SUCCESS", TaskState.UNKNOWN),
        ([1], TaskState.UNKNOWN),
    ],
)
def test_unknown_flags_are_unknown_states(flag: Any, state: TaskState) -> None:
    """0 to 3 count as number or string; anything else is unknown, which ends no task."""
    found = record(successFlag=flag, errorMessage="failed")
    assert found.state is state
    assert (found.failure is not None) is (state is TaskState.FAILED)
    assert found.raw["successFlag"] == flag


@pytest.mark.parametrize(
    "data",
    [
        {"response": {"resultUrls": [CLIP]}},
        {"resultUrls": f'["{CLIP}"]'},
        {"resultUrls": [CLIP], "response": None},
        {"info": {"resultUrls": [CLIP]}},
        {"info": {"resultUrls": f'["{CLIP}"]'}},
        {"response": {"resultUrls": f"[{CLIP}]"}},
        {"resultUrls": None, "response": {"resultUrls": [CLIP]}},
        {"resultUrls": "[]", "response": {"resultUrls": [CLIP]}},
    ],
)
def test_result_urls_are_found_in_every_place_and_shape(data: dict[str, Any]) -> None:
    """The finished video is found in each documented place and shape."""
    assert record(successFlag=1, **data).urls == (CLIP,)


@pytest.mark.parametrize("nothing", [{}, {"resultUrls": None}, {"resultUrls": []}, {"response": {"resultUrls": ""}}])
def test_success_without_urls_is_not_an_error(nothing: dict[str, Any]) -> None:
    """The record may list its URLs later."""
    found = record(successFlag=1, **nothing)
    assert found.state is TaskState.SUCCEEDED
    assert found.urls == ()


@pytest.mark.parametrize(
    "listed",
    [[CLIP], f'["{CLIP}"]', f"[{CLIP}]", f"['{CLIP}']", CLIP, f" [ {CLIP} ] ", f'"{CLIP}"', [f" {CLIP}"], [CLIP, CLIP]],
)
def test_callback_urls_are_read_in_every_shape(listed: Any) -> None:
    """An array, a JSON string, an unquoted list in brackets and a bare URL give the same result."""
    data = {"taskId": "t", "info": {"resultUrls": listed}}
    assert read_json("callback", envelope(data)).urls == (CLIP,)


@pytest.mark.parametrize(
    "raw",
    [
        1749205800000,
        1749205800,
        1749205800000.0,
        "1749205800000",
        "1749205800",
        "2025-06-06 10:30:00",
        "2025-06-06T10:30:00Z",
        "2025-06-06T10:30:00.000+00:00",
        "2025-06-06T13:30:00+03:00",
    ],
)
def test_times_in_every_form_are_the_same_instant(raw: Any) -> None:
    """Epoch milliseconds, the written forms and their variants name the same time in UTC."""
    found = record(createTime=raw, completeTime=raw)
    assert found.created_at == found.completed_at == datetime(2025, 6, 6, 10, 30, tzinfo=UTC)
    assert found.created_at is not None
    assert found.created_at.tzinfo is UTC


@pytest.mark.parametrize("code", [400, 422, 500, 501, "500", None])
def test_undocumented_error_codes_are_kept(code: int | str | None) -> None:
    """Codes beyond the documented three are kept; a missing code is None."""
    failure = record(successFlag=3, errorCode=code, errorMessage="failed").failure
    assert failure is not None
    assert failure.code == (None if code is None else int(code))


@pytest.mark.parametrize("nothing", ["", None])
def test_empty_and_missing_error_messages_are_equal(nothing: str | None) -> None:
    """Neither becomes the word None."""
    assert record(successFlag=1, errorMessage=nothing).error_message is None
    failed = record(successFlag=3, errorMessage=nothing).failure
    assert failed is not None
    assert failed.message == ""
    assert "None" not in str(failed.error())


@pytest.mark.parametrize("status", [200, 402])
def test_error_is_the_same_in_body_and_as_http_status(status: int) -> None:
    """HTTP 200 with a body code and the HTTP status give the same error."""
    with pytest.raises(errors.InsufficientCredits) as caught:
        read_json("generate", json_of("real/generate.no-credits"), status=status)
    assert caught.value.http_status == status
    assert caught.value.body_code == 402


@pytest.mark.parametrize("status", [200, 400, 422])
@pytest.mark.parametrize("code", [400, 422, 500, 501, 499])
@pytest.mark.parametrize(
    "message",
    [
        "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
        "Video not ready",
        "Please CHECK BACK later",
        "record status is not success.",
        "record result data is blank.",
        "record result data not exist.",
        "record result data is empty.",
    ],
)
def test_not_ready_message_decides_for_ambiguous_codes(status: int, code: int, message: str) -> None:
    """Any ambiguous code with such a message means "not ready", which is safe to repeat."""
    with pytest.raises(errors.NotReady) as caught:
        read_json("get-1080p-video", envelope(None, code=code, msg=message), status=status)
    assert caught.value.retryable
    assert caught.value.body_code == code


def test_missing_source_differs_from_an_upgrade_in_progress() -> None:
    """For a first request only one of the messages means that the upgrade has started."""
    assert codes.is_source_missing("record status is not success.")
    assert codes.is_source_missing("record result data is blank.")
    assert not codes.is_source_missing("1080P is processing. It should be ready in 1-2 minutes.")


@pytest.mark.parametrize(
    ("code", "message", "has_failed"),
    [
        (500, "The 4K version of this video is unavailable. Please try a different video.", True),
        (500, "Your prompt was flagged by Website as violating content policies.", True),
        (500, "Internal Error, Please try again later.", False),
        (501, "Failed - Video generation task failed", True),
        (422, "Fallback videos cannot be upgraded.", True),
        (401, "Unauthorized", False),
        (429, "Your call frequency is too high.", False),
        (None, "", False),
    ],
)
def test_upgrade_has_failed_with_the_codes_of_failed_tasks(code: int | None, message: str, has_failed: bool) -> None:
    """A 500 needs a message that says so; errors about the account or the server are not about the upgrade."""
    assert codes.is_upgrade_failure(code, message) is has_failed


@pytest.mark.parametrize("data", [None, {}, {"resultUrl": None}, {"resultUrl": ""}, {"resultUrl": "soon"}])
def test_success_without_a_url_is_not_ready(data: Any) -> None:
    """Code 200 without a URL also means "not ready"."""
    with pytest.raises(errors.NotReady):
        read_json("get-1080p-video", envelope(data))


@pytest.mark.parametrize("code", [401, 402, 404, 429, 451, 455, 505])
def test_unambiguous_codes_ignore_the_message(code: int) -> None:
    """A code with one meaning keeps it, regardless of its message."""
    with pytest.raises(errors.ApiError) as caught:
        read_json("get-1080p-video", envelope(None, code=code, msg="still processing, check back shortly"))
    assert not isinstance(caught.value, errors.NotReady)


@pytest.mark.parametrize("endpoint", ["get-1080p-video", "get-4k-video", "record-info"])
def test_error_while_processing_is_a_server_error(endpoint: str) -> None:
    """The documented message of code 500, "while processing the request", does not mean "not ready"."""
    message = "Server Error - An unexpected error occurred while processing the request"
    with pytest.raises(errors.ServerError):
        read_json(endpoint, envelope(None, code=500, msg=message))


@pytest.mark.parametrize("endpoint", ["generate", "extend"])
def test_not_ready_message_of_a_creating_request_is_a_rejection(endpoint: str) -> None:
    """The documentation of generate lists the 1080p message by mistake."""
    with pytest.raises(errors.RequestRejected) as caught:
        read_json(endpoint, json_of("real/get-1080p-video.processing-400"))
    assert not isinstance(caught.value, errors.NotReady)


@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize("code", [200, 422])
def test_4k_video_with_urls_is_ready_for_every_code(code: int, status: int) -> None:
    """Code 200 and code 422, over HTTP 200 and HTTP 422: the URLs decide."""
    body = json_of("openapi/get-4k-video.ready-as-422") | {"code": code}
    found = read_json("get-4k-video", body, status=status)
    assert found.is_ready
    assert found.urls == ("https://tempfile.aiquickdraw.com/v/example_task_1234567890.mp4",)


def test_4k_is_accepted_first_and_then_not_ready() -> None:
    """The first response has no URLs; the repeated request gets "not ready" with the task id."""
    assert not read_json("get-4k-video", json_of("openapi/get-4k-video.first")).is_ready
    with pytest.raises(errors.NotReady) as caught:
        read_json("get-4k-video", json_of("openapi/get-4k-video.processing"))
    assert caught.value.task_id == "veo_task_abcdef123456"


def test_4k_callback_is_read_in_both_spellings() -> None:
    """Camel case in ``info`` and snake case in ``data`` give the same fields."""
    camel = read_json("callback", json_of("openapi/callback.4k-camel-case"))
    snake = read_json("callback", json_of("openapi/callback.4k-snake-case"))
    for callback in (camel, snake):
        assert callback.task_id
        assert [url.endswith(".mp4") for url in callback.urls] == [True]
        assert [url.endswith(".jpg") for url in callback.image_urls] == [True]


@pytest.mark.parametrize("ratio", ["16:9", "9:16", "Auto"])
def test_every_ratio_is_allowed_in_1080p(ratio: str) -> None:
    """The permissive rule counts; the provider decides."""
    check(VideoRequest("a dog", aspect_ratio=ratio, resolution="1080p"), KIE)


@pytest.mark.parametrize("resolution", ["720p", "1080p"])
def test_resolution_of_a_fallback_is_kept(resolution: str) -> None:
    """The resolution is reported as it was sent."""
    found = record(successFlag=1, fallbackFlag=True, response={"resolution": resolution})
    assert (found.fallback, found.resolution) == (True, resolution)


@pytest.mark.parametrize(
    "task_id",
    ["veo_task_abcdef123456", "4c9a31a5bb61db65d10f1210d78cc08a", "bf3e7adb-fb6c-4257-bbcd-470787386fb0"],
)
def test_task_ids_of_every_form_are_accepted(task_id: str) -> None:
    """Ids are opaque."""
    assert read_json("generate", envelope({"taskId": task_id})).task_id == task_id
    assert record(taskId=task_id).task_id == task_id
    assert read_json("callback", envelope({"taskId": task_id})).task_id == task_id


@pytest.mark.parametrize(
    ("data", "url"),
    [
        ({"downloadUrl": "https://a.example/x"}, "https://a.example/x"),
        ({"downloadUrl": "https://a.example/x", "fileUrl": "https://b.example/x"}, "https://a.example/x"),
        ({"fileUrl": "https://b.example/x"}, "https://b.example/x"),
        ({"downloadUrl": None, "fileUrl": "https://b.example/x"}, "https://b.example/x"),
        ({"downloadUrl": "pending", "fileUrl": " https://b.example/x "}, "https://b.example/x"),
    ],
)
def test_upload_url_is_the_download_url_or_else_the_file_url(data: dict[str, Any], url: str) -> None:
    """``downloadUrl`` counts if it is a URL, otherwise ``fileUrl``."""
    assert read_json("file-stream-upload", envelope(data)).url == url


def test_expiry_of_an_upload_is_read_and_never_assumed() -> None:
    """The documentation contradicts itself, so the time is only known if it was sent."""
    url = "https://a.example/x"
    with_expiry = {"downloadUrl": url, "expiresAt": "2025-01-18T10:30:00Z"}
    assert read_json("file-url-upload", envelope({"downloadUrl": url})).expires_at is None
    assert read_json("file-url-upload", envelope(with_expiry)).expires_at == datetime(2025, 1, 18, 10, 30, tzinfo=UTC)


def test_limits_of_reference_images_depend_on_the_dialect() -> None:
    """kie has the newest rule (fast and lite, both ratios, 8 s), Apikley its own (fast, 16:9)."""

    def broken(dialect: Any, **options: Any) -> list[str]:
        request = VideoRequest(
            "a dog", image_urls=[CLIP], generation_type="REFERENCE_2_VIDEO", **{"model": "veo3_fast", **options}
        )
        return [problem.field for problem in problems_of(request, dialect)]

    assert broken(KIE) == broken(APIKLEY) == []
    assert broken(KIE, model="veo3_lite", aspect_ratio="9:16", duration=8) == []
    assert broken(KIE, model="veo3") == ["model"]
    assert broken(KIE, duration=6) == ["duration"]
    assert broken(KIE, aspect_ratio="Auto") == ["aspect_ratio"]
    assert broken(APIKLEY, aspect_ratio="9:16") == ["aspect_ratio"]


def test_seed_is_sent_if_set_and_read_as_a_list() -> None:
    """The request has one number, the response a list."""
    assert VEO.body(VideoRequest("a dog", seeds=12345), KIE)["seeds"] == 12345
    assert "seeds" not in VEO.body(VideoRequest("a dog"), KIE)
    assert record(response={"seeds": [61668]}).seeds == record(response={"seeds": 61668}).seeds == (61668,)


@pytest.mark.parametrize(("sent", "balance"), [(100, 100.0), (812.5, 812.5), (0, 0.0), (-3.5, -3.5)])
def test_balance_may_be_whole_or_fractional(sent: float, balance: float) -> None:
    """Both are numbers, and an empty account is not a missing value."""
    assert read_json("credit", envelope(sent)).balance == balance


@pytest.mark.parametrize("sent", [None, "100", True, [100], {"balance": 100}])
def test_balance_of_another_type_is_malformed(sent: Any) -> None:
    """Other types are never converted to a number."""
    with pytest.raises(errors.MalformedResponse):
        read_json("credit", envelope(sent))


def test_urls_of_input_images_are_never_results() -> None:
    """URLs in the echoed request are not results, even if nothing else is present."""
    found = record(successFlag=1, paramJson='{"imageUrls":["https://in.example/a.png"],"resultUrls":["https://in/b"]}')
    assert found.urls == found.image_urls == found.full_urls == found.origin_urls == ()
    as_object = record(successFlag=1, paramJson={"resultUrls": ["https://in.example/b.mp4"]})
    assert as_object.urls == ()
    callback = envelope({"taskId": "t", "promptJson": {"imageUrls": ["https://in.example/a.png"]}})
    assert read_json("callback", callback).urls == read_json("callback", callback).image_urls == ()


@pytest.mark.parametrize("status", [200, 500])
def test_error_response_with_an_error_message_is_a_failed_task(status: int) -> None:
    """``data.errorMessage`` makes it a failed task with all other fields of ``data``."""
    data = {"taskId": "t", "errorMessage": "Image fetch failed.", "response": {"taskId": "t", "seeds": [61668]}}
    found = read_json("record-info", envelope(data, code=500, msg="Task generation failed"), status=status)
    assert found.state is TaskState.FAILED
    assert (found.task_id, found.error_code, found.seeds) == ("t", 500, (61668,))
    assert found.failure.message == "Image fetch failed."
    kept = read_json("record-info", envelope({**data, "successFlag": 0, "errorCode": 400}, code=500))
    assert (kept.flag, kept.error_code) == (0, 400)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, errors.Unauthorized),
        (404, errors.NotFound),
        (429, errors.RateLimited),
        (433, errors.KeyLimitReached),
        (455, errors.Maintenance),
        (599, errors.ServerError),
    ],
)
def test_error_about_the_request_does_not_fail_the_task(code: int, kind: type[errors.ApiError]) -> None:
    """Codes about the request stay errors of the request, even with ``data.errorMessage``."""
    with pytest.raises(kind):
        read_json("record-info", envelope({"errorMessage": "Your call frequency is too high."}, code=code))


@pytest.mark.parametrize(
    ("data", "message", "kind"),
    [
        ({}, "record is null.", errors.RecordNotFound),
        ({"taskId": "t"}, "Temporarily supports records within 14 days.", errors.RecordExpired),
        ({"taskId": "t", "errorMessage": ""}, "record status is not success.", errors.NotReady),
        ({"taskId": "t", "errorMessage": None}, "no", errors.RequestRejected),
        ({"taskId": "t", "errorCode": 500}, "no", errors.RequestRejected),
    ],
)
def test_data_without_an_error_message_fails_no_task(
    data: dict[str, Any], message: str, kind: type[errors.ApiError]
) -> None:
    """Other fields in ``data`` do not make it a failed task."""
    with pytest.raises(errors.ApiError) as caught:
        read_json("record-info", envelope(data, code=422, msg=message))
    assert type(caught.value) is kind
