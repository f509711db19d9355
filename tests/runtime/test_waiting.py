"""Waiting for jobs and closing sessions: rows 55 to 57, 59, 60, 85, 86 and 88 of the fault matrix."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.internals import end_task, live_job_of, reopen
from veo_async import VeoSession, errors
from veo_async._rules.gate.gate import Gate
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.polling.poll_result import Succeeded
from veo_async._runtime.job.events import Queued, Ready, Running, Sent
from veo_async._runtime.job.live_job import exception_of
from veo_async._runtime.job.outcome import Done, InDoubt
from veo_async._wire import Record
from veo_async.simulator import delay, drop_after_accepting, refuse, tamper

from .support import Clock, check_joints, let_run, memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time


# --- waiters ----------------------------------------------------------------------------------------------------


async def test_row_55_cancelled_waiter_affects_no_other() -> None:
    """Three wait for one job: one is cancelled, one times out, and the third gets the clip."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog")
        cancelled, undisturbed = asyncio.create_task(job.result()), asyncio.create_task(job.result())
        timed_out = asyncio.create_task(job.wait(timeout=10))
        await asyncio.sleep(5)
        cancelled.cancel()
        await asyncio.wait([cancelled, timed_out])
        assert cancelled.cancelled()
        assert isinstance(timed_out.exception(), errors.StillRunning)
        assert (await undisturbed).urls
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
async def test_row_55_cancelling_a_waiter_does_not_cancel_the_request() -> None:
    """The request takes three seconds and its caller is cancelled after one; the job still gets its task."""
    async with world(latency_s=3.0) as (veo, sim):
        generating = asyncio.create_task(veo.generate("A dog", key="k"))
        await asyncio.sleep(1)
        assert veo.job("k").state is JobState.SENDING
        generating.cancel()
        await asyncio.wait([generating])
        assert generating.cancelled()
        assert await veo.job("k").accepted() == sim.charges[0].task_id
        assert (await veo.job("k")).urls


@pytest.mark.usefixtures("route")
async def test_row_56_generate_after_a_timeout_attaches_to_the_job() -> None:
    """`asyncio.timeout` ends the waiting only; calling `generate` again costs nothing."""
    async with world() as (veo, sim):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await veo.generate("A dog")
        assert (await veo.generate("A dog")).urls
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_row_57_failing_sibling_leaves_the_exception_group_unchanged() -> None:
    """The caller's TaskGroup raises only the caller's error, and the job continues."""
    async with world() as (veo, _):

        async def fail() -> None:
            await asyncio.sleep(5)
            raise LookupError("theirs")

        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # the test is about what leaves the block
            async with asyncio.TaskGroup() as group:
                group.create_task(veo.generate("A dog", key="k"))
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [LookupError]
        assert (await veo.job("k")).urls


