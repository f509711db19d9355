"""Jobs in doubt: never sent again by themselves, and led out by evidence or by word."""

import asyncio
import json
from typing import Any

import pytest

from tests.internals import live_job_of
from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.in_doubt.handler import CALLBACK_WAIT_S
from veo_async._runtime.job.outcome import Done, Failed, InDoubt
from veo_async.ledger import MemoryLedger
from veo_async.simulator import (
    delay,
    drop_after_accepting,
    drop_before_accepting,
    html_page,
    lost_callback,
    refuse,
    reset_connection,
    tamper,
    truncate,
    unreachable,
)

from .support import Clock, MemoryTransport, VeoSession, memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time

PUBLIC = "https://bot.example"


async def post_callbacks(veo: VeoSession, sim: MemoryTransport) -> None:
    """Bring every callback that has fallen due, as a receiver would."""
    while True:
        await asyncio.sleep(1.0)
        for post in sim.due_callbacks():
            assert post.url.startswith(f"{PUBLIC}/veo/cb/")
            await veo.callbacks.hint(post.url.rpartition("/")[2], post.task_id)


async def settled_doubt(veo: VeoSession, prompt: str = "A dog") -> Any:
    job = await veo.submit(prompt)
    assert isinstance(await job.finished(), InDoubt)
    return job


# --- what is in doubt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 501])
async def test_row_15_a_broken_answer_to_a_creation_is_a_doubt(code: int) -> None:
    """By HTTP or in the body: it may have been made."""
    for form in ("http", "body"):
        async with world(faults=[refuse(code, on=1, form=form)]) as (veo, sim):
            job = await settled_doubt(veo)
            assert job.state is JobState.IN_DOUBT
            assert len(sim.requests_to()) == 1


@pytest.mark.parametrize("status", [502, 503, 504, 520, 524])
@pytest.mark.parametrize("accepted", [False, True])
async def test_row_16_a_page_of_html_from_something_in_between_is_a_doubt(status: int, *, accepted: bool) -> None:
    """Whether the provider saw the request is what nobody knows."""
    async with world(faults=[html_page(status, accepted=accepted, on=1, endpoint="generate")]) as (veo, sim):
        await settled_doubt(veo)
        assert len(sim.requests_to()) == 1


async def test_row_25_a_refused_connection_is_no_doubt() -> None:
    """Not a byte left: the job waits for the network and is sent once."""
    async with world(faults=[unreachable(times=3)]) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), Done)
        assert live_job_of(job).attempts == 1
        assert len(sim.charges) == 1


@pytest.mark.parametrize("value", ["", None, 17])
async def test_row_17_accepted_without_a_task_id_is_a_doubt(value: Any) -> None:
    """A task was made, and nobody can say which."""

    def without_id(answer: Any) -> Any:
        answer["data"]["taskId"] = value
        return answer

    async with world(faults=[tamper(without_id, on=1, endpoint="generate")]) as (veo, sim):
        await settled_doubt(veo)
        assert len(sim.requests_to()) == len(sim.charges) == 1


async def test_row_18_an_answer_cut_off_is_a_doubt() -> None:
    """Half a JSON document names no task."""
    async with world(faults=[truncate(on=1, endpoint="generate")]) as (veo, sim):
        await settled_doubt(veo)
        assert len(sim.requests_to()) == 1


@pytest.mark.parametrize("when", ["before", "after", "middle"])
async def test_row_26_a_reset_connection_is_a_doubt(when: Any) -> None:
    """Whenever it was reset, bytes had left."""
    async with world(faults=[reset_connection(when, on=1, endpoint="generate")]) as (veo, sim):
        job = await settled_doubt(veo)
        outcome = job.outcome
        assert isinstance(outcome.error, errors.ResponseLost)
        assert len(sim.requests_to()) == 1


