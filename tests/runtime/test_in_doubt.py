"""Jobs in doubt: never resubmitted automatically, resolved by evidence or by the user."""

import asyncio
import json
from typing import Any

import pytest

from tests.internals import live_job_of
from veo_async import errors
from veo_async._ports import HttpRequest
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.in_doubt.handler import CALLBACK_WAIT_S
from veo_async._runtime.job.outcome import Done, Failed, InDoubt
from veo_async._wire import HttpResponse
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

from .ledgers import session_with_ledger
from .support import Clock, MemoryTransport, VeoSession, memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time

PUBLIC = "https://bot.example"


async def post_callbacks(veo: VeoSession, sim: MemoryTransport) -> None:
    """Deliver every callback that is due, as a web server would."""
    while True:
        await asyncio.sleep(1.0)
        for callback in sim.due_callbacks():
            assert callback.url.startswith(f"{PUBLIC}/veo/cb/")
            await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)


async def job_in_doubt(veo: VeoSession, prompt: str = "A dog") -> Any:
    """Submit a job whose response is lost, and return it."""
    job = await veo.submit(prompt)
    assert isinstance(await job.finished(), InDoubt)
    return job


def false_id(number: int) -> str:
    """Return the id of a task that does not exist."""
    return f"{number:032x}"


# --- what puts a job in doubt -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("code", [500, 501])
async def test_row_15_server_error_on_submission_puts_the_job_in_doubt(code: int) -> None:
    """By HTTP status or in the body: the task may have been created."""
    for form in ("http", "body"):
        async with world(faults=[refuse(code, on=1, form=form)]) as (veo, sim):
            job = await job_in_doubt(veo)
            assert job.state is JobState.IN_DOUBT
            assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("status", [502, 503, 504, 520, 524])
@pytest.mark.parametrize("accepted", [False, True])
async def test_row_16_html_page_from_a_gateway_puts_the_job_in_doubt(status: int, *, accepted: bool) -> None:
    """The page does not show whether the provider received the request."""
    async with world(faults=[html_page(status, accepted=accepted, on=1, endpoint="generate")]) as (veo, sim):
        await job_in_doubt(veo)
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_row_25_refused_connection_is_retried_and_not_in_doubt() -> None:
    """Nothing was sent, so the job waits for the network and is sent once."""
    async with world(faults=[unreachable(times=3)]) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), Done)
        assert live_job_of(job).attempts == 1
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("value", ["", None, 17])
async def test_row_17_success_without_a_task_id_puts_the_job_in_doubt(value: Any) -> None:
    """A task was created, but its id is unknown."""

    def without_id(response: Any) -> Any:
        response["data"]["taskId"] = value
        return response

    async with world(faults=[tamper(without_id, on=1, endpoint="generate")]) as (veo, sim):
        await job_in_doubt(veo)
        assert len(sim.requests_to()) == len(sim.charges) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("status", [400, 403, 429, 455])
async def test_rejection_that_names_a_task_puts_the_job_in_doubt(status: int) -> None:
    """Even a 429 without a code: the task it names may be charged, and the error has its id."""

    class Contradicting(MemoryTransport):
        async def send(self, request: HttpRequest) -> HttpResponse:
            response = await super().send(request)
            if request.method != "POST":
                return response
            return HttpResponse(
                status=status, body=response.body.replace(b'"code": 200, ', b"").replace(b'"code":200,', b"")
            )

    sim = memory(kind=Contradicting)
    async with session_on(sim) as veo:
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, InDoubt)
        assert outcome.error.task_id == sim.charges[0].task_id
        assert outcome.error.body_code is None
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("task_id", ["\x00", "x" * 100_000, "\ud83d", "1080p:t-1"])
async def test_acceptance_with_an_impossible_task_id_puts_the_job_in_doubt(task_id: str) -> None:
    """It could never be polled. The outcome shows what came, shortened, and survives the session."""

    def with_id(response: Any) -> Any:
        response["data"]["taskId"] = task_id
        return response

    sim, ledger = memory(faults=[tamper(with_id, on=1, endpoint="generate")]), MemoryLedger()
    async with session_on(sim, ledger=ledger) as veo:
        outcome = (await job_in_doubt(veo)).outcome
        assert "not a task id" in outcome.error.message
        assert len(outcome.error.describe()) < 700
        assert len(sim.requests_to()) == len(sim.charges) == 1
    async with session_on(sim, ledger=ledger) as veo:
        [job] = await veo.ledger.in_doubt()
        again = await job.finished()
        assert isinstance(again, InDoubt)
        assert "not a task id" in again.error.message


