"""Waiting and leaving: rows 55 to 57, 59, 60, 85, 86 and 88 of the fault matrix."""

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from tests.internals import engine_of
from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.poll_result import Succeeded
from veo_async._runtime.job.events import Queued, Ready, Running, Sent
from veo_async._runtime.job.live_job import exception_of
from veo_async._runtime.job.outcome import Done, InDoubt
from veo_async._wire import Record
from veo_async.simulator import delay, drop_after_accepting, refuse, tamper

from .support import Clock, check_joints, let_run, memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time


# --- waiters ----------------------------------------------------------------------------------------------------


async def test_row_55_one_cancelled_waiter_disturbs_no_other() -> None:
    """Three wait for one job; one is cancelled, one times out, the third gets the clip."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog")
        cancelled, patient = asyncio.create_task(job.result()), asyncio.create_task(job.result())
        hasty = asyncio.create_task(job.wait(timeout=10))
        await asyncio.sleep(5)
        cancelled.cancel()
        await asyncio.wait([cancelled, hasty])
        assert cancelled.cancelled()
        assert isinstance(hasty.exception(), errors.StillRunning)
        assert (await patient).urls
        assert len(sim.charges) == 1


async def test_row_55_a_waiter_cancelled_during_the_post_leaves_the_post_to_finish() -> None:
    """The request takes three seconds; whoever asked for it is gone after one; the task is ours all the same."""
    async with world(latency_s=3.0) as (veo, sim):
        asking = asyncio.create_task(veo.generate("A dog", key="k"))
        await asyncio.sleep(1)
        assert veo.job("k").state is JobState.SENDING
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert await veo.job("k").accepted() == sim.charges[0].task_id
        assert (await veo.job("k")).urls


async def test_row_56_a_timeout_around_generate_leaves_the_job_and_the_same_call_attaches() -> None:
    """`asyncio.timeout` ends the waiting; asking again pays nothing."""
    async with world() as (veo, sim):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await veo.generate("A dog")
        assert (await veo.generate("A dog")).urls
        assert len(sim.requests_to()) == 1


async def test_row_57_a_sibling_that_raises_leaves_the_exception_group_intact() -> None:
    """In a TaskGroup of the user's the group is theirs; the job it waited for goes on."""
    async with world() as (veo, _):

        async def fail() -> None:
            await asyncio.sleep(5)
            raise LookupError("theirs")

        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # what leaves a block is the point
            async with asyncio.TaskGroup() as group:
                group.create_task(veo.generate("A dog", key="k"))
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [LookupError]
        assert (await veo.job("k")).urls


async def test_wait_raises_still_running_and_changes_nothing() -> None:
    """The error names the job and the task; asking again gives the clip."""
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


async def test_each_who_waits_gets_an_error_of_their_own() -> None:
    """A shared exception would gather everybody's traceback."""
    async with world() as (veo, _):
        job = await veo.submit("A dog [refuse]")
        first, second = [await _error_of(job) for _ in range(2)]
        assert first is not second
        assert (type(first), first.args, first.job_key) == (type(second), second.args, second.job_key)


async def _error_of(job: Any) -> errors.VeoError:
    with pytest.raises(errors.VeoError) as caught:
        await job
    return caught.value


async def test_accepted_of_a_job_that_was_never_accepted_raises_why() -> None:
    """There is no task id to wait for any more."""
    async with world() as (veo, _):
        job = await veo.submit("A dog [refuse]")
        with pytest.raises(errors.ContentRefused):
            await job.accepted()


# --- events -----------------------------------------------------------------------------------------------------


async def test_events_tell_the_whole_way_in_order() -> None:
    """From queued to ready; the values carry place, time and clip."""
    async with world() as (veo, _):
        job = await veo.submit("A dog", key="k")
        told = [event async for event in job.events()]
        queued, sent, running, ready = told
        assert isinstance(queued, Queued)
        assert (queued.key, queued.position) == ("k", 0)
        assert queued.eta.p50 <= queued.eta.p90
        assert sent == Sent("k")
        assert isinstance(running, Running)
        assert running.task_id == job.task_id
        assert isinstance(ready, Ready)
        assert ready.clip == await job
        assert [event async for event in job.events()] == [ready]


