"""The memory skin: the same answers as the server's, troubles told as a transport tells them."""

import asyncio
import json
import re
from typing import Any

import pytest

from veo_async._ports import HttpRequest, Transport
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost, TransportError
from veo_async.simulator import (
    Fault,
    MemoryTransport,
    Simulator,
    corrupt_body,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    endless_body,
    gzip_bomb,
    huge_body,
    many_headers,
    rate_limited,
    reset_connection,
    slow_body,
    truncate,
    unreachable,
)

from .support import START, get_bytes, parts_of, post_bytes, raw_exchange

KEY = "dummy-key"


def post(body: dict[str, Any], path: str = "/api/v1/veo/generate", *, timeout_s: float = 30.0) -> HttpRequest:
    return call("POST", path, json.dumps(body).encode(), timeout_s=timeout_s)


def call(method: str, path: str, body: bytes | None = None, *, timeout_s: float = 30.0) -> HttpRequest:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    return HttpRequest(method=method, url=f"https://api.test{path}", headers=headers, body=body, timeout_s=timeout_s)


SCRIPT: list[tuple[str, str, dict[str, Any] | None, float]] = [
    ("GET", "/api/v1/chat/credit", None, 0),
    ("POST", "/api/v1/veo/generate", {"prompt": "a dog", "aspect_ratio": "9:16"}, 0),
    ("POST", "/api/v1/veo/generate", {"prompt": ""}, 0),
    ("POST", "/api/v1/veo/generate", {"prompt": "[refuse]"}, 0),
    ("GET", "/api/v1/veo/record-info?taskId=task-1", None, 30),
    ("GET", "/api/v1/veo/record-info?taskId=task-1", None, 40),
    ("GET", "/api/v1/veo/get-1080p-video?taskId=task-1&index=0", None, 60),
    ("GET", "/api/v1/veo/get-1080p-video?taskId=task-1&index=0", None, 0),
    ("POST", "/api/v1/veo/get-4k-video", {"taskId": "task-1"}, 60),
    ("POST", "/api/v1/veo/get-4k-video", {"taskId": "task-1"}, 0),
    ("POST", "/api/v1/veo/extend", {"taskId": "nobody", "prompt": "on"}, 0),
    ("GET", "/api/v1/veo/record-info?taskId=nobody", None, 0),
    ("GET", "/api/v1/veo/generate", None, 0),
    ("POST", "/api/file-base64-upload", {"base64Data": "aGk=", "uploadPath": "x", "fileName": "y.png"}, 0),
    ("GET", "/files/u/x/y.png", None, 0),
    ("GET", "/api/v1/chat/credit", None, 0),
]


async def test_both_skins_hold_the_same_conversation() -> None:
    """Step by step the same status and, but for the hosts, the same body."""
    options: dict[str, Any] = {
        "duration_s": 60.0,
        "start_at": START,
        "api_key": KEY,
        "task_ids": ["task-1"],
        "faults": [rate_limited(on=4, endpoint="record-info", form="body")],
    }
    transport = MemoryTransport(**options)
    async with Simulator(**options) as sim:
        for method, path, body, then_s in SCRIPT:
            content = None if body is None else json.dumps(body).encode()
            spoken = await transport.send(call(method, path, content))
            raw = post_bytes(path, KEY, body) if body is not None else get_bytes(path, KEY)
            status, _, told = parts_of((await raw_exchange(sim.url, raw))[0])
            assert (spoken.status, _settled(spoken.body)) == (status, _settled(told)), (method, path)
            transport.advance(then_s)
            sim.advance(then_s)
        assert [charge.credits for charge in transport.charges] == [charge.credits for charge in sim.charges]


def _settled(body: bytes) -> str:
    """*body* without what differs by nature: the host, and the second of the day."""
    text = re.sub(r"https?://[a-z0-9.:]+/", "HOST/", body.decode())
    return re.sub(r"17500000\d\d|17500001\d\d|15:0\d:\d\d\.\d{3}", "T", text)


def test_it_is_a_transport() -> None:
    """By its type, for whoever takes one."""
    transport: Transport = MemoryTransport()
    assert transport is not None


