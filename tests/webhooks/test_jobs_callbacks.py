"""Callbacks of the jobs route over real sockets (acceptance test 16): each form, signed and forged, is only a hint.

Polling is effectively turned off, so every job that finishes does so because of a callback, and by its record.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.programs import run
from veo_async import VeoSession
from veo_async._rules.lifecycle import JobState
from veo_async._wire import sign_callback
from veo_async.cli.receiver import receiving
from veo_async.requests import ExtendRequest, UpgradeRequest
from veo_async.simulator import (
    Simulator,
    delay,
    drop_after_accepting,
    duplicate_callback,
    forged_callback,
    late_callback,
    lost_callback,
    malformed_callback,
)
from veo_async.simulator.settings import wall_clock
from veo_async.types import RouteName
from veo_async.webhooks import parse, verify

from .support import callback_session, free_port, served, served_asgi, until

pytestmark = pytest.mark.realtime

FORMS = ["unified", "info", "2025"]
KEY = "a-webhook-key"
RECORD = {"veo": "record-info", "jobs": "job-record"}
OTHER: dict[str, RouteName] = {"veo": "jobs", "jobs": "veo"}
#: Where a forged callback would like to send us.
EVIL = "https://evil.example/x.mp4"


def in_aiohttp(veo: VeoSession, port: int) -> AbstractAsyncContextManager[None]:
    return served(veo.callbacks.aiohttp_routes(), port)


def in_asgi(veo: VeoSession, port: int) -> AbstractAsyncContextManager[None]:
    return served_asgi(veo.callbacks.asgi(), port)


def in_our_server(veo: VeoSession, port: int) -> AbstractAsyncContextManager[None]:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return receiving(veo, bound)


@asynccontextmanager
async def jobs_session(
    serve: Any = in_aiohttp, *, session: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[VeoSession, Simulator]]:
    """Open a simulator and a jobs session that receives its callbacks through *serve*."""
    port = free_port()
    async with (
        Simulator(**{"duration_s": 0.2, "callback_retry_s": (0.2,) * 20, **options}) as sim,
        callback_session(sim, port, **{"route": "jobs", **(session or {})}) as veo,
        serve(veo, port),
    ):
        yield veo, sim


def callback_url_of(sim: Simulator, number: int = 0) -> str:
    """Return the callback URL of a request of the jobs route."""
    url: str = sim.requests_to("create-task")[number].body["callBackUrl"]
    return url


async def post(url: str, body: Any, **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=headers) as response:
        return response.status


def bodies(sim: Simulator) -> list[Any]:
    """Return the callbacks that the simulator has sent."""
    return [json.loads(attempt.post.body) for attempt in sim.callbacks]


def reads(sim: Simulator, task_id: str) -> dict[str, int]:
    """Count the reads of a task by their endpoint."""
    asked = [request.endpoint for request in sim.requests if request.query.get("taskId") == task_id]
    return {endpoint: asked.count(endpoint) for endpoint in asked}


def forgeries(task_id: str) -> list[dict[str, Any]]:
    """Return callbacks about *task_id* in every form that say what its record does not."""
    result = {"resultUrls": [EVIL], "fullResultUrls": [EVIL]}
    success = {"taskId": task_id, "model": "veo-3-1", "state": "success", "resultJson": json.dumps(result)}
    failure = {"taskId": task_id, "state": "fail", "failCode": "422", "failMsg": "flagged", "creditsConsumed": 9999}
    return [
        {"code": 200, "msg": "Playground task completed successfully.", "data": success},
        {"code": 200, "msg": "", "data": {**success, "consumeCredits": 9999, "remainedCredits": 0}},
        {"code": 200, "msg": "", "data": {"taskId": task_id, "info": result}},
        {"code": 501, "msg": "Playground task failed.", "data": failure},
        {"code": 400, "msg": "flagged", "data": {"taskId": task_id}},
    ]


# --- each form is a hint ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("serve", "key"), [(in_aiohttp, None), (in_aiohttp, KEY), (in_asgi, KEY), (in_our_server, None)]
)
async def test_callback_finishes_a_job_with_one_poll(form: str, serve: Any, key: str | None) -> None:
    """Acceptance 16: the clip comes from the record, which is read on the jobs route."""
    options = {"jobs_callback_form": form, "webhook_secret": key}
    async with jobs_session(serve, session={"webhook_secret": key}, **options) as (veo, sim):
        clips = [outcome.clip for outcome in await veo.gather("A dog", "A cat")]
        assert {clip.task_id: clip.urls for clip in clips} == {task.id: task.urls for task in sim.tasks.values()}
        assert all(reads(sim, clip.task_id) == {"job-record": 1} for clip in clips)
        assert veo.statistics().callback_responses == {200: 2}


@pytest.mark.slow
async def test_callback_of_a_failed_task_is_confirmed_by_its_record() -> None:
    """Acceptance 16: code 501, and the reason from the record. It is polled twice, ten seconds apart."""

    async def fail(form: str) -> None:
        async with jobs_session(jobs_callback_form=form) as (veo, sim):
            refused, failed = await veo.gather("A bird [refuse-late]", "A dog [flag-2]")
            assert (type(refused).__name__, type(failed).__name__) == ("Refused", "Failed")
            assert (refused.error.reason_code, "flagged" in refused.error.reason) == (400, True)
            assert (failed.error.reason_code, "Internal Error" in failed.error.reason) == (500, True)
            assert all(reads(sim, task_id) == {"job-record": 2} for task_id in sim.tasks)
            codes = {body["code"] for body in bodies(sim)}
            assert codes == ({400, 500} if form == "info" else {501})
            assert veo.statistics().credits.estimated == 0

    async with asyncio.TaskGroup() as group:
        for form in FORMS:
            group.create_task(fail(form), name=form)


@pytest.mark.parametrize("form", FORMS)
async def test_callbacks_finish_a_chain_of_four_tasks(form: str) -> None:
    """Every extension and upgrade is a task, with its own callback and its own record."""
    async with jobs_session(jobs_callback_form=form) as (veo, sim):
        clip = await veo.generate("A dog")
        longer = await veo.extend(clip, "It swims ashore")
        for to in ("1080p", "4k"):
            assert (await veo.upgrade(longer, to)).urls
        assert veo.statistics().callback_responses == {200: 4}
        assert sim.count("job-record") == len(sim.charges) == 4


# --- the whole video of an extension ----------------------------------------------------------------------------


async def test_whole_video_that_only_a_callback_names_is_not_taken_from_it() -> None:
    """A callback's signature does not cover its URLs, so the clip of an extension has the videos of its record."""
    async with jobs_session(jobs_callback_form="info", webhook_secret=KEY, session={"webhook_secret": KEY}) as (
        veo,
        sim,
    ):
        longer = await veo.extend(await veo.generate("A dog"), "It swims ashore")
        extension = sim.tasks[longer.task_id]
        assert bodies(sim)[-1]["data"]["info"]["fullResultUrls"] == list(extension.full_urls)
        assert (longer.urls, longer.record.full_urls) == (extension.urls, ())


