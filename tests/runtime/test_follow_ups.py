"""Upgrades and extensions: jobs that follow another clip, in virtual time and across a restart."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.routes import fields_of
from veo_async import Done, ExtendRequest, InDoubt, Refused, VideoRequest, errors
from veo_async._api import create
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.poll_result import NOT_YET_S
from veo_async._runtime.job.events import Paused
from veo_async._runtime.job.outcome import HistoryItem
from veo_async._wire import UpgradeRequest, route_named
from veo_async.simulator import MemoryTransport, drop_after_accepting, drop_before_accepting, refuse
from veo_async.types import RouteName

from .ledgers import session_with_ledger
from .support import let_run, memory, world

pytestmark = pytest.mark.veo_virtual_time


def paid(sim: MemoryTransport) -> list[str]:
    """Return the endpoints of all charges, in order."""
    return [charge.endpoint.removeprefix("get-").removesuffix("-video") for charge in sim.charges]


def new_task(sim: MemoryTransport, source_id: str) -> str:
    """Return the task of the upgrade on the ``jobs`` route, where it has its own id."""
    [task_id] = sim.tasks.keys() - {source_id}
    return task_id


# --- upgrades ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("not_ready", ["400-body", "400-http", "422-body"])
async def test_clip_is_upgraded_to_1080p(not_ready: Any) -> None:
    """Every form of "not ready" is polled again, half a minute apart; one charge."""
    async with world(not_ready_1080p=not_ready) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        before = sim.count("get-1080p-video")
        upgraded = await veo.upgrade(clip, "1080p")
        assert upgraded.urls != clip.urls
        assert paid(sim) == ["generate", "1080p"]
        assert sim.count("get-1080p-video") - before <= 2 + 60 / NOT_YET_S
        assert upgraded.key == "dog.1080p"
        assert upgraded.history == (
            HistoryItem("generate", clip.task_id, "dog", "A dog", "veo3_fast"),
            HistoryItem("upgrade", upgraded.task_id, "dog.1080p"),
        )


@pytest.mark.parametrize(
    ("route", "options"),
    [
        ("veo", {"done_4k": "422"}),
        ("veo", {"done_4k": "200"}),
        ("veo", {"four_k_task_id": "new"}),
        ("jobs", {"result_form": "flat"}),
        ("jobs", {"result_form": "nested"}),
        ("jobs", {"record_form": "2026-04"}),
    ],
    indirect=["route"],
)
async def test_clip_is_upgraded_to_4k(route: RouteName, options: dict[str, Any]) -> None:
    """On the ``veo`` route, a repeated request may get the URLs in a 422 or in a plain 200, and preview images."""
    async with world(**options) as (veo, sim):
        clip = await veo.generate("A dog")
        upgraded = await veo.upgrade(clip, "4k")
        assert upgraded.urls
        assert upgraded.urls != clip.urls
        assert bool(upgraded.record.image_urls) is (route == "veo")
        assert paid(sim) == ["generate", "4k"]


async def test_upgrade_on_the_jobs_route_is_a_task_with_a_record() -> None:
    """It has its own id and is polled like a clip; on the ``veo`` route its request is repeated."""
    async with world(session={"route": "jobs"}) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        upgraded = await veo.upgrade(clip)
        assert upgraded.task_id in sim.tasks
        assert upgraded.urls != clip.urls
        assert paid(sim) == ["generate", "1080p"]
        assert sim.count("get-1080p-video") == 1
        assert upgraded.history == (
            HistoryItem("generate", clip.task_id, "dog", "A dog", "veo3_fast"),
            HistoryItem("upgrade", upgraded.task_id, "dog.1080p"),
        )


@pytest.mark.usefixtures("route")
async def test_upgrading_twice_is_one_job() -> None:
    """Calling `upgrade` again, concurrently or later, returns the same clip at no cost."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog")
        async with asyncio.TaskGroup() as group:
            one, other = [group.create_task(veo.upgrade(clip)) for _ in range(2)]
        assert one.result() == other.result() == await veo.upgrade(clip, "1080p")
        with pytest.raises(errors.KeyReused, match="already"):
            await veo.upgrade(clip, "1080p", key="mine")
        assert paid(sim) == ["generate", "1080p"]


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("by", ["key", "task id"])
async def test_concurrent_upgrades_under_different_keys_are_one_purchase(by: str) -> None:
    """The first is sent, and the errors of the others name it, however they name their source."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        source = UpgradeRequest(after_key="dog") if by == "key" else UpgradeRequest(clip.task_id)
        first, *others = [
            await veo.submit(UpgradeRequest(after_key="dog"), key="mine"),
            await veo.submit(source, key="yours"),
            await veo.submit(source, key="ours"),
        ]
        for other in others:
            outcome = await other.finished()
            assert isinstance(outcome, Refused)
            assert isinstance(outcome.error, errors.KeyReused)
            assert "'mine'" in outcome.error.message
        assert (await first).urls
        assert (await veo.upgrade(clip, "4k", key="other")).urls
        assert paid(sim) == ["generate", "1080p", "4k"]


@pytest.mark.usefixtures("route")
async def test_refused_upgrade_does_not_prevent_another() -> None:
    """It was not charged."""
    async with world(faults=[refuse(422, "Try later", endpoint="get-1080p-video", on=1)]) as (veo, sim):
        clip = await veo.generate("A dog")
        with pytest.raises(errors.RequestRejected):
            await veo.upgrade(clip, key="mine")
        assert (await veo.upgrade(clip)).urls
        assert paid(sim) == ["generate", "1080p"]


@pytest.mark.usefixtures("route")
async def test_upgrade_in_doubt_prevents_another_until_it_is_abandoned() -> None:
    """It may have been charged, so only its user can decide to buy another."""
    fault = drop_before_accepting(endpoint="get-1080p-video", on=1)
    async with world(faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog")
        job = await veo.submit(UpgradeRequest(clip.task_id), key="mine")
        assert isinstance(await job.finished(), InDoubt)
        with pytest.raises(errors.KeyReused, match="'mine' already"):
            await veo.upgrade(clip, key="yours")
        await job.abandon()
        assert (await veo.upgrade(clip, key="yours")).urls
        assert paid(sim) == ["generate", "1080p"]


@pytest.mark.usefixtures("route")
async def test_upgrade_of_an_earlier_session_is_not_bought_again(ledger: Any) -> None:
    """Neither under another key, nor by the key or the task of its source; an extension is refused, too."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as first:
        clip = await first.generate("A dog", key="dog")
        await first.upgrade(clip, key="mine")
    requests = len(sim.requests)
    async with session_with_ledger(sim, ledger) as second:
        for source in ("dog", clip.task_id, clip):
            with pytest.raises(errors.KeyReused, match="'mine' already"):
                await second.upgrade(source)
            with pytest.raises(errors.KeyReused, match="'mine' already"):
                await second.upgrade(source, key="yours")
            with pytest.raises(errors.InvalidRequest, match="1080p"):
                await second.extend(source, "It swims ashore")
        assert (await second.upgrade(clip, key="mine")).urls
    assert len(sim.requests) == requests
    assert paid(sim) == ["generate", "1080p"]