async def test_the_outcome_tells_what_evidence_there_is() -> None:
    """When it left, with which token, how often, and whether a callback may still tell."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, _):
        job = await settled_doubt(veo)
        evidence = job.outcome.evidence
        assert evidence.attempts == 1
        assert evidence.sent_at is not None
        assert len(evidence.token) == 26
        assert not evidence.awaits_callback
        assert [each.key for each in await veo.ledger.in_doubt()] == [job.key]


# --- resolved by word -------------------------------------------------------------------------------------------


async def test_resolving_binds_the_job_to_its_task() -> None:
    """The record is read, the job runs on to its clip, and nothing more is paid."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await settled_doubt(veo)
        with pytest.raises(errors.ResponseLost):
            await job
        task_id = sim.charges[0].task_id
        await job.resolve(task_id)
        assert job.state is JobState.RUNNING
        clip = await job
        assert clip.task_id == task_id
        assert await veo.ledger.in_doubt() == []
        assert len(sim.requests_to()) == 1


async def test_row_41_a_record_of_another_request_binds_nothing() -> None:
    """The task exists, but it is not this job's; the doubt stays."""
    async with world(faults=[drop_after_accepting(on=1)], may_double=True) as (veo, _):
        job = await settled_doubt(veo)
        other = await veo.submit("A cat")
        with pytest.raises(errors.TaskMismatch, match="different request") as caught:
            await job.resolve(await other.accepted())
        assert caught.value.job_key == job.key
        assert job.state is JobState.IN_DOUBT
        with pytest.raises(errors.RecordNotFound):
            await job.resolve("0" * 32)
        assert job.state is JobState.IN_DOUBT
        assert (await other).urls


async def test_a_task_that_is_another_jobs_binds_nothing() -> None:
    """Two takes of one prompt: the record fits both, and one of them has it already."""
    async with world(faults=[drop_before_accepting(on=1)], may_double=True) as (veo, _):
        job = await settled_doubt(veo)
        other = await veo.submit("A dog", take=2)
        with pytest.raises(errors.TaskMismatch, match=other.key):
            await job.resolve(await other.accepted())


async def test_resubmitting_sends_another_request() -> None:
    """It is what the user asked for; attempts are counted on."""
    async with world(faults=[drop_after_accepting(on=1)], may_double=True) as (veo, sim):
        job = await settled_doubt(veo)
        first_token = job.outcome.evidence.token
        await job.resubmit()
        clip = await job
        assert clip.task_id == sim.charges[1].task_id
        assert live_job_of(job).attempts == 2
        assert live_job_of(job).token != first_token
        with pytest.raises(errors.UsageError, match="not in doubt"):
            await job.resubmit()


async def test_abandoning_ends_it() -> None:
    """Whoever waits is told; the key stays used, because it may have been paid."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await settled_doubt(veo)
        await job.abandon()
        assert job.state is JobState.ABANDONED
        assert isinstance(job.outcome, Failed)
        assert isinstance(job.outcome.error, errors.JobAbandoned)
        assert (await veo.submit("A dog")).state is JobState.ABANDONED
        assert len(sim.requests_to()) == 1
        with pytest.raises(errors.UsageError, match="abandoned"):
            await job.abandon()


async def test_a_waiting_or_running_job_can_be_abandoned_too() -> None:
    """Slots, queue and watcher are as if it had never been."""
    async with world(session={"max_in_flight": 1}) as (veo, sim):
        running, queued = await veo.submit("A dog"), await veo.submit("A cat")
        await running.accepted()
        await queued.abandon()
        await running.abandon()
        assert {running.state, queued.state} == {JobState.ABANDONED}
        assert (await veo.generate("A bird")).urls
        assert len(sim.requests_to()) == 2


# --- policies ---------------------------------------------------------------------------------------------------


async def test_on_doubt_resubmit_sends_again_and_not_for_ever() -> None:
    """The user has opted in to pay twice; a server that always drops is not fed without end."""
    async with world(faults=[drop_after_accepting(times=100)], may_double=True, session={"on_doubt": "resubmit"}) as (
        veo,
        sim,
    ):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        assert 2 <= len(sim.requests_to()) <= 5


async def test_on_doubt_may_be_a_function() -> None:
    """It is asked once with the outcome and its evidence, and says a word."""
    asked: list[InDoubt] = []

    async def decide(doubt: InDoubt) -> Any:
        asked.append(doubt)
        return "resubmit"

    async with world(faults=[drop_before_accepting(on=1)], session={"on_doubt": decide}) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), Done)
        assert [doubt.key for doubt in asked] == [job.key]
        assert len(sim.charges) == 1


@pytest.mark.parametrize("hangs", [False, True])
async def test_row_86_an_on_doubt_that_raises_or_hangs_has_said_hold(hangs: bool) -> None:
    """It is the user's own function; the job is held and told."""

    async def broken(_: InDoubt) -> Any:
        if hangs:
            await asyncio.sleep(1e6)
        raise RuntimeError("mine")

    async with world(faults=[drop_before_accepting(on=1)], session={"on_doubt": broken}) as (veo, sim):
        assert isinstance(await (await veo.submit("A dog")).finished(), InDoubt)
        assert len(sim.requests_to()) == 1


