"""Bodies that no honest provider sends: each becomes a typed error, none a wrong value and none a crash."""

import json
from typing import Any

import attrs
import pytest

from veo_async import errors
from veo_async._wire import HttpResponse, Record, decode_response, endpoint_named, parse_callback, strict_json

from .recordings import body_of, envelope, json_of, read_body, read_json

ACCEPTED = b'{"code":200,"msg":"success","data":{"taskId":"t-1"}}'

NO_JSON: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "html": b"<html><head><title>502 Bad Gateway</title></head></html>",
    "truncated": ACCEPTED[:-3],
    "truncated in a string": ACCEPTED[:20],
    "two values": ACCEPTED + ACCEPTED,
    "garbage behind": ACCEPTED + b"x",
    "bad utf-8": b'{"code":200,"msg":"\xff\xfe"}',
    "utf-16": ACCEPTED.decode().encode("utf-16"),
    "nul bytes": b"\x00" * 20,
    "gzip that was not opened": b"\x1f\x8b\x08\x00\x00\x00",
    "duplicate key": b'{"code":200,"data":{"taskId":"t-1","taskId":"t-2"}}',
    "duplicate code": b'{"code":429,"code":200,"data":{"taskId":"t-1"}}',
    "NaN": b'{"code":200,"data":NaN}',
    "Infinity": b'{"code":200,"data":Infinity}',
    "-Infinity": b'{"code":200,"data":-Infinity}',
    "infinite by exponent": b'{"code":200,"data":1e999}',
    "infinite below zero": b'{"code":200,"data":-1e999}',
    "26 digits": b'{"code":200,"data":%s}' % (b"9" * 26),
    "a code of 10 000 digits": b'{"code":%s}' % (b"9" * 10_000),
    "a number of a million digits": b'{"code":200,"data":%s}' % (b"9" * 1_000_000),
    "arrays 100 000 deep": b'{"code":200,"data":' + b"[" * 100_000,
    "closed arrays 50 000 deep": b'{"code":200,"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "objects 100 000 deep": b'{"a":' * 100_000,
    "arrays 33 deep": b'{"code":200,"data":' + b"[" * 33 + b"]" * 33 + b"}",
    "single quotes": b"{'code':200}",
    "a callback of JSONP": b'cb({"code":200})',
}
NO_ENVELOPE: dict[str, bytes] = {
    "null": b"null",
    "a number": b"200",
    "a string": b'"success"',
    "a list": b"[]",
    "an empty object": b"{}",
    "no code": b'{"msg":"success","data":{"taskId":"t-1"}}',
    "a code of null": b'{"code":null,"data":{"taskId":"t-1"}}',
    "a code of True": b'{"code":true,"data":{"taskId":"t-1"}}',
    "a broken code": b'{"code":200.0,"data":{"taskId":"t-1"}}',
    "a code in a list": b'{"code":[200],"data":{"taskId":"t-1"}}',
    "a word for a code": b'{"code":"ok","data":{"taskId":"t-1"}}',
    "a code in other digits": '{"code":"٢٠٠","data":{"taskId":"t-1"}}'.encode(),
}


@pytest.mark.parametrize("endpoint", ["generate", "record-info", "get-4k-video", "credit", "file-url-upload"])
@pytest.mark.parametrize("name", [*NO_JSON, *NO_ENVELOPE])
def test_unreadable_answer(name: str, endpoint: str) -> None:
    """Over HTTP 200 it is malformed, with an excerpt that can be shown; money makes it not repeatable."""
    body = (NO_JSON | NO_ENVELOPE)[name]
    with pytest.raises(errors.MalformedResponse) as caught:
        read_body(endpoint, body)
    error = caught.value
    assert error.http_status == 200
    assert error.body_code is None
    assert error.retryable is (endpoint in ("record-info", "credit", "file-url-upload"))
    assert len(error.excerpt) <= 200
    assert error.excerpt.isprintable()
    assert len(str(error)) < 1500


@pytest.mark.parametrize("name", [*NO_JSON, *NO_ENVELOPE])
def test_unreadable_callback(name: str) -> None:
    """A callback that cannot be read is refused in the same words."""
    with pytest.raises(errors.MalformedResponse) as caught:
        parse_callback((NO_JSON | NO_ENVELOPE)[name])
    assert caught.value.excerpt.isprintable()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 599])
@pytest.mark.parametrize("endpoint", ["generate", "record-info"])
def test_gateway_page(endpoint: str, status: int) -> None:
    """A gateway's HTML over 5xx is a broken server: a read may be repeated, a creating call may not."""
    with pytest.raises(errors.ServerError) as caught:
        read_body(endpoint, NO_JSON["html"], status=status)
    assert caught.value.retryable is (endpoint == "record-info")
    assert "502 Bad Gateway" in str(caught.value)


def test_byte_order_mark_is_forgiven() -> None:
    """It changes nothing about the meaning, and the task id behind it is paid for."""
    assert read_body("generate", b"\xef\xbb\xbf" + ACCEPTED).task_id == "t-1"
    assert parse_callback(b"\xef\xbb\xbf" + ACCEPTED).task_id == "t-1"


