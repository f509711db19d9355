"""One test per row of the contradiction table in the wire reference: whichever form comes, we cope.

Where the forms lie on the sending side, the test says which one we send.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from veo_async import errors
from veo_async._wire import APIKLEY, KIE, Record, TaskState, VideoRequest, check, codes, problems_of
from veo_async._wire.converter import to_wire

from .recordings import envelope, json_of, read_json

CLIP = "http://example.com/video1.mp4"


def record(**data: Any) -> Record:
    """A record whose ``data`` holds just this."""
    found: Record = read_json("record-info", envelope(data))
    return found


def test_aspect_ratio_key() -> None:
    """Snake case goes to kie, camel case to Apikley, never both; either is understood in the provider's echo."""
    request = VideoRequest("a dog", aspect_ratio="9:16")
    assert to_wire(request, KIE)["aspect_ratio"] == "9:16"
    assert "aspectRatio" not in to_wire(request, KIE)
    assert to_wire(request, APIKLEY)["aspectRatio"] == "9:16"
    assert "aspect_ratio" not in to_wire(request, APIKLEY)
    assert record(paramJson='{"aspectRatio":"9:16"}').params == {"aspectRatio": "9:16"}


def test_default_model() -> None:
    """The pages name two defaults, so the model is always sent."""
    assert to_wire(VideoRequest("a dog"), KIE)["model"] == "veo3_fast"
    assert to_wire(VideoRequest("a dog"), APIKLEY)["model"] == "veo3_fast"


@pytest.mark.parametrize("wanted", [True, False])
def test_enable_translation_default(*, wanted: bool) -> None:
    """The pages name two defaults, so the wish is always sent, False as well as True."""
    assert to_wire(VideoRequest("a dog", enable_translation=wanted), KIE)["enableTranslation"] is wanted


def test_status_field() -> None:
    """``successFlag`` and the ``status`` of 2025 say the same; with both, today's name counts."""
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
def test_success_flag_enum(flag: Any, state: TaskState) -> None:
    """0 to 3 as number or string; anything else is unknown, which ends nothing."""
    found = record(successFlag=flag, errorMessage="beside it")
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
def test_result_list(data: dict[str, Any]) -> None:
    """The finished video is found in each of the places and shapes."""
    assert record(successFlag=1, **data).urls == (CLIP,)


@pytest.mark.parametrize("nothing", [{}, {"resultUrls": None}, {"resultUrls": []}, {"response": {"resultUrls": ""}}])
def test_result_list_missing_on_success(nothing: dict[str, Any]) -> None:
    """A success without URLs is no error of the reader: there just are none yet."""
    found = record(successFlag=1, **nothing)
    assert found.state is TaskState.SUCCEEDED
    assert found.urls == ()


@pytest.mark.parametrize(
    "listed",
    [[CLIP], f'["{CLIP}"]', f"[{CLIP}]", f"['{CLIP}']", CLIP, f" [ {CLIP} ] ", f'"{CLIP}"', [f" {CLIP}"], [CLIP, CLIP]],
)
def test_callback_result_list(listed: Any) -> None:
    """A callback's list is read as array, JSON string, unquoted bracket list and bare URL."""
    data = {"taskId": "t", "info": {"resultUrls": listed}}
    assert read_json("callback", envelope(data)).urls == (CLIP,)


