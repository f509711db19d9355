"""The HTTP server: starting, stopping, time and inspection."""

import asyncio
import io
import json
import threading

import aiohttp
import pytest

from veo_async.errors import UsageError
from veo_async.simulator import Simulator, delay, drop_after_accepting, endless_body

from .support import REQUEST, get_bytes, parts_of, post_bytes, raw_exchange


async def generate(sim: Simulator, prompt: str = "x") -> str:
    response, _ = await raw_exchange(
        sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, {**REQUEST, "prompt": prompt})
    )
    return str(json.loads(parts_of(response)[2])["data"]["taskId"])


async def flag(sim: Simulator, task_id: str) -> int:
    request = get_bytes(f"/api/v1/veo/record-info?taskId={task_id}", sim.api_key)
    return int(json.loads(parts_of((await raw_exchange(sim.url, request))[0])[2])["data"]["successFlag"])


async def test_server_binds_loopback_by_default() -> None:
    """Other machines cannot reach it unless ``host`` says so."""
    async with Simulator() as sim:
        assert sim.url.startswith("http://127.0.0.1:")


async def test_url_outside_the_context_raises() -> None:
    """The port is not known before the server listens."""
    with pytest.raises(RuntimeError, match="async with"):
        _ = Simulator().url


async def test_port_in_use_raises_usage_error() -> None:
    """The error names the option and a remedy."""
    async with Simulator() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port={port}: cannot listen .* 0 for any free one"):
            async with Simulator(port=port):
                pass


def test_server_runs_in_its_own_thread_for_code_without_await() -> None:
    """`start` and `stop`, also twice, or a `with` block; a charge is seen from the caller's thread."""
    sim = Simulator()
    for _ in range(2):
        assert sim.start().start() is sim
        assert asyncio.run(generate(sim)) in sim.tasks
        sim.stop()
        sim.stop()
    with Simulator() as sim:
        asyncio.run(generate(sim))
    assert len(sim.charges) == 1
    assert "sim.loop" not in {thread.name for thread in threading.enumerate()}


async def test_closing_leaves_no_task() -> None:
    """This includes open requests, queued callbacks and connected clients."""
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with Simulator(faults=[delay(100, on=1), endless_body(on=2)]) as sim:
            post = {
                "json": REQUEST,
                "headers": {"Authorization": f"Bearer {sim.api_key}"},
            }
            url = f"{sim.url}/api/v1/veo/generate"
            waiting = asyncio.create_task(session.post(url, **post))
            await asyncio.sleep(0.02)
            endless = await session.post(url, **post)
            await (await session.post(url, **post)).read()
        with pytest.raises(aiohttp.ClientError):
            await waiting
        endless.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_error_in_the_context_is_not_wrapped() -> None:
    """It does not become an exception group."""
    with pytest.raises(ZeroDivisionError):
        async with Simulator():
            _ = 1 / 0


async def test_speed_accelerates_tasks() -> None:
    """At speed 1000, a task of one minute takes 60 ms."""
    async with Simulator(duration_s=60.0, speed=1000.0) as sim:
        task_id = await generate(sim)
        assert await flag(sim, task_id) == 0
        await asyncio.sleep(0.08)
        assert await flag(sim, task_id) == 1


async def test_advance_moves_time_forward_only() -> None:
    """A negative number raises `ValueError`."""
    async with Simulator(duration_s=60.0, start_at=1000.0) as sim:
        task_id = await generate(sim)
        sim.advance(60)
        assert 1060 <= sim.now() < 1061
        assert await flag(sim, task_id) == 1
        with pytest.raises(ValueError, match="must be >= 0"):
            sim.advance(-1)


@pytest.mark.looptime
async def test_server_runs_in_virtual_time() -> None:
    """With a virtual loop an hour passes immediately, even with sockets."""
    async with Simulator(duration_s=3600.0) as sim:
        task_id = await generate(sim)
        await asyncio.sleep(3599)
        assert await flag(sim, task_id) == 0
        await asyncio.sleep(1)
        assert await flag(sim, task_id) == 1