def test_the_largest_things_that_are_believed() -> None:
    """25 digits, 32 levels and the double's range are read; one more of each is not (see above)."""
    assert strict_json.parse(b"9" * 25) == int("9" * 25)
    assert strict_json.parse(b"-" + b"9" * 24) == -int("9" * 24)
    assert strict_json.parse(b"1e308") == 1e308
    deep = b"[" * 31 + b"1,[]" + b"]" * 31
    assert strict_json.parse(deep) == json.loads(deep)
    assert strict_json.parse(b"[[]," + deep[1:]) == [[], *json.loads(deep)]
    with pytest.raises(strict_json.NotJson, match="nested too deeply"):
        strict_json.parse(b"[" + deep + b"]")


def test_many_brackets_are_not_depth() -> None:
    """A long flat list, or brackets inside a prompt, is no nesting."""
    assert strict_json.parse(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000
    assert strict_json.parse(json.dumps("[{" * 1000).encode()) == "[{" * 1000


def test_a_megabyte_of_numbers_is_read() -> None:
    """The largest body that the bounded reader lets through costs no crash."""
    body = json.dumps(envelope({"taskId": "t-1", "extra": list(range(100_000))})).encode()
    assert read_body("generate", body).task_id == "t-1"


@pytest.mark.parametrize(
    "data",
    [None, {}, [], "", "t-1", 5, True, {"taskId": None}, {"taskId": ""}, {"taskId": 5}, {"taskId": ["t-1"]}, ["t-1"]],
)
@pytest.mark.parametrize("endpoint", ["generate", "extend"])
def test_accepted_without_a_task_id(endpoint: str, data: Any) -> None:
    """Success without an id is malformed and never repeated: the clip may have been bought."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json(endpoint, envelope(data))
    assert (caught.value.retryable, caught.value.body_code) == (False, 200)
    assert caught.value.message == "accepted, but without a task id"


@pytest.mark.parametrize("data", [[], "", "x", 5, True, 0, [{"successFlag": 1}]])
@pytest.mark.parametrize("endpoint", ["record-info", "get-4k-video", "get-1080p-video"])
def test_data_of_another_type(endpoint: str, data: Any) -> None:
    """Where an object belongs, nothing else is taken for one."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json(endpoint, envelope(data))
    assert "where an object belongs" in caught.value.message


@pytest.mark.parametrize("data", [None, "", "x", "/relative", "ftp://a/b", "https://", 5, {}, ["https://a.example"]])
@pytest.mark.parametrize("endpoint", ["download-url", "file-url-upload", "file-base64-upload", "file-stream-upload"])
def test_links_that_are_none(endpoint: str, data: Any) -> None:
    """What is no URL is never handed on as one."""
    sent = data if endpoint == "download-url" else {"downloadUrl": data}
    with pytest.raises(errors.MalformedResponse):
        read_json(endpoint, envelope(sent))


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_upload_without_an_object(data: Any) -> None:
    """An upload's answer without an object has no URL."""
    with pytest.raises(errors.MalformedResponse):
        read_json("file-url-upload", envelope(data))


def test_a_4k_answer_without_an_object() -> None:
    """Accepted without data: the upgrade may have been bought, so it is not repeated."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json("get-4k-video", envelope(None))
    assert not caught.value.retryable


NONSENSE = [None, True, 0, 1.5, "", "None", "null", [], [None], [[]], {}, {"a": 1}, "\ud800", "9" * 30, 10**24, -1]


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
@pytest.mark.parametrize("key", sorted({*json_of("real/record-info.success")["data"], "resultUrls", "status", "info"}))
def test_nonsense_in_a_record(key: str, value: Any) -> None:
    """One odd value costs its own field and nothing else; null never becomes the word None."""
    body = json_of("real/record-info.success")
    body["data"][key] = value
    record = read_json("record-info", body)
    intact = read_json("record-info", json_of("real/record-info.success"))
    if value != "None":
        assert "None" not in [getattr(record, field.name) for field in attrs.fields(Record)]
    if key not in ("response", "resultUrls"):
        assert record.urls == intact.urls
    if key not in ("successFlag", "status"):
        assert record.state == intact.state
    assert record.raw[key] == value


def test_excerpts_and_messages_are_fit_for_a_terminal() -> None:
    """Escape sequences that a server echoes are shown, not obeyed; line breaks cannot forge log lines."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\nERROR fake line \u202e\u2028"
    with pytest.raises(errors.ContentRefused) as caught:
        read_json("generate", envelope(None, code=422, msg=f"flagged: {evil}"))
    with pytest.raises(errors.MalformedResponse) as unreadable:
        read_body("generate", f"<html>{evil}</html>".encode())
    with pytest.raises(errors.ServerError) as gateway:
        read_body("generate", f"<html>{evil}</html>".encode(), status=502)
    failed = read_json("record-info", envelope({"successFlag": 3, "errorMessage": f"flagged {evil}"})).failure.error()
    for text in (str(caught.value), unreadable.value.excerpt, str(gateway.value), str(failed), repr(failed)):
        assert text.isprintable()
        assert "[2J" in text


def test_an_answer_shows_no_body() -> None:
    """The body may echo a prompt or a key; ``repr`` tells its length only."""
    assert "hunter2" not in repr(HttpResponse(status=200, body=b"hunter2"))
    assert "<7 bytes>" in repr(HttpResponse(status=200, body=b"hunter2"))


def test_nothing_of_the_parser_stays_behind_the_error() -> None:
    """The error of another library is translated once, and does not ride along as cause."""
    with pytest.raises(errors.MalformedResponse) as caught:
        decode_response(
            endpoint_named("generate"), HttpResponse(status=200, body=body_of("real/generate.accepted")[:-5])
        )
    assert caught.value.__cause__ is None
