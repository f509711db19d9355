"""Cancel job, session, map, scheduler and watcher at every `await`: the state stays consistent.

Each test runs its scenario repeatedly, cancelled at its first, second, … suspension, until it finishes without being
cancelled, and checks after each run that slots, rate limiter, waiters and charges agree with the jobs.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.internals import (
    background_tasks_of,
    engine_of,
    is_watcher_at_rest,
    lifetime_of,
    parts_of,
    reader_starter_of,
    reader_tasks_of,
    reopen,
    replace_reader_starter,
    restart_watcher,
    waiter_count,
    watcher_task_of,
)
from veo_async import VeoSession, errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done
from veo_async._runtime.running.watcher import Watcher
from veo_async._runtime.sending.scheduler import Scheduler
from veo_async._runtime.uncancelled import run_to_completion
from veo_async.simulator import rate_limited, refuse, unreachable

from .support import at_every_await, check_joints, let_run, memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time


def has_no_waiters(veo: Any) -> bool:
    return all(waiter_count(job) == 0 for job in veo.jobs())


async def test_every_await_of_a_job() -> None:
    """Submit, wait for the task id, wait with a timeout, for the clip, for the outcome, and for events."""
    async with world(latency_s=0.5, limiter="none", may_double=True) as (veo, sim):
        number = 0

        async def scenario() -> None:
            job = await veo.submit("A dog", take=number)
            await job.accepted()
            with pytest.raises(errors.StillRunning):
                await job.wait(timeout=1)
            async for _event in job.events():
                pass
            await job.wait()
            await job
            await job.finished()
            await veo.generate("A dog", take=number)

        async def afterwards() -> None:
            nonlocal number
            check_joints(veo)
            assert has_no_waiters(veo)
            await veo.drain()
            assert {job.state for job in veo.jobs()} <= {JobState.READY}
            assert len(sim.requests_to()) == len(veo.jobs())
            check_joints(veo)
            number += 1

        assert await at_every_await(scenario, afterwards) >= 3


async def test_every_await_of_a_map() -> None:
    """The caller of a map is cancelled anywhere: the reader task ends, the jobs complete, and another map works."""
    async with world(latency_s=0.5, limiter="none", may_double=True) as (veo, _):
        number = 0

        async def scenario() -> None:
            nonlocal number
            number += 1
            prompts = [f"{number}: dog {i}" for i in range(4)]
            outcomes = [outcome async for outcome in veo.map(prompts, buffersize=2)]
            assert len(outcomes) == 4

        async def afterwards() -> None:
            await let_run()
            assert not reader_tasks_of(veo)
            await veo.drain()
            check_joints(veo)
            assert has_no_waiters(veo)

        assert await at_every_await(scenario, afterwards) >= 2


async def test_every_await_of_a_map_reader() -> None:
    """The task that reads the input is cancelled from outside: the outcomes before it come, then the reason."""
    async with world(latency_s=0.5, limiter="none", may_double=True) as (veo, _):
        start_reader = reader_starter_of(veo)
        for n in range(1, 5):

            def cancelled_soon(work: Any, n: int = n) -> asyncio.Task[None]:
                task = start_reader(work)
                asyncio.get_running_loop().call_later(0.1 * n, task.cancel)
                return task

            replace_reader_starter(veo, cancelled_soon)

            async def endless() -> Any:
                yield "A dog"
                await asyncio.sleep(1e6)

            with pytest.raises(errors.SessionClosed):
                _ = [outcome async for outcome in veo.map(endless())]
            assert has_no_waiters(veo)


async def test_every_await_of_a_session() -> None:
    """Open, use and close a session: no task is left, and nothing is charged twice."""
    sim = memory(latency_s=0.5, limiter="none")
    sessions: list[Any] = []

    async def scenario() -> None:
        reopen(sim)
        veo = session_on(sim)
        sessions.append(veo)
        async with veo:
            job = await veo.submit("A dog", take=len(sessions))
            await veo.account.balance()
            await job.accepted()
            await veo.drain()
            await veo.close()

    async def afterwards() -> None:
        veo = sessions[-1]
        assert lifetime_of(veo).is_closed or lifetime_of(veo).loop is None
        assert has_no_waiters(veo)
        assert parts_of(veo).rate_limiter.statistics().in_flight == 0
        if lifetime_of(veo).has_engine:
            assert all(task.done() for task in background_tasks_of(veo))
            assert is_watcher_at_rest(engine_of(veo).watcher)
        assert len(asyncio.all_tasks()) == 1
        states = [job.state for job in veo.jobs()]
        assert JobState.SENDING not in states
        accepted = sum(
            len(engine_of(session).registry.by_task) for session in sessions if lifetime_of(session).has_engine
        )
        assert accepted == len(sim.charges)

    assert await at_every_await(scenario, afterwards) >= 5


@pytest.mark.parametrize("fault", [None, rate_limited(on=1), refuse(455, on=1), refuse(402, on=1), unreachable(on=1)])
async def test_every_await_of_the_scheduler(fault: Any) -> None:
    """The scheduler itself is cancelled: requests in flight finish, and their results are recorded."""
    sim: Any = None
    veo: Any = None

    async def scenario() -> None:
        nonlocal sim, veo
        sim = memory(latency_s=0.5, faults=[fault] if fault else [])
        veo = session_on(sim)
        scheduler = None

        async def idle(_: Any) -> None:
            pass

        try:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(Scheduler, "run", idle)
                patched.setattr(Watcher, "run", idle)
                await veo.__aenter__()
            async with closing_with(veo):
                await asyncio.sleep(0)  # its background tasks end at once
                scheduler = engine_of(veo).scheduler
                for i in range(6):
                    await veo.submit(f"Dog {i}")
                asyncio.get_running_loop().call_later(100.0, scheduler.stop)
                await scheduler.run()
        finally:
            assert scheduler is None or scheduler.slots.borrowed_tokens == len(engine_of(veo).registry.by_task)

    async def afterwards() -> None:
        assert parts_of(veo).rate_limiter.statistics().in_flight == 0
        assert len(engine_of(veo).registry.by_task if lifetime_of(veo).has_engine else ()) == len(sim.charges)
        states = [job.state for job in veo.jobs()]
        assert JobState.SENDING not in states
        assert states.count(JobState.RUNNING) == len(sim.charges)
        assert states.count(JobState.QUEUED) == len(parts_of(veo).queue)
        assert len(asyncio.all_tasks()) == 1
        sim.assert_no_double_charge()

    assert await at_every_await(scenario, afterwards) >= 4


@asynccontextmanager
async def closing_with(veo: VeoSession) -> AsyncIterator[None]:
    """Run the exit half of ``async with veo``, whose entry half has run already."""
    try:
        yield
    except BaseException as exc:
        if not await veo.__aexit__(type(exc), exc, exc.__traceback__):
            raise
    else:
        await veo.__aexit__(None, None, None)


async def stop_watcher() -> None:
    """Cancel the task in which the session's watcher runs."""
    [watching] = [task for task in asyncio.all_tasks() if task.get_name() == "veo.watcher"]
    watching.cancel()
    await asyncio.wait([watching])


