"""Defects that were found in the transitions of jobs, with one test each."""

import asyncio
from pathlib import Path
from typing import Any

import attrs
import pytest

from veo_async import Refused, VideoRequest, errors
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.poll_result import Succeeded
from veo_async._runtime.job.events import Queued, Running, Sent
from veo_async._runtime.journal import Journal
from veo_async._wire import Record
from veo_async._wire.responses import Accepted
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import delay

from .ledgers import InlineExecutor
from .support import Clock, let_run, memory, session_on
from .transition_case import (
    IN_DOUBT,
    OTHER_TASK,
    PRICE,
    QUEUED,
    READY,
    RUNNING,
    SENDING,
    TASK,
    FaultyLedger,
    case,
    check_nothing_left,
    of_memory,
)

pytestmark = pytest.mark.veo_virtual_time

CLIP = Succeeded(Record(flag=1, urls=("https://a.invalid/1.mp4",), raw={"successFlag": 1}))


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


# --- room in a full queue ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["abandon", "tenant"])
async def test_map_continues_when_a_full_queue_gets_room(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger, how: str
) -> None:
    """Room comes from an abandoned job or from a larger bound; `map` waits for either."""
    async with case(monkeypatch, ledger, of_memory(ledger), QUEUED) as current:

        async def collect() -> None:
            async for _ in current.veo.map([VideoRequest("more")], key=lambda _: "more"):
                pass

        mapping = asyncio.create_task(collect())
        await let_run()
        assert "more" not in current.engine.registry.by_key
        if how == "abandon":
            await current.job.abandon()
        else:
            current.veo.account.configure_tenant("", max_queued=2)
        await let_run()
        assert current.veo.job("more").state is QUEUED
        mapping.cancel()
        await asyncio.wait([mapping])


async def test_map_continues_when_an_insertion_fails(ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that could not be inserted leaves its place to the job that waits for one."""
    async with session_on(memory(), ledger=ledger, max_queued=1) as veo:
        release = asyncio.Event()
        insert = Journal.insert

        async def failing(self: Journal, job: Any, **options: Any) -> Any:
            if job.key == "first":
                await release.wait()
                raise errors.LedgerBusy("locked")
            return await insert(self, job, **options)

        monkeypatch.setattr(Journal, "insert", failing)
        first = asyncio.create_task(veo.submit("A dog", key="first"))
        await let_run()

        async def collect() -> list[Any]:
            return [outcome async for outcome in veo.map(["A cat"])]

        mapping = asyncio.create_task(collect())
        await let_run()
        release.set()
        with pytest.raises(errors.LedgerBusy):
            await first
        assert len(await mapping) == 1


# --- announcements ----------------------------------------------------------------------------------------------


async def test_on_event_gets_in_doubt_once(monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger) -> None:
    """The lost response is announced when the policy has decided to hold."""
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING) as current:
        current.responses.put_nowait(errors.ResponseLost("lost"))
        await let_run()
        assert current.hook_names().count("InDoubt") == 1


@pytest.mark.parametrize("state", [QUEUED, RUNNING, IN_DOUBT])
async def test_on_event_gets_the_end_of_an_abandoned_job_once(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger, state: JobState
) -> None:
    """In each state in which a job can be abandoned."""
    async with case(monkeypatch, ledger, of_memory(ledger), state) as current:
        current.hook_events.clear()
        await current.job.abandon()
        await let_run()
        assert current.hook_names() == ["Failed"]


async def test_on_event_gets_a_failed_save_once(monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger) -> None:
    """The saver has given up; the job stays ready."""
    async with case(monkeypatch, ledger, of_memory(ledger), READY, save_to="clips") as current:
        current.hook_events.clear()
        assert current.save is not None
        current.save.set_exception(errors.DownloadFailed("no space"))
        await let_run()
        assert current.hook_names() == ["Failed"]
        assert current.live.state is READY


async def test_a_save_that_the_ledger_rejects_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session has saved the clip already; callers here get one outcome."""
    ledger = FaultyLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), READY, save_to="clips") as current:
        current.hook_events.clear()
        ledger.rejects = True
        assert current.save is not None
        ledger.jobs["subject"] = attrs.evolve(ledger.jobs["subject"], state="expired")
        current.save.set_result((Path("1.mp4"),))
        await let_run()
        assert len(current.hook_names()) == 1
        ledger.rejects = False


