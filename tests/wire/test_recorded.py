"""Every recorded response is decoded to the exact value or error that the documentation implies."""

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from veo_async import errors
from veo_async._wire import (
    Accepted,
    Callback,
    Credits,
    DownloadLink,
    HdVideo,
    HttpResponse,
    Record,
    TaskState,
    Upload,
    UpscaledVideo,
    decode_response,
    endpoints,
    record_from_raw,
)

from .recordings import NAMES, endpoint_of, json_of, read_json

HEX_ID = "4c9a31a5bb61db65d10f1210d78cc08a"
DOCS_ID = "veo_task_abcdef123456"
CLIP = "http://example.com/video1.mp4"
ORIGIN = "http://example.com/original_video1.mp4"
MADE_AT = datetime(2026, 4, 20, 23, 36, 54, tzinfo=UTC)
DONE_AT = datetime(2026, 4, 20, 23, 37, 55, tzinfo=UTC)
FLOW = (
    "Your request was rejected by Flow(Your prompt was flagged by Website as violating content policies). "
    "You may consider using our other fallback channels, which are likely to succeed. "
    "Please refer to the documentation."
)
PROCESSING = "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."

#: Fields not listed have their default, which the comparison of whole values checks as well.
VALUES: dict[str, Any] = {
    "real/generate.accepted": Accepted(task_id=HEX_ID),
    "real/record-info.success": Record(
        task_id=HEX_ID,
        flag=1,
        urls=(f"https://tempfile.aiquickdraw.com/v/{HEX_ID}_1776728273.mp4",),
        full_urls=(),
        origin_urls=(),
        image_urls=(),
        media_ids=(),
        resolution="720p",
        has_audio=(True,),
        seeds=(61668,),
        created_at=MADE_AT,
        completed_at=DONE_AT,
        error_code=None,
        error_message=None,
        fallback=False,
    ),
    "real/record-info.running": Record(task_id=HEX_ID, flag=0, created_at=MADE_AT, fallback=False),
    "real/record-info.failed-422": Record(
        task_id=HEX_ID,
        flag=3,
        created_at=MADE_AT,
        completed_at=DONE_AT,
        error_code=422,
        error_message="failed",
        fallback=False,
    ),
    "real/record-info.failed-audio": Record(
        flag=3,
        error_code=400,
        error_message="The Google model was unable to generate audio for this request.",
    ),
    "real/record-info.failed-people": Record(
        task_id=HEX_ID,
        flag=3,
        error_code=400,
        error_message="Rejected by Google's content policy (public error prominent people upload)",
    ),
    "real/record-info.failed-500": Record(
        task_id=HEX_ID, flag=3, error_code=500, error_message="Internal Error, Please try again later."
    ),
    "real/record-info.image-failed": Record(
        flag=3,
        error_code=500,
        error_message="Image fetch failed. Check access settings or use our File Upload API instead.",
    ),
    "real/credit.fraction": Credits(balance=812.5),
    "real/file-url-upload.download-url-only": Upload(url="https://tempfile.redpandaai.co/xxx/images/a.png"),
    "quickstart-1/record-info.success": Record(task_id=DOCS_ID, flag=1, urls=(CLIP, "http://example.com/video2.mp4")),
    "quickstart-1/record-info.running": Record(task_id=DOCS_ID, flag=0),
    "quickstart-1/record-info.failed": Record(task_id=DOCS_ID, flag=2),
    "quickstart-1/callback.success": Callback(task_id=DOCS_ID, code=200, message="success", urls=(CLIP,)),
    "quickstart-2/record-info.success": Record(task_id=DOCS_ID, flag=1, urls=(CLIP,)),
    "quickstart-2/record-info.running": Record(task_id=DOCS_ID, flag=0),
    "quickstart-2/record-info.failed": Record(task_id=DOCS_ID, flag=3),
    "quickstart-2/record-info.string-flag": Record(task_id=DOCS_ID, flag=1, urls=(CLIP,)),
    "quickstart-2/callback.failed": Callback(
        task_id=DOCS_ID,
        code=400,
        message="Your prompt was flagged by Website as violating content policies.",
    ),
    "quickstart-2/file-url-upload.long-form": Upload(
        url="https://kieai.redpandaai.co/download/file_abc123456",
        file_id="file_abc123456",
        file_name="my-image.jpg",
        original_name="photo.jpg",
        file_path=None,
        upload_path="images",
        size=245760,
        mime_type="image/jpeg",
        uploaded_at=datetime(2025, 1, 15, 10, 30, tzinfo=UTC),
        expires_at=datetime(2025, 1, 18, 10, 30, tzinfo=UTC),
    ),
    "openapi/generate.accepted": Accepted(task_id=DOCS_ID),
    "openapi/extend.accepted": Accepted(task_id="veo_extend_task_xyz789"),
    "openapi/record-info.success": Record(
        task_id=DOCS_ID,
        flag=1,
        urls=(CLIP,),
        full_urls=("http://example.com/full_result.mp4",),
        origin_urls=(ORIGIN,),
        resolution="1080p",
        created_at=datetime(2025, 6, 6, 10, 25, tzinfo=UTC),
        completed_at=datetime(2025, 6, 6, 10, 30, tzinfo=UTC),
        error_code=None,
        error_message=None,
        fallback=False,
    ),
    "openapi/record-info.iso-times": Record(
        task_id=DOCS_ID,
        flag=1,
        urls=(CLIP,),
        created_at=datetime(2024, 3, 20, 10, 25, tzinfo=UTC),
        completed_at=datetime(2024, 3, 20, 10, 30, tzinfo=UTC),
    ),
    "openapi/get-1080p-video.ready": HdVideo(
        url="https://tempfile.aiquickdraw.com/p/42f4f8facbb040c0ade87c27cb2d5e58_1749711595.mp4"
    ),
    "openapi/get-4k-video.first": UpscaledVideo(task_id=DOCS_ID),
    "openapi/get-4k-video.ready-as-422": UpscaledVideo(
        task_id=DOCS_ID,
        urls=("https://tempfile.aiquickdraw.com/v/example_task_1234567890.mp4",),
        image_urls=("https://tempfile.aiquickdraw.com/v/example_task_1234567890.jpg",),
    ),
    "openapi/credit.whole": Credits(balance=100.0),
    "openapi/download-url.link": DownloadLink(url="https://tempfile.1f6cxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxbd98"),
    "openapi/file-stream-upload.uploaded": Upload(
        url="https://tempfile.redpandaai.co/xxx/images/user-uploads/uploaded-image.png",
        file_name="uploaded-image.png",
        file_path="images/user-uploads/uploaded-image.png",
        size=154832,
        mime_type="image/png",
        uploaded_at=datetime(2025, 1, 1, 12, 0, tzinfo=UTC),
    ),
    "openapi/callback.success": Callback(
        task_id=DOCS_ID,
        code=200,
        message="Veo3.1 video generated successfully.",
        urls=(CLIP,),
        origin_urls=(ORIGIN,),
        resolution="1080p",
        fallback=False,
        params={
            "aspectRatio": "16:9",
            "callBackUrl": "http://your-callback-url.com/complete",
            "enableFallback": False,
            "enableTranslation": True,
            "model": "veo3_fast",
            "prompt": "cat",
        },
    ),
    "openapi/callback.fallback-success": Callback(
        task_id=DOCS_ID,
        code=200,
        message="Veo3.1 video generated successfully (using fallback model).",
        urls=(CLIP,),
        resolution="1080p",
        fallback=True,
    ),
    "openapi/callback.rejected-by-flow": Callback(task_id=DOCS_ID, code=422, message=FLOW, fallback=False),
    "openapi/callback.internal-error": Callback(
        task_id=DOCS_ID, code=500, message="Internal Error - Timeout", fallback=False
    ),
    "openapi/callback.4k-camel-case": Callback(
        task_id=DOCS_ID,
        code=200,
        message="4K Video generated successfully.",
        urls=("https://file.aiquickdraw.com/v/example.mp4",),
        image_urls=("https://file.aiquickdraw.com/v/example.jpg",),
        credits_consumed=120.0,
    ),
    "openapi/callback.4k-snake-case": Callback(
        task_id="bf3e7adb-fb6c-4257-bbcd-470787386fb0",
        code=200,
        message="4K Video generated successfully.",
        urls=("https://file.aiquickdraw.com/p/example.mp4",),
        image_urls=("https://file.aiquickdraw.com/p/example.jpg",),
        media_ids=("CAUaJDQ5NGYw",),
    ),
    "openapi/callback.4k-unavailable": Callback(
        task_id=DOCS_ID,
        code=500,
        message="The 4K version of this video is unavailable. Please try a different video.",
    ),
    "apikley/generate.accepted": Accepted(task_id=DOCS_ID),
    "apikley/callback.bracketed": Callback(
        task_id=DOCS_ID,
        code=200,
        message="Veo3.1 video generated successfully.",
        urls=(CLIP,),
        origin_urls=(ORIGIN,),
        resolution="1080p",
        fallback=False,
    ),
    "apikley/callback.failed": Callback(
        task_id=DOCS_ID, code=501, message="Failed - Video generation task failed", fallback=False
    ),
    "apikley/record-info.success": Record(task_id=DOCS_ID, flag=1, urls=(CLIP,)),
    "apikley/credit.whole": Credits(balance=250.0),
}

