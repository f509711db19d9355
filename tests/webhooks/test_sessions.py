"""Callbacks as a session hears them, over real sockets: what they bring forward, and what they cannot do.

Looks by the clock are switched off, so a job that ends at all has ended because a callback said where to look.
"""

import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.programs import run
from veo_async import VeoSession
from veo_async._rules.lifecycle import JobState
from veo_async._wire import UpgradeRequest
from veo_async.settings import Callbacks
from veo_async.simulator import (
    Simulator,
    delay,
    drop_after_accepting,
    duplicate_callback,
    forged_callback,
    late_callback,
    lost_callback,
    malformed_callback,
    reordered_callbacks,
)

from .support import free_port, heard, listening, served, until

pytestmark = pytest.mark.realtime


def address_of(sim: Simulator, number: int = 0) -> str:
    """Where an attempt wants to be called back."""
    url: str = json.loads(sim.requests_to()[number].content)["callBackUrl"]
    return url


async def post(url: str, body: bytes, **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as answer:
        return answer.status


def told(task_id: str, code: int = 200) -> bytes:
    return json.dumps({"code": code, "msg": "", "data": {"taskId": task_id}}).encode()


@pytest.mark.parametrize("form", ["array", "json-string", "bracket"])
@pytest.mark.parametrize("key", [None, "a-webhook-key"])
async def test_a_callback_ends_the_waiting(form: Any, key: str | None) -> None:
    """In each of the documented shapes, signed and unsigned; one look for each job."""
    async with heard(callback_form=form, webhook_secret=key, session={"webhook_secret": key}) as (veo, sim):
        outcomes = await veo.gather("A dog", "A cat")
        assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Done"]
        assert sim.count("record-info") == 2
        assert veo.statistics().callback_responses == {200: 2}


async def test_a_callback_that_tells_of_a_failure() -> None:
    """The record says why, and is asked twice, as always."""
    async with heard() as (veo, sim):
        [outcome] = await veo.gather("A bird [fail]")
        assert type(outcome).__name__ == "Failed"
        assert sim.count("record-info") == 2


@pytest.mark.parametrize("form", ["info", "snake"])
@pytest.mark.parametrize("task_id", ["same", "new"])
async def test_a_callback_for_an_upgrade_and_for_an_extension(form: Any, task_id: Any) -> None:
    """4K comes in two shapes and under two ids; 1080p has no callback, and is not waited for by one."""
    async with heard(four_k_callback=form, four_k_task_id=task_id) as (veo, _):
        clip = await veo.generate("A dog")
        longer = await veo.extend(clip, "It swims ashore")
        assert (await veo.upgrade(longer, "4k")).urls
        assert veo.statistics().callback_responses == {200: 3}


async def test_row_42_a_callback_before_the_answer_and_without_one() -> None:
    """Its token says whose it is: bound once its record proves it, whether the answer comes late or never."""
    faults = [delay(1.5, before=False, endpoint="generate", on=1), drop_after_accepting(endpoint="generate", on=2)]
    async with heard(faults=faults) as (veo, sim):
        late, lost = await veo.submit("A dog"), await veo.submit("A cat")
        assert {(await late).task_id, (await lost).task_id} == set(sim.tasks)
        assert len(sim.charges) == 2


async def test_row_43_twice_a_hundred_times_and_out_of_order() -> None:
    """One confirmation; the sender hears 200 each time."""
    async with heard(faults=[duplicate_callback(100, on=1), reordered_callbacks(on=2)]) as (veo, sim):
        outcomes = await veo.gather("A dog", "A cat", "A bird")
        assert all(type(outcome).__name__ == "Done" for outcome in outcomes)
        await until(lambda: sum(attempt.was_acknowledged for attempt in sim.callbacks) >= 102)
        assert sim.count("record-info") <= 5
        assert len(sim.charges) == 3


async def test_row_44_a_forged_callback_changes_nothing() -> None:
    """It says "failed" of a task that runs, with a good token: the record says otherwise, and the record counts."""
    async with heard(duration_s=1.0) as (veo, sim):
        job = await veo.submit("A dog")
        task_id = await job.accepted()
        before = sim.count("record-info")
        for n in range(50):
            assert await post(address_of(sim), told(task_id, code=400) + b" " * n) == 200
        assert await post(address_of(sim), told("0" * 32)) == 200
        assert job.state is JobState.RUNNING
        assert sim.count("record-info") - before <= 2  # a flood is not fifty looks
        assert (await job).urls


@pytest.mark.parametrize("how", ["key", "stale", "future", "unsigned"])
async def test_row_44_a_callback_with_a_bad_signature(how: Any) -> None:
    """401 and no look; the next one, which is good, ends the waiting."""
    faults = [forged_callback(how, on=1)]
    async with heard(faults=faults, webhook_secret="k", session={"webhook_secret": ["new", "k"]}) as (veo, sim):
        job = await veo.submit("A dog")
        await job.accepted()
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 401
        assert job.state is JobState.RUNNING
        assert sim.count("record-info") == 0


async def test_row_45_what_is_not_ours_costs_nothing() -> None:
    """Unknown, huge, packed, malformed: each by its status, and nobody's job has moved."""
    async with heard(duration_s=60.0, faults=[malformed_callback(size=100, on=1)]) as (veo, sim):
        job = await veo.submit("A dog")
        task_id = await job.accepted()
        url = address_of(sim)
        assert await post(url[:-1] + ("a" if url[-1] != "a" else "b"), told(task_id)) == 404
        assert await post(url.rpartition("/")[0] + "/" + "a" * 26, told(task_id)) == 404
        assert await post(url, b" " * 70_000) == 413
        assert await post(url, told(task_id), **{"Content-Encoding": "gzip"}) in (400, 415)
        assert await post(url, b"not JSON") == 400
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            assert answer.status == 405
        assert job.state is JobState.RUNNING
        assert sim.count("record-info") == 0


async def test_row_45_a_body_without_end_is_cut_off() -> None:
    """Chunked, so that it need not say how long it is."""

    async def endless() -> Any:
        while True:
            yield b" " * 16384

    async with heard(duration_s=60.0) as (veo, sim):
        job = await veo.submit("A dog")
        await job.accepted()
        async with aiohttp.ClientSession() as http:
            try:
                async with http.post(address_of(sim), data=endless()) as answer:
                    assert answer.status == 413
            except aiohttp.ClientError:
                pass  # cut off while it was still talking
        assert veo.statistics().callback_responses == {413: 1}


async def test_row_46_without_any_callback_looks_finish_the_job() -> None:
    """Lost for good: polling is the fallback, always."""
    async with heard(faults=[lost_callback()], session={"poll_every": 0.2}) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        assert not sim.callbacks


async def test_a_late_callback_finds_the_job_ended() -> None:
    """It is thanked for."""
    async with heard(faults=[late_callback(0.5, on=1)], session={"poll_every": 0.1}) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 200


async def test_row_47_a_callback_in_another_process_wakes_the_waiter(tmp_path: Path) -> None:
    """Two sessions on one file: what comes in at the one wakes who waits at the other, within two seconds."""
    port = free_port()
    async with Simulator(duration_s=0.5) as sim:
        there = listening(sim, port, ledger=tmp_path / "veo.db")
        async with (
            listening(sim, port, ledger=tmp_path / "veo.db") as here,
            there,
            served(there.aiohttp_routes(), port),
        ):
            job = await here.submit("A dog")
            await job.accepted()
            await until(lambda: any(attempt.was_acknowledged for attempt in sim.callbacks))
            assert (await job.wait(timeout=2.0)).urls
            assert here.statistics().callback_responses == {}
            assert there.statistics().callback_responses == {200: 1}


WAITER = """
import asyncio, sys
from veo_async import VeoSession
from veo_async.settings import Limits

async def main():
    async with VeoSession(ledger="veo.db", callbacks=sys.argv[1], limits=Limits(poll_every=1e6)) as veo:
        print((await veo.generate("A dog", key="dog")).urls[0])

asyncio.run(main())
"""


async def test_row_47_a_callback_here_ends_another_process(tmp_path: Path) -> None:
    """The process that waits has no port at all; it ends, because its ledger tells it where to look."""
    (tmp_path / "waiter.py").write_text(WAITER)
    port = free_port()
    async with Simulator(duration_s=0.5, callback_retry_s=(0.5,) * 20) as sim:
        here = listening(sim, port, ledger=tmp_path / "veo.db")
        async with here, served(here.callbacks.aiohttp_routes(), port):
            url = f"http://127.0.0.1:{port}"
            told = await run(sys.executable, "waiter.py", url, cwd=tmp_path, sim=sim)
            assert told.startswith("http")
            assert here.statistics().callback_responses[200] >= 1
            assert here.jobs() == []
        assert len(sim.charges) == 1


async def test_a_doubt_is_bound_after_a_restart(tmp_path: Path) -> None:
    """The hint came in while nobody who cared was there; it was written down."""
    port = free_port()
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=1)], callback_retry_s=(0.5,) * 20) as sim:
        async with listening(sim, port, ledger=tmp_path / "veo.db") as first:
            await first.submit("A dog", key="dog")
            await until(lambda: bool(sim.charges))
        second = listening(sim, port, ledger=tmp_path / "veo.db")
        async with second, served(second.callbacks.aiohttp_routes(), port):
            job = await second.ledger.find("dog")
            assert job is not None
            assert (await job.wait(timeout=10)).urls
        assert len(sim.charges) == 1