# --- callbacks --------------------------------------------------------------------------------------------------


async def test_row_50_a_lost_answer_is_bound_by_its_callback() -> None:
    """Whoever waits waits on, and gets the clip; one request, one charge."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        posting = asyncio.create_task(post_callbacks(veo, sim))
        job = await veo.submit("A dog")
        clip = await job.wait(timeout=200)
        assert clip.task_id == sim.charges[0].task_id
        assert len(sim.requests_to()) == 1
        posting.cancel()


async def test_without_its_callback_a_doubt_is_told_after_a_quarter_of_an_hour() -> None:
    """The slowest generation would have ended by then, and its callback been posted."""
    faults = [drop_after_accepting(on=1), lost_callback(times=100)]
    async with world(faults=faults, session={"public_url": PUBLIC}) as (veo, _):
        clock = Clock()
        job = await veo.submit("A dog")
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        assert outcome.evidence is not None
        assert outcome.evidence.awaits_callback
        assert CALLBACK_WAIT_S <= clock() <= CALLBACK_WAIT_S + 5


async def test_a_callback_that_comes_late_binds_a_doubt_that_was_told() -> None:
    """The job is taken up again; whoever asks anew gets the clip."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        [post] = sim.due_callbacks()
        assert await veo.callbacks.hint(post.url.rpartition("/")[2], post.task_id)
        await asyncio.sleep(1)
        assert (await job).task_id == post.task_id


async def test_row_42_a_callback_that_beats_the_answer_waits_for_it() -> None:
    """The answer is lost in the end, and the hint that came before binds the job."""
    slow = delay(80, before=False, on=1, endpoint="generate")  # the task is made, and no answer comes in 70 s
    session = {"public_url": PUBLIC, "timeout": 70.0}
    async with world(duration_s=30.0, faults=[slow], session=session) as (veo, sim):
        posting = asyncio.create_task(post_callbacks(veo, sim))
        clip = await (await veo.submit("A dog"))
        assert clip.task_id == sim.charges[0].task_id
        posting.cancel()


async def test_row_41_a_callback_that_names_a_foreign_task_binds_nothing() -> None:
    """Its record does not hold the token, nor the prompt; it is noted beside the evidence."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}, may_double=True) as (
        veo,
        sim,
    ):
        job = await veo.submit("A dog")
        other = await veo.submit("A cat")
        await asyncio.sleep(5)
        stray = await other.accepted()
        token = live_job_of(job).token
        assert token is not None
        assert await veo.callbacks.hint(token, stray)
        await asyncio.sleep(5)
        assert job.state is JobState.IN_DOUBT
        assert not await veo.callbacks.hint("a" * 26, stray)
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        assert outcome.evidence is not None
        assert outcome.evidence.claimed_task_ids == (stray,)
        assert len(sim.requests_to()) == 2


async def test_every_attempt_has_an_address_of_its_own() -> None:
    """The user's own callback URL is left alone; without a public address nothing is planted."""
    async with world(session={"public_url": PUBLIC}) as (veo, sim):
        await veo.gather("A dog", "A cat")
        bodies = [json.loads(seen.content)["callBackUrl"] for seen in sim.requests_to()]
        assert len(set(bodies)) == 2
        job = await veo.submit("A bird", callback_url="https://mine.example/cb")
        await job
        assert json.loads(sim.requests_to()[2].content)["callBackUrl"] == "https://mine.example/cb"
    async with world() as (veo, sim):
        await veo.generate("A dog")
        assert "callBackUrl" not in json.loads(sim.requests_to()[0].content)


