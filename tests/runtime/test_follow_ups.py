"""Upgrades and extensions: jobs that go on from another clip, in virtual time and over a restart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done, ExtendRequest, InDoubt, Refused, VideoRequest, errors
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.poll_result import NOT_YET_S
from veo_async._runtime.job.events import Paused
from veo_async._runtime.job.outcome import HistoryItem
from veo_async._wire import UpgradeRequest
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import MemoryTransport, drop_after_accepting, drop_before_accepting, refuse

from .support import let_run, memory, world
from .test_resume import AtOnce, on

pytestmark = pytest.mark.veo_virtual_time


def paid(sim: MemoryTransport) -> list[str]:
    """What was charged for, in order."""
    return [charge.endpoint.removeprefix("get-").removesuffix("-video") for charge in sim.charges]


# --- upgrades ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("not_ready", ["400-body", "400-http", "422-body"])
async def test_a_clip_is_taken_to_1080p(not_ready: Any) -> None:
    """ "Not yet" is no error, in whichever form it comes; looks are half a minute apart; one charge."""
    async with world(not_ready_1080p=not_ready) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        before = sim.count("get-1080p-video")
        taken = await veo.upgrade(clip, "1080p")
        assert taken.urls != clip.urls
        assert paid(sim) == ["generate", "1080p"]
        assert sim.count("get-1080p-video") - before <= 2 + 60 / NOT_YET_S
        assert taken.key == "dog.1080p"
        assert taken.history == (
            HistoryItem("generate", clip.task_id, "dog"),
            HistoryItem("upgrade", taken.task_id, "dog.1080p"),
        )


@pytest.mark.parametrize("options", [{"done_4k": "422"}, {"done_4k": "200"}, {"four_k_task_id": "new"}])
async def test_a_clip_is_taken_to_4k(options: dict[str, Any]) -> None:
    """A repeated request that answers 422 with the URLs is the end of it; so is a plain 200."""
    async with world(**options) as (veo, sim):
        clip = await veo.generate("A dog")
        taken = await veo.upgrade(clip, "4k")
        assert taken.urls
        assert taken.record.image_urls
        assert paid(sim) == ["generate", "4k"]


async def test_an_upgrade_asked_for_twice_is_one_job() -> None:
    """Whoever asks again, at once or later, gets the same clip for the same money."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog")
        async with asyncio.TaskGroup() as group:
            one, other = [group.create_task(veo.upgrade(clip)) for _ in range(2)]
        assert one.result() == other.result() == await veo.upgrade(clip, "1080p")
        with pytest.raises(errors.KeyReused, match="already"):
            await veo.upgrade(clip, "1080p", key="mine")
        assert paid(sim) == ["generate", "1080p"]


async def test_an_upgrade_of_a_task_that_was_made_elsewhere() -> None:
    """By its id alone."""
    async with world() as (veo, sim):
        made = await veo.api.generate("A dog")
        await asyncio.sleep(120)
        taken = await veo.upgrade(made.task_id)
        assert taken.task_id == f"1080p:{made.task_id}"
        assert taken.history[0] == HistoryItem("adopted", made.task_id, "")
        assert paid(sim) == ["generate", "1080p"]


async def test_an_upgrade_of_a_task_that_has_not_succeeded_is_refused() -> None:
    """ "record status is not success" promises that nothing was made."""
    async with world() as (veo, sim):
        made = await veo.api.generate("A dog")
        with pytest.raises(errors.NotReady):
            await veo.upgrade(made.task_id)
        assert [job.state for job in veo.jobs()] == [JobState.REFUSED]
        with pytest.raises(errors.RecordNotFound):
            await veo.upgrade("0" * 32)
        assert veo.jobs()[-1].state is JobState.REFUSED
        assert paid(sim) == ["generate"]


async def test_a_4k_version_that_cannot_be_made() -> None:
    """Its failure comes as a server error with a sentence; other server errors are bad looks."""
    async with world() as (veo, _):
        clip = await veo.generate("A dog [fail-4k]")
        with pytest.raises(errors.TaskFailed, match="4K version"):
            await veo.upgrade(clip, "4k")


