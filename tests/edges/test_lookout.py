"""The lookout reads an answer once: what is byte for byte the last one is not deciphered again."""

import json
from typing import Any

import pytest

from veo_async import VeoApi
from veo_async._api import RecordPoller
from veo_async._api import record_poller as lookout
from veo_async._api.record_poller import UNCHANGED
from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse, TaskState
from veo_async.errors import MalformedResponse, ResponseLost, ServerError, VeoError


def told(flag: Any, *, status: int = 200, **more: Any) -> HttpResponse:
    data = {"taskId": "t", "successFlag": flag, **more}
    return HttpResponse(status=status, body=json.dumps({"code": 200, "msg": "success", "data": data}).encode())


class Scripted:
    """A transport that answers what it was given, in turn."""

    def __init__(self, *answers: HttpResponse | VeoError) -> None:
        self._answers = list(answers)

    async def send(self, call: HttpRequest) -> HttpResponse:
        answer = self._answers.pop(0)
        if isinstance(answer, VeoError):
            raise answer
        return answer

    async def close(self) -> None:
        pass


def lookout_at(*answers: HttpResponse | VeoError) -> RecordPoller:
    return RecordPoller(VeoApi("a-key-for-tests", base_url="http://127.0.0.1:1", transport=Scripted(*answers)))


async def test_the_same_answer_says_that_the_task_still_runs() -> None:
    """The first look reads the record; the second and third find nothing new in it."""
    looks = lookout_at(told(0), told(0), told(0))
    first = await looks.poll("t")
    assert (first.task_id, first.state) == ("t", TaskState.GENERATING)
    assert await looks.poll("t") is await looks.poll("t") is UNCHANGED
    assert UNCHANGED.state is TaskState.GENERATING


async def test_another_answer_is_read() -> None:
    """One byte is enough, of a task that runs as well."""
    looks = lookout_at(
        told(0), told(0, createTime=1), told(0, createTime=1), told(1, resultUrls=["https://a.invalid/1"])
    )
    await looks.poll("t")
    assert (await looks.poll("t")).created_at is not None
    assert await looks.poll("t") is UNCHANGED
    assert (await looks.poll("t")).urls == ("https://a.invalid/1",)


@pytest.mark.parametrize("flag", [1, 2, 3, 7, None])
async def test_only_a_running_task_is_remembered(flag: int | None) -> None:
    """Success, failure and what nobody knows are read in full each time, and what came before is forgotten."""
    looks = lookout_at(told(0), told(flag), told(flag), told(0))
    await looks.poll("t")
    for _ in range(2):
        record = await looks.poll("t")
        assert (record.task_id, record.flag) == ("t", flag)
    assert await looks.poll("t") is not UNCHANGED


async def test_one_task_is_not_taken_for_another() -> None:
    """Two tasks with the same answer are two tasks."""
    looks = lookout_at(told(0), told(0))
    await looks.poll("t")
    assert await looks.poll("u") is not UNCHANGED


async def test_an_error_is_an_error_each_time() -> None:
    """A bad look is raised as it is, however often; it hides the record before it only if it had an answer."""
    broken = HttpResponse(status=500, body=b"<html>")
    looks = lookout_at(
        told(0), ResponseLost("cut"), told(0), broken, broken, HttpResponse(status=200, body=b""), told(0)
    )
    await looks.poll("t")
    with pytest.raises(ResponseLost):
        await looks.poll("t")
    assert await looks.poll("t") is UNCHANGED
    for kind in (ServerError, ServerError, MalformedResponse):
        with pytest.raises(kind):
            await looks.poll("t")
    assert (await looks.poll("t")).task_id == "t"


async def test_the_same_words_under_another_status_are_read() -> None:
    """What an answer means depends on its HTTP status too."""
    looks = lookout_at(told(0), told(0, status=500))
    await looks.poll("t")
    assert await looks.poll("t") is not UNCHANGED


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that nobody looks at any more make room, the oldest first."""
    monkeypatch.setattr(lookout, "MAX_FINGERPRINTS", 2)
    looks = lookout_at(*[told(0)] * 5)
    for task_id in ("t", "u", "v"):
        await looks.poll(task_id)
    assert await looks.poll("v") is UNCHANGED
    assert await looks.poll("t") is not UNCHANGED
