"""Waiting at the end of a run: for all jobs or, after a stop, for the jobs in flight until a timeout."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from typing import Any

from veo_async.types import Job, JobState


async def wait_for_jobs(watching: Mapping["asyncio.Task[Any]", Job], stopping: asyncio.Event, timeout_s: float) -> None:
    """Wait until all jobs have finished.

    Once *stopping* is set, wait only for jobs that were already sent, and at most *timeout_s*.

    Args:
        watching: the asyncio tasks to wait for; each watches one job until it has finished.
    """
    if not watching:
        return
    await wait_unless_stopped(_wait_all(watching), stopping)
    if stopping.is_set():
        in_flight = [task for task, job in watching.items() if job.state is not JobState.QUEUED]
        if in_flight:
            await asyncio.wait(in_flight, timeout=timeout_s)


async def wait_unless_stopped(work: Coroutine[Any, Any, object], stopping: asyncio.Event) -> None:
    """Wait for *work*, or cancel it as soon as *stopping* is set."""
    async with asyncio.TaskGroup() as group:
        both = [
            group.create_task(work, name="veo.batch.work"),
            group.create_task(stopping.wait(), name="veo.batch.stopping"),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()


async def _wait_all(tasks: Collection["asyncio.Task[Any]"]) -> None:
    await asyncio.wait(tasks)
