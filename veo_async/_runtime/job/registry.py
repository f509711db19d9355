"""The jobs of one session, by key and by task.

The registry keeps the jobs that the session works on. On a durable ledger it lets go of the others: once the ledger has
the final outcome of a job, the registry only refers to it weakly, so it is found here for as long as a handle, a waiter
or a follow-up refers to it, and on the ledger afterwards. Without a ledger it keeps all jobs, because only their keys
prevent a second charge.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from weakref import WeakValueDictionary

import attrs

from veo_async._rules.lifecycle import JobState

from .live_job import LiveJob
from .outcome import Done

#: The ledger has the outcome of every job in these states.
_ENDED_WITHOUT_CLIP = frozenset({JobState.REFUSED, JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED})


@attrs.define(eq=False, repr=False)
class JobRegistry:
    """Every job that this session owns or follows, and every finished one to which something else refers."""

    #: Whether the ledger outlives the session.
    _is_durable: bool = False
    by_key: WeakValueDictionary[str, LiveJob] = attrs.field(factory=WeakValueDictionary, init=False)
    by_task: WeakValueDictionary[str, LiveJob] = attrs.field(factory=WeakValueDictionary, init=False)
    #: The jobs that must not vanish.
    _kept: set[LiveJob] = attrs.field(factory=set, init=False)
    #: The kept upgrades and extensions by their source, then by their key.
    _follow_ups: dict[str, dict[str, LiveJob]] = attrs.field(factory=dict, init=False)
    #: How many jobs of this session ended in each state and are not kept any more.
    _ended: Counter[JobState] = attrs.field(factory=Counter, init=False)
    #: Keys of jobs whose rows the session owns but cannot read.
    unreadable: set[str] = attrs.field(factory=set, init=False)
    #: Set when there may be room in the queue again.
    queue_changed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def add(self, job: LiveJob) -> None:
        """Add *job*; it replaces a finished one with the same key."""
        known = self.by_key.get(job.key)
        if known is not None and known is not job:
            self._let_go(known)
        self.by_key[job.key] = job
        if job.task_id is not None:
            self.by_task[job.task_id] = job
        if not self._is_on_ledger(job):
            self._keep(job)

    def update(self, job: LiveJob) -> None:
        """Keep *job* or let go of it, depending on its outcome, which may be new."""
        is_kept, is_on_ledger = job in self._kept, self._is_on_ledger(job)
        if is_kept != is_on_ledger:
            return
        if is_on_ledger:
            self._let_go(job)
            self._ended[job.state] += 1
        else:
            self._keep(job)
            self._ended[job.state] -= not job.is_remote  # those of other sessions may not have been counted

    def uncount(self, state: JobState) -> None:
        """Do not count a job any more that ended in *state*: another one has its key now."""
        self._ended[state] -= 1

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs of this session are in each state, in the order of a job's life, even if they ended."""
        counts = Counter(job.state for job in self._kept)
        counts.update(self._ended)
        return {state: counts[state] for state in JobState if counts[state] > 0}

    def follow_ups_of(self, sources: Collection[str]) -> list[LiveJob]:
        """Return the kept upgrades and extensions that have one of *sources*."""
        return [job for source in sources for job in self._follow_ups.get(source, {}).values()]

    def _is_on_ledger(self, job: LiveJob) -> bool:
        """Whether the ledger has the final outcome of *job*, and nothing is left to do for it.

        A clip that could not be saved is `Failed` here, but not on the ledger.
        """
        if not self._is_durable or job.outcome is None:
            return False
        if isinstance(job.outcome, Done):
            return job.state is JobState.SAVED or job.save_to is None
        return job.state in _ENDED_WITHOUT_CLIP

    def _keep(self, job: LiveJob) -> None:
        self._kept.add(job)
        if job.source is not None:
            self._follow_ups.setdefault(job.source, {})[job.key] = job

    def _let_go(self, job: LiveJob) -> None:
        self._kept.discard(job)
        if job.source is not None and (others := self._follow_ups.get(job.source)) is not None:
            others.pop(job.key, None)
            if not others:
                del self._follow_ups[job.source]