async def test_task_created_outside_the_session_is_upgraded(route: RouteName) -> None:
    """Its id is enough."""
    async with world() as (veo, sim):
        created = await create(veo.api, VideoRequest("A dog"), route_named(route))
        await asyncio.sleep(120)
        upgraded = await veo.upgrade(created.task_id)
        expected = f"1080p:{created.task_id}" if route == "veo" else new_task(sim, created.task_id)
        assert upgraded.task_id == expected
        assert upgraded.history[0] == HistoryItem("adopted", created.task_id, "")
        assert paid(sim) == ["generate", "1080p"]


async def test_follow_up_of_an_unfinished_task_is_refused_before_it_is_sent(route: RouteName) -> None:
    """Its record, which is free, says that it is still running."""
    async with world() as (veo, sim):
        created = await create(veo.api, VideoRequest("A dog"), route_named(route))
        with pytest.raises(errors.NotReady, match="still running"):
            await veo.upgrade(created.task_id)
        with pytest.raises(errors.NotReady, match="still running"):
            await veo.extend(created.task_id, "It swims ashore")
        assert [job.state for job in veo.jobs()] == [JobState.REFUSED] * 2
        assert all(job.was_not_charged for job in veo.jobs())
        assert len([request for request in sim.requests if request.kind not in ("record-info", "job-record")]) == 1
        assert paid(sim) == ["generate"]


