"""Property tests: any input gives one of our values or a `VeoError`, nothing else."""

import copy
import json
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veo_async import errors
from veo_async._wire import (
    APIKLEY,
    KIE,
    VEO,
    Accepted,
    Callback,
    Credits,
    DownloadLink,
    ExtendRequest,
    HdVideo,
    HttpResponse,
    Record,
    TaskState,
    Upload,
    UpscaledVideo,
    VideoRequest,
    readers,
)
from veo_async._wire.converter import from_dict, to_dict
from veo_async._wire.fields import GENERATE, read_fields
from veo_async._wire.retry_after import MAX_RETRY_AFTER_S, retry_after_s
from veo_async._wire.validation import check_encodable

from .recordings import NAMES, body_of, endpoint_of, json_of, read_body, twins

thousand = settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,  # the same code gives the same run, so every failure can be reproduced
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

hundreds = settings(thousand, max_examples=300)

VALUE_OF: dict[str, type] = {
    "generate": Accepted,
    "extend": Accepted,
    "record-info": Record,
    "get-1080p-video": HdVideo,
    "get-4k-video": UpscaledVideo,
    "credit": Credits,
    "download-url": DownloadLink,
    "file-url-upload": Upload,
    "file-base64-upload": Upload,
    "file-stream-upload": Upload,
    "callback": Callback,
}

any_text = st.text(st.characters(), max_size=30)  # lone surrogates included: JSON can escape them
KEYS = """
    code msg data taskId task_id response info resultUrls successFlag status createTime paramJson errorMessage errorCode
    resultUrl downloadUrl seeds hasAudioList
"""
keys = st.sampled_from(KEYS.split())
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | any_text
    | st.sampled_from(["0", "1", "200", "[http://a.example/1.mp4]", '["http://a.example"]', "2025-06-06 10:30:00"])
    | st.sampled_from([200, 400, 401, 422, 429, 455, 500, 501, 0, 1, 2, 3])
)
any_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | any_text, inner, max_size=6),
    max_leaves=10,
)
statuses = st.sampled_from([200, 201, 302, 400, 401, 404, 422, 429, 455, 500, 502, 599]) | st.integers(100, 999)
any_headers = st.dictionaries(st.sampled_from(["retry-after", "date", "content-type"]), any_text, max_size=3)
names = st.sampled_from(sorted(VALUE_OF))