async def test_own_receiver_reads_the_whole_video_and_passes_the_hint_on() -> None:
    """For those who want the whole video: `verify` and `parse` the callback, then call `hint`."""
    port, whole = free_port(), {}

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        verify(body, request.headers, KEY, now=wall_clock())
        callback = parse(body)
        whole[callback.task_id] = callback.full_urls
        is_ours = await veo.callbacks.hint(request.match_info["token"], callback.task_id)
        return web.Response(status=200 if is_ours else 404)

    async with (
        Simulator(duration_s=0.3, jobs_callback_form="info", webhook_secret=KEY) as sim,
        callback_session(sim, port, route="jobs") as veo,
        served([web.post("/veo/cb/{token}", receive)], port),
    ):
        clip = await veo.generate("A dog")
        longer = await veo.extend(clip, "It swims ashore")
        assert whole == {clip.task_id: (), longer.task_id: sim.tasks[longer.task_id].full_urls}


@pytest.mark.parametrize("form", ["unified", "2025"])
async def test_extension_is_complete_without_the_whole_video(form: str) -> None:
    """These callbacks name the continuation only, as does the record."""
    async with jobs_session(jobs_callback_form=form) as (veo, sim):
        longer = await veo.extend(await veo.generate("A dog"), "It swims ashore")
        assert longer.urls == sim.tasks[longer.task_id].urls
        assert "fullResultUrls" not in json.dumps(bodies(sim))