@pytest.mark.parametrize("message", ["record status is not success.", "record result data not exist."])
async def test_upgrade_whose_source_the_provider_does_not_have_is_refused(message: str, route: RouteName) -> None:
    """On the ``veo`` route a 422 can mean "not ready"; these messages say that no upgrade was started."""
    async with world(faults=[refuse(422, message, endpoint="get-1080p-video", on=1)]) as (veo, sim):
        clip = await veo.generate("A dog")
        with pytest.raises(errors.NotReady if route == "veo" else errors.RequestRejected, match=message):
            await veo.upgrade(clip)
        assert veo.jobs()[-1].state is JobState.REFUSED
        assert veo.jobs()[-1].was_not_charged
        assert paid(sim) == ["generate"]


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("source", ["row-17", "0" * 32])
async def test_follow_up_of_an_unknown_key_or_task_is_refused_before_it_is_sent(source: str) -> None:
    """It is on no ledger, and reading its record, which is free, finds nothing either."""
    async with world() as (veo, sim):
        follow_ups: list[Coroutine[Any, Any, Any]] = [
            veo.upgrade(source),
            veo.upgrade(source, "4k"),
            veo.extend(source, "It swims ashore"),
            veo.generate(UpgradeRequest(source), key="mine"),
        ]
        for follow_up in follow_ups:
            with pytest.raises(errors.NotFound, match=r"no job .*, and the provider has no record.*another account"):
                await follow_up
        assert {job.state for job in veo.jobs()} == {JobState.REFUSED}
        assert all(job.was_not_charged for job in veo.jobs())
        assert {request.endpoint for request in sim.requests} == {"record-info", "job-record"}


@pytest.mark.usefixtures("route")
async def test_follow_up_of_a_job_of_another_account_is_rejected_without_a_request(ledger: Any) -> None:
    """Named by its key or by its task, and on the same ledger."""
    sim = memory()
    async with session_with_ledger(sim, ledger, account="studio") as studio:
        clip = await studio.generate("A dog", key="dog")
    requests = len(sim.requests)
    async with session_with_ledger(sim, ledger, account="agency") as agency:
        for source in ("dog", clip.task_id, clip):
            with pytest.raises(errors.KeyReused, match="another account"):
                await agency.upgrade(source)
            with pytest.raises(errors.KeyReused, match="another account"):
                await agency.extend(source, "It swims ashore")
        with pytest.raises(errors.KeyReused, match="another account"):
            await agency.generate(UpgradeRequest(clip.task_id))
    assert len(sim.requests) == requests