@pytest.mark.usefixtures("route")
async def test_row_18_truncated_response_puts_the_job_in_doubt() -> None:
    """Half a JSON document names no task."""
    async with world(faults=[truncate(on=1, endpoint="generate")]) as (veo, sim):
        await job_in_doubt(veo)
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("when", ["before", "after", "middle"])
async def test_row_26_reset_connection_puts_the_job_in_doubt(when: Any) -> None:
    """Whenever it was reset, part of the request had been sent."""
    async with world(faults=[reset_connection(when, on=1, endpoint="generate")]) as (veo, sim):
        job = await job_in_doubt(veo)
        outcome = job.outcome
        assert isinstance(outcome.error, errors.ResponseLost)
        assert len(sim.requests_to()) == 1


async def test_outcome_has_the_evidence() -> None:
    """When the request was sent, with which token, how often, and whether a callback may still arrive."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, _):
        job = await job_in_doubt(veo)
        evidence = job.outcome.evidence
        assert evidence.attempts == 1
        assert evidence.sent_at is not None
        assert len(evidence.token) == 26
        assert not evidence.awaits_callback
        assert [doubtful.key for doubtful in await veo.ledger.in_doubt()] == [job.key]


# --- resolved by the user ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_resolve_binds_the_job_to_its_task() -> None:
    """The record is read, the job continues to its clip, and nothing more is charged."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await job_in_doubt(veo)
        with pytest.raises(errors.ResponseLost):
            await job
        task_id = sim.charges[0].task_id
        await job.resolve(task_id)
        assert job.state is JobState.RUNNING
        clip = await job
        assert clip.task_id == task_id
        assert await veo.ledger.in_doubt() == []
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_row_41_resolve_rejects_the_task_of_another_request() -> None:
    """The task exists but is not this job's, so the job stays in doubt."""
    async with world(faults=[drop_after_accepting(on=1)], may_double=True) as (veo, _):
        job = await job_in_doubt(veo)
        other = await veo.submit("A cat")
        with pytest.raises(errors.TaskMismatch, match="different request") as caught:
            await job.resolve(await other.accepted())
        assert caught.value.job_key == job.key
        assert job.state is JobState.IN_DOUBT
        with pytest.raises(errors.RecordNotFound):
            await job.resolve("0" * 32)
        assert job.state is JobState.IN_DOUBT
        assert (await other).urls


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("task_id", ["", "a b", "x" * 201, "4k:t-1", "1080p:t-1"])
async def test_resolve_and_hint_reject_what_is_no_task_id(task_id: str) -> None:
    """Nothing is sent for it. Asking for ``4k:…`` would start, and charge, an upgrade."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await job_in_doubt(veo)
        with pytest.raises(errors.UsageError, match="task_id="):
            await job.resolve(task_id)
        with pytest.raises(errors.UsageError, match="task_id="):
            await veo.callbacks.hint(live_job_of(job).token or "", task_id)
        assert len(sim.requests_to()) == 1
        assert sim.count("record-info") == 0


@pytest.mark.usefixtures("route")
async def test_resolve_rejects_a_task_that_another_job_has() -> None:
    """Two takes of one prompt: the record matches both, and one of them already has it."""
    async with world(faults=[drop_before_accepting(on=1)], may_double=True) as (veo, _):
        job = await job_in_doubt(veo)
        other = await veo.submit("A dog", take=2)
        with pytest.raises(errors.TaskMismatch, match=other.key):
            await job.resolve(await other.accepted())


@pytest.mark.usefixtures("route")
async def test_resubmit_sends_another_request() -> None:
    """The user asked for it; the attempts are counted, and the new request has a new token."""
    async with world(faults=[drop_after_accepting(on=1)], may_double=True) as (veo, sim):
        job = await job_in_doubt(veo)
        first_token = job.outcome.evidence.token
        await job.resubmit()
        clip = await job
        assert clip.task_id == sim.charges[1].task_id
        assert live_job_of(job).attempts == 2
        assert live_job_of(job).token != first_token
        with pytest.raises(errors.UsageError, match="not in doubt"):
            await job.resubmit()


@pytest.mark.usefixtures("route")
async def test_abandon_ends_a_job_in_doubt() -> None:
    """Waiters get `JobAbandoned`; the key stays in use, because the job may have been charged."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await job_in_doubt(veo)
        await job.abandon()
        assert job.state is JobState.ABANDONED
        assert isinstance(job.outcome, Failed)
        assert isinstance(job.outcome.error, errors.JobAbandoned)
        assert (await veo.submit("A dog")).state is JobState.ABANDONED
        assert len(sim.requests_to()) == 1
        with pytest.raises(errors.UsageError, match="abandoned"):
            await job.abandon()