@pytest.mark.parametrize(
    ("fault", "error", "charges"),
    [
        (unreachable(), NotSent, 0),
        (drop_before_accepting(), ResponseLost, 0),
        (drop_after_accepting(), ResponseLost, 1),
        (reset_connection("middle"), ResponseLost, 1),
        (truncate(), ResponseLost, 1),
        (corrupt_body("gzip"), ResponseLost, 1),
        (endless_body(), MalformedResponse, 1),
        (huge_body(), MalformedResponse, 1),
        (gzip_bomb(64 * 2**20), MalformedResponse, 1),
        (many_headers(), MalformedResponse, 1),
    ],
)
async def test_troubles_are_told_as_a_transport_tells_them(
    fault: Fault, error: type[TransportError], charges: int
) -> None:
    """Which error, and whether money was spent before it."""
    transport = MemoryTransport(api_key=KEY, faults=[fault])
    with pytest.raises(error):
        await transport.send(post({"prompt": "x"}))
    assert len(transport.charges) == charges
    assert len(transport.triggered_faults) == 1


async def test_a_lost_answer_tells_how_much_had_left() -> None:
    """All of the body had."""
    transport = MemoryTransport(api_key=KEY, faults=[drop_after_accepting()])
    wanted = post({"prompt": "x"})
    with pytest.raises(ResponseLost) as caught:
        await transport.send(wanted)
    assert caught.value.bytes_sent == len(wanted.body or b"")


async def test_offline() -> None:
    """Nothing is sent while it is set."""
    transport = MemoryTransport(api_key=KEY)
    transport.is_offline = True
    with pytest.raises(NotSent):
        await transport.send(post({"prompt": "x"}))
    assert not transport.requests


async def test_a_closed_transport_says_so() -> None:
    """As the real one does."""
    transport = MemoryTransport(api_key=KEY)
    await transport.close()
    with pytest.raises(ClientClosed):
        await transport.send(post({"prompt": "x"}))


@pytest.mark.looptime
@pytest.mark.parametrize(("fault", "charges"), [(delay(100), 0), (delay(100, before=False), 1), (slow_body(1.0), 1)])
async def test_patience_ends_with_the_calls_timeout(fault: Fault, charges: int) -> None:
    """The call gives up after its own seconds; what was accepted stays accepted."""
    transport = MemoryTransport(api_key=KEY, faults=[fault])
    began = asyncio.get_running_loop().time()
    with pytest.raises(ResponseLost, match="in time"):
        await transport.send(post({"prompt": "x"}, timeout_s=30))
    assert asyncio.get_running_loop().time() - began == pytest.approx(30)
    assert len(transport.charges) == charges


@pytest.mark.looptime
async def test_a_day_of_a_thousand_jobs() -> None:
    """A thousand creations and ten thousand polls, in virtual time, are a matter of a moment."""
    transport = MemoryTransport(api_key=KEY, limiter="none", max_running=None)

    async def run(number: int) -> int:
        answer = await transport.send(post({"prompt": f"clip {number}"}))
        task_id = json.loads(answer.body)["data"]["taskId"]
        for polls in range(100):
            await asyncio.sleep(10)
            told = await transport.send(call("GET", f"/api/v1/veo/record-info?taskId={task_id}"))
            if json.loads(told.body)["data"]["successFlag"]:
                return polls
        raise AssertionError("never done")

    async with asyncio.TaskGroup() as group:
        jobs = [group.create_task(run(number)) for number in range(1000)]
    assert len(jobs) == len(transport.tasks) == len(transport.charges)
    transport.assert_no_double_charge()


@pytest.mark.looptime
async def test_callbacks_are_there_for_the_taking() -> None:
    """Each once, when it has fallen due."""
    transport = MemoryTransport(api_key=KEY, duration_s=60.0, webhook_secret="k")
    await transport.send(post({"prompt": "x", "callBackUrl": "https://mine.test/done"}))
    assert transport.due_callbacks() == []
    await asyncio.sleep(60)
    (found,) = transport.due_callbacks()
    assert found.url == "https://mine.test/done"
    assert transport.due_callbacks() == []