@pytest.mark.usefixtures("route")
async def test_key_and_task_id_and_clip_name_the_same_source() -> None:
    """So each of them finds the same follow-up; the key may also be that of a job that still runs."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", key="dog")
        upgraded = await veo.upgrade("dog")
        assert upgraded.key == "dog.1080p"
        clip = await job
        assert await veo.upgrade(clip) == await veo.upgrade(clip.task_id) == upgraded
        assert paid(sim) == ["generate", "1080p"]


async def test_unreadable_record_delays_the_follow_up_of_an_outside_task(route: RouteName) -> None:
    """A failed read says nothing about the task."""
    faults = [refuse(500, endpoint="record-info", on=1), drop_before_accepting(endpoint="record-info", on=2)]
    async with world(faults=faults) as (veo, sim):
        created = await create(veo.api, VideoRequest("A dog"), route_named(route))
        await asyncio.sleep(120)
        assert (await veo.upgrade(created.task_id)).urls
        assert paid(sim) == ["generate", "1080p"]


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("to", ["1080p", "4k"])
async def test_failed_upgrade_fails_the_job(to: str) -> None:
    """The provider reports it as a server error with a known message; other server errors are failed polls."""
    async with world() as (veo, sim):
        clip = await veo.generate(f"A dog [fail-{to}]")
        with pytest.raises(errors.TaskFailed, match="version of this video is unavailable"):
            async with asyncio.timeout(600):
                await veo.upgrade(clip, to)
        assert veo.jobs()[-1].state is JobState.FAILED
        assert sim.charges[-1].refunded_at is not None


@pytest.mark.parametrize("to", ["1080p", "4k"])
@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        (501, "Failed - Video generation task failed", errors.TaskFailed),
        (422, "Your request was rejected by Flow(unsafe).", errors.TaskRefused),
        (400, "Fallback videos cannot be upgraded.", errors.TaskFailed),
        (451, "Failed to fetch the image.", errors.TaskFailed),
        (422, "record result data is blank.", errors.TaskFailed),
    ],
)
async def test_definite_error_of_a_started_upgrade_fails_the_job(
    to: str, code: int, message: str, error: type[errors.VeoError]
) -> None:
    """On the ``veo`` route an upgrade has no record, so a rejection that a second request confirms is the reason."""
    endpoint = "get-4k-video" if to == "4k" else "get-1080p-video"
    async with world(faults=[refuse(code, message, endpoint=endpoint, after=2)]) as (veo, sim):
        clip = await veo.generate("A dog")
        with pytest.raises(error, match=message.split("(")[0]):
            async with asyncio.timeout(600):
                await veo.upgrade(clip, to)
        assert paid(sim) == ["generate", to]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (501, "Failed - Video generation task failed"),
        (422, "Your request was rejected by Flow(unsafe)."),
        (422, "record result data is blank."),
        (500, "Internal Error, Please try again later."),
        (500, "The 1080P version of this video is unavailable. Please try a different video."),
    ],
)
async def test_single_error_of_a_started_upgrade_does_not_end_it(code: int, message: str) -> None:
    """Like the flags of a record, the first error must be confirmed."""
    async with world(faults=[refuse(code, message, endpoint="get-1080p-video", on=[2, 4])]) as (veo, sim):
        clip = await veo.generate("A dog")
        assert (await veo.upgrade(clip)).urls
        assert paid(sim) == ["generate", "1080p"]


@pytest.mark.parametrize("to", ["1080p", "4k"])
async def test_lost_response_to_an_upgrade_puts_the_job_in_doubt(to: str, route: RouteName) -> None:
    """The first call is charged although it is a GET: it is sent once, and the user decides how to continue."""
    endpoint = "get-4k-video" if to == "4k" else "get-1080p-video"
    async with world(faults=[drop_after_accepting(endpoint=endpoint, on=1)]) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        job = await veo.submit(UpgradeRequest(clip.task_id, to), key="up")
        assert isinstance(await job.finished(), InDoubt)
        assert sim.count(endpoint) == 1
        if route == "jobs":
            with pytest.raises(errors.TaskMismatch, match="belongs to the job 'dog'"):
                await job.resolve(clip.task_id)
        await job.resolve(clip.task_id if route == "veo" else new_task(sim, clip.task_id))
        assert (await job).urls
        assert paid(sim) == ["generate", to]


@pytest.mark.usefixtures("route")
async def test_unaccepted_upgrade_is_resubmitted_by_the_user() -> None:
    """The server dropped the request, so nothing was charged; only the user may send another one."""
    fault = drop_before_accepting(endpoint="get-1080p-video", on=1)
    async with world(faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog")
        job = await veo.submit(UpgradeRequest(clip.task_id), key="up")
        assert isinstance(await job.finished(), InDoubt)
        await job.resubmit()
        assert (await job).urls
        assert paid(sim) == ["generate", "1080p"]


async def test_failed_polls_of_an_upgrade_do_not_end_it() -> None:
    """A lost response to the second call is a failed poll: the upgrade was started by the first."""
    fault = drop_after_accepting(endpoint="get-1080p-video", on=2)
    async with world(faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog")
        assert (await veo.upgrade(clip)).urls
        assert paid(sim) == ["generate", "1080p"]


# --- extensions -------------------------------------------------------------------------------------------------


async def test_clip_is_extended_twice(route: RouteName) -> None:
    """The last clip has the history of all three tasks, and on the ``veo`` route the whole video."""
    model = "quality" if route == "veo" else "fast"  # on the other route an extension has the model of its source
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        longer = await veo.extend(clip, "It swims ashore")
        longest = await veo.extend(longer, "It shakes itself dry", model=model)
        assert paid(sim) == ["generate", "extend", "extend"]
        assert longest.urls == (longest.record.full_urls if route == "veo" else longest.record.urls)
        assert longest.urls != longer.urls
        assert [item.kind for item in longest.history] == ["generate", "extend", "extend"]
        assert [item.task_id for item in longest.history] == [clip.task_id, longer.task_id, longest.task_id]
        posted = fields_of(sim.requests_to("extend")[-1].body)
        assert posted[{"veo": "taskId", "jobs": "task_id"}[route]] == longer.task_id
        assert posted.get("model") == ("quality" if route == "veo" else None)


@pytest.mark.usefixtures("route")
async def test_upgraded_clip_cannot_be_extended() -> None:
    """The error is raised before anything is sent, for the upgraded clip as well as for its source."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog")
        taken = await veo.upgrade(clip)
        for source in (clip, taken, clip.task_id, taken.task_id):
            with pytest.raises(errors.InvalidRequest, match="1080p"):
                await veo.extend(source, "It swims ashore")
        assert sim.count("extend") == 0


