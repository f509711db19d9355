"""Bodies that no correct provider sends: each becomes a typed error, never a wrong value and never a crash."""

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
    "garbage at the end": ACCEPTED + b"x",
    "bad utf-8": b'{"code":200,"msg":"\xff\xfe"}',
    "utf-16": ACCEPTED.decode().encode("utf-16"),
    "nul bytes": b"\x00" * 20,
    "gzip that was not decompressed": b"\x1f\x8b\x08\x00\x00\x00",
    "duplicate key": b'{"code":200,"data":{"taskId":"t-1","taskId":"t-2"}}',
    "duplicate code": b'{"code":429,"code":200,"data":{"taskId":"t-1"}}',
    "NaN": b'{"code":200,"data":NaN}',
    "Infinity": b'{"code":200,"data":Infinity}',
    "-Infinity": b'{"code":200,"data":-Infinity}',
    "infinite by exponent": b'{"code":200,"data":1e999}',
    "negative infinity by exponent": b'{"code":200,"data":-1e999}',
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
    "a fractional code": b'{"code":200.0,"data":{"taskId":"t-1"}}',
    "a code in a list": b'{"code":[200],"data":{"taskId":"t-1"}}',
    "a word for a code": b'{"code":"ok","data":{"taskId":"t-1"}}',
    "a code in other digits": '{"code":"٢٠٠","data":{"taskId":"t-1"}}'.encode(),
}


@pytest.mark.parametrize("endpoint", ["generate", "record-info", "get-4k-video", "credit", "file-url-upload"])
@pytest.mark.parametrize("name", [*NO_JSON, *NO_ENVELOPE])
def test_unreadable_response_is_malformed(name: str, endpoint: str) -> None:
    """It has a printable excerpt; a creating request is not retryable, because it may have been charged."""
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
def test_unreadable_callback_is_malformed(name: str) -> None:
    """It has a printable excerpt, too."""
    with pytest.raises(errors.MalformedResponse) as caught:
        parse_callback((NO_JSON | NO_ENVELOPE)[name])
    assert caught.value.excerpt.isprintable()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 599])
@pytest.mark.parametrize("endpoint", ["generate", "record-info"])
def test_html_page_of_a_gateway_is_a_server_error(endpoint: str, status: int) -> None:
    """A read may be repeated; a creating request may not."""
    with pytest.raises(errors.ServerError) as caught:
        read_body(endpoint, NO_JSON["html"], status=status)
    assert caught.value.retryable is (endpoint == "record-info")
    assert "502 Bad Gateway" in str(caught.value)


def test_byte_order_mark_is_accepted() -> None:
    """It does not change the meaning, and the task id after it is charged."""
    assert read_body("generate", b"\xef\xbb\xbf" + ACCEPTED).task_id == "t-1"
    assert parse_callback(b"\xef\xbb\xbf" + ACCEPTED).task_id == "t-1"


def test_limits_of_accepted_json_are_exact() -> None:
    """25 digits, 32 levels and the range of a double are accepted; anything larger is rejected, see above."""
    assert strict_json.parse(b"9" * 25) == int("9" * 25)
    assert strict_json.parse(b"-" + b"9" * 24) == -int("9" * 24)
    assert strict_json.parse(b"1e308") == 1e308
    deep = b"[" * 31 + b"1,[]" + b"]" * 31
    assert strict_json.parse(deep) == json.loads(deep)
    assert strict_json.parse(b"[[]," + deep[1:]) == [[], *json.loads(deep)]
    with pytest.raises(strict_json.NotJson, match="nested too deeply"):
        strict_json.parse(b"[" + deep + b"]")