@pytest.mark.parametrize("to", ["1080p", "4k"])
async def test_an_upgrade_whose_answer_is_lost_is_in_doubt(to: str) -> None:
    """The first call costs, GET or not: it is sent once, and what becomes of it is the user's word."""
    endpoint = "get-4k-video" if to == "4k" else "get-1080p-video"
    async with world(faults=[drop_after_accepting(endpoint=endpoint, on=1)]) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        job = await veo.submit(UpgradeRequest(clip.task_id, to), key="up")
        assert isinstance(await job.finished(), InDoubt)
        assert sim.count(endpoint) == 1
        await job.resolve(clip.task_id)
        assert (await job).urls
        assert paid(sim) == ["generate", to]


async def test_an_upgrade_that_was_not_accepted_is_sent_again_on_request() -> None:
    """Dropped unread, so nothing was paid; only the user may find out by another request."""
    fault = drop_before_accepting(endpoint="get-1080p-video", on=1)
    async with world(faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog")
        job = await veo.submit(UpgradeRequest(clip.task_id), key="up")
        assert isinstance(await job.finished(), InDoubt)
        await job.resubmit()
        assert (await job).urls
        assert paid(sim) == ["generate", "1080p"]


async def test_bad_looks_at_an_upgrade_do_not_end_it() -> None:
    """A lost answer to the second call is no doubt: the upgrade is on its way."""
    fault = drop_after_accepting(endpoint="get-1080p-video", on=2)
    async with world(faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog")
        assert (await veo.upgrade(clip)).urls
        assert paid(sim) == ["generate", "1080p"]


# --- extensions -------------------------------------------------------------------------------------------------


async def test_a_clip_is_extended_and_extended_again() -> None:
    """The whole in one piece, and the chain of how it came to be."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        longer = await veo.extend(clip, "It swims ashore")
        longest = await veo.extend(longer, "It shakes itself dry", model="quality")
        assert paid(sim) == ["generate", "extend", "extend"]
        assert longest.urls == longest.record.full_urls
        assert [made.kind for made in longest.history] == ["generate", "extend", "extend"]
        assert [made.task_id for made in longest.history] == [clip.task_id, longer.task_id, longest.task_id]
        posted = sim.requests_to("extend")[-1].body
        assert posted["taskId"] == longer.task_id
        assert posted["model"] == "quality"


async def test_what_was_taken_to_1080p_cannot_be_extended() -> None:
    """Said before anything is sent, whichever of the two clips is given."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog")
        taken = await veo.upgrade(clip)
        for source in (clip, taken, clip.task_id, taken.task_id):
            with pytest.raises(errors.InvalidRequest, match="1080p"):
                await veo.extend(source, "It swims ashore")
        assert sim.count("extend") == 0


async def test_an_extension_whose_answer_is_lost_is_bound_by_its_token() -> None:
    """As a creation is: a callback names the task, and its record holds the token."""
    fault = drop_after_accepting(endpoint="extend", on=1)
    async with world(session={"public_url": "https://me.example"}, faults=[fault]) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        asking = asyncio.create_task(veo.extend(clip, "It swims ashore", key="on"))
        await asyncio.sleep(200)
        for post in sim.due_callbacks():
            await veo.callbacks.hint(post.url.rpartition("/")[2], post.task_id)
        assert (await asking).urls
        assert paid(sim) == ["generate", "extend"]


async def test_the_provider_s_refusal_of_an_extension_is_its_own() -> None:
    """404: the source is not there. The clip it was to go on from is unharmed."""
    async with world(faults=[refuse(404, "Original video or task does not exist", endpoint="extend")]) as (veo, sim):
        clip = await veo.generate("A dog", key="dog")
        with pytest.raises(errors.NotFound):
            await veo.extend(clip, "It swims ashore")
        assert veo.job("dog").state is JobState.READY
        assert paid(sim) == ["generate"]


# --- chains -----------------------------------------------------------------------------------------------------


async def test_then() -> None:
    """One call, three jobs, each paid once; the last is what one gets, and a second call attaches to all of them."""
    then = [ExtendRequest(prompt="It swims ashore"), "1080p"]
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", key="dog", then=then)
        assert [made.kind for made in clip.history] == ["generate", "extend", "upgrade"]
        assert paid(sim) == ["generate", "extend", "1080p"]
        assert await veo.generate("A dog", key="dog", then=then) == clip
        first = await veo.job("dog")
        assert await veo.extend(first, "It swims ashore") == await veo.job(clip.history[1].key)
        assert paid(sim) == ["generate", "extend", "1080p"]


async def test_what_is_held_back_says_so_and_can_be_abandoned() -> None:
    """It waits for its source, in no queue; nobody else waits for it."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", key="dog", then="1080p")
        await let_run()
        assert job.state is JobState.QUEUED
        assert await anext(job.events()) == Paused(job.key, "waiting-for-source")
        await job.abandon()
        assert (await veo.job("dog")).urls
        assert paid(sim) == ["generate"]


async def test_a_source_that_comes_to_nothing() -> None:
    """What follows is refused without a request, and says why; the same chain may be asked for again."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog [refuse-late]", key="dog", then="1080p")
        outcome = await job.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.SourceFailed)
        assert "'dog'" in outcome.reason
        assert sim.count("get-1080p-video") == 0
        with pytest.raises(errors.SourceFailed):
            await veo.generate(UpgradeRequest(after_key="dog"), key="other")
        with pytest.raises(errors.UsageError, match="no job 'nobody'"):
            await veo.generate(UpgradeRequest(after_key="nobody"), key="third")


