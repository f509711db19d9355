"""Sessions that receive callbacks over real sockets: what callbacks can do, and what they cannot (rows 42 to 47).

Polling is effectively turned off, so every job that finishes does so because of a callback.
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
from veo_async.types import RouteName

from .support import callback_session, free_port, served, session_with_callbacks, until

pytestmark = pytest.mark.realtime


def callback_url_of(sim: Simulator) -> str:
    """Return the callback URL of the first request."""
    url: str = json.loads(sim.requests_to()[0].content)["callBackUrl"]
    return url


async def post(url: str, body: bytes, **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as response:
        return response.status


def callback_body(task_id: str, code: int = 200, **data: str) -> bytes:
    return json.dumps({"code": code, "msg": "", "data": {"taskId": task_id, **data}}).encode()


#: What the callback of a failed task says on each route.
FAILED: dict[str, dict[str, Any]] = {"veo": {"code": 400}, "jobs": {"code": 501, "state": "fail"}}


@pytest.mark.parametrize(
    ("route", "form"),
    [
        *(("veo", {"callback_form": form}) for form in ("array", "json-string", "bracket")),
        *(("jobs", {"jobs_callback_form": form}) for form in ("unified", "info")),
    ],
    indirect=["route"],
)
@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("key", [None, "a-webhook-key"])
async def test_callback_finishes_a_job_with_one_poll(form: dict[str, Any], key: str | None) -> None:
    """This works with every documented shape, signed and unsigned."""
    async with session_with_callbacks(webhook_secret=key, session={"webhook_secret": key}, **form) as (veo, sim):
        outcomes = await veo.gather("A dog", "A cat")
        assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Done"]
        assert sim.count("record-info") == 2
        assert veo.statistics().callback_responses == {200: 2}


@pytest.mark.usefixtures("route")
@pytest.mark.slow
async def test_callback_of_a_failed_task_finishes_the_job() -> None:
    """The reason is read from the record, which is polled twice as for every failure."""
    async with session_with_callbacks() as (veo, sim):
        [outcome] = await veo.gather("A bird [fail]")
        assert type(outcome).__name__ == "Failed"
        assert sim.count("record-info") == 2


@pytest.mark.parametrize(
    ("route", "form"),
    [
        *(
            ("veo", {"four_k_callback": form, "four_k_task_id": task_id})
            for form in ("info", "snake")
            for task_id in ("same", "new")
        ),
        *(("jobs", {"jobs_callback_form": form}) for form in ("unified", "info")),
    ],
    indirect=["route"],
)
@pytest.mark.usefixtures("route")
async def test_callbacks_finish_an_extension_and_an_upgrade(form: dict[str, Any]) -> None:
    """On the ``veo`` route, a 4K callback has two shapes and either of two task ids."""
    async with session_with_callbacks(**form) as (veo, _):
        clip = await veo.generate("A dog")
        longer = await veo.extend(clip, "It swims ashore")
        assert (await veo.upgrade(longer, "4k")).urls
        assert veo.statistics().callback_responses == {200: 3}


@pytest.mark.usefixtures("route")
async def test_callback_binds_a_job_whose_response_is_late_or_lost() -> None:
    """The token identifies the job, and the task is bound to it once its record proves it."""
    faults = [delay(1.5, before=False, endpoint="generate", on=1), drop_after_accepting(endpoint="generate", on=2)]
    async with session_with_callbacks(faults=faults) as (veo, sim):
        late, lost = await veo.submit("A dog"), await veo.submit("A cat")
        assert {(await late).task_id, (await lost).task_id} == set(sim.tasks)
        assert len(sim.charges) == 2


@pytest.mark.usefixtures("route")
async def test_repeated_and_reordered_callbacks_are_harmless() -> None:
    """Every copy gets a 200, and copies cause almost no further polls."""
    async with session_with_callbacks(faults=[duplicate_callback(100, on=1), reordered_callbacks(on=2)]) as (veo, sim):
        outcomes = await veo.gather("A dog", "A cat", "A bird")
        assert all(type(outcome).__name__ == "Done" for outcome in outcomes)
        await until(lambda: sum(attempt.was_acknowledged for attempt in sim.callbacks) >= 102)
        assert sim.count("record-info") <= 5
        assert len(sim.charges) == 3


async def test_forged_callback_changes_nothing(route: RouteName) -> None:
    """A callback with a valid token says that a running task failed. Only the record counts."""
    async with session_with_callbacks(duration_s=1.0) as (veo, sim):
        job = await veo.submit("A dog")
        task_id = await job.accepted()
        before = sim.count("record-info")
        for n in range(50):
            assert await post(callback_url_of(sim), callback_body(task_id, **FAILED[route]) + b" " * n) == 200
        assert await post(callback_url_of(sim), callback_body("0" * 32)) == 200
        assert job.state is JobState.RUNNING
        assert sim.count("record-info") - before <= 2  # not one poll per callback
        assert (await job).urls


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("how", ["key", "stale", "future", "unsigned"])
async def test_callback_with_a_bad_signature_is_rejected(how: Any) -> None:
    """It gets a 401 and causes no poll."""
    faults = [forged_callback(how, on=1)]
    async with session_with_callbacks(faults=faults, webhook_secret="k", session={"webhook_secret": ["new", "k"]}) as (
        veo,
        sim,
    ):
        job = await veo.submit("A dog")
        await job.accepted()
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 401
        assert job.state is JobState.RUNNING
        assert sim.count("record-info") == 0


@pytest.mark.usefixtures("route")
async def test_invalid_callback_changes_no_job_and_causes_no_poll() -> None:
    """Unknown tokens, and huge, compressed or malformed bodies, each get their own status."""
    async with session_with_callbacks(duration_s=60.0, faults=[malformed_callback(size=100, on=1)]) as (veo, sim):
        job = await veo.submit("A dog")
        task_id = await job.accepted()
        url = callback_url_of(sim)
        assert await post(url[:-1] + ("a" if url[-1] != "a" else "b"), callback_body(task_id)) == 404
        assert await post(url.rpartition("/")[0] + "/" + "a" * 26, callback_body(task_id)) == 404
        assert await post(url, b" " * 70_000) == 413
        assert await post(url, callback_body(task_id), **{"Content-Encoding": "gzip"}) in (400, 415)
        assert await post(url, b"not JSON") == 400
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert response.status == 405
        assert job.state is JobState.RUNNING
        assert sim.count("record-info") == 0


@pytest.mark.usefixtures("route")
async def test_endless_body_is_cut_off() -> None:
    """A chunked body has no announced length."""

    async def endless() -> Any:
        while True:
            yield b" " * 16384

    async with session_with_callbacks(duration_s=60.0) as (veo, sim):
        job = await veo.submit("A dog")
        await job.accepted()
        async with aiohttp.ClientSession() as http:
            try:
                async with http.post(callback_url_of(sim), data=endless()) as response:
                    assert response.status == 413
            except aiohttp.ClientError:
                pass  # the connection was closed while the client was sending
        assert veo.statistics().callback_responses == {413: 1}


@pytest.mark.usefixtures("route")
async def test_polling_finishes_the_job_when_all_callbacks_are_lost() -> None:
    """Polling is always the fallback."""
    async with session_with_callbacks(faults=[lost_callback()], session={"poll_every": 0.2}) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        assert not sim.callbacks


@pytest.mark.usefixtures("route")
async def test_callback_for_a_finished_job_gets_a_200() -> None:
    """A late callback is acknowledged, so that the provider does not repeat it."""
    async with session_with_callbacks(faults=[late_callback(0.5, on=1)], session={"poll_every": 0.1}) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 200


@pytest.mark.usefixtures("route")
async def test_callback_to_another_session_finishes_the_job_within_two_seconds(tmp_path: Path) -> None:
    """Two sessions share one ledger: one receives the callback, and the job of the other finishes."""
    port = free_port()
    async with Simulator(duration_s=0.5) as sim:
        receiving = callback_session(sim, port, ledger=tmp_path / "veo.db")
        async with (
            callback_session(sim, port, ledger=tmp_path / "veo.db") as waiting,
            receiving,
            served(receiving.callbacks.aiohttp_routes(), port),
        ):
            job = await waiting.submit("A dog")
            await job.accepted()
            await until(lambda: any(attempt.was_acknowledged for attempt in sim.callbacks))
            assert (await job.wait(timeout=2.0)).urls
            assert waiting.statistics().callback_responses == {}
            assert receiving.statistics().callback_responses == {200: 1}


WAITER = """
import asyncio, sys
from veo_async import VeoSession
from veo_async.settings import Limits