# --- forged, duplicated and late --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["key", "stale", "future", "unsigned"])
async def test_callback_with_a_bad_signature_is_rejected(how: Any) -> None:
    """Acceptance 16: it gets a 401 and causes no poll."""
    options: dict[str, Any] = {"faults": [forged_callback(how, on=1)], "webhook_secret": KEY, "callback_retry_s": ()}
    async with jobs_session(session={"webhook_secret": ["new", KEY]}, **options) as (veo, sim):
        job = await veo.submit("A dog")
        await job.accepted()
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 401
        assert job.state is JobState.RUNNING
        assert sim.count("job-record") == 0


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
async def test_forged_callback_changes_nothing(key: str | None) -> None:
    """Acceptance 16: it has a valid token, and even a valid signature. Its URLs, failures and credits are not read."""
    async with jobs_session(webhook_secret=key, session={"webhook_secret": key}, duration_s=60.0) as (veo, sim):
        job = await veo.submit("A dog")
        task_id = await job.accepted()
        for named in (task_id, "0" * 32):
            now = int(wall_clock())
            signed = {"X-Webhook-Timestamp": str(now), "X-Webhook-Signature": sign_callback(named, now, KEY)}
            for body in forgeries(named) * 5:
                assert await post(callback_url_of(sim), body, **(signed if key else {})) == 200
        assert job.state is JobState.RUNNING
        assert reads(sim, task_id).get("job-record", 0) <= 2  # not one poll for each callback
        assert reads(sim, "0" * 32) == {}
        sim.advance(60)
        clip = await job
        assert (clip.urls, clip.credits_consumed) == (sim.tasks[task_id].urls, 60.0)
        assert EVIL not in str(clip.record.raw)
        assert len(sim.charges) == 1


async def test_callback_in_an_unknown_format_gets_a_400_and_causes_no_poll() -> None:
    """It names no task."""
    async with jobs_session(faults=[malformed_callback(on=1)], callback_retry_s=()) as (veo, sim):
        job = await veo.submit("A dog")
        await job.accepted()
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 400
        assert (job.state, sim.count("job-record")) == (JobState.RUNNING, 0)


@pytest.mark.parametrize("form", FORMS)
async def test_duplicate_callbacks_change_nothing(form: str) -> None:
    """Acceptance 16: each gets a 200, and they cause almost no further polls."""
    async with jobs_session(jobs_callback_form=form, faults=[duplicate_callback(50, on=1)]) as (veo, sim):
        clip = await veo.generate("A dog")
        await until(lambda: sum(attempt.was_acknowledged for attempt in sim.callbacks) == 50)
        assert veo.statistics().callback_responses == {200: 50}
        assert reads(sim, clip.task_id)["job-record"] <= 2
        assert len(sim.charges) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_late_callback_for_a_finished_job_gets_a_200_and_causes_no_poll(form: str) -> None:
    """Acceptance 16: so that the provider does not repeat it."""
    options: dict[str, Any] = {"faults": [late_callback(0.5, on=1)], "jobs_callback_form": form}
    async with jobs_session(session={"poll_every": 0.1}, **options) as (veo, sim):
        clip = await veo.generate("A dog")
        before = sim.count("job-record")
        await until(lambda: bool(sim.callbacks))
        assert sim.callbacks[0].status == 200
        assert sim.count("job-record") == before
        assert (await veo.generate("A dog")).urls == clip.urls
        assert len(sim.charges) == 1


