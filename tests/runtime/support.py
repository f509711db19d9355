"""A provider in memory and a session on it, for tests in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from types import coroutine
from typing import Any, TypeVar

from tests.internals import engine_of, parts_of
from tests.sessions import session_arguments
from veo_async._rules.lifecycle import JobState
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport

T = TypeVar("T")


def memory(**options: Any) -> MemoryTransport:
    """A provider that takes a minute for everything and limits nothing but the rate."""
    return MemoryTransport(**{"duration_s": 60.0, "max_running": 1_000_000, "seed": 1, "start_at": 1.75e9, **options})


def session_on(sim: MemoryTransport, **options: Any) -> VeoSession:
    """A session that looks every five seconds and explores nothing."""
    return VeoSession(
        options.pop("api_key", sim.api_key),
        **session_arguments(
            transport=sim, **{"seed": 1, "explore": False, "poll_every": 5.0, "polls_per_second": 1000.0, **options}
        ),
    )


@asynccontextmanager
async def world(
    *, session: dict[str, Any] | None = None, may_double: bool = False, **options: Any
) -> AsyncIterator[tuple[VeoSession, MemoryTransport]]:
    """An open session and its provider; in the end nothing may be out of joint or paid twice."""
    sim = memory(**options)
    async with session_on(sim, **(session or {})) as veo:
        yield veo, sim
        check_joints(veo)
    assert_at_rest(veo)
    if not may_double:
        sim.assert_no_double_charge()


def check_joints(veo: VeoSession) -> None:
    """Slots, gate and watcher tell the same story as the jobs, at any moment."""
    states = [job.state for job in veo.jobs()]
    scheduler = engine_of(veo).scheduler
    adopted = len(scheduler._slotless)
    taken = scheduler.slots.borrowed_tokens
    assert taken == states.count(JobState.SENDING) + states.count(JobState.RUNNING) - adopted
    held = len(engine_of(veo).queued.prerequisites)
    assert len(parts_of(veo).queue) + held == states.count(JobState.QUEUED)
    assert parts_of(veo).rate_limiter.statistics().in_flight == states.count(JobState.SENDING)
    assert engine_of(veo).watcher.statistics.tasks == states.count(JobState.RUNNING)


def assert_at_rest(veo: VeoSession) -> None:
    """A closed session has nobody who waits, nothing under way and no timer."""
    assert all(not entry._waiters for entry in engine_of(veo).registry.by_key.values())
    assert parts_of(veo).rate_limiter.statistics().in_flight == 0
    assert engine_of(veo).watcher._timer is None
    assert not veo._reader_tasks


def now() -> float:
    return asyncio.get_running_loop().time()


class Clock:
    """Seconds since it was made, to the millisecond."""

    def __init__(self) -> None:
        self._began = now()

    def __call__(self) -> float:
        return round(now() - self._began, 3)


async def let_run(turns: int = 20) -> None:
    """Let everything that is ready run, while no time passes."""
    for _ in range(turns):
        await asyncio.sleep(0)


@coroutine
def _cancelled_at(work: Coroutine[Any, Any, T], n: int) -> Generator[Any, Any, T]:
    task = asyncio.current_task()
    assert task is not None
    suspensions = 0
    step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    while True:
        try:
            awaited = step()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        suspensions += 1
        if suspensions == n:
            task.cancel()
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001
            step = lambda error=error: work.throw(error)  # type: ignore[misc]  # noqa: E731
        else:
            step = lambda: work.send(None)  # noqa: E731


async def at_every_await(
    scenario: Callable[[], Coroutine[Any, Any, Any]],
    afterwards: Callable[[], Awaitable[None]],
    *,
    most: int = 500,
) -> int:
    """Run *scenario* again and again, cancelled at its first, second, … suspension, until it ends by itself.

    After each run *afterwards* looks whether all is as before. Returns how many suspensions there are.
    """
    for n in range(1, most):
        running: asyncio.Task[Any] = asyncio.create_task(_as_coroutine(scenario(), n))
        await asyncio.wait([running])
        await afterwards()
        if not running.cancelled():
            running.result()
            return n - 1
    raise AssertionError(f"the scenario still suspends after {most} times")


async def _as_coroutine(work: Coroutine[Any, Any, T], n: int) -> T:
    return await _cancelled_at(work, n)