async def test_wait_raises_still_running_and_changes_nothing() -> None:
    """The error has the job's key and task id; waiting again returns the clip."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", key="k")
        with pytest.raises(errors.StillRunning) as caught:
            await job.wait(timeout=30)
        assert (caught.value.job_key, caught.value.task_id) == ("k", job.task_id)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(errors.StillRunning):
            await job.wait(timeout=0)
        assert job.state is JobState.RUNNING
        clip = await job.wait(timeout=60)
        assert await job.wait(timeout=0) == clip
        assert len(sim.requests_to()) == 1


async def test_each_waiter_gets_its_own_error() -> None:
    """A shared exception would collect the tracebacks of all waiters."""
    async with world() as (veo, _):
        job = await veo.submit("A dog [refuse]")
        first, second = [await _error_of(job) for _ in range(2)]
        assert first is not second
        assert (type(first), first.args, first.job_key) == (type(second), second.args, second.job_key)


async def _error_of(job: Any) -> errors.VeoError:
    with pytest.raises(errors.VeoError) as caught:
        await job
    return caught.value


async def test_accepted_raises_the_error_of_a_refused_job() -> None:
    """It will never have a task id."""
    async with world() as (veo, _):
        job = await veo.submit("A dog [refuse]")
        with pytest.raises(errors.ContentRefused):
            await job.accepted()


# --- events -----------------------------------------------------------------------------------------------------


async def test_events_report_the_whole_life_of_a_job() -> None:
    """From queued to ready, with position, ETA, task id and clip."""
    async with world() as (veo, _):
        job = await veo.submit("A dog", key="k")
        events = [event async for event in job.events()]
        queued, sent, running, ready = events
        assert isinstance(queued, Queued)
        assert (queued.key, queued.position) == ("k", 0)
        assert queued.eta.p50 <= queued.eta.p90
        assert sent == Sent("k")
        assert isinstance(running, Running)
        assert running.task_id == job.task_id
        assert isinstance(ready, Ready)
        assert ready.clip == await job
        assert [event async for event in job.events()] == [ready]


async def test_slow_subscriber_misses_no_event() -> None:
    """It gets every event since it subscribed, the last one included, however late it reads them."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        events = job.events()
        await job
        names = [type(event).__name__ async for event in events]
        assert names == ["Queued", "Sent", "Running", "Ready"]
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_subscriber_starts_with_the_current_state() -> None:
    """One subscribes at the beginning, one while the request is sent, one later; all get the last event."""
    async with world(latency_s=2.0) as (veo, _):
        job = await veo.submit("A dog")
        streams = [job.events()]
        for seconds in (1, 5):
            await asyncio.sleep(seconds)
            streams.append(job.events())
        names = [[type(event).__name__ async for event in events] for events in streams]
        assert names == [["Queued", "Sent", "Running", "Ready"], ["Sent", "Running", "Ready"], ["Running", "Ready"]]


async def test_clip_ready_at_the_moment_of_the_timeout_is_returned() -> None:
    """`StillRunning` is not raised for a job that has finished."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        live_job = live_job_of(job)
        await job.accepted()
        record = Record(flag=1, urls=("https://a.invalid/1.mp4",))

        async def end() -> None:
            await asyncio.sleep(5.0)
            await end_task(veo, live_job, Succeeded(record))

        ending = asyncio.create_task(end())
        await asyncio.sleep(0)
        assert (await job.wait(timeout=5.0)).urls == record.urls
        await ending


def test_exception_of_a_finished_clip_raises_type_error() -> None:
    """Calling it for a clip is a bug in the package."""
    with pytest.raises(TypeError):
        exception_of(Done(None))  # type: ignore[arg-type]


async def test_subscriber_that_stops_early_is_forgotten() -> None:
    """Breaking out of the loop is enough."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        async for event in job.events():
            assert isinstance(event, Queued)
            break
        assert not live_job_of(job).has_subscribers
        await job


async def test_subscriber_of_a_closed_session_gets_session_closed() -> None:
    """If the stream just ended, the job would seem to have finished."""
    async with session_on(memory()) as veo:
        events = (await veo.submit("A dog")).events()
        await asyncio.sleep(10)
    with pytest.raises(errors.SessionClosed):
        [event async for event in events]


# --- closing ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_row_59_closing_finishes_requests_in_flight_and_releases_waiters() -> None:
    """No new request is sent; the one in flight returns its task id, which is in the waiter's error."""
    sim = memory(latency_s=3.0)
    async with session_on(sim, rate=(1, 10.0)) as veo:
        jobs = [await veo.submit(f"Dog {i}") for i in range(3)]
        waiting = [asyncio.create_task(job.result()) for job in jobs]
        await asyncio.sleep(1)
    await asyncio.wait(waiting)
    first, *others = [task.exception() for task in waiting]
    assert isinstance(first, errors.SessionClosed)
    assert first.task_id == sim.charges[0].task_id
    assert "adopt" in str(first)
    assert all(isinstance(error, errors.SessionClosed) for error in others)
    assert len(sim.requests_to()) == 1
    reopen(sim)  # the provider itself was not closed
    async with session_on(sim) as again:
        assert (await (await again.ledger.adopt(first.task_id))).urls


async def test_drain_waits_for_all_jobs() -> None:
    """A caller that wants every job finished drains the session before it leaves the block."""
    async with world() as (veo, _):
        jobs = [await veo.submit(f"Dog {i}") for i in range(5)]
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