@pytest.mark.usefixtures("route")
async def test_chain_that_extends_an_upgrade_to_1080p_is_rejected_as_a_whole() -> None:
    """Nothing is queued."""
    async with world() as (veo, sim):
        with pytest.raises(errors.InvalidRequest, match=r"1080p.*cannot be extended"):
            await veo.submit("A dog", then=["1080p", ExtendRequest(prompt="It swims ashore")])
        assert veo.jobs() == []
        assert not sim.requests


async def test_clip_that_was_made_in_1080p_cannot_be_extended_on_the_jobs_route(ledger: Any) -> None:
    """The provider documents this for that route only; the error is raised before anything is sent."""
    sim = memory()
    async with session_with_ledger(sim, ledger, route="jobs") as first:
        clip = await first.generate("A dog", key="dog", resolution="1080p")
    async with session_with_ledger(sim, ledger) as second:
        for source in ("dog", clip.task_id, clip):
            with pytest.raises(errors.InvalidRequest, match=r"1080p.*cannot be extended"):
                await second.extend(source, "It swims ashore")
    assert paid(sim) == ["generate"]


async def test_clip_that_was_made_in_1080p_is_extended_on_the_veo_route() -> None:
    """The provider documents no such limit there."""
    async with world(session={"route": "veo"}) as (veo, sim):
        clip = await veo.generate("A dog", resolution="1080p")
        assert (await veo.extend(clip, "It swims ashore")).urls
        assert paid(sim) == ["generate", "extend"]


@pytest.mark.usefixtures("route")
async def test_extension_in_doubt_is_bound_by_its_callback() -> None:
    """As for a generation, the callback names the task, and the task's record contains the token."""
    fault = drop_after_accepting(endpoint="extend", on=1)
    async with world(session={"public_url": "https://me.example"}, faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        extending = asyncio.create_task(veo.extend(clip, "It swims ashore", key="on"))
        await asyncio.sleep(200)
        for callback in sim.due_callbacks():
            await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)
        assert (await extending).urls
        assert paid(sim) == ["generate", "extend"]


@pytest.mark.usefixtures("route")
async def test_refused_extension_leaves_its_source_unchanged() -> None:
    """404 means that the source does not exist at the provider; the source's job stays ready."""
    async with world(faults=[refuse(404, "Original video or task does not exist", endpoint="extend")]) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        with pytest.raises(errors.NotFound):
            await veo.extend(clip, "It swims ashore")
        assert veo.job("dog").state is JobState.READY
        assert paid(sim) == ["generate"]


# --- chains -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_then_runs_a_chain_of_jobs() -> None:
    """One call, three jobs, each charged once; it returns the last clip, and a second call attaches to all three."""
    then = [ExtendRequest(prompt="It swims ashore"), "1080p"]
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", key="dog", then=then)
        assert [item.kind for item in clip.history] == ["generate", "extend", "upgrade"]
        assert paid(sim) == ["generate", "extend", "1080p"]
        assert await veo.generate("A dog", key="dog", then=then) == clip
        first = await veo.job("dog")
        assert await veo.extend(first, "It swims ashore") == await veo.job(clip.history[1].key)
        assert paid(sim) == ["generate", "extend", "1080p"]


@pytest.mark.usefixtures("route")
async def test_job_waiting_for_its_source_can_be_abandoned() -> None:
    """It is paused, not queued for sending; abandoning it leaves its source alone."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", key="dog", then="1080p")
        await let_run()
        assert job.state is JobState.QUEUED
        assert await anext(job.events()) == Paused(job.key, "waiting-for-source")
        await job.abandon()
        assert (await veo.job("dog")).urls
        assert paid(sim) == ["generate"]


@pytest.mark.usefixtures("route")
async def test_failed_source_refuses_its_follow_ups() -> None:
    """They are refused without a request, and the reason names the source; the same chain may be submitted again."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog [refuse-late]", key="dog", then="1080p")
        outcome = await job.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.SourceFailed)
        assert "'dog'" in outcome.detail
        assert sim.count("get-1080p-video") == 0
        with pytest.raises(errors.SourceFailed):
            await veo.generate(UpgradeRequest(after_key="dog"), key="other")
        with pytest.raises(errors.UsageError, match="no job 'missing'"):
            await veo.generate(UpgradeRequest(after_key="missing"), key="third")