def test_many_brackets_are_not_depth() -> None:
    """A long flat list, or brackets in a prompt, are not nesting."""
    assert strict_json.parse(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000
    assert strict_json.parse(json.dumps("[{" * 1000).encode()) == "[{" * 1000


def test_megabyte_of_numbers_is_read() -> None:
    """The largest body that the bounded reader accepts is parsed."""
    body = json.dumps(envelope({"taskId": "t-1", "extra": list(range(100_000))})).encode()
    assert read_body("generate", body).task_id == "t-1"


@pytest.mark.parametrize(
    "data",
    [None, {}, [], "", "t-1", 5, True, {"taskId": None}, {"taskId": ""}, {"taskId": 5}, {"taskId": ["t-1"]}, ["t-1"]],
)
@pytest.mark.parametrize("endpoint", ["generate", "extend"])
def test_success_without_a_task_id_is_malformed_and_not_retryable(endpoint: str, data: Any) -> None:
    """The request may have been charged."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json(endpoint, envelope(data))
    assert (caught.value.retryable, caught.value.body_code) == (False, 200)
    assert caught.value.message == "accepted, but the response has no task id"


@pytest.mark.parametrize("data", [[], "", "x", 5, True, 0, [{"successFlag": 1}]])
@pytest.mark.parametrize("endpoint", ["record-info", "get-4k-video", "get-1080p-video"])
def test_data_of_another_type_is_malformed(endpoint: str, data: Any) -> None:
    """Only an object is accepted as an object."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json(endpoint, envelope(data))
    assert "instead of an object" in caught.value.message


@pytest.mark.parametrize("data", [None, "", "x", "/relative", "ftp://a/b", "https://", 5, {}, ["https://a.example"]])
@pytest.mark.parametrize("endpoint", ["download-url", "file-url-upload", "file-base64-upload", "file-stream-upload"])
def test_link_that_is_not_a_url_is_malformed(endpoint: str, data: Any) -> None:
    """Other values are never passed on as a URL."""
    sent = data if endpoint == "download-url" else {"downloadUrl": data}
    with pytest.raises(errors.MalformedResponse):
        read_json(endpoint, envelope(sent))


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_upload_response_without_an_object_is_malformed(data: Any) -> None:
    """Without an object there is no URL."""
    with pytest.raises(errors.MalformedResponse):
        read_json("file-url-upload", envelope(data))


def test_4k_response_without_an_object_is_not_retryable() -> None:
    """The upgrade may have been charged."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json("get-4k-video", envelope(None))
    assert not caught.value.retryable


NONSENSE = [None, True, 0, 1.5, "", "None", "null", [], [None], [[]], {}, {"a": 1}, "\ud800", "9" * 30, 10**24, -1]


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
@pytest.mark.parametrize("key", sorted({*json_of("real/record-info.success")["data"], "resultUrls", "status", "info"}))
def test_wrong_value_in_a_record_affects_only_its_field(key: str, value: Any) -> None:
    """All other fields are read; null never becomes the word None."""
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
    assert record.raw[key] == ("\ufffd" if value == "\ud800" else value)


def test_excerpts_and_messages_are_printable() -> None:
    """Escape sequences from a server are escaped, and line breaks cannot forge log lines."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\nERROR fake line \u202e\u2028"
    with pytest.raises(errors.ContentRefused) as caught:
        read_json("generate", envelope(None, code=422, msg=f"flagged: {evil}"))
    with pytest.raises(errors.MalformedResponse) as unreadable:
        read_body("generate", f"<html>{evil}</html>".encode())
    with pytest.raises(errors.ServerError) as gateway:
        read_body("generate", f"<html><title>{evil}</title></html>".encode(), status=502)
    failed = read_json("record-info", envelope({"successFlag": 3, "errorMessage": f"flagged {evil}"})).failure.error()
    for text in (str(caught.value), unreadable.value.excerpt, str(gateway.value), str(failed), repr(failed)):
        assert text.isprintable()
        assert "[2J" in text


def test_repr_of_a_response_hides_the_body() -> None:
    """The body can contain a prompt or a key, so ``repr`` shows only its length."""
    assert "hunter2" not in repr(HttpResponse(status=200, body=b"hunter2"))
    assert "<7 bytes>" in repr(HttpResponse(status=200, body=b"hunter2"))


def test_parser_error_is_not_attached() -> None:
    """Errors of other libraries are converted once and not kept as the cause."""
    with pytest.raises(errors.MalformedResponse) as caught:
        decode_response(
            endpoint_named("generate"), HttpResponse(status=200, body=body_of("real/generate.accepted")[:-5])
        )
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"a\uDC00b\ud83d"', "a\ufffdb\ufffd"),
        (rb'"\ud83d\ude00 and \ud83d"', "\U0001f600 and \ufffd"),
        (rb'[{"\ud83d": ["\udfff", 1, null]}]', [{"\ufffd": ["\ufffd", 1, None]}]),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\\ud83d"', r"\ud83d"),
    ],
)
def test_lone_surrogate_is_replaced(text: bytes, value: Any) -> None:
    """Half an emoji can be neither stored nor sent on; a whole one, and an escaped backslash, stay as they are."""
    assert strict_json.parse(text) == value


def test_lone_surrogate_in_nested_json_is_replaced() -> None:
    """``paramJson`` and ``resultUrls`` are JSON in a string, with escapes of their own."""
    params = json.dumps({"prompt": "\ud83d"})
    found: Record = read_json("record-info", envelope({"taskId": "t", "paramJson": params}))
    assert found.params == {"prompt": "\ufffd"}