async def test_events_shows_sent_once_to_a_subscriber_during_the_intent(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger records the intent nothing was sent: the job is first in the queue, then sent."""
    ledger, recorded = MemoryLedger(), asyncio.Event()
    sim = memory()
    send = Journal.send

    async def slow(*args: Any) -> Any:
        await recorded.wait()
        return await send(*args)

    monkeypatch.setattr(Journal, "send", slow)
    async with session_on(sim, ledger=ledger) as veo:
        job = await veo.submit("A dog", key="k")
        await let_run()
        assert job.state is SENDING
        events = job.events()
        recorded.set()
        await job
        received = [event async for event in events]
        assert isinstance(received[0], Queued)
        assert received[0].position == 0
        assert received.count(Sent("k")) == 1
        assert [type(event).__name__ for event in received] == ["Queued", "Sent", "Running", "Ready"]


async def test_events_shows_sent_once_to_a_subscriber_during_the_request() -> None:
    """A subscriber that comes while the response is pending gets `Sent` as the present status, and not again."""
    async with session_on(memory(latency_s=2.0)) as veo:
        job = await veo.submit("A dog", key="k")
        await asyncio.sleep(1)
        received = [type(event).__name__ async for event in job.events()]
        assert received == ["Sent", "Running", "Ready"]


async def test_events_of_a_job_that_is_being_saved_begin_with_running(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """The task has ended, but the clip is not available before it is saved."""
    async with case(monkeypatch, ledger, of_memory(ledger), READY, save_to="clips") as current:
        event = await anext(current.job.events())
        assert isinstance(event, Running)
        assert current.job.eta is not None
        assert (event.eta.p90, current.job.eta.p90) == (0.0, 0.0)


# --- timers -----------------------------------------------------------------------------------------------------


async def test_a_deadline_timer_ends_when_the_job_is_sent(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """A job that was sent in time is not refused later, and holds no timer until then."""
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING, send_within=30.0) as current:
        assert current.live not in current.engine.queued
        await asyncio.sleep(60)
        assert current.live.state is SENDING


async def test_a_resubmitted_job_has_one_deadline_timer(monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger) -> None:
    """The timer of the first wait is gone; at the deadline the job is refused once and no error is logged."""
    async with case(monkeypatch, ledger, of_memory(ledger), QUEUED, send_within=100.0) as current:
        await current.veo.job("other").abandon()
        await let_run()
        current.responses.put_nowait(errors.ResponseLost("lost"))
        await let_run()
        assert current.live.state is IN_DOUBT
        current.veo.stop_sending()
        await current.job.resubmit()
        assert current.live.state is QUEUED
        current.hook_events.clear()
        await asyncio.sleep(200)
        outcome = await current.job.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.DeadlineExceeded)
        assert current.hook_names() == ["Refused"]
        check_nothing_left(current)


# --- actions of a user ------------------------------------------------------------------------------------------


async def test_resolve_of_a_job_that_is_no_longer_in_doubt_raises_usage_error(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """The job is abandoned while the record is read: no `IllegalTransition` reaches the caller, nothing is written."""
    async with case(monkeypatch, ledger, of_memory(ledger), IN_DOUBT) as current:
        is_read = asyncio.Event()

        async def read(_: Any, task_id: str, __: Any) -> Record:
            await is_read.wait()
            return Record(task_id=task_id, flag=0)

        monkeypatch.setattr("veo_async._runtime.running.polls.RecordReader.read", read)
        resolving = asyncio.create_task(current.job.resolve(TASK))
        await let_run()
        await current.job.abandon()
        is_read.set()
        with pytest.raises(errors.UsageError, match="not in doubt"):
            await resolving
        assert ledger.jobs["subject"].state == JobState.ABANDONED


async def test_resubmitting_a_job_of_another_session_reserves_nothing_here(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """The owner sends the request and pays for it; when the owner dies, this session does."""
    async with case(monkeypatch, ledger, of_memory(ledger), IN_DOUBT) as current:
        other: Any = await ledger.open(current.engine.ledger.account)
        ledger.jobs["subject"] = attrs.evolve(ledger.jobs["subject"], owner=other.session_id)
        live = current.live
        current.engine.transitions.follow(live, ledger.jobs["subject"])
        before = current.reserved
        await current.job.resubmit()
        assert live.state is QUEUED
        assert live.is_remote
        assert current.reserved == before
        check_nothing_left(current)
        await other.close()
        await asyncio.sleep(2)  # the next check takes the job over
        assert not live.is_remote
        assert live.state is SENDING


async def test_a_reservation_is_returned_once(monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger) -> None:
    """A second notice that a job ended without a charge does not touch the reservation of a new job with its key."""
    async with case(monkeypatch, ledger, of_memory(ledger), QUEUED) as current:
        old, row = current.live, ledger.jobs["subject"]
        await current.job.abandon()
        assert current.reserved == PRICE  # of the other job
        # A job that was never sent may be submitted again under its key once it is no longer on the ledger.
        del ledger.jobs["subject"], current.engine.registry.by_key["subject"]
        await current.veo.submit("subject", key="subject")
        assert current.reserved == 2 * PRICE
        current.engine.transitions.follow(old, attrs.evolve(row, state="abandoned", outcome=None))
        assert current.reserved == 2 * PRICE


# --- responses --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_a_response_with_the_task_of_another_job_leaves_the_job_in_doubt_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """Its slot is free, and the gate does not count it as running."""
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING) as current:
        current.responses.put_nowait(Accepted(task_id=OTHER_TASK))
        await let_run()
        assert current.live.state is IN_DOUBT
        assert current.veo.statistics().rate_limit.running == 1
        assert current.hook_names().count("InDoubt") == 1
        check_nothing_left(current)


async def test_an_early_hint_of_a_request_that_was_rejected_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback arrives before the rejection of its request: that is logged, because a task may exist after all."""
    options = {"public_url": "https://bot.example/veo"}
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING, **options) as current:
        assert current.live.token is not None
        assert await current.veo.callbacks.hint(current.live.token, TASK)
        await asyncio.sleep(2)
        assert current.live in current.engine.hints
        current.responses.put_nowait(errors.RequestRejected("rejected", body_code=400))
        await let_run()
        assert current.live.state is JobState.REFUSED
        assert current.live not in current.engine.hints
    assert "names a second task" in caplog.text