async def test_every_await_of_the_watcher() -> None:
    """The watcher is cancelled: no worker, no timer and no poll is left."""
    async with world(latency_s=0.5) as (veo, _):
        jobs = [await veo.submit(f"Dog {i}") for i in range(3)]
        for job in jobs:
            await job.accepted()
        watching = watcher_task_of(veo)
        watching.cancel()
        await asyncio.wait([watching])
        watcher = engine_of(veo).watcher

        async def scenario() -> None:
            async with asyncio.timeout(3.0):
                await watcher.run()

        async def afterwards() -> None:
            assert is_watcher_at_rest(engine_of(veo).watcher)
            names = [task.get_name() for task in asyncio.all_tasks()]
            assert not [name for name in names if name.startswith("veo.watcher")]

        async def tolerant() -> None:
            with suppress(TimeoutError):
                await scenario()

        assert await at_every_await(tolerant, afterwards) >= 1


@pytest.mark.parametrize("at", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7])
async def test_cancelled_watcher_can_be_run_again(at: float) -> None:
    """Between polls and during them: the next run continues with the tasks of the previous one."""
    async with world(latency_s=0.5, duration_s=8.0, session={"poll_every": 1.0}) as (veo, _):
        jobs = [await veo.submit(f"Dog {i}") for i in range(4)]
        await jobs[-1].accepted()
        await asyncio.sleep(2.0 + at)
        watching = watcher_task_of(veo)
        watching.cancel()
        await asyncio.wait([watching])
        restart_watcher(veo)
        outcomes = [await job.finished() for job in jobs]
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        watching.cancel()
        await asyncio.wait([watching])


async def test_run_to_completion_finishes_before_the_cancellation_is_raised() -> None:
    """Cancelled twice, and in a task group that is shutting down."""
    done: list[str] = []

    async def work(name: str) -> str:
        await asyncio.sleep(5)
        done.append(name)
        return name

    assert await run_to_completion(work("plain")) == "plain"
    twice = asyncio.create_task(run_to_completion(work("twice")))
    for _ in range(2):
        await asyncio.sleep(1)
        twice.cancel()
    await asyncio.wait([twice])
    assert twice.cancelled()

    async def fail() -> None:
        await asyncio.sleep(1)
        raise LookupError

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # what leaves the group is the point
        async with asyncio.TaskGroup() as group:
            group.create_task(run_to_completion(work("group")))
            group.create_task(fail())
    assert len(caught.value.exceptions) == 1
    assert done == ["plain", "twice", "group"]


async def test_run_to_completion_raises_an_error_as_the_cause_of_the_cancellation() -> None:
    """So the error is not lost."""

    async def fail() -> None:
        await asyncio.sleep(5)
        raise LookupError("its own")

    finishing = asyncio.create_task(run_to_completion(fail()))
    await asyncio.sleep(1)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await finishing
    assert isinstance(caught.value.__cause__, LookupError)
