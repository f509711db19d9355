"""The inner parts of a session, for the few tests that need more than the public API.

Only this module knows where they are.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._runtime.engine import Engine
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.running.watcher import Watcher
from veo_async._session.lifetime import Lifetime
from veo_async._session.parts import Parts
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport


def engine_of(veo: VeoSession) -> Engine:
    """Return the engine of a session that is open, or was."""
    return veo._lifetime.engine


def parts_of(veo: VeoSession) -> Parts:
    """Return the parts that need no event loop: rate limiter, queue, clip saver, …"""
    return veo._parts


def crash_of(veo: VeoSession) -> BaseException | None:
    """Return the internal error that stopped the session."""
    return veo._lifetime.crash


def live_job_of(job: Any) -> Any:
    """Return the live job behind a handle."""
    return job._job


def lifetime_of(veo: VeoSession) -> Lifetime:
    """Return whether a session is open, and in which loop."""
    return veo._lifetime


# --- the session ------------------------------------------------------------------------------------------------


def reader_tasks_of(veo: VeoSession) -> set[asyncio.Task[None]]:
    """Return the tasks that read the input of a `map`."""
    return veo._reader_tasks


def reader_starter_of(veo: VeoSession) -> Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]:
    """Return the function that starts the task that reads the input of a `map`."""
    return veo._spawn_reader


def replace_reader_starter(veo: VeoSession, start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
    """Start the tasks that read the input of a `map` with *start*."""
    veo._spawn_reader = start  # type: ignore[method-assign,assignment]  # the test cancels the task


def waiter_count(job: Any) -> int:
    """Return how many tasks wait for the job behind a handle."""
    return len(live_job_of(job)._waiters or ())


def keys_in_memory() -> set[str]:
    """Return the keys of all live jobs that any object of this process refers to."""
    gc.collect()
    return {found.key for found in gc.get_objects() if type(found) is LiveJob}


# --- the engine's background tasks ------------------------------------------------------------------------------


def background_tasks_of(veo: VeoSession) -> list[asyncio.Task[None]]:
    """Return the tasks of scheduler, watcher and ledger watcher."""
    return [*engine_of(veo)._main_tasks._tasks]


def watcher_task_of(veo: VeoSession) -> asyncio.Task[None]:
    """Return the task that runs the watcher."""
    [task] = [task for task in background_tasks_of(veo) if task.get_name() == "veo.watcher"]
    return task


def restart_watcher(veo: VeoSession) -> None:
    """Run the watcher again after its task was cancelled."""
    engine_of(veo)._main_tasks.start(engine_of(veo).watcher.run(), "watcher")


async def end_task(veo: VeoSession, job: LiveJob, end: Succeeded | Unsuccessful) -> None:
    """Handle *end* as if the watcher had polled it."""
    engine_of(veo).watcher.forget(job)
    await engine_of(veo).watcher._on_end(job, end)


def adopted_without_slot(veo: VeoSession) -> int:
    """Return how many adopted tasks run although no slot was free."""
    return engine_of(veo).scheduler.running_without_slot


# --- the watcher ------------------------------------------------------------------------------------------------


@attrs.frozen
class WatcherPlaces:
    """Where a watcher keeps its tasks, and whether it will wake up for them."""

    #: Keys of the jobs that are planned, and of those being polled at present.
    planned: set[str]
    polled: set[str]
    #: Workers that wait, and those among the waiting that have been woken already.
    idle_workers: int
    woken_workers: int
    has_timer: bool


def places_in(watcher: Watcher) -> WatcherPlaces:
    """Return where the watcher keeps its tasks."""
    watched = watcher._watched
    requested = {job.key for _, number, job in watcher._heap if job in watched and watched[job].number == number}
    return WatcherPlaces(
        planned=requested | {job.key for group in watcher._queue._groups for job in group.tasks},
        polled={job.key for job, task in watched.items() if task.is_being_polled},
        idle_workers=sum(not waiter.done() for waiter in watcher._idle),
        woken_workers=sum(waiter.done() for waiter in watcher._idle),
        has_timer=watcher._timer is not None,
    )


def is_watcher_at_rest(watcher: Watcher) -> bool:
    """Whether a watcher that was stopped has no timer and no waiting worker."""
    return watcher._timer is None and not watcher._idle


def planned_polls(veo: VeoSession) -> int:
    """Return the size of the watcher's heap, outdated entries included."""
    return len(engine_of(veo).watcher._heap)


# --- images -----------------------------------------------------------------------------------------------------


def uploads_in_flight(veo: VeoSession) -> int:
    """Return how many images are being uploaded."""
    return len(parts_of(veo).images._uploading)


def forget_uploads(veo: VeoSession) -> None:
    """Let the session upload every image again."""
    parts_of(veo).images._cache.clear()


# --- the simulator ----------------------------------------------------------------------------------------------


def reopen(sim: MemoryTransport) -> None:
    """Accept requests again after a session has closed the transport."""
    sim._closed = False
