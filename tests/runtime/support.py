"""A provider in memory and a session on it, for tests in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from types import coroutine
from typing import Any, TypeVar

from tests.internals import engine_of
from tests.sessions import session_arguments
from veo_async._rules.lifecycle import JobState
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport

T = TypeVar("T")


class VirtualSession(VeoSession):
    """A session whose wall clock is the virtual clock of the test.

    The machine's clock runs while virtual time does not, so two sessions that read it at different moments disagree
    by milliseconds about the times on their ledger.
    """

    def _wall_clock(self) -> float:
        return now()


def memory(*, kind: type[MemoryTransport] = MemoryTransport, **options: Any) -> MemoryTransport:
    """Return a provider that takes a minute for everything and limits nothing but the rate."""
    return kind(**{"duration_s": 60.0, "max_running": 1_000_000, "seed": 1, "start_at": 1.75e9, **options})


def session_on(sim: MemoryTransport, *, kind: type[VeoSession] = VeoSession, **options: Any) -> VeoSession:
    """Return a session that polls every five seconds and does not explore higher rates."""
    return kind(
        options.pop("api_key", sim.api_key),
        **session_arguments(
            transport=sim, **{"seed": 1, "explore": False, "poll_every": 5.0, "polls_per_second": 1000.0, **options}
        ),
    )


@asynccontextmanager
async def world(
    *, session: dict[str, Any] | None = None, may_double: bool = False, **options: Any
) -> AsyncIterator[tuple[VeoSession, MemoryTransport]]:
    """Open a session on its own provider; finally check that nothing is left and nothing was charged twice."""
    sim = memory(**options)
    async with session_on(sim, **(session or {})) as veo:
        yield veo, sim
        check_joints(veo)
    assert_at_rest(veo)
    if not may_double:
        sim.assert_no_double_charge()


def check_joints(veo: VeoSession) -> None:
    """Check that slots, gate, queue and watcher agree with the states of the jobs. That holds at any moment."""
    engine, states = engine_of(veo), [job.state for job in veo.jobs()]
    scheduler = engine.scheduler
    running = states.count(JobState.RUNNING)
    slots = states.count(JobState.SENDING) + running - scheduler.running_without_slot
    assert scheduler.slots.borrowed_tokens == slots
    queued = len(scheduler.queue) + len(scheduler.queue.on_hold)
    assert queued + len(engine.queued.prerequisites) == states.count(JobState.QUEUED)
    assert engine.rate_limiter.statistics().in_flight == states.count(JobState.SENDING)
    assert engine.watcher.statistics.tasks == running


def assert_at_rest(veo: VeoSession) -> None:
    """Check that a closed session has no waiters, no requests in flight and no timers."""
    engine = engine_of(veo)
    assert all(not job._waiters for job in engine.registry.by_key.values())
    assert engine.rate_limiter.statistics().in_flight == 0
    assert engine.watcher._timer is None
    assert not veo._reader_tasks


def now() -> float:
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


async def run_together(works: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Start all coroutines together; return each one's result or exception."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.wait(tasks)
    return [task.exception() or task.result() for task in tasks]


class Clock:
    """Seconds since its creation, rounded to milliseconds."""

    def __init__(self) -> None:
        self._began = now()

    def __call__(self) -> float:
        return round(now() - self._began, 3)


async def let_run(turns: int = 20) -> None:
    """Let everything run that is ready, without any time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)


@coroutine
def _cancelled_at(work: Coroutine[Any, Any, T], n: int) -> Generator[Any, Any, T]:
    """Run *work*, and cancel it at its *n*-th suspension."""
    task = asyncio.current_task()
    assert task is not None
    suspensions = 0
    resume: Callable[[], Any] = lambda: work.send(None)  # noqa: E731  # replaced in each round
    while True:
        try:
            awaited = resume()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        suspensions += 1
        if suspensions == n:
            task.cancel()
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001  # also a cancellation is passed on
            resume = lambda error=error: work.throw(error)  # type: ignore[misc]  # noqa: E731  # binds the error
        else:
            resume = lambda: work.send(None)  # noqa: E731  # as above


async def at_every_await(
    scenario: Callable[[], Coroutine[Any, Any, Any]],
    afterwards: Callable[[], Awaitable[None]],
    *,
    max_runs: int = 500,
) -> int:
    """Run *scenario* repeatedly, cancelled at its first, second, … suspension, until it ends without a cancellation.

    After each run *afterwards* checks that nothing has changed. Return the number of suspensions.
    """
    for n in range(1, max_runs):
        running: asyncio.Task[Any] = asyncio.create_task(_as_coroutine(scenario(), n))
        await asyncio.wait([running])
        await afterwards()
        if not running.cancelled():
            running.result()
            return n - 1
    raise AssertionError(f"the scenario still suspends after {max_runs} runs")


async def _as_coroutine(work: Coroutine[Any, Any, T], n: int) -> T:
    return await _cancelled_at(work, n)
