"""The server skin: its life, its time, and that it leaves nothing behind."""

import asyncio
import io
import json

import aiohttp
import pytest

from veo_async.errors import UsageError
from veo_async.simulator import Simulator, delay, drop_after_accepting, endless_body

from .support import get_bytes, parts_of, post_bytes, raw_exchange


async def generate(sim: Simulator, prompt: str = "x") -> str:
    answer, _ = await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, {"prompt": prompt}))
    return str(json.loads(parts_of(answer)[2])["data"]["taskId"])


async def flag(sim: Simulator, task_id: str) -> int:
    request = get_bytes(f"/api/v1/veo/record-info?taskId={task_id}", sim.api_key)
    return int(json.loads(parts_of((await raw_exchange(sim.url, request))[0])[2])["data"]["successFlag"])


async def test_it_listens_on_loopback_and_a_free_port() -> None:
    """Nobody else on the network sees it unless asked for."""
    async with Simulator() as sim:
        assert sim.url.startswith("http://127.0.0.1:")


async def test_it_has_an_address_only_while_it_runs() -> None:
    """Before, asking for it is a mistake."""
    with pytest.raises(RuntimeError, match="async with"):
        _ = Simulator().url


async def test_a_taken_port_says_so() -> None:
    """With the option's name and a remedy."""
    async with Simulator() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port={port}: cannot listen .* 0 for a free one"):
            async with Simulator(port=port):
                pass


async def test_it_leaves_nothing_behind() -> None:
    """With answers under way, callbacks waiting and clients connected, the end leaves no task."""
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with Simulator(faults=[delay(100, on=1), endless_body(on=2)]) as sim:
            post = {"json": {"prompt": "x"}, "headers": {"Authorization": f"Bearer {sim.api_key}"}}
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


async def test_the_users_error_leaves_as_itself() -> None:
    """Not wrapped in a group."""
    with pytest.raises(ZeroDivisionError):
        async with Simulator():
            _ = 1 / 0


async def test_speed() -> None:
    """At a thousandfold, a clip of a minute takes six hundredths of a second."""
    async with Simulator(duration_s=60.0, speed=1000.0) as sim:
        task_id = await generate(sim)
        assert await flag(sim, task_id) == 0
        await asyncio.sleep(0.08)
        assert await flag(sim, task_id) == 1


async def test_advance() -> None:
    """Simulated time can be pushed, and not back."""
    async with Simulator(duration_s=60.0, start_at=1000.0) as sim:
        task_id = await generate(sim)
        sim.advance(60)
        assert 1060 <= sim.now() < 1061
        assert await flag(sim, task_id) == 1
        with pytest.raises(ValueError, match="backwards"):
            sim.advance(-1)


@pytest.mark.looptime
async def test_it_lives_in_virtual_time() -> None:
    """With a virtual loop an hour passes at once, sockets and all."""
    async with Simulator(duration_s=3600.0) as sim:
        task_id = await generate(sim)
        await asyncio.sleep(3599)
        assert await flag(sim, task_id) == 0
        await asyncio.sleep(1)
        assert await flag(sim, task_id) == 1


async def test_the_clock_starts_with_the_machine_s() -> None:
    """Unless told otherwise a record's stamps are today's."""
    async with Simulator(wall_clock=lambda: 1_750_000_000.0) as sim:
        assert 0 <= sim.now() - 1_750_000_000 < 5


async def test_requests_are_kept_as_values() -> None:
    """Endpoint, body, headers without the key, and time."""
    async with Simulator(start_at=1000.0) as sim:
        task_id = await generate(sim, "a dog")
        await flag(sim, task_id)
        assert [seen.endpoint for seen in sim.requests] == ["generate", "record-info"]
        (post,) = sim.requests_to("generate")
        assert post.body == {"prompt": "a dog"}
        assert post.headers["content-type"] == "application/json"
        assert sim.api_key not in repr(sim.requests) + str([dict(seen.headers) for seen in sim.requests])
        assert 1000 <= post.at < 1005
        assert sim.requests[1].query == {"taskId": task_id}


async def test_no_double_charge_is_asserted() -> None:
    """Silent when all is well; else it names the tasks."""
    async with Simulator() as sim:
        first = await generate(sim)
        sim.assert_no_double_charge()
        second = await generate(sim)
        with pytest.raises(AssertionError, match=f"{first}, {second}"):
            sim.assert_no_double_charge()


async def test_faults_can_be_injected_as_words() -> None:
    """While it runs, and the list of what fired tells."""
    async with Simulator() as sim:
        sim.inject("drop-after:generate:1", drop_after_accepting(on=2))
        for _ in range(3):
            await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, {"prompt": "x"}))
        assert [fired.kind for fired in sim.triggered_faults] == ["drop", "drop"]
        assert len(sim.charges) == 3


async def test_keys_can_come_and_go() -> None:
    """A second key bills another account; a revoked one is a stranger."""
    async with Simulator(credits=100.0) as sim:
        sim.add_key("second", "friends")
        request = post_bytes("/api/v1/veo/generate", "second", {"prompt": "x"})
        await raw_exchange(sim.url, request)
        assert (sim.account().credits, sim.account("friends").credits) == (100, 40)
        sim.revoke_key("second")
        answer = parts_of((await raw_exchange(sim.url, request))[0])[2]
        assert json.loads(answer)["code"] == 401


async def test_it_can_go_offline_and_come_back() -> None:
    """Connections are refused meanwhile; the address stays the same, and so does what it knows."""
    async with Simulator() as sim:
        task_id, url = await generate(sim), sim.url
        await sim.go_offline()
        with pytest.raises(ConnectionRefusedError):
            await raw_exchange(url, b"")
        await sim.go_online()
        assert sim.url == url
        assert await flag(sim, task_id) == 0


async def test_latency_is_for_every_api_answer() -> None:
    """And not for files."""
    async with Simulator(latency_s=5.0, speed=100.0) as sim:
        began = asyncio.get_running_loop().time()
        await generate(sim)
        assert asyncio.get_running_loop().time() - began >= 0.05


async def test_a_large_upload_is_taken() -> None:
    """More than a web server's usual megabyte."""
    data = b"\0" * 3_000_000
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(data), filename="big.bin")
        form.add_field("uploadPath", "big")
        headers = {"Authorization": f"Bearer {sim.api_key}"}
        async with session.post(f"{sim.url}/api/file-stream-upload", data=form, headers=headers) as answer:
            told = await answer.json()
        async with session.get(told["data"]["downloadUrl"]) as served:
            assert await served.read() == data


async def test_head_tells_the_length() -> None:
    """Without the bytes."""
    async with Simulator(duration_s=1.0) as sim, aiohttp.ClientSession() as session:
        task_id = await generate(sim)
        sim.advance(1)
        url = sim.tasks[task_id].urls[0]
        async with session.head(url) as head, session.get(url) as whole:
            assert head.headers["Content-Length"] == str(len(await whole.read()))
            assert await head.read() == b""
