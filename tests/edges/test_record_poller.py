"""`RecordPoller` parses a response once: an identical response is not parsed again."""

import json
from typing import Any

import pytest

from veo_async import VeoApi
from veo_async._api import RecordPoller, record_poller
from veo_async._api.record_poller import UNCHANGED
from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse, TaskState
from veo_async.errors import MalformedResponse, ResponseLost, ServerError, VeoError


def record(flag: Any, *, status: int = 200, **more: Any) -> HttpResponse:
    """Return a response with a record."""
    data = {"taskId": "t", "successFlag": flag, **more}
    return HttpResponse(status=status, body=json.dumps({"code": 200, "msg": "success", "data": data}).encode())


class Scripted:
    """A transport that returns the given responses in order."""

    def __init__(self, *responses: HttpResponse | VeoError) -> None:
        self._responses = list(responses)

    async def send(self, _: HttpRequest) -> HttpResponse:
        response = self._responses.pop(0)
        if isinstance(response, VeoError):
            raise response
        return response

    async def close(self) -> None:
        pass


def poller_with(*responses: HttpResponse | VeoError) -> RecordPoller:
    """Return a poller that gets these responses."""
    return RecordPoller(VeoApi("a-key-for-tests", base_url="http://127.0.0.1:1", transport=Scripted(*responses)))


async def test_identical_response_is_unchanged() -> None:
    """The first poll parses the record; the second and third get the same bytes."""
    poller = poller_with(record(0), record(0), record(0))
    first = await poller.poll("t")
    assert (first.task_id, first.state) == ("t", TaskState.GENERATING)
    assert await poller.poll("t") is await poller.poll("t") is UNCHANGED
    assert UNCHANGED.state is TaskState.GENERATING


async def test_different_response_is_parsed() -> None:
    """One different byte is enough, even if the task is still running."""
    poller = poller_with(
        record(0), record(0, createTime=1), record(0, createTime=1), record(1, resultUrls=["https://a.invalid/1"])
    )
    await poller.poll("t")
    assert (await poller.poll("t")).created_at is not None
    assert await poller.poll("t") is UNCHANGED
    assert (await poller.poll("t")).urls == ("https://a.invalid/1",)


@pytest.mark.parametrize("flag", [1, 2, 3, 7, None])
async def test_only_responses_of_running_tasks_are_remembered(flag: int | None) -> None:
    """Others are parsed every time, and the remembered response is forgotten."""
    poller = poller_with(record(0), record(flag), record(flag), record(0))
    await poller.poll("t")
    for _ in range(2):
        polled = await poller.poll("t")
        assert (polled.task_id, polled.flag) == ("t", flag)
    assert await poller.poll("t") is not UNCHANGED


async def test_tasks_are_remembered_separately() -> None:
    """Two tasks with the same response, which names none, are two tasks."""
    poller = poller_with(*[record(0, taskId=None)] * 2)
    await poller.poll("t")
    assert await poller.poll("u") is not UNCHANGED


async def test_errors_are_raised_every_time() -> None:
    """A failed poll without a response keeps the remembered one; a failed poll with a response replaces it."""
    broken = HttpResponse(status=500, body=b"<html>")
    poller = poller_with(
        record(0), ResponseLost("cut"), record(0), broken, broken, HttpResponse(status=200, body=b""), record(0)
    )
    await poller.poll("t")
    with pytest.raises(ResponseLost):
        await poller.poll("t")
    assert await poller.poll("t") is UNCHANGED
    for kind in (ServerError, ServerError, MalformedResponse):
        with pytest.raises(kind):
            await poller.poll("t")
    assert (await poller.poll("t")).task_id == "t"


async def test_same_body_with_another_status_is_parsed() -> None:
    """The meaning of a response depends on its HTTP status, too."""
    poller = poller_with(record(0), record(0, status=500))
    await poller.poll("t")
    assert await poller.poll("t") is not UNCHANGED


async def test_number_of_remembered_responses_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten first."""
    monkeypatch.setattr(record_poller, "MAX_FINGERPRINTS", 2)
    poller = poller_with(*[record(0, taskId=None)] * 5)
    for task_id in ("t", "u", "v"):
        await poller.poll(task_id)
    assert await poller.poll("v") is UNCHANGED
    assert await poller.poll("t") is not UNCHANGED