async def test_users_exception_leaves_the_block_unchanged() -> None:
    """It is not wrapped in an ExceptionGroup, even while jobs run."""
    with pytest.raises(LookupError, match="theirs"):  # noqa: PT012  # the test is about what leaves the block
        async with session_on(memory()) as veo:
            await veo.submit("A dog")
            raise LookupError("theirs")


async def test_cancelled_block_raises_a_cancellation() -> None:
    """A second cancellation while it closes does not interrupt the request in flight."""
    sim = memory(latency_s=5.0)
    task_ids: list[str | None] = []

    async def use() -> None:
        async with session_on(sim) as veo:
            job = await veo.submit("A dog")
            try:
                await job
            finally:
                task_ids.append(live_job_of(job).task_id)
                asyncio.get_running_loop().call_later(10, lambda: task_ids.append(job.task_id))

    using = asyncio.create_task(use())
    await asyncio.sleep(1)
    using.cancel()
    await asyncio.sleep(1)
    using.cancel()
    await asyncio.wait([using])
    assert using.cancelled()
    await asyncio.sleep(10)
    assert task_ids == [None, sim.charges[0].task_id]


async def test_close_may_be_called_early_and_twice() -> None:
    """Within the block, and by two callers at the same time."""
    sim = memory()
    async with session_on(sim) as veo:
        job = await veo.submit("A dog")
        await asyncio.sleep(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(veo.close())
            group.create_task(veo.close())
        with pytest.raises(errors.SessionClosed):
            await job
        with pytest.raises(errors.SessionClosed):
            await veo.submit("A cat")
    await session_on(sim).close()


async def test_map_in_a_closed_session_raises_session_closed() -> None:
    """In both orders, and also if its input still waits."""
    for ordered in (False, True):
        async with session_on(memory()) as veo:
            reading = asyncio.create_task(_collect(veo.map(["A dog", "A cat"], ordered=ordered)))
            waiting = asyncio.create_task(_collect(veo.map(_never())))
            await asyncio.sleep(10)
        await asyncio.wait([reading, waiting])
        assert isinstance(reading.exception(), errors.SessionClosed)
        assert isinstance(waiting.exception(), errors.SessionClosed)


async def _never() -> Any:
    await asyncio.get_running_loop().create_future()
    yield ""


async def _collect(outcomes: Any) -> list[Any]:
    return [outcome async for outcome in outcomes]


# --- internal errors --------------------------------------------------------------------------------------------


@pytest.fixture
def break_scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[VeoSession], None]]:
    """Return a function that breaks the scheduler of a session, without which it cannot continue."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    def break_it(veo: VeoSession) -> None:
        monkeypatch.setattr(Gate, "pace", broken)
        veo.account.resize(100)  # wakes the scheduler

    yield break_it
    monkeypatch.undo()


BreakScheduler = Callable[[VeoSession], None]


async def test_internal_error_is_raised_as_session_crashed_everywhere(break_scheduler: BreakScheduler) -> None:
    """To waiters, to new submissions and out of the block; the request in flight keeps its task id."""
    sim = memory(latency_s=3.0)
    with pytest.raises(errors.SessionCrashed) as caught:  # noqa: PT012  # the test is about what leaves the block
        async with session_on(sim) as veo:
            job = await veo.submit("A dog")
            waiting = asyncio.create_task(job.result())
            await asyncio.sleep(1)
            break_scheduler(veo)
            await asyncio.wait([waiting])
            with pytest.raises(errors.SessionCrashed):
                await veo.submit("Another")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    first = waiting.exception()
    assert isinstance(first, errors.SessionCrashed)
    assert first.task_id is not None


async def test_internal_error_of_the_poll_queue_is_raised_as_session_crashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised where a timer runs; nothing waits for a poll that never comes."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(PollQueue, "take", broken)
    with pytest.raises(errors.SessionCrashed):
        async with session_on(memory()) as veo:
            await veo.generate("A dog")


async def test_internal_error_of_the_scheduler_stops_submission(break_scheduler: BreakScheduler) -> None:
    """Jobs that a crashed session would not handle are not paid for."""
    sim = memory()
    with pytest.raises(errors.SessionCrashed):  # noqa: PT012  # the test is about what leaves the block
        async with session_on(sim, rate=(1, 10.0)) as veo:
            jobs = [await veo.submit(f"Dog {i}") for i in range(10)]
            await asyncio.sleep(1)
            break_scheduler(veo)
            with pytest.raises(errors.SessionCrashed):
                await jobs[-1]
            sent = len(sim.requests_to())
            await asyncio.sleep(300)
            assert len(sim.requests_to()) == sent < 3


async def test_map_in_a_crashed_session_raises_session_crashed(break_scheduler: BreakScheduler) -> None:
    """The input yields one more request after the crash, and no outcome is invented for it."""

    async def slow() -> Any:
        await asyncio.sleep(100)
        yield "A cat"

    with pytest.raises(errors.SessionCrashed):  # noqa: PT012  # the test is about what leaves the block
        async with session_on(memory()) as veo:
            reading = asyncio.create_task(_collect(veo.map(slow())))
            await asyncio.sleep(1)
            break_scheduler(veo)
            await asyncio.wait([reading])
    assert isinstance(reading.exception(), errors.SessionCrashed)


async def test_internal_error_is_a_note_on_the_users_exception(break_scheduler: BreakScheduler) -> None:
    """The user's exception is raised unchanged, and the internal error is not lost."""
    with pytest.raises(LookupError) as caught:  # noqa: PT012  # the test is about what leaves the block
        async with session_on(memory()) as veo:
            break_scheduler(veo)
            await asyncio.sleep(100)
            raise LookupError("theirs")
    assert "ZeroDivisionError" in caught.value.__notes__[0]