# --- the other route --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("first", ["veo", "jobs"])
async def test_hint_for_a_task_of_the_other_route_polls_it_on_its_own_route(
    tmp_path: Path, first: RouteName, form: str
) -> None:
    """Acceptance 16: a session on *first* ends, and one on the other route receives the callbacks of both tasks."""
    port, second = free_port(), OTHER[first]
    async with Simulator(duration_s=0.5, jobs_callback_form=form, callback_retry_s=(0.2,) * 30) as sim:
        async with callback_session(sim, port, ledger=tmp_path / "veo.db", route=first) as veo:
            earlier = await (await veo.submit("A dog", key="dog")).accepted()
        veo = callback_session(sim, port, ledger=tmp_path / "veo.db", route=second)
        async with veo, served(veo.callbacks.aiohttp_routes(), port):
            job = await veo.ledger.find("dog")
            assert job is not None
            clip, own = await job.wait(timeout=10), await veo.generate("A cat")
        assert (clip.task_id, clip.route, own.route) == (earlier, first, second)
        assert set(reads(sim, earlier)) == {RECORD[first]}
        assert set(reads(sim, own.task_id)) == {RECORD[second]}
        assert len(sim.charges) == 2


@pytest.mark.parametrize("first", ["veo", "jobs"])
async def test_callback_to_one_job_about_a_task_of_the_other_route_changes_neither(
    tmp_path: Path, first: RouteName
) -> None:
    """Acceptance 16: the token belongs to one job, and the task id to another, which runs on the other route."""
    port, second = free_port(), OTHER[first]
    async with Simulator(duration_s=60.0, callback_retry_s=(0.2,) * 30) as sim:
        async with callback_session(sim, port, ledger=tmp_path / "veo.db", route=first) as veo:
            earlier = await (await veo.submit("A dog", key="dog")).accepted()
        veo = callback_session(sim, port, ledger=tmp_path / "veo.db", route=second)
        async with veo, served(veo.callbacks.aiohttp_routes(), port):
            dog, cat = await veo.ledger.find("dog"), await veo.submit("A cat")
            assert dog is not None
            later = await cat.accepted()
            creations = [request for request in sim.requests if request.method == "POST"]
            for request, task_id in zip(creations, (later, earlier), strict=True):
                for body in forgeries(task_id):
                    assert await post(request.body["callBackUrl"], body) == 200
            assert (dog.state, cat.state) == (JobState.RUNNING, JobState.RUNNING)
            sim.advance(60)
            assert ((await dog).task_id, (await cat).task_id) == (earlier, later)
        assert set(reads(sim, earlier)) == {RECORD[first]}
        assert set(reads(sim, later)) == {RECORD[second]}
        assert len(sim.charges) == 2


@pytest.mark.parametrize("reading", ["none", "both"])
async def test_job_in_doubt_is_not_bound_to_a_task_of_the_other_route(tmp_path: Path, reading: str) -> None:
    """The record is read on the route of the attempt. If it exists there, the task still belongs to the other job."""
    port = free_port()
    faults = [drop_after_accepting(endpoint="create-task", on=1), lost_callback()]
    async with Simulator(duration_s=0.3, cross_reading=reading, faults=faults) as sim:
        async with callback_session(sim, port, ledger=tmp_path / "veo.db", poll_every=0.1) as veo:
            other = (await veo.generate("A dog", key="first")).task_id
        veo = callback_session(sim, port, ledger=tmp_path / "veo.db", route="jobs")
        async with veo, served(veo.callbacks.aiohttp_routes(), port):
            job = await veo.submit("A dog", key="second")
            await until(lambda: job.state is JobState.IN_DOUBT)
            for body in forgeries(other):
                assert await post(callback_url_of(sim), body) == 200
            await until(lambda: reads(sim, other).get("job-record", 0) >= 1)
            assert job.state is JobState.IN_DOUBT
        assert len(sim.charges) == 2