def outcome_of(endpoint: str, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """Return the decoded value or the error; any other exception fails the test."""
    try:
        return read_body(endpoint, body, status=status, headers=headers)
    except errors.VeoError as error:
        return error


def check_outcome(endpoint: str, outcome: Any) -> None:
    """Hold an outcome to what is promised of it."""
    if isinstance(outcome, errors.VeoError):
        check_error(endpoint, outcome)
    else:
        assert type(outcome) is VALUE_OF[endpoint]
        check_types(outcome)


def check_error(endpoint: str, error: errors.VeoError) -> None:
    """Check that the error is printable, can be copied, and is not retryable if the request may be charged."""
    assert isinstance(error, errors.ApiError | errors.MalformedResponse)
    assert str(error).isprintable()
    assert error.endpoint == endpoint or endpoint == "callback"
    assert type(error.retryable) is bool
    if isinstance(error, errors.ServerError | errors.MalformedResponse) and endpoint in ("generate", "extend"):
        assert not error.retryable
    twin = copy.deepcopy(error)
    assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


def check_types(value: Any) -> None:
    """Check that the values have the annotated types, and that derived properties work."""
    repr(value)
    for name in ("urls", "full_urls", "origin_urls", "image_urls"):
        assert all(url.lower().startswith(("http://", "https://")) for url in getattr(value, name, ()))
    if isinstance(value, Accepted | Callback):
        assert isinstance(value.task_id, str)
        assert value.task_id
    if isinstance(value, Record):
        assert isinstance(value.state, TaskState)
        assert isinstance(value.params, dict)
        assert (value.failure is not None) is (value.state is TaskState.FAILED)
    if isinstance(value, Record | Callback) and value.failure is not None:
        assert str(value.failure.error()).isprintable()


@thousand
@given(names, st.binary(max_size=200), statuses, any_headers)
def test_any_bytes_are_decoded_or_rejected(endpoint: str, body: bytes, status: int, sent: dict[str, str]) -> None:
    """Arbitrary bytes, statuses and headers."""
    check_outcome(endpoint, outcome_of(endpoint, body, status=status, headers=sent))


@thousand
@given(names, any_json, statuses, any_headers)
def test_any_json_is_decoded_or_rejected(endpoint: str, value: Any, status: int, sent: dict[str, str]) -> None:
    """Arbitrary JSON, including NaN, huge numbers and lone surrogates."""
    check_outcome(endpoint, outcome_of(endpoint, json.dumps(value).encode(), status=status, headers=sent))


@thousand
@given(names, st.fixed_dictionaries({"code": scalars, "msg": scalars, "data": any_json}), statuses)
def test_any_envelope_is_decoded_or_rejected(endpoint: str, value: dict[str, Any], status: int) -> None:
    """A valid envelope with any content."""
    check_outcome(endpoint, outcome_of(endpoint, json.dumps(value).encode(), status=status))


@thousand
@given(st.binary(max_size=100) | any_json.map(lambda value: json.dumps(value).encode()))
def test_any_callback_is_parsed_or_rejected(body: bytes) -> None:
    """Anything that is posted to us from the internet."""
    check_outcome("callback", outcome_of("callback", body))


def altered(value: Any, draw: Any) -> Any:
    """Return *value* with one change: a value, a type, a key, or its place."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: altered(value[key], draw)}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [altered(value[0], draw), *value[1:]]
    changes = [
        lambda: draw(any_json),
        lambda: [value],
        lambda: {"data": value},
        lambda: json.dumps(value),
        lambda: str(value),
        lambda: None,
        lambda: {draw(keys): value} | (value if isinstance(value, dict) else {}),
        lambda: {key: inner for key, inner in value.items() if draw(st.booleans())} if isinstance(value, dict) else 0,
    ]
    return changes[draw(st.integers(0, len(changes) - 1))]()


@thousand
@given(st.data(), st.sampled_from(NAMES), statuses, names)
def test_altered_recordings_are_decoded_or_rejected(
    data: st.DataObject, name: str, status: int, elsewhere: str
) -> None:
    """A recorded response with one to three changes, at its own endpoint or at another."""
    value: Any = json_of(name)
    for _ in range(data.draw(st.integers(1, 3))):
        value = altered(value, data.draw)
    endpoint = endpoint_of(name) if data.draw(st.booleans()) else elsewhere
    check_outcome(endpoint, outcome_of(endpoint, json.dumps(value).encode(), status=status))


@thousand
@given(st.data(), st.sampled_from(NAMES))
def test_damaged_recordings_are_decoded_or_rejected(data: st.DataObject, name: str) -> None:
    """Bytes are cut off, flipped or inserted; a truncated body is always malformed."""
    body = bytearray(body_of(name))
    at = data.draw(st.integers(0, len(body) - 1))
    damage = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    if damage == "cut":
        del body[at:]
    elif damage == "flip":
        body[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        body[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    found = outcome_of(endpoint_of(name), bytes(body))
    check_outcome(endpoint_of(name), found)
    if damage == "cut" and not bytes(body).rstrip().endswith(b"}"):
        assert isinstance(found, errors.MalformedResponse)


@hundreds
@given(any_json)
def test_readers_accept_any_value(value: Any) -> None:
    """No reader raises, and none returns null as a word."""
    for read_one in (readers.string, readers.integer, readers.number, readers.boolean, readers.url, readers.instant):
        assert read_one(value) != "None" or value == "None"
    for read_many in (readers.integers, readers.booleans, readers.strings, readers.urls):
        assert isinstance(read_many(value), tuple)
    assert isinstance(readers.params(value), dict)


urls = st.sampled_from(
    ["http://a.example/1.mp4", "https://b.example/2,3.mp4?x=[1]", "https://ü.example/a_b", "HTTP://C.D"]
)


@hundreds
@given(st.lists(urls, max_size=4, unique=True))
def test_url_list_is_the_same_in_every_shape(listed: list[str]) -> None:
    """The same list of URLs is read from every shape."""
    blank = [f" {url} " for url in listed]
    for shape in (
        listed,
        blank,
        json.dumps(listed),
        str(listed),
        f"[{', '.join(listed)}]",
        ",".join(listed),
        listed * 2,
    ):
        assert readers.urls(shape) == tuple(listed)


@hundreds
@given(st.text(max_size=40) | st.integers().map(str), st.text(max_size=40), st.none() | st.floats(0, 1e10))
def test_retry_after_is_within_bounds_or_none(delay: str, date: str, received_at: float | None) -> None:
    """A number within bounds or None, regardless of the header."""
    sent = {"retry-after": delay, "date": date}
    delay_s = retry_after_s(HttpResponse(status=429, headers=sent, body=b"", received_at=received_at))
    assert delay_s is None or 0 <= delay_s <= MAX_RETRY_AFTER_S


plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
requests = st.builds(
    VideoRequest,
    plain_text,
    image_urls=st.lists(plain_text, max_size=3),
    model=plain_text,
    generation_type=st.none() | plain_text,
    aspect_ratio=plain_text,
    seeds=st.none() | st.integers(),
    callback_url=st.none() | plain_text,
    enable_translation=st.booleans(),
    watermark=st.none() | plain_text,
    resolution=st.none() | plain_text,
    duration=st.none() | st.integers(),
)


@thousand
@given(requests)
def test_video_request_round_trips(request_: VideoRequest) -> None:
    """It is read back equal from our own JSON, from both wire formats and from every kind of copy."""
    assert from_dict(json.loads(json.dumps(to_dict(request_))), VideoRequest) == request_
    assert all(twin == request_ for twin in twins(request_))
    for dialect in (KIE, APIKLEY):
        wire = json.loads(json.dumps(VEO.body(request_, dialect), ensure_ascii=False).encode())
        assert {"model", "enableTranslation"} <= set(wire)
        sent = {field.name for field in GENERATE if getattr(request_, field.name) not in (None, ())}
        assert len(wire) == len(sent)
        understood = read_fields(GENERATE, wire)
        assert all(getattr(request_, name) == value for name, value in understood.items() if name != "image_urls")


def request_or_error(values: Any, kind: Any) -> Any:
    """Return the request, or the error."""
    try:
        return from_dict(values, kind)
    except errors.InvalidRequest as error:
        return error


@hundreds
@given(any_json | st.dictionaries(st.sampled_from(["prompt", "task_id", "seeds", "model", "image_urls", "x"]), scalars))
def test_any_json_is_a_request_or_invalid(values: Any) -> None:
    """JSON from a file is a request, or an `InvalidRequest` with problems."""
    for kind in (VideoRequest, ExtendRequest):
        found = request_or_error(values, kind)
        if isinstance(found, errors.InvalidRequest):
            assert found.problems
            assert str(found).isprintable()
        else:
            assert from_dict(to_dict(found), kind) == found


@hundreds
@given(st.builds(VideoRequest, any_text, image_urls=st.lists(any_text, max_size=2), watermark=any_text, model=any_text))
def test_encodable_requests_can_be_sent(request_: VideoRequest) -> None:
    """A request that passes `check_encodable` can be encoded; others cannot."""
    try:
        check_encodable(request_, KIE)
    except errors.InvalidRequest:
        with pytest.raises(UnicodeEncodeError):
            json.dumps(VEO.body(request_, KIE), ensure_ascii=False).encode()
    else:
        json.dumps(VEO.body(request_, KIE), ensure_ascii=False).encode()


@hundreds
@given(names, any_json)
def test_traceback_is_printable(endpoint: str, value: Any) -> None:
    """A formatted traceback of any error is safe for a terminal."""
    found = outcome_of(endpoint, json.dumps(value).encode(), status=500)
    if isinstance(found, errors.VeoError):
        assert "".join(traceback.format_exception_only(found)).rstrip("\n").isprintable()
