"""The jobs of one session, by key and by task."""

import asyncio
from collections.abc import Collection

import attrs

from .live_job import LiveJob


@attrs.define(eq=False, repr=False)
class JobRegistry:
    """Every job that this session owns or follows."""

    by_key: dict[str, LiveJob] = attrs.field(factory=dict)
    by_task: dict[str, LiveJob] = attrs.field(factory=dict)
    #: Upgrades and extensions by their source, then by their key.
    _follow_ups: dict[str, dict[str, LiveJob]] = attrs.field(factory=dict, init=False)
    #: Keys of jobs whose rows the session owns but cannot read.
    unreadable: set[str] = attrs.field(factory=set)
    #: Set when there may be room in the queue again.
    queue_changed: asyncio.Event = attrs.field(factory=asyncio.Event)

    def add(self, job: LiveJob) -> None:
        """Add *job*; it replaces a finished one with the same key."""
        self.by_key[job.key] = job
        if job.task_id is not None:
            self.by_task[job.task_id] = job
        if job.source is not None:
            self._follow_ups.setdefault(job.source, {})[job.key] = job

    def follow_ups_of(self, sources: Collection[str]) -> list[LiveJob]:
        """Return the upgrades and extensions that have one of *sources*."""
        return [job for source in sources for job in self._follow_ups.get(source, {}).values()]
