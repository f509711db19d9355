"""The jobs of one session, by key and by task."""

import asyncio

import attrs

from .live_job import LiveJob


@attrs.define(eq=False, repr=False)
class JobRegistry:
    """Every job that this session owns or follows."""

    by_key: dict[str, LiveJob] = attrs.field(factory=dict)
    by_task: dict[str, LiveJob] = attrs.field(factory=dict)
    #: Upgrades and extensions by the source in their request, which is a key or a task id, then by their own key.
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
        if job.follow_up is not None:
            source = job.follow_up.after_key or job.follow_up.task_id
            self._follow_ups.setdefault(source, {})[job.key] = job

    def follow_ups_of(self, *sources: str | None) -> list[LiveJob]:
        """Return the upgrades and extensions whose request names one of *sources*, which are keys and task ids."""
        return [job for source in sources if source for job in self._follow_ups.get(source, {}).values()]