async def test_a_slow_listener_misses_nothing() -> None:
    """It hears from the moment it asked, however late it looks: the end included."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        events = job.events()
        await job
        told = [type(event).__name__ async for event in events]
        assert told == ["Queued", "Sent", "Running", "Ready"]
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_several_listen_to_one_job_each_from_where_it_stood() -> None:
    """One from the beginning, one while its request is on the way, one from the middle; each hears the end."""
    async with world(latency_s=2.0) as (veo, _):
        job = await veo.submit("A dog")
        streams = [job.events()]
        for seconds in (1, 5):
            await asyncio.sleep(seconds)
            streams.append(job.events())
        told = [[type(event).__name__ async for event in events] for events in streams]
        assert told == [["Queued", "Sent", "Running", "Ready"], ["Sent", "Running", "Ready"], ["Running", "Ready"]]


async def test_a_clip_that_comes_in_the_moment_of_the_timeout_is_given() -> None:
    """Nobody is told that a job still runs which has ended."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        entry = engine_of(veo).registry.by_key[job.key]
        await job.accepted()
        record = Record(flag=1, urls=("https://a.invalid/1.mp4",))

        async def end() -> None:
            await asyncio.sleep(5.0)
            engine_of(veo).watcher.forget(entry)
            await engine_of(veo).watcher._on_end(entry, Succeeded(record))

        ending = asyncio.create_task(end())
        await asyncio.sleep(0)
        assert (await job.wait(timeout=5.0)).urls == record.urls
        await ending


def test_a_clip_has_no_error() -> None:
    """Asking for one is a defect of ours."""
    with pytest.raises(TypeError):
        exception_of(Done(None))  # type: ignore[arg-type]


async def test_a_listener_that_stops_early_leaves_nothing() -> None:
    """Breaking out of the loop is enough; the job does not know of it any more."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        async for event in job.events():
            assert isinstance(event, Queued)
            break
        assert not engine_of(veo).registry.by_key[job.key].has_subscribers
        await job


async def test_a_listener_is_told_when_the_session_is_closed() -> None:
    """A stream that just ended would look like an end of the job."""
    async with session_on(memory()) as veo:
        events = (await veo.submit("A dog")).events()
        await asyncio.sleep(10)
    with pytest.raises(errors.SessionClosed):
        [event async for event in events]


# --- leaving the block ------------------------------------------------------------------------------------------


async def test_row_59_leaving_lets_requests_under_way_end_and_tells_who_waits() -> None:
    """No new request leaves; the one under way brings its task id, which stands in the waiter's error."""
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
    sim._closed = False  # the provider itself was not closed
    async with session_on(sim) as again:
        assert (await (await again.ledger.adopt(first.task_id))).urls


async def test_drain_waits_for_everything_there_is() -> None:
    """Whoever wants all of it finished says so before leaving."""
    async with world() as (veo, _):
        jobs = [await veo.submit(f"Dog {i}") for i in range(5)]
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


async def test_the_users_own_exception_leaves_the_block_as_itself() -> None:
    """No ExceptionGroup around it, whatever runs."""
    with pytest.raises(LookupError, match="theirs"):  # noqa: PT012  # what leaves a block is the point
        async with session_on(memory()) as veo:
            await veo.submit("A dog")
            raise LookupError("theirs")


async def test_cancelling_the_block_leaves_as_a_cancellation() -> None:
    """And a second cancellation while it closes does not cut the request under way off."""
    sim = memory(latency_s=5.0)
    keys: list[str | None] = []

    async def use() -> None:
        async with session_on(sim) as veo:
            job = await veo.submit("A dog")
            try:
                await job
            finally:
                keys.append(engine_of(veo).registry.by_key[job.key].task_id)
                asyncio.get_running_loop().call_later(10, lambda: keys.append(job.task_id))

    using = asyncio.create_task(use())
    await asyncio.sleep(1)
    using.cancel()
    await asyncio.sleep(1)
    using.cancel()
    await asyncio.wait([using])
    assert using.cancelled()
    await asyncio.sleep(10)
    assert keys == [None, sim.charges[0].task_id]


async def test_close_may_be_called_early_and_twice() -> None:
    """Inside the block and at once from two sides: closed is closed."""
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


async def test_a_map_whose_session_is_closed_raises_and_does_not_hang() -> None:
    """Its reader is woken with the reason, in both orders, and so is one whose input still waits."""
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


# --- defects ----------------------------------------------------------------------------------------------------