async def main():
    async with VeoSession(ledger="veo.db", callbacks=sys.argv[1], limits=Limits(poll_every=1e6)) as veo:
        print((await veo.generate("A dog", key="dog")).urls[0])

asyncio.run(main())
"""


@pytest.mark.usefixtures("route")
async def test_callback_finishes_a_job_of_another_process(tmp_path: Path) -> None:
    """The waiting process has no port. It receives the hint through the shared ledger."""
    (tmp_path / "waiter.py").write_text(WAITER)
    port = free_port()
    async with Simulator(duration_s=0.5, callback_retry_s=(0.5,) * 20) as sim:
        receiving = callback_session(sim, port, ledger=tmp_path / "veo.db")
        async with receiving, served(receiving.callbacks.aiohttp_routes(), port):
            url = f"http://127.0.0.1:{port}"
            output = await run(sys.executable, "waiter.py", url, cwd=tmp_path, sim=sim)
            assert output.startswith("http")
            assert receiving.statistics().callback_responses[200] >= 1
            assert receiving.jobs() == []
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
async def test_job_in_doubt_is_bound_after_a_restart(tmp_path: Path) -> None:
    """The provider repeats the callback until the second session receives it and binds the job."""
    port = free_port()
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=1)], callback_retry_s=(0.5,) * 20) as sim:
        async with callback_session(sim, port, ledger=tmp_path / "veo.db") as first:
            await first.submit("A dog", key="dog")
            await until(lambda: bool(sim.charges))
        second = callback_session(sim, port, ledger=tmp_path / "veo.db")
        async with second, served(second.callbacks.aiohttp_routes(), port):
            job = await second.ledger.find("dog")
            assert job is not None
            assert (await job.wait(timeout=10)).urls
        assert len(sim.charges) == 1


async def test_callback_binds_an_upgrade_in_doubt_only_if_it_has_a_record(route: RouteName) -> None:
    """On the ``veo`` route nothing shows who requested the upgrade, so the callback alone proves nothing."""
    faults = [drop_after_accepting(endpoint="get-4k-video", on=1)]
    async with session_with_callbacks(faults=faults, session={"poll_every": 0.2}) as (veo, sim):
        clip = await veo.generate("A dog")
        job = await veo.submit(UpgradeRequest(clip.task_id, "4k"), key="up")
        await until(lambda: veo.statistics().callback_responses.get(200, 0) >= 2)
        if route == "veo":
            assert job.state is JobState.IN_DOUBT
            await job.resolve(clip.task_id)
        assert (await job).urls
        assert [charge.endpoint for charge in sim.charges] == ["generate", "get-4k-video"]


async def test_session_that_is_not_open_responds_with_503() -> None:
    """The provider repeats the callback after a 503, so a restart loses nothing."""
    port = free_port()
    async with Simulator() as sim:
        veo = callback_session(sim, port)
        async with served(veo.callbacks.aiohttp_routes(), port):
            assert await post(f"http://127.0.0.1:{port}/veo/cb/{'a' * 26}", callback_body("t-1")) == 503
        await veo.close()


async def test_webhook_secret_is_not_in_the_repr() -> None:
    """The repr of the session and of its callbacks does not contain the secret."""
    veo = VeoSession("sk-" + "a" * 20, callbacks=Callbacks("https://me.example", secret="whsec-hush"))
    assert "hush" not in repr(veo) + repr(veo.callbacks)
    await veo.close()


async def test_webhook_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable has the provider's name for the secret."""
    monkeypatch.setenv("KIE_WEBHOOK_HMAC_KEY", "k")
    async with session_with_callbacks(webhook_secret="other") as (veo, sim):
        await (await veo.submit("A dog")).accepted()
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 401