# --- jobs in doubt and restarts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
async def test_callback_binds_a_job_whose_response_is_late_or_lost(form: str) -> None:
    """The token identifies the job, and the task is bound to it once its record proves it."""
    faults = [
        delay(1.0, before=False, endpoint="create-task", on=1),
        drop_after_accepting(endpoint="create-task", on=2),
    ]
    async with jobs_session(jobs_callback_form=form, faults=faults) as (veo, sim):
        late, lost = await veo.submit("A dog"), await veo.submit("A cat")
        assert {(await late).task_id, (await lost).task_id} == set(sim.tasks)
        assert sim.count("create-task") == len(sim.charges) == 2
        assert all(set(reads(sim, task_id)) == {"job-record"} for task_id in sim.tasks)


FOLLOW_UPS = {
    "extension": lambda task_id: ExtendRequest(task_id, "It barks"),
    "1080p": lambda task_id: UpgradeRequest(task_id, "1080p"),
    "4k": lambda task_id: UpgradeRequest(task_id, "4k"),
}


@pytest.mark.parametrize("kind", FOLLOW_UPS)
async def test_callback_binds_a_follow_up_in_doubt(kind: str) -> None:
    """On the jobs route its record repeats the callback URL. On the other one, that of an upgrade does not."""
    async with jobs_session(faults=[drop_after_accepting(endpoint="create-task", on=2)]) as (veo, sim):
        source = await veo.generate("A dog")
        job = await veo.submit(FOLLOW_UPS[kind](source.task_id))
        clip = await job.wait(timeout=10)
        assert [source.task_id, clip.task_id] == list(sim.tasks)
        assert len(sim.charges) == 2


RECEIVER = """
import asyncio, sys
from aiohttp import web
from veo_async import VeoSession
from veo_async.settings import Limits, Network

async def main():
    url = f"http://127.0.0.1:{sys.argv[1]}"
    session = VeoSession(ledger="veo.db", callbacks=url, limits=Limits(poll_every=1e6), network=Network(route="jobs"))
    async with session as veo:
        app = web.Application()
        app.add_routes(veo.callbacks.aiohttp_routes())
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
        print((await veo.generate("A dog", key="dog")).url, flush=True)
        await runner.cleanup()

asyncio.run(main())
"""


@pytest.mark.parametrize(("response", "form"), [("received", "unified"), ("lost", "info"), ("lost", "2025")])
async def test_callback_after_a_restart_of_the_receiver_finishes_the_job(
    tmp_path: Path, response: str, form: str
) -> None:
    """The process is killed after its request, and the next one receives the repeated callback: one charge."""
    program = tmp_path / "receiver.py"
    program.write_text(RECEIVER)
    port = str(free_port())
    faults = [drop_after_accepting(endpoint="create-task", on=1)] if response == "lost" else []
    options: dict[str, Any] = {"jobs_callback_form": form, "faults": faults, "callback_retry_s": (0.3,) * 60}
    async with Simulator(duration_s=0.5, **options) as sim:
        first = await asyncio.create_subprocess_exec(
            *(sys.executable, str(program), port),
            cwd=tmp_path,
            env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key},
        )
        await until(lambda: bool(sim.charges))
        first.kill()
        await first.wait()
        output = await run(sys.executable, str(program), port, cwd=tmp_path, sim=sim)
        [task] = sim.tasks.values()
        assert output.split() == list(task.urls)
        assert [attempt.status for attempt in sim.callbacks][-1] == 200
        assert sim.count("create-task") == len(sim.charges) == 1
        assert set(reads(sim, task.id)) == {"job-record"}
