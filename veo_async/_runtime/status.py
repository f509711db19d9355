"""The status of one job: its place in the queue, its remaining time, and both as an event."""

from collections.abc import Callable

import attrs

from veo_async._rules.gate.values import GateSettings
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.durations import Eta, TaskClass
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._wire import ExtendRequest, UpgradeRequest, VideoRequest
from veo_async._wire.images import local_images
from veo_async._wire.models import DEFAULT_EXTEND_MODEL

from .job.events import JobEvent, Paused, Queued, Running, Sent, event_of
from .job.live_job import LiveJob

#: States with a task whose clip is not available yet; `READY` while the clip is being saved.
_HAS_TASK = (JobState.RUNNING, JobState.READY)


@attrs.define(eq=False, repr=False, kw_only=True)
class StatusReporter:
    """Computes the status of jobs."""

    #: The name of the dialect; durations are learned per provider.
    _provider: str = attrs.field(alias="provider", kw_only=False)
    _queue: FairQueue[LiveJob] = attrs.field(alias="queue")
    _polls: PollQueue[LiveJob] = attrs.field(alias="polls")
    _rate: GateSettings = attrs.field(alias="rate")
    #: Returns why submission is paused, or None.
    _pause_reason: Callable[[], str | None] = attrs.field(alias="pause_reason")
    #: Returns the loop's time.
    _now: Callable[[], float] = attrs.field(alias="now")

    def task_class_of(self, job: LiveJob) -> TaskClass:
        """Return the class of tasks that take about as long as this one."""
        match job.request:
            case UpgradeRequest(to=to):
                return TaskClass(self._provider, "", to, "upgrade")
            case ExtendRequest(model=model):
                return TaskClass(self._provider, model or DEFAULT_EXTEND_MODEL, kind="extend")
            case request:
                video = request or VideoRequest("-")  # an adopted task: assume the defaults
                return TaskClass(self._provider, video.model, video.resolution or "720p")

    def position_of(self, job: LiveJob) -> int | None:
        """Return the number of jobs ahead of *job*; None if it is not in the queue."""
        is_queued = job in self._queue and job not in self._queue.on_hold
        return self._queue.position(job) if is_queued else None

    def eta_of(self, job: LiveJob) -> Eta | None:
        """Return the estimated time until the clip is ready; None if the job has an outcome."""
        if job.outcome is not None:
            return None
        if job.state in _HAS_TASK:
            return self._eta_of_running(job)
        return self._eta_of_waiting(job, self.position_of(job) or 0)

    def status_of(self, job: LiveJob) -> JobEvent:
        """Return the present status of *job* as an event."""
        if job.outcome is not None:
            return event_of(job.outcome)
        if job.state in _HAS_TASK and job.task_id is not None:
            return Running(job.key, job.task_id, self._eta_of_running(job))
        position = self.position_of(job)
        if position is None and job.state is JobState.QUEUED and (reason := _blocked_reason(job)):
            return Paused(job.key, reason)
        if job.state is JobState.SENDING and job.awaits_permit:
            position = 0  # nothing was sent yet: `Sent` follows once the ledger has recorded the attempt
        return self.waiting_status(job, position)

    def waiting_status(self, job: LiveJob, position: int | None) -> Queued | Paused | Sent:
        """Return the status of a job that is not accepted yet; it was sent if *position* is None."""
        if position is None:
            return Sent(job.key)
        if reason := self._pause_reason():
            return Paused(job.key, reason)
        return Queued(job.key, position, self._eta_of_waiting(job, position))

    def _eta_of_running(self, job: LiveJob) -> Eta:
        try:
            return self._polls.eta(job, self._now())
        except KeyError:  # not polled here: another session owns it, or the clip is being recorded or saved
            return self._polls.expected_duration(self.task_class_of(job)) if job.is_remote else Eta(0.0, 0.0)

    def _eta_of_waiting(self, job: LiveJob, position: int) -> Eta:
        duration = self._polls.expected_duration(self.task_class_of(job))
        wait_s = position * self._rate.window_s / self._rate.limit
        return Eta(duration.p50 + wait_s, duration.p90 + wait_s)


def _blocked_reason(job: LiveJob) -> str | None:
    """Return what a job waits for before it enters the queue, if anything."""
    if job.follow_up is not None:
        return "waiting-for-source"
    return "waiting-for-upload" if local_images(job.request) else None