def test_a_public_url_that_is_none_is_refused_at_once() -> None:
    """Before anything is opened."""
    with pytest.raises(errors.InvalidRequest) as caught:
        session_on(memory(), public_url="bot.example")
    assert caught.value.field == "callbacks"


async def test_row_90_a_job_that_cannot_be_sent_in_time_never_is() -> None:
    """Its tenant waits behind a closed gate; at the deadline it is given up, unsent and unpaid."""
    async with world(faults=[refuse(455, times=100)], may_double=True) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog", send_within=30.0)
        outcome = await job.finished()
        assert isinstance(outcome.error, errors.DeadlineExceeded)  # type: ignore[union-attr]
        assert 30.0 <= clock() <= 31.0
        posts = len(sim.requests_to())
        await asyncio.sleep(2000)
        assert len(sim.requests_to()) == posts
        assert sim.charges == ()


async def test_a_hint_outlasts_an_outage() -> None:
    """Looks that tell nothing refute nothing: once the provider can be reached again the job is bound."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(61)
        [post] = sim.due_callbacks()
        sim.is_offline = True
        assert await veo.callbacks.hint(post.url.rpartition("/")[2], post.task_id)
        await asyncio.sleep(600)
        assert job.state is JobState.IN_DOUBT
        sim.is_offline = False
        assert (await job).task_id == post.task_id
        assert len(sim.requests_to()) == 1


async def test_a_hint_of_a_task_that_does_not_exist_is_given_up() -> None:
    """A record may come late, but not for ever; whoever forges hints does not make us look without end."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(5)
        token = live_job_of(job).token
        assert token is not None
        assert await veo.callbacks.hint(token, "0" * 32)
        await asyncio.sleep(500)
        looks = sim.count("record-info")
        assert 1 < looks < 10
        await asyncio.sleep(300)
        assert sim.count("record-info") == looks
        assert job.state is JobState.IN_DOUBT


async def test_a_callback_of_an_earlier_attempt_that_failed_binds_nothing() -> None:
    """The key was used anew after a failure; what the first attempt's callback tells says nothing of the second."""
    sim = memory(faults=[drop_after_accepting(on=2)])
    async with session_on(sim, ledger=MemoryLedger(), public_url=PUBLIC) as veo:
        first = await veo.submit("A dog [fail]", key="dog")
        assert isinstance(await first.finished(), Failed)
        [told] = sim.due_callbacks()
        second = await veo.submit("A dog [fail]", key="dog")
        await asyncio.sleep(10)
        assert second.state is JobState.IN_DOUBT
        assert await veo.callbacks.hint(told.url.rpartition("/")[2], told.task_id)
        await asyncio.sleep(30)
        assert second.state is JobState.IN_DOUBT
        await asyncio.sleep(60)
        [told] = sim.due_callbacks()
        assert await veo.callbacks.hint(told.url.rpartition("/")[2], told.task_id)
        assert isinstance(await second.finished(), Failed)
        assert second.task_id == told.task_id


async def test_several_hints_at_once_bind_once() -> None:
    """The first that is proven counts, whoever else says so in the same moment."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_on(sim, ledger=MemoryLedger(), public_url=PUBLIC) as veo:
        job = await veo.submit("A dog")
        await asyncio.sleep(5)
        [task_id] = sim.tasks
        assert live_job_of(job).token is not None
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(veo.callbacks.hint(live_job_of(job).token, task_id))
            group.create_task(job.resolve(task_id))
        assert (await job).task_id == task_id
        assert len(sim.charges) == 1
