"""The jobs of one session, by key and by task."""

import asyncio

import attrs

from .live_job import LiveJob


@attrs.define(eq=False)
class JobRegistry:
    """Every job that this session drives or follows."""

    by_key: dict[str, LiveJob] = attrs.field(factory=dict)
    by_task: dict[str, LiveJob] = attrs.field(factory=dict)
    #: Something has left the queue.
    queue_changed: asyncio.Event = attrs.field(factory=asyncio.Event)

    def add(self, job: LiveJob) -> None:
        """*entry* is known here from now on, in place of one of its key that has ended."""
        self.by_key[job.key] = job
        if job.task_id is not None:
            self.by_task[job.task_id] = job