@pytest.mark.usefixtures("route")
async def test_abandon_ends_queued_and_running_jobs() -> None:
    """Slots, queue and watcher keep no trace of them."""
    async with world(session={"max_in_flight": 1}) as (veo, sim):
        running, queued = await veo.submit("A dog"), await veo.submit("A cat")
        await running.accepted()
        await queued.abandon()
        await running.abandon()
        assert {running.state, queued.state} == {JobState.ABANDONED}
        assert (await veo.generate("A bird")).urls
        assert len(sim.requests_to()) == 2


# --- policies ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_on_doubt_resubmit_is_bounded() -> None:
    """The user accepts a second charge, but a server that always drops gets only a few requests."""
    async with world(faults=[drop_after_accepting(times=100)], may_double=True, session={"on_doubt": "resubmit"}) as (
        veo,
        sim,
    ):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        assert 2 <= len(sim.requests_to()) <= 5


@pytest.mark.usefixtures("route")
async def test_on_doubt_function_is_called_once() -> None:
    """It gets the outcome with its evidence, and returns the policy."""
    asked: list[InDoubt] = []

    async def decide(doubt: InDoubt) -> Any:
        asked.append(doubt)
        return "resubmit"

    async with world(faults=[drop_before_accepting(on=1)], session={"on_doubt": decide}) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), Done)
        assert [doubt.key for doubt in asked] == [job.key]
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("hangs", [False, True])
async def test_row_86_failing_on_doubt_function_means_hold(hangs: bool) -> None:
    """If the user's function raises or hangs, the job is held and reported as in doubt."""

    async def broken(_: InDoubt) -> Any:
        if hangs:
            await asyncio.sleep(1e6)
        raise RuntimeError("mine")

    async with world(faults=[drop_before_accepting(on=1)], session={"on_doubt": broken}) as (veo, sim):
        assert isinstance(await (await veo.submit("A dog")).finished(), InDoubt)
        assert len(sim.requests_to()) == 1


# --- callbacks --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_row_50_lost_response_is_bound_by_its_callback() -> None:
    """Waiters keep waiting and get the clip; one request, one charge."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        posting = asyncio.create_task(post_callbacks(veo, sim))
        job = await veo.submit("A dog")
        clip = await job.wait(timeout=200)
        assert clip.task_id == sim.charges[0].task_id
        assert len(sim.requests_to()) == 1
        posting.cancel()


@pytest.mark.usefixtures("route")
async def test_missing_callback_reports_the_job_in_doubt_after_fifteen_minutes() -> None:
    """By then the slowest generation would have finished and posted its callback."""
    faults = [drop_after_accepting(on=1), lost_callback(times=100)]
    async with world(faults=faults, session={"public_url": PUBLIC}) as (veo, _):
        clock = Clock()
        job = await veo.submit("A dog")
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        assert outcome.evidence is not None
        assert outcome.evidence.awaits_callback
        assert CALLBACK_WAIT_S <= clock() <= CALLBACK_WAIT_S + 5


@pytest.mark.usefixtures("route")
async def test_late_callback_binds_a_job_reported_as_in_doubt() -> None:
    """The job resumes, and awaiting it again returns the clip."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        [callback] = sim.due_callbacks()
        assert await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)
        await asyncio.sleep(1)
        assert (await job).task_id == callback.task_id


@pytest.mark.usefixtures("route")
async def test_row_42_early_callback_waits_for_the_response() -> None:
    """The callback arrives first; when the response is lost, it binds the job."""
    slow = delay(80, before=False, on=1, endpoint="generate")  # the task is created, but the response takes too long
    session = {"public_url": PUBLIC, "timeout": 70.0}
    async with world(duration_s=30.0, faults=[slow], session=session) as (veo, sim):
        posting = asyncio.create_task(post_callbacks(veo, sim))
        clip = await (await veo.submit("A dog"))
        assert clip.task_id == sim.charges[0].task_id
        posting.cancel()


@pytest.mark.usefixtures("route")
async def test_row_41_callback_naming_another_task_binds_nothing() -> None:
    """The task's record has neither the token nor the prompt; its id is added to the evidence."""
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


@pytest.mark.usefixtures("route")
async def test_every_attempt_has_its_own_callback_url() -> None:
    """The user's own callback URL is kept; without a public URL none is sent."""
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


@pytest.mark.parametrize(
    "url",
    [
        "bot.example",
        "https://me:hunter2@bot.example",
        "https://hunter2@bot.example/veo",
        "ftp://me:hunter2@bot.example",
        "https://me:hunter2@",
        "https://bot.example/?secret=hunter2",
        "https://bot.example/#part",
    ],
)
def test_invalid_public_url_is_rejected_by_the_constructor(url: str) -> None:
    """The error names the argument, before anything is opened, and does not repeat a password."""
    with pytest.raises(errors.InvalidRequest) as caught:
        session_on(memory(), public_url=url)
    assert caught.value.field == "callbacks"
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)