@pytest.mark.usefixtures("route")
async def test_rate_limited_request_that_a_callback_knows_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """A callback to the attempt's own URL names a task before a 429 arrives: sending again could be charged again."""
    options = {"public_url": "https://bot.example/veo"}
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING, **options) as current:
        assert current.live.token is not None
        assert await current.veo.callbacks.hint(current.live.token, TASK)
        await asyncio.sleep(2)
        current.responses.put_nowait(errors.RateLimited("slow down", body_code=429))
        await let_run()
        assert current.live.state is IN_DOUBT
        assert current.live.attempts == 1


# --- closing ----------------------------------------------------------------------------------------------------


async def test_close_does_not_hang_when_the_ledger_rejects_a_write_and_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The response arrives while the session closes; the ledger rejects it and then cannot be read."""
    ledger = FaultyLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING) as current:
        closing = asyncio.create_task(current.veo.close())
        await let_run()
        ledger.rejects = ledger.fails_to_read = True
        current.responses.put_nowait(Accepted(task_id=TASK))
        clock = Clock()
        await closing
        assert clock() <= 2.0


async def test_a_policy_that_begins_while_the_session_closes_ends_promptly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response is lost while the session closes; the policy function would take a minute."""
    ledger, began = MemoryLedger(), asyncio.Event()

    async def slow_policy(_: Any) -> Any:
        began.set()
        await asyncio.sleep(59)
        return "hold"

    async with case(monkeypatch, ledger, of_memory(ledger), SENDING, on_doubt=slow_policy) as current:
        closing = asyncio.create_task(current.veo.close())
        await let_run()
        current.responses.put_nowait(errors.ResponseLost("lost"))
        clock = Clock()
        await closing
        assert clock() <= 1.0
        assert ledger.jobs["subject"].state == IN_DOUBT
        assert not began.is_set()


