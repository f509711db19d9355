"""The two routes of the provider in one client: what goes out where, what is charged, and what a restart finds."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.routes import CREATE, RECORD
from veo_async import Clip, Done, InDoubt, VeoSession, VideoRequest, errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async._wire import UpgradeRequest
from veo_async.ledger import SqliteLedger
from veo_async.simulator import MemoryTransport, drop_after_accepting, rate_limited, refuse
from veo_async.types import RouteName

from .ledgers import InlineExecutor, session_with_ledger
from .support import VirtualSession, let_run, memory, run_together, session_on, world

pytestmark = pytest.mark.veo_virtual_time

PUBLIC = "https://bot.example"
IMAGES = ("https://a.example/1.png", "https://a.example/2.png")
JOBS: dict[str, Any] = {"route": "jobs"}
ROUTES: tuple[RouteName, RouteName] = ("veo", "jobs")
OTHER: dict[str, RouteName] = {"veo": "jobs", "jobs": "veo"}


def posts(sim: MemoryTransport) -> list[str]:
    """Return the endpoints of all POST requests, in order."""
    return [request.endpoint for request in sim.requests if request.method == "POST"]


def reads(sim: MemoryTransport, task_id: str) -> Counter[str]:
    """Count the reads of a task by their endpoint."""
    return Counter(request.endpoint for request in sim.requests if request.query.get("taskId") == task_id)


async def deliver(veo: VeoSession, sim: MemoryTransport) -> None:
    """Deliver every callback that is due, as a web server would."""
    for callback in sim.due_callbacks():
        await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)


# --- requests (acceptance 1) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (VideoRequest("A dog"), {"prompt"}),
        (
            VideoRequest("A dog", image_urls=IMAGES, generation_type="FIRST_AND_LAST_FRAMES_2_VIDEO"),
            {"prompt", "image_urls", "generation_type"},
        ),
        (
            VideoRequest("A dog", image_urls=IMAGES, generation_type="REFERENCE_2_VIDEO"),
            {"prompt", "image_urls", "generation_type"},
        ),
    ],
    ids=["text", "frames", "references"],
)
async def test_clip_of_a_jobs_session_is_one_create_task_with_the_fields_of_its_model(
    request_: VideoRequest, fields: set[str]
) -> None:
    """Acceptance 1: only `callBackUrl` is in camel case, and it is next to `input`."""
    async with world(session=JOBS) as (veo, sim):
        await veo.generate(request_)
        (sent,) = (request for request in sim.requests if request.method == "POST")
        body = sent.body
        assert sent.endpoint == "create-task"
        assert body["model"] == "veo-3-1"
        assert set(body) <= {"model", "input", "callBackUrl"}
        assert fields <= set(body["input"])
        assert all(name == name.lower() for name in body["input"])


# --- doubt (acceptance 6) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
async def test_request_cut_after_its_task_was_created_is_bound_by_its_callback_and_sent_once(route: RouteName) -> None:
    """Acceptance 6: one POST on both routes together, and the record is read on the route of the request."""
    async with world(faults=[drop_after_accepting(on=1)], session={"route": route, "public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(30)
        assert job.state is JobState.IN_DOUBT
        await asyncio.sleep(31)
        await deliver(veo, sim)
        clip = await job
        assert posts(sim) == [CREATE[route]]
        assert set(reads(sim, clip.task_id)) == {RECORD[route]}


async def test_request_in_doubt_stays_in_doubt_without_a_callback() -> None:
    """Acceptance 6: time alone sends nothing again, on neither route."""
    async with world(faults=[drop_after_accepting(on=1)], session=JOBS) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        await asyncio.sleep(3600)
        assert posts(sim) == ["create-task"]


# --- restarts (acceptance 7, 8) ---------------------------------------------------------------------------------


async def test_tasks_of_both_routes_are_polled_on_their_own_route_after_a_restart(ledger: Ledger) -> None:
    """Acceptance 7: the route of the later session does not matter, and nothing is created again."""
    sim = memory()
    for route in ROUTES:
        async with session_with_ledger(sim, ledger, route=route) as veo:
            await (await veo.submit(f"A dog on {route}", key=route)).accepted()
    before = len(sim.requests)
    async with session_with_ledger(sim, ledger, route="jobs") as veo:
        clips = {key: await (await veo.attach(key)) for key in ROUTES}
    assert sorted(posts(sim)) == ["create-task", "generate"]
    for route, clip in clips.items():
        after = {r.endpoint for r in sim.requests[before:] if r.query.get("taskId") == clip.task_id}
        assert after == {RECORD[route]}
    assert sim.double_charges() == ()


@pytest.mark.parametrize("route", ROUTES)
async def test_list_that_is_complete_on_one_route_costs_nothing_on_the_other(ledger: Ledger, route: RouteName) -> None:
    """Acceptance 8: the key of a request does not depend on its route."""
    sim, prompts = memory(), ["A dog", "A cat", "A cow"]
    async with session_with_ledger(sim, ledger, route=route) as veo:
        first = await veo.gather(*prompts)
    async with session_with_ledger(sim, ledger, route=OTHER[route]) as veo:
        again = await veo.gather(*prompts)
    assert all(isinstance(outcome, Done) for outcome in first)
    assert [outcome.key for outcome in again] == [outcome.key for outcome in first]
    assert posts(sim) == [CREATE[route]] * 3
    assert len(sim.charges) == 3


# --- follow-ups (acceptance 9, 10) ------------------------------------------------------------------------------


async def test_chain_on_the_jobs_route_is_four_tasks_with_one_charge_each() -> None:
    """Acceptance 9: every step has its own task and record."""
    async with world(session=JOBS) as (veo, sim):
        clip = await veo.generate("A dog")
        steps = [clip, await veo.extend(clip, "It swims"), await veo.upgrade(clip), await veo.upgrade(clip, "4k")]
        task_ids = {step.task_id for step in steps}
        assert len(task_ids) == 4
        assert {charge.task_id for charge in sim.charges} == task_ids
        assert len(sim.charges) == 4
        assert posts(sim) == ["create-task"] * 4
        assert sim.double_charges() == ()


async def test_upgrade_on_the_jobs_route_that_is_polled_fifty_times_is_charged_once() -> None:
    """Acceptance 9: a poll reads a record and never asks for the upgrade again."""
    async with world(session={**JOBS, "poll_every": 1.0}) as (veo, sim):
        clip = await veo.generate("A dog")
        upgraded = await veo.upgrade(clip)
        assert reads(sim, upgraded.task_id)["job-record"] >= 50
        assert posts(sim) == ["create-task"] * 2
        assert len(sim.charges) == 2


@pytest.mark.parametrize("route", ROUTES)
async def test_follow_up_goes_out_on_the_route_of_its_source(ledger: Ledger, route: RouteName) -> None:
    """Acceptance 10: in a session whose new clips go out on the other route."""
    sim = memory()
    async with session_with_ledger(sim, ledger, route=route) as veo:
        clip = await veo.generate("A dog")
    async with session_with_ledger(sim, ledger, route=OTHER[route]) as veo:
        await veo.extend(clip, "It swims")
        await veo.upgrade(clip.task_id, "4k")
    assert all((name == "create-task") == (route == "jobs") for name in posts(sim))
    assert len(sim.charges) == 3
    assert sim.double_charges() == ()


# --- adoption (acceptance 11) -----------------------------------------------------------------------------------


async def created(sim: MemoryTransport, route: RouteName) -> str:
    """Create a task outside the session under test, and return its id."""
    async with session_with_ledger(sim, None, route=route) as veo:
        return await (await veo.submit("A dog")).accepted()


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("cross_reading", ["none", "both"])
@pytest.mark.parametrize("route", ROUTES)
async def test_adopted_task_belongs_to_the_route_that_created_it(
    ledger: Ledger, route: RouteName, cross_reading: str, explicit: bool
) -> None:
    """Acceptance 11: also where both routes show its record; its upgrade goes out there."""
    sim = memory(cross_reading=cross_reading)
    task_id = await created(sim, route)
    async with session_with_ledger(sim, ledger, route=OTHER[route]) as veo:
        job = await veo.ledger.adopt(task_id, route=route if explicit else None)
        assert (await job).task_id == task_id
        if explicit:
            assert set(reads(sim, task_id)) == {RECORD[route]}
        await veo.upgrade(job.key, "4k")
    assert all((name == "create-task") == (route == "jobs") for name in posts(sim))


@pytest.mark.parametrize("unknown_id", ["422", "404", "null"])
async def test_adopted_task_without_a_record_on_either_route_fails(unknown_id: str) -> None:
    """Acceptance 11: both routes are asked, in every form of the response."""
    async with world(unknown_id=unknown_id, session=JOBS) as (veo, sim):
        outcome = await (await veo.ledger.adopt("0" * 32)).finished()
        assert not isinstance(outcome, Done)
        assert set(reads(sim, "0" * 32)) == set(RECORD.values())
        assert posts(sim) == []


async def test_failed_read_on_one_route_does_not_decide_where_an_adopted_task_belongs() -> None:
    """Acceptance 11: the task is on the route that fails at first."""
    sim = memory()
    task_id = await created(sim, "jobs")
    sim.inject(refuse(500, endpoint="job-record", times=3))
    async with session_with_ledger(sim, None, route="veo") as veo:
        assert (await (await veo.ledger.adopt(task_id))).task_id == task_id
        await veo.upgrade(task_id, "4k")
    assert posts(sim) == ["create-task"] * 2


# --- limits (acceptance 13, 14) ---------------------------------------------------------------------------------


async def test_two_sessions_on_both_routes_never_send_more_than_twenty_requests_in_ten_seconds(ledger: Ledger) -> None:
    """Acceptance 13: one account has one rate, regardless of the route of its requests."""
    sim = memory(limiter="none")
    async with (
        session_with_ledger(sim, ledger, route="veo", kind=VirtualSession) as one,
        session_with_ledger(sim, ledger, route="jobs", kind=VirtualSession) as other,
    ):
        sessions = [one, other] * 13
        outcomes = await run_together(veo.generate(f"Dog {n}", key=f"dog-{n}") for n, veo in enumerate(sessions[:25]))
        assert all(isinstance(outcome, Clip) for outcome in outcomes)
    assert Counter(posts(sim)) == {"generate": 13, "create-task": 12}
    times = sorted(charge.at for charge in sim.charges)
    assert all(sum(start <= at < start + 10.0 for at in times) <= 20 for start in times)
    assert sim.double_charges() == ()


async def test_many_running_tasks_are_each_polled_at_most_once_per_second() -> None:
    """Acceptance 14: the simulator would refuse a second read of a task within its second."""
    async with world(
        session={**JOBS, "poll_every": None, "max_in_flight": 300, "rate": (300, 1.0)},
        limiter="none",
        poll_rate_per_task=(1, 1.0),
        duration_s=120.0,
    ) as (veo, sim):
        outcomes = await veo.gather(*(f"Dog {n}" for n in range(300)))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert veo.statistics().watcher.failed_polls == 0
        assert len(sim.charges) == 300


async def test_rate_limit_in_the_body_of_a_poll_slows_it_and_fails_nothing() -> None:
    """Acceptance 14: code 429 with HTTP 200."""
    async with world(session=JOBS, faults=[rate_limited(endpoint="job-record", form="body", times=5)]) as (veo, sim):
        await veo.generate("A dog")
        assert len(sim.charges) == 1
        assert posts(sim) == ["create-task"]


# --- records (acceptance 2) -------------------------------------------------------------------------------------


@pytest.mark.parametrize("states", ["waiting-generating", "waiting-queuing-generating", "waiting"])
async def test_running_task_is_polled_in_each_of_its_states(states: str) -> None:
    """Acceptance 2: no state of a running task is a failed poll or an end."""
    async with world(job_states=states, duration_s=600.0, session=JOBS) as (veo, sim):
        clip = await veo.generate("A dog")
        assert reads(sim, clip.task_id)["job-record"] >= 10
        assert veo.statistics().watcher.failed_polls == 0
        assert len(sim.charges) == 1


# --- callbacks (acceptance 16) ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["unified", "info", "2025"])
async def test_duplicated_callback_of_either_form_is_a_hint(form: str) -> None:
    """Acceptance 16: the job ends by its record."""
    async with world(jobs_callback_form=form, session={**JOBS, "public_url": PUBLIC, "poll_every": 600.0}) as (
        veo,
        sim,
    ):
        job = await veo.submit("A dog")
        await asyncio.sleep(61)
        for callback in sim.due_callbacks():
            for _ in range(3):
                await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)
        clip = await job
        assert reads(sim, clip.task_id)["job-record"] >= 1
        assert len(sim.charges) == 1


async def test_forged_callback_and_one_for_a_task_of_the_other_route_change_nothing() -> None:
    """Acceptance 16: a running job keeps its task, and ends with its own clip."""
    sim = memory()
    other_task = await created(sim, "veo")
    async with session_with_ledger(sim, None, route="jobs", public_url=PUBLIC) as veo:
        job = await veo.submit("A cat")
        task_id = await job.accepted()
        await asyncio.sleep(61)
        (callback,) = (callback for callback in sim.due_callbacks() if callback.task_id == task_id)
        token = callback.url.rpartition("/")[2]
        await veo.callbacks.hint("0" * len(token), task_id)
        await veo.callbacks.hint(token, other_task)
        await let_run()
        assert (await job).task_id == task_id
    assert sim.double_charges() == ()


# --- the route of a job -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
async def test_job_shows_its_route_once_it_was_sent(ledger: Ledger, route: RouteName) -> None:
    """Until then it may take another one; a later session on the other route shows that of the task."""
    sim = memory()
    async with session_with_ledger(sim, ledger, route=route, max_in_flight=1) as veo:
        first, waiting = await veo.submit("A dog"), await veo.submit("A cat")
        await first.accepted()
        assert (first.route, waiting.route) == (route, None)
    async with session_with_ledger(sim, ledger, route=OTHER[route], max_in_flight=1) as veo:
        jobs = {job.key: job for job in veo.jobs()}
        assert (jobs[first.key].route, jobs[waiting.key].route) == (route, None)
        await jobs[waiting.key]
        assert (jobs[first.key].route, jobs[waiting.key].route) == (route, OTHER[route])


# --- arguments (acceptance 17) ----------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["jobs", "auto"])
async def test_provider_without_the_jobs_route_rejects_the_session_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    """Acceptance 17: when it is constructed; the error names the argument or the variable, and the other route."""
    sim = memory(dialect="apikley")
    with pytest.raises(errors.UnsupportedByProvider, match=rf"route='{route}': is not supported by apikley. Use 'veo'"):
        session_on(sim, provider="apikley", route=route)
    monkeypatch.setenv("VEO_ROUTE", route)
    with pytest.raises(errors.UnsupportedByProvider, match=rf"VEO_ROUTE='{route}': is not supported by apikley"):
        session_on(sim, provider="apikley")
    async with session_on(sim, provider="apikley", route="veo") as veo:
        await veo.generate("A dog")
    assert posts(sim) == ["generate"]


async def test_variable_sets_the_route_of_new_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument is stronger than VEO_ROUTE."""
    monkeypatch.setenv("VEO_ROUTE", "jobs")
    async with world() as (veo, sim):
        await veo.generate("A dog")
        assert posts(sim) == ["create-task"]
    async with world(session={"route": "veo"}) as (veo, sim):
        await veo.generate("A dog")
        assert posts(sim) == ["generate"]