@pytest.mark.usefixtures("route")
async def test_source_in_doubt_puts_its_follow_up_in_doubt() -> None:
    """Waiters of the upgrade get `InDoubt`; once the source is resolved, the upgrade starts automatically."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await veo.submit("A dog", key="dog", then="1080p")
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        assert outcome.key == "dog.1080p"
        [task_id] = sim.tasks
        await veo.job("dog").resolve(task_id)
        await let_run()
        assert (await job).urls
        assert paid(sim) == ["generate", "1080p"]


async def test_source_in_doubt_puts_the_follow_up_of_its_follow_up_in_doubt() -> None:
    """Each waits for the one before it."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await veo.submit("A dog", key="dog", then=[ExtendRequest(prompt="And a cat"), "1080p"])
        assert isinstance(await job.finished(), InDoubt)
        [task_id] = sim.tasks
        await veo.job("dog").resolve(task_id)
        await let_run()
        assert (await job).urls
        assert paid(sim) == ["generate", "extend", "1080p"]


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("8k", "is not a follow-up"),
        (["1080p", 5], "is not a follow-up"),
        (UpgradeRequest("t-1"), "already has a source"),
        (ExtendRequest(prompt=" "), "must not be empty"),
    ],
)
async def test_invalid_chain_is_rejected_as_a_whole(then: Any, message: str) -> None:
    """Every step is checked before the first is queued."""
    async with world() as (veo, sim):
        with pytest.raises(errors.InvalidRequest, match=message):
            await veo.submit("A dog", then=then)
        assert veo.jobs() == []
        assert not sim.requests


@pytest.mark.usefixtures("route")
async def test_map_yields_the_last_outcome_of_each_chain() -> None:
    """A failed clip affects only its own upgrade."""
    async with world() as (veo, sim):
        prompts = ["A dog", "A cat [refuse-late]", "A bird"]
        outcomes = veo.map(prompts, then="4k", key=lambda request: request.prompt[2:5], ordered=True)
        got = [outcome async for outcome in outcomes]
        assert [type(outcome) for outcome in got] == [Done, Refused, Done]
        assert [outcome.key for outcome in got] == ["dog.4k", "cat.4k", "bir.4k"]
        assert sorted(paid(sim)) == ["4k", "4k", "generate", "generate", "generate"]


# --- across a restart -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("seconds", [0, 5, 70, 100, 130, 190])
async def test_chain_continues_after_a_restart(ledger: Any, seconds: float) -> None:
    """Wherever the first session ends, the next one completes the chain, and nothing is charged twice."""
    sim = memory()
    then = [ExtendRequest(prompt="It swims ashore"), "1080p"]
    async with session_with_ledger(sim, ledger) as first:
        await first.submit("A dog", key="dog", then=then)
        await asyncio.sleep(seconds)
    async with session_with_ledger(sim, ledger) as second:
        clip = await second.generate("A dog", key="dog", then=then)
        assert [item.kind for item in clip.history] == ["generate", "extend", "upgrade"]
    assert paid(sim) == ["generate", "extend", "1080p"]
    async with session_with_ledger(sim, ledger) as third:
        assert await third.generate("A dog", key="dog", then=then) == clip
    assert len(sim.charges) == 3


async def test_upgrade_in_doubt_is_resolved_in_a_later_session(ledger: Any, route: RouteName) -> None:
    """Its source is found by the key in the request."""
    sim = memory(faults=[drop_after_accepting(endpoint="get-1080p-video", on=1)])
    async with session_with_ledger(sim, ledger) as first:
        await (await first.submit("A dog", key="dog", then="1080p")).finished()
    async with session_with_ledger(sim, ledger) as second:
        [job] = await second.ledger.in_doubt()
        clip_charge, _ = sim.charges
        await job.resolve("1080p" if route == "veo" else new_task(sim, clip_charge.task_id))
        upgraded = await job
        assert upgraded.history[0].key == "dog"
    assert paid(sim) == ["generate", "1080p"]


@pytest.mark.usefixtures("route")
async def test_key_of_a_generation_cannot_be_used_for_an_upgrade(ledger: Any) -> None:
    """A generation and an upgrade under one key are different requests."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as veo:
        clip = await veo.generate("A dog", key="dog")
        with pytest.raises(errors.KeyReused):
            await veo.submit(UpgradeRequest(clip.task_id), key="dog")
        with pytest.raises(errors.KeyReused):
            await veo.submit(VideoRequest("A cat"), key="dog")


@pytest.mark.usefixtures("route")
async def test_deadline_that_passes_while_the_source_runs_refuses_the_follow_up() -> None:
    """The follow-up was never sent, and its source is unaffected."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", key="dog", then="1080p", send_within=30)
        outcome = await job.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.DeadlineExceeded)
        assert paid(sim) == ["generate"]