async def test_simulated_time_starts_at_the_wall_clock() -> None:
    """Records have today's date by default."""
    async with Simulator(wall_clock=lambda: 1_750_000_000.0) as sim:
        assert 0 <= sim.now() - 1_750_000_000 < 5


async def test_log_keeps_requests_without_keys() -> None:
    """It has the endpoint, the body, the headers and the time."""
    async with Simulator(start_at=1000.0) as sim:
        task_id = await generate(sim, "a dog")
        await flag(sim, task_id)
        assert [request.endpoint for request in sim.requests] == ["generate", "record-info"]
        (post,) = sim.requests_to("generate")
        assert post.body == {"prompt": "a dog", "model": "veo3_fast"}
        assert post.headers["content-type"] == "application/json"
        assert sim.api_key not in repr(sim.requests) + str([dict(request.headers) for request in sim.requests])
        assert 1000 <= post.at < 1005
        assert sim.requests[1].query == {"taskId": task_id}


async def test_assert_no_double_charge_names_the_tasks() -> None:
    """It does nothing as long as each request was charged once."""
    async with Simulator() as sim:
        first = await generate(sim)
        sim.assert_no_double_charge()
        second = await generate(sim)
        with pytest.raises(AssertionError, match=f"{first}, {second}"):
            sim.assert_no_double_charge()


async def test_faults_can_be_injected_as_text() -> None:
    """`triggered_faults` lists those that were triggered."""
    async with Simulator() as sim:
        sim.inject("drop-after:generate:1", drop_after_accepting(on=2))
        for _ in range(3):
            await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, REQUEST))
        assert [triggered.kind for triggered in sim.triggered_faults] == [
            "drop-after-accepting",
            "drop-after-accepting",
        ]
        assert len(sim.charges) == 3


async def test_keys_can_be_added_and_revoked() -> None:
    """A second key bills another account; a revoked key is unknown."""
    async with Simulator(credits=100.0) as sim:
        sim.add_key("second", "friends")
        request = post_bytes("/api/v1/veo/generate", "second", REQUEST)
        await raw_exchange(sim.url, request)
        assert (sim.account().credits, sim.account("friends").credits) == (100, 40)
        sim.revoke_key("second")
        response = parts_of((await raw_exchange(sim.url, request))[0])[2]
        assert json.loads(response)["code"] == 401


async def test_server_can_go_offline_and_online() -> None:
    """Connections are refused in between; URL and tasks stay the same."""
    async with Simulator() as sim:
        task_id, url = await generate(sim), sim.url
        await sim.go_offline()
        with pytest.raises(ConnectionRefusedError):
            await raw_exchange(url, b"")
        await sim.go_online()
        assert sim.url == url
        assert await flag(sim, task_id) == 0


async def test_latency_delays_api_responses() -> None:
    """``latency_s`` is in simulated seconds."""
    async with Simulator(latency_s=5.0, speed=100.0) as sim:
        began = asyncio.get_running_loop().time()
        await generate(sim)
        assert asyncio.get_running_loop().time() - began >= 0.05


async def test_large_upload_is_accepted() -> None:
    """It exceeds the web server's default limit of 1 MiB."""
    data = b"\0" * 3_000_000
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename="big.bin")
        form.add_field("uploadPath", "big")
        headers = {"Authorization": f"Bearer {sim.api_key}"}
        async with session.post(f"{sim.url}/api/file-stream-upload", data=form, headers=headers) as response:
            uploaded = await response.json()
        async with session.get(uploaded["data"]["downloadUrl"]) as served:
            assert await served.read() == data


async def test_head_returns_the_length_only() -> None:
    """The response has no body."""
    async with Simulator(duration_s=1.0) as sim, aiohttp.ClientSession() as session:
        task_id = await generate(sim)
        sim.advance(1)
        url = sim.tasks[task_id].urls[0]
        async with session.head(url) as head, session.get(url) as whole:
            assert head.headers["Content-Length"] == str(len(await whole.read()))
            assert await head.read() == b""