#: Class, body code, message.
ERRORS: dict[str, tuple[type[errors.VeoError], int, str]] = {
    "real/record-info.unknown-id": (errors.RecordNotFound, 422, "recordInfo is null"),
    "real/record-info.no-data-yet": (errors.RecordNotFound, 200, "the response contains no record"),
    "real/generate.unauthorized": (errors.Unauthorized, 401, "Unauthorized – Authentication failed"),
    "real/generate.no-credits": (
        errors.InsufficientCredits,
        402,
        "The current credits are insufficient. Please top up.",
    ),
    "real/generate.rate-limited": (
        errors.RateLimited,
        429,
        "Your call frequency is too high. Please try again later.",
    ),
    "real/generate.key-limit": (
        errors.KeyLimitReached,
        433,
        "The current number of points used by apiKey has exceeded the daily limit",
    ),
    "real/generate.terse-500": (errors.ServerError, 500, "err"),
    "real/generate.eight-seconds-only": (
        errors.RequestRejected,
        422,
        "Invalid duration. Veo 3.1 reference-to-video currently only supports 8-second generation.",
    ),
    "real/get-1080p-video.processing-400": (errors.NotReady, 400, PROCESSING),
    "real/get-1080p-video.processing-422": (errors.NotReady, 422, PROCESSING),
    "openapi/generate.rejected-by-flow": (errors.ContentRefused, 422, FLOW),
    "openapi/generate.server-error": (
        errors.ServerError,
        500,
        "Server Error - An unexpected error occurred while processing the request",
    ),
    "openapi/record-info.record-is-null": (errors.RecordNotFound, 422, "record is null."),
    "openapi/record-info.too-old": (errors.RecordExpired, 422, "Temporarily supports records within 14 days."),
    "openapi/get-4k-video.processing": (
        errors.NotReady,
        422,
        "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.",
    ),
    "openapi/file-base64-upload.no-key": (errors.Unauthorized, 401, "Authentication failed: Invalid API Key"),
    "openapi/file-base64-upload.bad-base64": (
        errors.RequestRejected,
        400,
        "Base64 decoding failed: Invalid Base64 format",
    ),
    "apikley/generate.unauthorized": (
        errors.Unauthorized,
        401,
        "Unauthorized - Authentication credentials are missing or invalid",
    ),
}