@pytest.mark.parametrize(
    "written",
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
def test_times(written: Any) -> None:
    """Epoch milliseconds, the two written forms and their relatives name the same instant, in UTC."""
    found = record(createTime=written, completeTime=written)
    assert found.created_at == found.completed_at == datetime(2025, 6, 6, 10, 30, tzinfo=UTC)
    assert found.created_at is not None
    assert found.created_at.tzinfo is UTC


@pytest.mark.parametrize("code", [400, 422, 500, 501, "500", None])
def test_error_code(code: int | str | None) -> None:
    """Codes beyond the documented three are kept, and none is none."""
    failure = record(successFlag=3, errorCode=code, errorMessage="failed").failure
    assert failure is not None
    assert failure.code == (None if code is None else int(code))


@pytest.mark.parametrize("nothing", ["", None])
def test_error_message_on_success(nothing: str | None) -> None:
    """An empty message and none are both no message, and never the word None."""
    assert record(successFlag=1, errorMessage=nothing).error_message is None
    failed = record(successFlag=3, errorMessage=nothing).failure
    assert failed is not None
    assert failed.message == ""
    assert "None" not in str(failed.error())


@pytest.mark.parametrize("status", [200, 402])
def test_error_transport(status: int) -> None:
    """The same refusal comes out of HTTP 200 with a body code and out of that HTTP status."""
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
def test_1080p_not_ready(status: int, code: int, message: str) -> None:
    """The sentence makes it 'not yet', whichever doubtful code it comes with; asking again is safe."""
    with pytest.raises(errors.NotReady) as caught:
        read_json("get-1080p-video", envelope(None, code=code, msg=message), status=status)
    assert caught.value.retryable
    assert caught.value.body_code == code


def test_not_yet_is_told_from_nothing_to_make_it_from() -> None:
    """Both are "not yet" to who asks again; to who asks first only one of them means that it is being made."""
    assert codes.is_source_missing("record status is not success.")
    assert codes.is_source_missing("record result data is blank.")
    assert not codes.is_source_missing("1080P is processing. It should be ready in 1-2 minutes.")


def test_a_4k_version_that_is_unavailable() -> None:
    """The callbacks page's sentence ends it; other broken answers do not."""
    assert codes.is_upgrade_unavailable("The 4K version of this video is unavailable. Please try a different video.")
    assert not codes.is_upgrade_unavailable("Internal Error, Please try again later.")


@pytest.mark.parametrize("data", [None, {}, {"resultUrl": None}, {"resultUrl": ""}, {"resultUrl": "soon"}])
def test_1080p_not_ready_as_success(data: Any) -> None:
    """A success without a URL is 'not yet' too."""
    with pytest.raises(errors.NotReady):
        read_json("get-1080p-video", envelope(data))


@pytest.mark.parametrize("code", [401, 402, 404, 429, 451, 455, 505])
def test_1080p_clear_answers_stay_clear(code: int) -> None:
    """A code with one meaning keeps it, whatever its sentence sounds like."""
    with pytest.raises(errors.ApiError) as caught:
        read_json("get-1080p-video", envelope(None, code=code, msg="still processing, check back shortly"))
    assert not isinstance(caught.value, errors.NotReady)


@pytest.mark.parametrize("endpoint", ["get-1080p-video", "get-4k-video", "record-info"])
def test_an_error_while_processing_is_no_not_yet(endpoint: str) -> None:
    """The documented sentence of the 500, 'while processing the request', promises no video."""
    message = "Server Error - An unexpected error occurred while processing the request"
    with pytest.raises(errors.ServerError):
        read_json(endpoint, envelope(None, code=500, msg=message))


@pytest.mark.parametrize("endpoint", ["generate", "extend"])
def test_1080p_sentence_on_a_creating_page(endpoint: str) -> None:
    """The generate page lists the 1080p sentence by a slip: there it is a rejected request."""
    with pytest.raises(errors.RequestRejected) as caught:
        read_json(endpoint, json_of("real/get-1080p-video.processing-400"))
    assert not isinstance(caught.value, errors.NotReady)


@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize("code", [200, 422])
def test_4k_done(code: int, status: int) -> None:
    """The URLs make it done, as code 200 and as code 422, over HTTP 200 and HTTP 422."""
    body = json_of("openapi/get-4k-video.ready-as-422") | {"code": code}
    found = read_json("get-4k-video", body, status=status)
    assert found.is_ready
    assert found.urls == ("https://tempfile.aiquickdraw.com/v/example_task_1234567890.mp4",)


def test_4k_first_and_still_processing() -> None:
    """The first call is accepted without URLs; the repeated one says 'not yet' and names the task."""
    assert not read_json("get-4k-video", json_of("openapi/get-4k-video.first")).is_ready
    with pytest.raises(errors.NotReady) as caught:
        read_json("get-4k-video", json_of("openapi/get-4k-video.processing"))
    assert caught.value.task_id == "veo_task_abcdef123456"


def test_4k_callback() -> None:
    """Camel case within ``info`` and snake case within ``data`` give the same fields."""
    camel = read_json("callback", json_of("openapi/callback.4k-camel-case"))
    snake = read_json("callback", json_of("openapi/callback.4k-snake-case"))
    for callback in (camel, snake):
        assert callback.task_id
        assert [url.endswith(".mp4") for url in callback.urls] == [True]
        assert [url.endswith(".jpg") for url in callback.image_urls] == [True]


@pytest.mark.parametrize("ratio", ["16:9", "9:16", "Auto"])
def test_1080p_ratios(ratio: str) -> None:
    """The wider reading holds: no ratio is refused for the sake of 1080p; the provider has the last word."""
    check(VideoRequest("a dog", aspect_ratio=ratio, resolution="1080p"), KIE)


@pytest.mark.parametrize("resolution", ["720p", "1080p"])
def test_fallback_resolution(resolution: str) -> None:
    """Whatever a fallback video measures, it is told as it was sent."""
    found = record(successFlag=1, fallbackFlag=True, response={"resolution": resolution})
    assert (found.fallback, found.resolution) == (True, resolution)


@pytest.mark.parametrize(
    "task_id",
    ["veo_task_abcdef123456", "4c9a31a5bb61db65d10f1210d78cc08a", "bf3e7adb-fb6c-4257-bbcd-470787386fb0"],
)
def test_task_id(task_id: str) -> None:
    """Ids of every form are opaque words."""
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
def test_upload_answer(data: dict[str, Any], url: str) -> None:
    """The download URL if it is one, else the file's URL."""
    assert read_json("file-stream-upload", envelope(data)).url == url


def test_upload_retention() -> None:
    """The pages disagree about it, so nothing is assumed: the time is told only where it was sent."""
    url = "https://a.example/x"
    told = {"downloadUrl": url, "expiresAt": "2025-01-18T10:30:00Z"}
    assert read_json("file-url-upload", envelope({"downloadUrl": url})).expires_at is None
    assert read_json("file-url-upload", envelope(told)).expires_at == datetime(2025, 1, 18, 10, 30, tzinfo=UTC)


def test_reference_models_and_ratio() -> None:
    """kie gets the newest reading (fast and lite, both ratios, 8 s), Apikley its own page's (fast, 16:9)."""

    def broken(dialect: Any, **options: Any) -> list[str]:
        request = VideoRequest(
            "a dog", image_urls=[CLIP], generation_type="REFERENCE_2_VIDEO", **{"model": "veo3_fast", **options}
        )
        return [fault.field for fault in problems_of(request, dialect)]

    assert broken(KIE) == broken(APIKLEY) == []
    assert broken(KIE, model="veo3_lite", aspect_ratio="9:16", duration=8) == []
    assert broken(KIE, model="veo3") == ["model"]
    assert broken(KIE, duration=6) == ["duration"]
    assert broken(KIE, aspect_ratio="Auto") == ["aspect_ratio"]
    assert broken(APIKLEY, aspect_ratio="9:16") == ["aspect_ratio"]


def test_seeds_on_generate() -> None:
    """A seed is sent where one is wanted and left out where none is; the answer's list is read."""
    assert to_wire(VideoRequest("a dog", seeds=12345), KIE)["seeds"] == 12345
    assert "seeds" not in to_wire(VideoRequest("a dog"), KIE)
    assert record(response={"seeds": [61668]}).seeds == record(response={"seeds": 61668}).seeds == (61668,)


@pytest.mark.parametrize(("sent", "balance"), [(100, 100.0), (812.5, 812.5), (0, 0.0), (-3.5, -3.5)])
def test_credits_type(sent: float, balance: float) -> None:
    """Whole and broken balances are both numbers; an empty account is no missing answer."""
    assert read_json("credit", envelope(sent)).balance == balance


@pytest.mark.parametrize("sent", [None, "100", True, [100], {"balance": 100}])
def test_credits_of_another_type(sent: Any) -> None:
    """What is no number is never made one."""
    with pytest.raises(errors.MalformedResponse):
        read_json("credit", envelope(sent))


def test_input_images_are_never_results() -> None:
    """URLs inside the echoed request are nobody's video, whatever else is missing."""
    found = record(successFlag=1, paramJson='{"imageUrls":["https://in.example/a.png"],"resultUrls":["https://in/b"]}')
    assert found.urls == found.image_urls == found.full_urls == found.origin_urls == ()
    as_object = record(successFlag=1, paramJson={"resultUrls": ["https://in.example/b.mp4"]})
    assert as_object.urls == ()
    told = envelope({"taskId": "t", "promptJson": {"imageUrls": ["https://in.example/a.png"]}})
    assert read_json("callback", told).urls == read_json("callback", told).image_urls == ()


@pytest.mark.parametrize("status", [200, 500])
def test_failed_record_in_a_refusing_envelope(status: int) -> None:
    """A non-200 envelope with ``data.errorMessage`` is a failed task, with all that ``data`` tells beside it."""
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
def test_a_refused_question_fails_no_task(code: int, kind: type[errors.ApiError]) -> None:
    """A code about the question stays an error of the question, even with ``data.errorMessage`` beside it."""
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
def test_only_an_error_message_makes_it_a_failed_task(
    data: dict[str, Any], message: str, kind: type[errors.ApiError]
) -> None:
    """An object in ``data`` that tells of no error fails no task, whatever else it holds."""
    with pytest.raises(errors.ApiError) as caught:
        read_json("record-info", envelope(data, code=422, msg=message))
    assert type(caught.value) is kind