@pytest.mark.usefixtures("route")
async def test_row_90_job_past_its_deadline_is_never_sent() -> None:
    """The job waits while sending is paused; at its deadline it is refused, unsent and not charged."""
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


@pytest.mark.usefixtures("route")
async def test_callback_survives_an_outage() -> None:
    """Failed reads of the record prove nothing; once the provider is reachable again, the job is bound."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(61)
        [callback] = sim.due_callbacks()
        sim.is_offline = True
        assert await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)
        await asyncio.sleep(600)
        assert job.state is JobState.IN_DOUBT
        sim.is_offline = False
        assert (await job).task_id == callback.task_id
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_callback_naming_a_missing_task_is_given_up() -> None:
    """A record may appear late, but forged callbacks cannot make the session poll forever."""
    async with world(faults=[drop_after_accepting(on=1)], session={"public_url": PUBLIC}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(5)
        token = live_job_of(job).token
        assert token is not None
        assert await veo.callbacks.hint(token, "0" * 32)
        await asyncio.sleep(500)
        polls = sim.count("record-info")
        assert 1 < polls < 10
        await asyncio.sleep(300)
        assert sim.count("record-info") == polls
        assert job.state is JobState.IN_DOUBT


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("has_ledger", [False, True])
async def test_true_callback_among_many_false_ones_binds_the_job(*, has_ledger: bool) -> None:
    """1,000 false ids before it and 1,000 after it: each has its turn, and other jobs are polled as ever."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    session = {"public_url": PUBLIC, "ledger": MemoryLedger() if has_ledger else None}
    async with session_on(sim, polls_per_second=8.0, **session) as veo:
        job = await veo.submit("A dog")
        other = await veo.submit("A cat")
        other_id = await other.accepted()
        await asyncio.sleep(61)
        [true] = [callback.task_id for callback in sim.due_callbacks() if callback.task_id != other_id]
        running = await veo.submit("A bird")
        token = live_job_of(job).token
        assert token is not None
        for task_id in (*map(false_id, range(999)), other_id, true, *map(false_id, range(1000, 2000))):
            assert await veo.callbacks.hint(token, task_id)
        clock = Clock()
        assert (await running).urls
        assert clock() < 70  # it takes 60 s
        assert (await job).task_id == true
        assert clock() < 2001 / 8.0
        assert len(sim.requests_to()) == 3


@pytest.mark.usefixtures("route")
async def test_restart_reads_the_claims_again() -> None:
    """The claims are on the ledger, so the next session finds the true one among the false ones."""
    sim, ledger = memory(faults=[drop_after_accepting(on=1)]), MemoryLedger()
    async with session_on(sim, ledger=ledger, public_url=PUBLIC) as veo:
        job = await veo.submit("A dog", key="dog")
        await asyncio.sleep(61)
        [callback] = sim.due_callbacks()
        sim.is_offline = True
        for task_id in (*map(false_id, range(20)), callback.task_id, *map(false_id, range(20, 40))):
            assert await veo.callbacks.hint(live_job_of(job).token or "", task_id)
        await asyncio.sleep(30)
        assert job.state is JobState.IN_DOUBT
    sim.is_offline = False
    async with session_with_ledger(sim, ledger, public_url=PUBLIC) as veo:
        assert (await (await veo.submit("A dog", key="dog"))).task_id == callback.task_id


@pytest.mark.usefixtures("route")
async def test_callback_of_an_earlier_failed_attempt_binds_nothing() -> None:
    """The key was used again after a failure; a callback for the first attempt proves nothing about the second."""
    sim = memory(faults=[drop_after_accepting(on=2)])
    async with session_on(sim, ledger=MemoryLedger(), public_url=PUBLIC) as veo:
        first = await veo.submit("A dog [fail]", key="dog")
        assert isinstance(await first.finished(), Failed)
        [callback] = sim.due_callbacks()
        second = await veo.submit("A dog [fail]", key="dog")
        await asyncio.sleep(10)
        assert second.state is JobState.IN_DOUBT
        assert await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)
        await asyncio.sleep(30)
        assert second.state is JobState.IN_DOUBT
        await asyncio.sleep(60)
        [callback] = sim.due_callbacks()
        assert await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)
        assert isinstance(await second.finished(), Failed)
        assert second.task_id == callback.task_id


@pytest.mark.usefixtures("route")
async def test_concurrent_callbacks_bind_once() -> None:
    """The first that is proven counts, even if the user resolves the job in the same moment."""
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