def test_every_recording_has_an_expectation() -> None:
    """No file is unused, and no expectation lacks its file."""
    assert sorted([*VALUES, *ERRORS]) == NAMES


@pytest.mark.parametrize("name", sorted(VALUES))
def test_response_is_decoded_to_its_value(name: str) -> None:
    """The response becomes this value, field by field."""
    assert read_json(endpoint_of(name), json_of(name)) == VALUES[name]


@pytest.mark.parametrize("name", sorted(name for name in VALUES if hasattr(VALUES[name], "raw")))
def test_raw_keeps_the_whole_response(name: str) -> None:
    """Unknown fields are included; ``repr`` and comparisons ignore ``raw``."""
    body = json_of(name)
    body["data"]["aFieldOfTomorrow"] = {"deep": [1, None]}
    found = read_json(endpoint_of(name), body)
    assert found.raw == (body if isinstance(found, Callback) else body["data"])
    assert found == VALUES[name]
    assert "aFieldOfTomorrow" not in repr(found)


@pytest.mark.parametrize("name", sorted(name for name, value in VALUES.items() if isinstance(value, Record)))
def test_record_is_restored_from_its_raw(name: str) -> None:
    """A ledger stores ``raw`` as JSON."""
    found = read_json(endpoint_of(name), json_of(name))
    if found.failure is None or found.flag == found.raw.get("successFlag"):
        assert record_from_raw(json.loads(json.dumps(found.raw))) == found


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_response_is_decoded_to_its_error(name: str) -> None:
    """The facts of the response are the error's evidence."""
    kind, code, message = ERRORS[name]
    with pytest.raises(errors.VeoError) as caught:
        read_json(endpoint_of(name), json_of(name), status=200)
    error = caught.value
    assert type(error) is kind
    assert error.message == message
    assert error.body_code == code
    assert error.http_status == 200
    assert error.endpoint == endpoint_of(name)