async def test_a_source_in_doubt() -> None:
    """Who waits for the upgrade is told of the doubt; once it is over, the upgrade goes on by itself."""
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


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("8k", "is no step"),
        (["1080p", 5], "is no step"),
        (UpgradeRequest("t-1"), "names its own source"),
        (ExtendRequest(prompt=" "), "must not be empty"),
    ],
)
async def test_a_chain_that_cannot_be(then: Any, told: str) -> None:
    """All of it is checked before any of it is queued."""
    async with world() as (veo, sim):
        with pytest.raises(errors.InvalidRequest, match=told):
            await veo.submit("A dog", then=then)
        assert veo.jobs() == []
        assert not sim.requests


async def test_map_gives_the_last_of_each_chain() -> None:
    """And a clip that fails takes only its own upgrade with it."""
    async with world() as (veo, sim):
        prompts = ["A dog", "A cat [refuse-late]", "A bird"]
        told = veo.map(prompts, then="4k", key=lambda request: request.prompt[2:5], ordered=True)
        got = [each async for each in told]
        assert [type(each) for each in got] == [Done, Refused, Done]
        assert [each.key for each in got] == ["dog.4k", "cat.4k", "bir.4k"]
        assert sorted(paid(sim)) == ["4k", "4k", "generate", "generate", "generate"]


# --- over a restart ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "veo.db", executor=AtOnce())


@pytest.mark.parametrize("seconds", [0, 5, 70, 100, 130, 190])
async def test_a_chain_goes_on_after_a_restart(ledger: Any, seconds: float) -> None:
    """Wherever the first session ends, the next brings the chain to its end, and nothing is paid twice."""
    sim = memory()
    then = [ExtendRequest(prompt="It swims ashore"), "1080p"]
    async with on(sim, ledger) as first:
        await first.submit("A dog", key="dog", then=then)
        await asyncio.sleep(seconds)
    async with on(sim, ledger) as second:
        clip = await second.generate("A dog", key="dog", then=then)
        assert [made.kind for made in clip.history] == ["generate", "extend", "upgrade"]
    assert paid(sim) == ["generate", "extend", "1080p"]
    async with on(sim, ledger) as third:
        assert await third.generate("A dog", key="dog", then=then) == clip
    assert len(sim.charges) == 3


async def test_a_doubt_about_an_upgrade_is_resolved_in_a_later_session(ledger: Any) -> None:
    """Its source is found by the key that the request names."""
    sim = memory(faults=[drop_after_accepting(endpoint="get-1080p-video", on=1)])
    async with on(sim, ledger) as first:
        await (await first.submit("A dog", key="dog", then="1080p")).finished()
    async with on(sim, ledger) as second:
        [job] = await second.ledger.in_doubt()
        await job.resolve("1080p")
        taken = await job
        assert taken.history[0].key == "dog"
    assert paid(sim) == ["generate", "1080p"]


async def test_an_old_request_s_key_is_not_taken_for_another_kind(ledger: Any) -> None:
    """A generation and an upgrade of one key are two requests."""
    sim = memory()
    async with on(sim, ledger) as veo:
        clip = await veo.generate("A dog", key="dog")
        with pytest.raises(errors.KeyReused):
            await veo.submit(UpgradeRequest(clip.task_id), key="dog")
        with pytest.raises(errors.KeyReused):
            await veo.submit(VideoRequest("A cat"), key="dog")


async def test_a_deadline_that_passes_while_the_source_is_made() -> None:
    """The step was never sent; its source is unharmed."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", key="dog", then="1080p", send_within=30)
        outcome = await job.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.DeadlineExceeded)
        assert paid(sim) == ["generate"]