async def test_a_defect_surfaces_as_session_crashed_for_everybody() -> None:
    """In whoever waits, in whoever asks for more, and out of the block; the POST under way keeps its task id."""
    sim = memory(latency_s=3.0)
    waiting: list[asyncio.Task[Any]] = []
    with pytest.raises(errors.SessionCrashed) as left:  # noqa: PT012  # what leaves a block is the point
        async with session_on(sim) as veo:
            jobs = [await veo.submit("A dog"), await veo.submit("A cat", key="broken")]
            waiting += [asyncio.create_task(job.result()) for job in jobs]
            _break(veo, "broken")
            await asyncio.wait(waiting)
            with pytest.raises(errors.SessionCrashed):
                await veo.submit("Another")
    assert isinstance(left.value.__cause__, ExceptionGroup)
    first = waiting[0].exception()
    assert isinstance(first, errors.SessionCrashed)
    assert first.task_id is not None
    assert isinstance(waiting[1].exception(), errors.SessionCrashed)


def _break(veo: Any, key: str) -> None:
    """Make the creation of one job raise what nobody expects."""
    generate = veo.api.generate

    async def broken(request: Any, **options: Any) -> Any:
        if request is engine_of(veo).registry.by_key[key].request:
            await asyncio.sleep(1)
            raise ZeroDivisionError("a defect")
        return await generate(request, **options)

    veo.api.generate = broken


async def test_a_defect_of_the_watcher_stops_creation_too() -> None:
    """Nothing is bought that nobody would look after."""
    sim = memory()

    async def broken(_: str) -> Any:
        raise ZeroDivisionError("a defect")

    with pytest.raises(errors.SessionCrashed):  # noqa: PT012  # what leaves a block is the point
        async with session_on(sim, rate=(1, 10.0)) as veo:
            veo.api.record_response = broken  # type: ignore[method-assign, assignment]
            jobs = [await veo.submit(f"Dog {i}") for i in range(10)]
            with pytest.raises(errors.SessionCrashed):
                await jobs[-1]
            sent = len(sim.requests_to())
            await asyncio.sleep(300)
            assert len(sim.requests_to()) == sent < 3


async def test_a_map_whose_session_crashes_raises_that() -> None:
    """The input gives one more after the defect: no outcome is made up for it."""

    async def broken(_: str) -> Any:
        raise ZeroDivisionError("a defect")

    async def slow() -> Any:
        await asyncio.sleep(100)
        yield "A cat"

    with pytest.raises(errors.SessionCrashed):  # noqa: PT012  # what leaves a block is the point
        async with session_on(memory()) as veo:
            veo.api.record_response = broken  # type: ignore[method-assign, assignment]
            await veo.submit("A dog")
            reading = asyncio.create_task(_collect(veo.map(slow())))
            await asyncio.wait([reading])
    assert isinstance(reading.exception(), errors.SessionCrashed)


async def test_a_defect_is_a_note_on_the_users_own_exception() -> None:
    """Theirs leaves as itself, and ours is not hushed up."""

    async def broken(_: str) -> Any:
        raise ZeroDivisionError("a defect")

    with pytest.raises(LookupError) as caught:  # noqa: PT012  # what leaves a block is the point
        async with session_on(memory()) as veo:
            veo.api.record_response = broken  # type: ignore[method-assign, assignment]
            await veo.submit("A dog")
            await asyncio.sleep(100)
            raise LookupError("theirs")
    assert "ZeroDivisionError" in caught.value.__notes__[0]


# --- another loop, another thread, another time -----------------------------------------------------------------


async def test_row_60_used_before_opening_or_after_closing_it_says_what_to_do() -> None:
    """At once, not at the next await."""
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
    for asking in (veo.submit("A cat"), veo.account.balance(), veo.generate("A cat")):
        with pytest.raises(errors.SessionClosed, match="closed"):
            await asking
    assert (await job).urls
    with pytest.raises(errors.UsageError, match="once"):
        async with veo:
            pass


