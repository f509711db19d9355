"""The in-memory frontend: the same responses as the server's, and faults as the errors of a transport."""

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
    ("POST", "/api/v1/veo/generate", {"prompt": "a dog", "model": "veo3_fast", "aspect_ratio": "9:16"}, 0),
    ("POST", "/api/v1/veo/generate", {"prompt": "", "model": "veo3_fast"}, 0),
    ("POST", "/api/v1/veo/generate", {"prompt": "[refuse]", "model": "veo3_fast"}, 0),
    ("GET", "/api/v1/veo/record-info?taskId=task-1", None, 30),
    ("GET", "/api/v1/veo/record-info?taskId=task-1", None, 40),
    ("GET", "/api/v1/veo/get-1080p-video?taskId=task-1&index=0", None, 60),
    ("GET", "/api/v1/veo/get-1080p-video?taskId=task-1&index=0", None, 0),
    ("POST", "/api/v1/veo/get-4k-video", {"taskId": "task-1"}, 60),
    ("POST", "/api/v1/veo/get-4k-video", {"taskId": "task-1"}, 0),
    ("POST", "/api/v1/veo/extend", {"taskId": "unknown", "prompt": "on"}, 0),
    ("GET", "/api/v1/veo/record-info?taskId=unknown", None, 0),
    ("GET", "/api/v1/veo/generate", None, 0),
    ("POST", "/api/file-base64-upload", {"base64Data": "aGk=", "uploadPath": "x", "fileName": "y.png"}, 0),
    ("GET", "/files/u/x/y.png", None, 0),
    ("GET", "/api/v1/chat/credit", None, 0),
]


async def test_both_frontends_send_the_same_responses() -> None:
    """Status and body are equal after each step, except for host names and times."""
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
            received = await transport.send(call(method, path, content))
            raw = post_bytes(path, KEY, body) if body is not None else get_bytes(path, KEY)
            status, _, body_bytes = parts_of((await raw_exchange(sim.url, raw))[0])
            assert (received.status, _normalized(received.body)) == (status, _normalized(body_bytes)), (method, path)
            transport.advance(then_s)
            sim.advance(then_s)
        assert [charge.credits for charge in transport.charges] == [charge.credits for charge in sim.charges]


def _normalized(body: bytes) -> str:
    """Return *body* without the parts that differ: the host and the times."""
    text = re.sub(r"https?://[a-z0-9.:]+/", "HOST/", body.decode())
    return re.sub(r"17500000\d\d|17500001\d\d|15:0\d:\d\d\.\d{3}", "T", text)


def test_memory_transport_is_a_transport() -> None:
    """It implements the protocol."""
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
async def test_fault_raises_the_error_of_a_transport(fault: Fault, error: type[TransportError], charges: int) -> None:
    """The table states which error is raised and whether the task was charged."""
    transport = MemoryTransport(api_key=KEY, faults=[fault])
    with pytest.raises(error):
        await transport.send(post({"prompt": "x", "model": "veo3_fast"}))
    assert len(transport.charges) == charges
    assert len(transport.triggered_faults) == 1


async def test_lost_response_reports_bytes_sent() -> None:
    """The whole body was sent."""
    transport = MemoryTransport(api_key=KEY, faults=[drop_after_accepting()])
    request = post({"prompt": "x", "model": "veo3_fast"})
    with pytest.raises(ResponseLost) as caught:
        await transport.send(request)
    assert caught.value.bytes_sent == len(request.body or b"")


async def test_offline_transport_sends_nothing() -> None:
    """Each request raises `NotSent`."""
    transport = MemoryTransport(api_key=KEY)
    transport.is_offline = True
    with pytest.raises(NotSent):
        await transport.send(post({"prompt": "x", "model": "veo3_fast"}))
    assert not transport.requests


async def test_closed_transport_raises_client_closed() -> None:
    """The real transport does the same."""
    transport = MemoryTransport(api_key=KEY)
    await transport.close()
    with pytest.raises(ClientClosed):
        await transport.send(post({"prompt": "x", "model": "veo3_fast"}))


@pytest.mark.looptime
@pytest.mark.parametrize(("fault", "charges"), [(delay(100), 0), (delay(100, before=False), 1), (slow_body(1.0), 1)])
async def test_slow_response_raises_after_the_request_timeout(fault: Fault, charges: int) -> None:
    """A task that was accepted stays charged."""
    transport = MemoryTransport(api_key=KEY, faults=[fault])
    began = asyncio.get_running_loop().time()
    with pytest.raises(ResponseLost, match="timed out"):
        await transport.send(post({"prompt": "x", "model": "veo3_fast"}, timeout_s=30))
    assert asyncio.get_running_loop().time() - began == pytest.approx(30)
    assert len(transport.charges) == charges


@pytest.mark.looptime
async def test_thousand_jobs_in_virtual_time() -> None:
    """A thousand generations and ten thousand polls take only a moment."""
    transport = MemoryTransport(api_key=KEY, limiter="none", max_running=None)

    async def run(number: int) -> int:
        created = await transport.send(post({"prompt": f"clip {number}", "model": "veo3_fast"}))
        task_id = json.loads(created.body)["data"]["taskId"]
        for polls in range(100):
            await asyncio.sleep(10)
            polled = await transport.send(call("GET", f"/api/v1/veo/record-info?taskId={task_id}"))
            if json.loads(polled.body)["data"]["successFlag"]:
                return polls
        raise AssertionError("never done")

    async with asyncio.TaskGroup() as group:
        jobs = [group.create_task(run(number)) for number in range(1000)]
    assert len(jobs) == len(transport.tasks) == len(transport.charges)
    transport.assert_no_double_charge()


@pytest.mark.looptime
async def test_due_callbacks_returns_each_callback_once() -> None:
    """It is returned when it is due."""
    transport = MemoryTransport(api_key=KEY, duration_s=60.0, webhook_secret="k")
    await transport.send(post({"prompt": "x", "model": "veo3_fast", "callBackUrl": "https://mine.test/done"}))
    assert transport.due_callbacks() == []
    await asyncio.sleep(60)
    (callback,) = transport.due_callbacks()
    assert callback.url == "https://mine.test/done"
    assert transport.due_callbacks() == []