async def test_invalid_route_is_rejected_with_the_name_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the variable or the argument, before any request."""
    sim = memory()
    with pytest.raises(errors.UsageError, match="route"):
        session_on(sim, route="x")
    monkeypatch.setenv("VEO_ROUTE", "x")
    with pytest.raises(errors.UsageError, match="VEO_ROUTE"):
        session_on(sim)
    assert sim.requests == ()


async def test_option_without_a_field_on_the_jobs_route_is_refused_before_it_is_sent() -> None:
    """The seeds of a new clip."""
    async with world(session=JOBS) as (veo, sim):
        with pytest.raises(errors.InvalidRequest, match="seeds"):
            await veo.generate(VideoRequest("A dog", seeds=12345))
        assert posts(sim) == []
        assert sim.charges == ()


def to_first_schema(file: Path) -> None:
    """Give a ledger the schema of the version before the routes."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "DROP INDEX job_by_time; DROP INDEX job_by_state; DROP INDEX job_finished;"
            "DROP VIEW job_row; DROP INDEX job_by_source; ALTER TABLE job DROP COLUMN source;"
            "ALTER TABLE job DROP COLUMN route; ALTER TABLE job DROP COLUMN credits_consumed; PRAGMA user_version = 1;"
        )


async def test_running_task_of_a_ledger_without_routes_is_polled_on_the_dedicated_endpoints(tmp_path: Path) -> None:
    """Acceptance 7: the schema before the routes is updated, and its tasks count as `veo`."""
    sim, file = memory(), tmp_path / "veo.db"
    async with session_with_ledger(sim, SqliteLedger(file, executor=InlineExecutor())) as veo:
        task_id = await (await veo.submit("A dog", key="dog")).accepted()
    to_first_schema(file)
    before = reads(sim, task_id)
    async with session_with_ledger(sim, SqliteLedger(file, executor=InlineExecutor()), route="jobs") as veo:
        assert (await (await veo.attach("dog"))).task_id == task_id
    assert reads(sim, task_id) - before == Counter({"record-info": (reads(sim, task_id) - before).total()})
    assert posts(sim) == ["generate"]


async def test_upgrade_on_a_ledger_without_routes_is_found_by_its_source(tmp_path: Path) -> None:
    """The update of the schema fills in the source of each follow-up."""
    sim, file = memory(), tmp_path / "veo.db"
    async with session_with_ledger(sim, SqliteLedger(file, executor=InlineExecutor())) as veo:
        clip = await veo.generate("A dog", key="dog")
        await veo.upgrade(clip, key="mine")
        await veo.generate(UpgradeRequest(clip.task_id, "4k"), key="yours")
    to_first_schema(file)
    session = await SqliteLedger(file, executor=InlineExecutor()).open(None)
    found = await session.follow_ups(["dog", clip.task_id])
    await session.close()
    assert [(row.key, row.source) for row in found] == [("mine", "dog"), ("yours", clip.task_id)]
