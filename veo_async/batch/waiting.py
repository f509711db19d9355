"""How a run ends: when everything has, or, once it is held, when what is under way has or its grace is over."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from typing import Any

from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.handle import Job


async def wait_for_jobs(following: Mapping["asyncio.Task[Any]", Job], stopping: asyncio.Event, grace_s: float) -> None:
    """Wait for all of *following*, each the following of a job to its end; after *stopping*, for those under way."""
    if not following:
        return
    await wait_unless_stopped(_wait_all(following), stopping)
    if stopping.is_set():
        under_way = [task for task, job in following.items() if job.state is not JobState.QUEUED]
        if under_way:
            await asyncio.wait(under_way, timeout=grace_s)


async def wait_unless_stopped(work: Coroutine[Any, Any, object], stopping: asyncio.Event) -> None:
    """Wait for *work*, or until *stopping* is set; then it is cancelled."""
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(work), group.create_task(stopping.wait())]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()


async def _wait_all(tasks: Collection["asyncio.Task[Any]"]) -> None:
    await asyncio.wait(tasks)