async def test_row_60_used_from_another_loop_or_thread_it_says_so() -> None:
    """Session, job and stream of events: none of them waits for a wake-up that cannot come."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        events = job.events()
        said: list[BaseException] = []

        async def elsewhere() -> None:
            for asking in (veo.submit("A cat"), veo.close(), job.result(), job.wait(1), job.accepted(), anext(events)):
                try:
                    await asking
                except errors.SessionClosed as error:
                    said.append(error)

        def thread() -> None:
            asyncio.run(elsewhere())
            try:
                veo.statistics()
            except errors.SessionClosed as error:
                said.append(error)

        worker = threading.Thread(target=thread)
        worker.start()
        worker.join()
        assert len(said) == 7
        assert all("another event loop" in str(error) for error in said)
        await job


# --- the user's functions ---------------------------------------------------------------------------------------


class _Angry(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("no more logs")


class _Slow(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(0.002)


@pytest.mark.parametrize("handler", [_Angry(), _Slow()], ids=["raises", "blocks"])
async def test_row_85_a_log_handler_that_raises_or_blocks_harms_no_job(handler: logging.Handler) -> None:
    """Pauses, refusals, bad looks and ends are all logged here, and all jobs end as they should."""
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
    """The safe logger stands between, and does not show."""
    with caplog.at_level(logging.INFO, "veo_async"):
        async with world(faults=[refuse(455, on=1)]) as (veo, _):
            await veo.generate("A dog")
    assert {record.module for record in caplog.records} <= {
        "scheduler",
        "sender",
        "pauses",
        "watcher",
        "engine",
        "session",
        "transitions",
    }
    assert all(hasattr(record, "action") for record in caplog.records)


async def test_row_86_a_hook_that_raises_or_hangs_harms_no_job() -> None:
    """Plain or async, it is told everything, cut off after ten seconds, and the session closes in time."""

    def angry(event: Any) -> None:
        raise RuntimeError(repr(event))

    async def angry_later(event: Any) -> None:
        raise RuntimeError(repr(event))

    async def hanging(event: Any) -> None:
        await asyncio.get_running_loop().create_future()

    clock = Clock()
    for hook in (angry, angry_later, hanging):
        began = clock()
        async with world(session={"on_event": hook}) as (veo, _):
            assert (await veo.generate("A dog")).urls
        assert clock() - began < 60 + 5 + 11


async def test_row_86_a_hook_that_will_not_be_cut_off_does_not_keep_the_session_open() -> None:
    """It swallows its cancellation; the session closes without it."""
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


async def test_hooks_are_told_every_event() -> None:
    """A plain one and an async one hear the same."""
    plain: list[Any] = []
    later: list[Any] = []

    async def hook(event: Any) -> None:
        later.append(event)
        await asyncio.sleep(1)

    for on_event in (plain.append, hook):
        async with world(session={"on_event": on_event}) as (veo, _):
            await veo.generate("A dog")
    assert [type(event) for event in plain] == [type(event) for event in later] == [Queued, Sent, Running, Ready]


async def test_a_flood_of_hook_calls_drops_events_for_the_hook_only() -> None:
    """More than a thousand under way: the rest is dropped, and no job notices."""
    heard = 0

    async def slow(event: Any) -> None:
        nonlocal heard
        heard += 1
        await asyncio.sleep(9)

    async with world(limiter="none", session={"on_event": slow, "rate": (10_000, 1.0)}) as (veo, _):
        jobs = [await veo.submit(f"Dog {i}") for i in range(1100)]
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}
    assert 1000 <= heard < 4300


async def test_row_88_terminal_escapes_in_a_message_are_shown_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """The provider echoes a prompt with an escape sequence: in the outcome, the log and the repr it is harmless."""
    evil = "\x1b[2J\x1b]0;owned\x07 rejected"
    faults = [tamper(lambda _: {"code": 422, "msg": evil, "data": None}, endpoint="generate")]
    with caplog.at_level(logging.DEBUG, "veo_async"):
        async with world(faults=faults) as (veo, _):
            (outcome,) = await veo.gather("A dog")
    for text in (repr(outcome), str(outcome.error), caplog.text):  # type: ignore[union-attr]
        assert "\x1b" not in text
        assert "\x07" not in text


# --- doubt ------------------------------------------------------------------------------------------------------


async def test_a_lost_answer_is_one_post_and_a_typed_doubt() -> None:
    """The server read the request and closed: one POST, told as in doubt, with what is known."""
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


async def test_an_answer_that_takes_longer_than_anybody_waits_is_doubt() -> None:
    """The slot is free again, the others go on."""
    async with world(faults=[delay(10_000.0, on=1)], session={"max_in_flight": 2}) as (veo, _):
        outcomes = await veo.gather("A dog", "A cat", "A cow")
        assert [type(outcome) for outcome in outcomes] == [InDoubt, Done, Done]