async def test_a_save_that_begins_while_the_session_closes_ends_promptly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task ends while the session waits for another response; the next session saves the clip."""
    ledger = MemoryLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), RUNNING, max_in_flight=3, save_to="clips") as current:
        monkeypatch.setattr(
            "veo_async._runtime.sending.sender.create", lambda *_: asyncio.sleep(5, Accepted(task_id="late"))
        )
        await current.veo.submit("late", key="late")
        await let_run()
        closing = asyncio.create_task(current.veo.close())
        await let_run()
        clock = Clock()
        await current.end_task(CLIP)
        assert current.live.state is READY
        await closing
        assert clock() <= 6.0
        assert current.save is None or current.save.cancelled()
        assert ledger.jobs["subject"].state == READY


async def test_a_refusal_that_begins_while_the_session_closes_leaves_the_job_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deadline passes while the session waits for a response: the refusal is awaited, the next session decides."""
    ledger = MemoryLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING, max_queued=2) as current:
        await current.veo.submit("late", key="late", send_within=1.0)
        closing = asyncio.create_task(current.veo.close())
        await asyncio.sleep(2)
        current.responses.put_nowait(Accepted(task_id=TASK))
        await closing
        assert ledger.jobs["late"].state in (QUEUED, JobState.REFUSED)


async def test_every_task_of_a_session_has_a_name(monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger) -> None:
    """In a debugger the task of a paid request shows its job."""
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING):
        names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
        assert "veo.post:subject" in names
        assert not [name for name in names if not name.startswith("veo.")]


# --- a session that is considered dead --------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_a_session_that_is_considered_dead_records_the_task_of_its_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lock file is removed during the request and another session takes the job over, in doubt.

    The response of the first session binds the job to its task; the other session polls the task. One charge, no crash.
    """
    path, sim = tmp_path / "veo.db", memory(faults=[delay(10.0, before=False, on=1, endpoint="generate")])
    async with session_on(sim, ledger=SqliteLedger(path, executor=InlineExecutor())) as first:
        job = await first.submit("A dog", key="k")
        await asyncio.sleep(1.5)  # between two reads of the changes, at which the session makes its lock file again
        assert job.state is SENDING
        for lock in Path(f"{path}.d").glob("*.lock"):
            lock.unlink()
        second = session_on(sim, ledger=SqliteLedger(path, executor=InlineExecutor()))
        async with second:
            taken_over = await second.ledger.find("k")
            assert taken_over is not None
            assert taken_over.state is IN_DOUBT
            await asyncio.sleep(15)
            assert job.task_id == taken_over.task_id == sim.charges[0].task_id
            assert (await taken_over.wait(timeout=300)).task_id == job.task_id
            first.statistics()  # raises if the session has crashed
    assert len(sim.charges) == 1
    assert "NOT recorded" not in caplog.text


@pytest.mark.usefixtures("route")
async def test_404_of_a_request_that_a_callback_knows_is_in_doubt_and_no_evidence(
    monkeypatch: pytest.MonkeyPatch, ledger: MemoryLedger
) -> None:
    """A task was named for the attempt: the job must not take another route."""
    options = {"public_url": "https://bot.example/veo", "route": "auto"}
    async with case(monkeypatch, ledger, of_memory(ledger), SENDING, **options) as current:
        assert current.live.token is not None
        assert await current.veo.callbacks.hint(current.live.token, TASK)
        await asyncio.sleep(2)
        current.responses.put_nowait(errors.NotFound("no such endpoint", body_code=404))
        await let_run()
        assert current.live.state is IN_DOUBT
        assert current.veo.statistics().pause_reason is None