# --- another loop or thread -------------------------------------------------------------------------------------


async def test_row_60_session_that_is_not_open_raises_with_a_remedy() -> None:
    """Immediately, not at the next await."""
    veo = session_on(memory())
    with pytest.raises(errors.SessionClosed, match="async with"):
        await veo.submit("A dog")
    with pytest.raises(errors.SessionClosed, match="async with"):
        veo.map(["A dog"])
    async with veo:
        job = await veo.submit("A dog")
        await job
    for call in (veo.statistics, lambda: veo.map([]), lambda: veo.account.resize(3)):
        with pytest.raises(errors.SessionClosed, match="closed"):
            call()
    for pending in (veo.submit("A cat"), veo.account.balance(), veo.generate("A cat")):
        with pytest.raises(errors.SessionClosed, match="closed"):
            await pending
    assert (await job).urls
    with pytest.raises(errors.UsageError, match="once"):
        async with veo:
            pass


async def test_row_60_use_from_another_loop_or_thread_raises() -> None:
    """Session, job and event stream: none of them waits for a wake-up that cannot come."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        events = job.events()
        caught: list[BaseException] = []

        async def elsewhere() -> None:
            for pending in (veo.submit("A cat"), veo.close(), job.result(), job.wait(1), job.accepted(), anext(events)):
                try:
                    await pending
                except errors.SessionClosed as error:
                    caught.append(error)

        def thread() -> None:
            asyncio.run(elsewhere())
            try:
                veo.statistics()
            except errors.SessionClosed as error:
                caught.append(error)

        worker = threading.Thread(target=thread)
        worker.start()
        worker.join()
        assert len(caught) == 7
        assert all("another event loop" in str(error) for error in caught)
        await job


# --- the user's functions and log handlers ----------------------------------------------------------------------


class _RaisingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("no more logs")


class _SlowHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(0.002)


@pytest.mark.parametrize("handler", [_RaisingHandler(), _SlowHandler()], ids=["raises", "blocks"])
async def test_row_85_faulty_log_handler_affects_no_job(handler: logging.Handler) -> None:
    """Pauses, refusals, failed polls and outcomes are all logged here, and all jobs finish as they should."""
    logger = logging.getLogger("veo_async._runtime")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        faults = [refuse(455, on=1), refuse(500, endpoint="record-info", on=1)]
        async with world(faults=faults) as (veo, _):
            outcomes = await veo.gather("A dog", "A cat [refuse]", "A cow [fail]")
            assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Refused", "Failed"]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


async def test_log_records_name_the_line_that_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The safe logger in between does not appear."""
    with caplog.at_level(logging.INFO, "veo_async"):
        async with world(faults=[refuse(455, on=1)]) as (veo, _):
            await veo.generate("A dog")
    assert {record.module for record in caplog.records} <= {
        "admission",
        "scheduler",
        "sender",
        "pauses",
        "watcher",
        "engine",
        "session",
        "transitions",
    }
    assert all(hasattr(record, "action") for record in caplog.records)