@pytest.mark.parametrize(
    ("name", "state", "kind"),
    [
        ("real/record-info.running", TaskState.GENERATING, None),
        ("real/record-info.success", TaskState.SUCCEEDED, None),
        ("real/record-info.failed-422", TaskState.FAILED, errors.TaskFailed),
        ("real/record-info.failed-audio", TaskState.FAILED, errors.TaskFailed),
        ("real/record-info.failed-people", TaskState.FAILED, errors.TaskRefused),
        ("real/record-info.failed-500", TaskState.FAILED, errors.TaskFailed),
        ("real/record-info.image-failed", TaskState.FAILED, errors.TaskFailed),
        ("quickstart-1/record-info.failed", TaskState.FAILED, errors.TaskFailed),
        ("quickstart-2/record-info.failed", TaskState.FAILED, errors.TaskFailed),
    ],
)
def test_record_has_a_state_and_a_failure_if_it_failed(
    name: str, state: TaskState, kind: type[errors.TaskFailed] | None
) -> None:
    """A failure is either refused content or a technical failure."""
    record = read_json("record-info", json_of(name))
    assert record.state is state
    if kind is None:
        assert record.failure is None
    else:
        error = record.failure.error(task_id="t-1")
        assert type(error) is kind
        assert error.reason_code == record.error_code
        assert error.message == record.error_message or error.message == "the task failed"
        assert error.task_id == "t-1"


def test_stored_records_share_their_names() -> None:
    """Two finished records share their keys at every depth, because thousands are kept."""
    body = b'{"code": 200, "data": {"successFlag": 1, "response": {"anUnknownName": 1}}}'
    one, other = (decode_response(endpoints.RECORD_INFO, HttpResponse(status=200, body=body)).raw for _ in range(2))
    assert one == other == {"successFlag": 1, "response": {"anUnknownName": 1}}
    for a, b in ((one, other), (one["response"], other["response"])):
        assert all(x is y for x, y in zip(a, b, strict=True))


def test_values_are_immutable() -> None:
    """A response value cannot be changed."""
    record = read_json("record-info", json_of("real/record-info.success"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.flag = 2


@pytest.mark.parametrize("name", ["openapi/callback.success", "openapi/callback.4k-camel-case"])
def test_equal_callbacks_are_one_member_of_a_set(name: str) -> None:
    """The provider announces that callbacks can be repeated."""
    assert len({read_json("callback", json_of(name)), read_json("callback", json_of(name))}) == 1
