"""Who has sent a callback, and when: the signature, its window, its keys, and what is no signature at all."""

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


def test_the_vector() -> None:
    """Made by the documented rule, apart from our code."""
    assert verify(BODY, headers(), KEY, now=AT) == TASK
    assert verify(BODY, {name.lower(): value for name, value in headers().items()}, KEY, now=AT) == TASK


@pytest.mark.parametrize("off_s", [-TOLERANCE_S, -1, 0, 1, TOLERANCE_S])
def test_row_32_a_clock_within_the_tolerance(off_s: float) -> None:
    """Both ways: theirs may be ahead as well as ours."""
    assert verify(BODY, headers(), KEY, now=AT + off_s) == TASK


@pytest.mark.parametrize("off_s", [-86400, -3600, -TOLERANCE_S - 1, TOLERANCE_S + 1, 3600, 86400])
def test_rows_32_and_44_a_callback_from_another_time(off_s: float) -> None:
    """A replay after the window, a stamp from the future, and our own clock a day off: all refused."""
    with pytest.raises(InvalidSignature, match="ago" if off_s > 0 else "ahead"):
        verify(BODY, headers(), KEY, now=AT + off_s)


def test_several_keys_while_one_takes_over() -> None:
    """Old and new are both good, in any order; neither alone knows the other's."""
    assert verify(BODY, headers(), ["the-new-one", KEY], now=AT) == TASK
    assert verify(BODY, headers(), [KEY, "the-new-one"], now=AT) == TASK
    with pytest.raises(InvalidSignature, match="not of this key"):
        verify(BODY, headers(), ["the-new-one"], now=AT)
    with pytest.raises(InvalidSignature, match="not of this key"):
        verify(BODY, headers(), [], now=AT)


@pytest.mark.parametrize(
    "told",
    [
        {"data": {"taskId": TASK}},
        {"data": {"task_id": TASK}},
        {"taskId": TASK},
        {"task_id": TASK, "data": []},
        {"taskId": "another", "data": {"task_id": TASK, "taskId": 5}},
    ],
)
def test_every_place_where_the_task_id_may_stand(told: Any) -> None:
    """The one that is signed is the one that counts."""
    assert verify(json.dumps(told).encode(), headers(), KEY, now=AT) == TASK


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
def test_row_44_what_is_no_signature(changes: dict[str, str]) -> None:
    """Missing, short, decorated, or of something else."""
    with pytest.raises(InvalidSignature):
        verify(BODY, headers(**changes), KEY, now=AT)


def test_row_44_another_task_under_a_good_signature() -> None:
    """The body is not signed, the task id is."""
    with pytest.raises(InvalidSignature):
        verify(BODY.replace(TASK.encode(), b"f" * 32), headers(), KEY, now=AT)
    assert verify(BODY.replace(b'"ok"', b'"anything"'), headers(), KEY, now=AT) == TASK


@given(body=st.binary(max_size=200), stamp=st.text(max_size=12), signature=st.text(max_size=50))
def test_whatever_comes_is_refused_and_nothing_else_happens(body: bytes, stamp: str, signature: str) -> None:
    with pytest.raises(InvalidSignature):
        verify(body, {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": signature}, KEY, now=AT)


@given(
    told=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "taskId", "task_id"]), inner),
    )
)
def test_no_form_of_body_is_signed_by_accident(told: Any) -> None:
    with pytest.raises(InvalidSignature):
        verify(json.dumps(told).encode(), headers(), "another key", now=AT)


def test_a_nest_too_deep_to_read() -> None:
    """It names no task."""
    with pytest.raises(InvalidSignature):
        verify(b"[" * 100_000, headers(), KEY, now=AT)


def test_parse_is_the_reader_of_all_shapes() -> None:
    """The same that `veo_async.parse_callback` is."""
    assert parse(BODY).task_id == TASK
    assert sign_callback(TASK, AT, KEY) == SIGNATURE