async def test_the_hint_of_an_upgrade_in_doubt_is_not_taken_for_proof() -> None:
    """An upgrade keeps no record of who asked for it, so the callback alone binds nothing."""
    faults = [drop_after_accepting(endpoint="get-4k-video", on=1)]
    async with heard(faults=faults, session={"poll_every": 0.2}) as (veo, sim):
        clip = await veo.generate("A dog")
        job = await veo.submit(UpgradeRequest(clip.task_id, "4k"), key="up")
        await until(lambda: veo.statistics().callback_responses.get(200, 0) >= 2)
        assert job.state is JobState.IN_DOUBT
        await job.resolve(clip.task_id)
        assert (await job).urls
        assert [charge.endpoint for charge in sim.charges] == ["generate", "get-4k-video"]


async def test_a_session_that_is_not_open_asks_to_come_again() -> None:
    """503, which the provider repeats; nothing is lost by a restart."""
    port = free_port()
    async with Simulator() as sim:
        veo = listening(sim, port)
        async with served(veo.callbacks.aiohttp_routes(), port):
            assert await post(f"http://127.0.0.1:{port}/veo/cb/{'a' * 26}", told("t-1")) == 503
        await veo.close()


async def test_secrets_are_not_shown() -> None:
    """Neither the key that signs nor a token stands in what a session says of itself."""
    veo = VeoSession("sk-" + "a" * 20, callbacks=Callbacks("https://me.example", secret="whsec-hush"))
    assert "hush" not in repr(veo) + repr(veo.callbacks)
    await veo.close()


async def test_the_key_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the provider's own name for it says."""
    monkeypatch.setenv("KIE_WEBHOOK_HMAC_KEY", "k")
    async with heard(webhook_secret="other") as (veo, sim):
        await (await veo.submit("A dog")).accepted()
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 401
