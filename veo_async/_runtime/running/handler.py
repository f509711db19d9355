"""RUNNING: the watcher polls the task until it ends."""

import attrs

from veo_async._rules.lifecycle import Event
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import WallClock
from veo_async._runtime.job.endings import outcome_of
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Done, HistoryItem, Outcome
from veo_async._runtime.job.registry import JobRegistry
from veo_async._runtime.queued.admission import Admission
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.sending.scheduler import Scheduler
from veo_async._runtime.status import StatusReporter
from veo_async._runtime.transitions import Transitions
from veo_async.errors import LedgerError

from .watcher import Watcher


@attrs.define(eq=False, repr=False)
class RunningState:
    """The handler of `JobState.RUNNING`. A job holds a slot, and the watcher polls its task."""

    _scheduler: Scheduler
    _watcher: Watcher
    _registry: JobRegistry
    _spending: Spending
    _clock: WallClock
    _status: StatusReporter
    _announcer: Announcer

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        assert job.task_id is not None  # noqa: S101  # it was accepted
        if event is not Event.ACCEPT:
            self._scheduler.adopt(job)
        self._registry.by_task[job.task_id] = job
        self._spending.accepted(job)
        age_s = 0.0 if job.sent_at is None else max(0.0, self._clock.now() - job.sent_at)
        self._watcher.watch(job, self._status.task_class_of(job), age_s=age_s)
        self._announcer.running(job)
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return self._watcher.forget(job)

    def leave(self, job: LiveJob, event: Event | None) -> None:
        self._watcher.forget(job)
        self._scheduler.release(job)


class TaskFinisher:
    """Moves a job whose task has ended to its next state."""

    def __init__(self, transitions: Transitions, admission: Admission) -> None:
        self._transitions, self._admission = transitions, admission

    async def finish(self, job: LiveJob, end: Succeeded | Unsuccessful) -> None:
        """Record and announce the end of the task of *job*."""
        event, outcome = outcome_of(job, end, await self._source_history(job))
        changes = {"route": job.route}  # of an adopted task it is known now
        await self._transitions.try_apply(job, event, outcome, changes=changes)

    async def _source_history(self, job: LiveJob) -> tuple[HistoryItem, ...]:
        """Return the history of the source clip of *job*; empty if it has none."""
        if job.follow_up is None:
            return ()
        try:
            source = await self._admission.source_of(job)
        except LedgerError:
            source = None
        if source is not None and isinstance(source.outcome, Done):
            return source.outcome.clip.history
        return (HistoryItem("adopted", job.source_task_id or job.follow_up.task_id, ""),)