async def test_row_86_faulty_hook_affects_no_job() -> None:
    """Plain or async: it gets every event, is cancelled after ten seconds, and the session closes in time."""

    def raising(event: Any) -> None:
        raise RuntimeError(repr(event))

    async def raising_later(event: Any) -> None:
        raise RuntimeError(repr(event))

    async def hanging(event: Any) -> None:
        await asyncio.get_running_loop().create_future()

    clock = Clock()
    for hook in (raising, raising_later, hanging):
        started_at = clock()
        async with world(session={"on_event": hook}) as (veo, _):
            assert (await veo.generate("A dog")).urls
        assert clock() - started_at < 60 + 5 + 11


async def test_row_86_hook_that_ignores_its_cancellation_does_not_block_closing() -> None:
    """The session closes without it."""
    free = asyncio.Event()

    async def stubborn(event: Any) -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    async with world(session={"on_event": stubborn}) as (veo, _):
        await veo.generate("A dog")
        clock = Clock()
    assert clock() <= 11.5
    free.set()
    await let_run()


async def test_hook_gets_every_event() -> None:
    """A plain function and an async function get the same events."""
    plain: list[Any] = []
    later: list[Any] = []

    async def hook(event: Any) -> None:
        later.append(event)
        await asyncio.sleep(1)

    for on_event in (plain.append, hook):
        async with world(session={"on_event": on_event}) as (veo, _):
            await veo.generate("A dog")
    assert [type(event) for event in plain] == [type(event) for event in later] == [Queued, Sent, Running, Ready]


async def test_too_many_hook_calls_drop_events_for_the_hook_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many calls running, the other events are not passed to the hook, and no job is affected."""
    monkeypatch.setattr("veo_async._runtime.hooks._MAX_CONCURRENT", 100)
    calls = 0

    async def slow(event: Any) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(9)

    async with world(limiter="none", session={"on_event": slow, "rate": (10_000, 1.0)}) as (veo, _):
        jobs = [await veo.submit(f"Dog {i}") for i in range(110)]
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}
    assert 100 <= calls < 430


@pytest.mark.usefixtures("route")
async def test_row_88_terminal_escapes_in_a_message_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """The provider returns an escape sequence: in the outcome, the log and the repr it is harmless."""
    evil = "\x1b[2J\x1b]0;owned\x07 rejected"
    faults = [tamper(lambda _: {"code": 422, "msg": evil, "data": None}, endpoint="generate")]
    with caplog.at_level(logging.DEBUG, "veo_async"):
        async with world(faults=faults) as (veo, _):
            (outcome,) = await veo.gather("A dog")
    for text in (repr(outcome), str(outcome.error), caplog.text):  # type: ignore[union-attr]
        assert "\x1b" not in text
        assert "\x07" not in text


# --- lost responses ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_lost_response_is_one_request_and_in_doubt() -> None:
    """The server read the request and closed the connection; the outcome has what is known."""
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await veo.submit("A dog", key="k")
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        assert isinstance(outcome.error, errors.ResponseLost)
        assert (outcome.error.job_key, outcome.error.attempts) == ("k", 1)
        assert outcome.error.bytes_sent
        await asyncio.sleep(600)
        assert len(sim.requests_to()) == 1
        assert job.state is JobState.IN_DOUBT
        check_joints(veo)


@pytest.mark.usefixtures("route")
async def test_response_slower_than_the_timeout_puts_the_job_in_doubt() -> None:
    """The slot is free again, and the other jobs continue."""
    async with world(faults=[delay(10_000.0, on=1)], session={"max_in_flight": 2}) as (veo, _):
        outcomes = await veo.gather("A dog", "A cat", "A cow")
        assert [type(outcome) for outcome in outcomes] == [InDoubt, Done, Done]
