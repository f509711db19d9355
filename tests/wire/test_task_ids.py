"""Task ids: what one can look like, where a response names one, and that an accepted task is never overlooked."""

import json
from typing import Any

import pytest

from veo_async import errors
from veo_async._wire import decode_response, endpoints
from veo_async._wire.envelope import HttpResponse
from veo_async._wire.task_ids import is_plausible_task_id, mentioned_task_ids

from .recordings import envelope, read_json


def as_json(value: Any) -> bytes:
    """Return *value* as a body."""
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "task_id", ["t", "veo_task_abc", "4c9a" * 8, "bf3e7adb-fb6c-4257-bbcd-470787386fb0", "x" * 200]
)
def test_real_forms_are_plausible(task_id: str) -> None:
    """Ids are opaque: any short word of ASCII characters can be one."""
    assert is_plausible_task_id(task_id)


@pytest.mark.parametrize(
    "task_id", ["", " ", "a b", "a\n", "a\x00b", "a\x7f", "ü", "\u2028", "\ud83d", "x" * 201, "x" * 10**5]
)
def test_impossible_ids_are_not_plausible(task_id: str) -> None:
    """Control characters, spaces, other alphabets, and anything too long."""
    assert not is_plausible_task_id(task_id)


@pytest.mark.parametrize(
    "body",
    [
        b'{"taskId":"t-1"}',
        b'{"data":{"task_id" : "t-1"}}',
        b'{"data":[{"info":{"taskID":"t-1"}}]}',
        b'{"data":"{\\"taskId\\": \\"t-1\\"}"}',
        b'{"data":{"task\\u0049d":"t\\u002d1"}}',
        b'{"data":{"taskId":"t-1","taskId":"t-1"',
        b"{'taskId': 't-1'}",
        b'<html>{"taskId":"t-1"}</html>',
        b'\xef\xbb\xbf{"taskId":["t-1"]}\xff',
    ],
)
def test_mentioned_ids_are_found_in_any_body(body: bytes) -> None:
    """Nested, escaped, truncated, invalid: a paid task must not be overlooked."""
    assert set(mentioned_task_ids(body)) == {"t-1"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"taskId":null}',
        b'{"taskId":""}',
        b'{"taskId":{}}',
        b'{"taskId":[]}',
        b'{"msg":"taskId: missing"}',
    ],
)
def test_body_without_an_id_mentions_none(body: bytes) -> None:
    """A message about the field is not an id."""
    assert list(mentioned_task_ids(body)) == []


def test_huge_id_is_mentioned_shortened_and_printable() -> None:
    """It is evidence, so it must fit into a log line and a ledger."""
    (found,) = mentioned_task_ids(as_json({"taskId": "\x00" + "x" * 100_000}))
    assert found.isprintable()
    assert len(found) <= 200


@pytest.mark.parametrize("task_id", ["\x00", "a b", "x" * 100_000, "ü", "\ud83d", "1080p:t-1", "4k:t-1"])
def test_accepted_with_an_impossible_id_is_malformed_and_shows_it(task_id: str) -> None:
    """Such a task could never be polled; ``4k:…`` would even start a paid upgrade. The error shows what came."""
    with pytest.raises(errors.MalformedResponse, match="not a task id") as caught:
        read_json("generate", envelope({"taskId": task_id}))
    error = caught.value
    assert error.message.isprintable()
    assert len(error.message) < 200
    assert error.body_code == 200
    assert not error.retryable


@pytest.mark.parametrize("task_id", ["\x00", "a b", "x" * 100_000, "1080p:t-1", "4k:t-1"])
def test_callback_with_an_impossible_id_is_malformed(task_id: str) -> None:
    """An unsigned callback must not lead to a request with this id."""
    with pytest.raises(errors.MalformedResponse, match="no task id"):
        read_json("callback", envelope({"taskId": task_id}))


@pytest.mark.parametrize("code", [401, 402, 404, 422, 429, 433, 455, 505, None, "ok"])
@pytest.mark.parametrize("status", [200, 400, 403, 429, 455])
@pytest.mark.parametrize(
    "data", [{"taskId": "t-1"}, {"info": {"taskId": "t-1"}}, [{"task_id": "t-1"}], '{"taskId":"t-1"}']
)
def test_rejection_that_names_a_task_is_not_retryable(code: Any, status: int, data: Any) -> None:
    """The task may be charged, whatever the codes say; the error has its id and says so."""
    body = as_json({"code": code, "msg": "no", "data": data})
    with pytest.raises(errors.VeoError) as caught:
        decode_response(endpoints.GENERATE, HttpResponse(status=status, body=body))
    assert caught.value.task_id == "t-1"
    assert not caught.value.retryable
    assert caught.value.remedy == errors.MAY_HAVE_BEEN_CHARGED


def test_id_of_the_request_itself_is_no_second_task() -> None:
    """An upgrade names its source, and the provider may repeat that in a rejection."""
    body = as_json({"code": 429, "msg": "slow down", "data": {"taskId": "source"}})
    with pytest.raises(errors.RateLimited) as caught:
        decode_response(endpoints.GET_4K, HttpResponse(status=429, body=body), task_id="source")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "body",
    [
        envelope({"taskId": "other", "successFlag": 1, "response": {"resultUrls": ["http://a.invalid/1.mp4"]}}),
        envelope({"taskId": "other", "successFlag": 0}),
        envelope({"task_id": "\ud83d" * 1000, "successFlag": 1}),
        envelope({"taskId": "other", "errorMessage": "broken"}, code=501),
    ],
)
def test_record_of_another_task_is_malformed(body: dict[str, Any]) -> None:
    """It says nothing about the task that was asked for, whatever it says."""
    response = HttpResponse(status=200, body=as_json(body))
    with pytest.raises(errors.MalformedResponse, match="another task") as caught:
        decode_response(endpoints.RECORD_INFO, response, task_id="mine")
    assert caught.value.task_id == "mine"
    assert caught.value.retryable
    assert len(caught.value.message) < 200


def test_record_without_an_id_is_read() -> None:
    """Some documented records have none."""
    response = HttpResponse(status=200, body=as_json(envelope({"successFlag": 0})))
    assert decode_response(endpoints.RECORD_INFO, response, task_id="mine").flag == 0
