"""The signature of a callback: its time window, its secrets, and malformed signatures (rows 32 and 44)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._wire import sign_callback
from veo_async.errors import InvalidSignature
from veo_async.webhooks import TOLERANCE_S, parse, verify

KEY = "test-hmac-key"
TASK = "ee9c2715375b7837f8bb51d641ff5863"
AT = 1769670760
SIGNATURE = "Rnkdt30BYrQRHRTTZPVbPWvpV8NX6sTTZvi7GJmVyu4="
BODY = json.dumps({"code": 200, "msg": "ok", "data": {"taskId": TASK}}).encode()


def headers(**changes: str) -> dict[str, str]:
    return {"X-Webhook-Timestamp": str(AT), "X-Webhook-Signature": SIGNATURE} | changes


def test_known_signature_is_accepted() -> None:
    """The signature was computed by the documented rule, without our code."""
    assert verify(BODY, headers(), KEY, now=AT) == TASK
    assert verify(BODY, {name.lower(): value for name, value in headers().items()}, KEY, now=AT) == TASK


@pytest.mark.parametrize("off_s", [-TOLERANCE_S, -1, 0, 1, TOLERANCE_S])
def test_time_within_the_tolerance_is_accepted(off_s: float) -> None:
    """Either clock may be ahead of the other."""
    assert verify(BODY, headers(), KEY, now=AT + off_s) == TASK


@pytest.mark.parametrize("off_s", [-86400, -3600, -TOLERANCE_S - 1, TOLERANCE_S + 1, 3600, 86400])
def test_time_outside_the_tolerance_is_rejected(off_s: float) -> None:
    """Replayed callbacks and timestamps in the future are rejected."""
    with pytest.raises(InvalidSignature, match="ago" if off_s > 0 else "in the future"):
        verify(BODY, headers(), KEY, now=AT + off_s)


def test_several_secrets_are_accepted_during_a_rotation() -> None:
    """With several secrets, in any order, a signature of one of them is accepted."""
    assert verify(BODY, headers(), ["the-new-one", KEY], now=AT) == TASK
    assert verify(BODY, headers(), [KEY, "the-new-one"], now=AT) == TASK
    with pytest.raises(InvalidSignature, match="does not match this secret"):
        verify(BODY, headers(), ["the-new-one"], now=AT)
    with pytest.raises(InvalidSignature, match="does not match this secret"):
        verify(BODY, headers(), [], now=AT)


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"taskId": TASK}},
        {"data": {"task_id": TASK}},
        {"taskId": TASK},
        {"task_id": TASK, "data": []},
        {"taskId": "another", "data": {"task_id": TASK, "taskId": 5}},
    ],
)
def test_task_id_is_found_in_every_documented_place(body: Any) -> None:
    """Of several ids, the signed one is returned."""
    assert verify(json.dumps(body).encode(), headers(), KEY, now=AT) == TASK


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Webhook-Timestamp": ""},
        {"X-Webhook-Timestamp": "12345678"},
        {"X-Webhook-Timestamp": "176967076 "},
        {"X-Webhook-Timestamp": "-176967076"},
        {"X-Webhook-Timestamp": "1769670760.0"},
        {"X-Webhook-Timestamp": "١٧٦٩٦٧٠٧٦٠"},
        {"X-Webhook-Timestamp": "1" * 12},
        {"X-Webhook-Signature": ""},
        {"X-Webhook-Signature": SIGNATURE[:-1]},
        {"X-Webhook-Signature": SIGNATURE + "="},
        {"X-Webhook-Signature": " " + SIGNATURE},
        {"X-Webhook-Signature": SIGNATURE.replace("4=", "5=")},
        {"X-Webhook-Signature": "A" * 44},
        {"X-Webhook-Signature": "ü" * 44},
    ],
)
def test_malformed_header_is_rejected(changes: dict[str, str]) -> None:
    """Missing, short, padded and wrong timestamps and signatures are rejected."""
    with pytest.raises(InvalidSignature):
        verify(BODY, headers(**changes), KEY, now=AT)


def test_signature_of_another_task_is_rejected() -> None:
    """The signature covers the task id, but not the rest of the body."""
    with pytest.raises(InvalidSignature):
        verify(BODY.replace(TASK.encode(), b"f" * 32), headers(), KEY, now=AT)
    assert verify(BODY.replace(b'"ok"', b'"anything"'), headers(), KEY, now=AT) == TASK


@given(body=st.binary(max_size=200), timestamp=st.text(max_size=12), signature=st.text(max_size=50))
def test_arbitrary_request_raises_invalid_signature(body: bytes, timestamp: str, signature: str) -> None:
    """No input raises another exception."""
    with pytest.raises(InvalidSignature):
        verify(body, {"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": signature}, KEY, now=AT)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "taskId", "task_id"]), inner),
    )
)
def test_arbitrary_json_body_does_not_match_the_signature(body: Any) -> None:
    """A body of any structure is rejected."""
    with pytest.raises(InvalidSignature):
        verify(json.dumps(body).encode(), headers(), "another key", now=AT)


def test_body_nested_too_deeply_is_rejected() -> None:
    """A body that cannot be parsed contains no task id."""
    with pytest.raises(InvalidSignature):
        verify(b"[" * 100_000, headers(), KEY, now=AT)


def test_parse_returns_the_task_id() -> None:
    """`webhooks.parse` is the parser of callbacks that the session uses."""
    assert parse(BODY).task_id == TASK
    assert sign_callback(TASK, AT, KEY) == SIGNATURE
