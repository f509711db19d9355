"""What only the whole session knows of one job: its place in the queue, how long it may take, where it stands."""

from collections.abc import Callable

from veo_async._rules.gate.values import GateSettings
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.durations import Eta
from veo_async._rules.polling.schedule import FixedSchedule, LearnedSchedule, TaskClass
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._wire import ExtendRequest, UpgradeRequest, VideoRequest
from veo_async._wire.images import local_images

from .job.events import JobEvent, Paused, Queued, Running, Sent, event_of
from .job.live_job import LiveJob


class StatusReporter:
    """Answers what jobs ask.

    Args:
        provider: the dialect's name; completion times are learned for each.
        pause_reason: why nothing is being created just now, or None.
        now: the session's clock.
    """

    def __init__(
        self,
        provider: str,
        *,
        queue: FairQueue[LiveJob],
        schedule: FixedSchedule | LearnedSchedule,
        rate: GateSettings,
        pause_reason: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        self._provider, self._queue, self._schedule, self._rate = provider, queue, schedule, rate
        self._pause_reason, self._now = pause_reason, now

    def task_class_of(self, job: LiveJob) -> TaskClass:
        """Which tasks take about as long as this one."""
        match job.request:
            case UpgradeRequest(to=to):
                return TaskClass(self._provider, "upgrade", to)
            case ExtendRequest(model=model):
                return TaskClass(self._provider, f"extend-{model}", "720p")
            case request:
                wanted = request or VideoRequest("-")
                return TaskClass(self._provider, wanted.model, wanted.resolution or "720p")

    def position_of(self, job: LiveJob) -> int | None:
        return self._queue.position(job) if job in self._queue else None

    def eta_of(self, job: LiveJob) -> Eta | None:
        if job.outcome is not None:
            return None
        if job.state is JobState.RUNNING:
            return self._eta_of_running(job)
        return self._eta_of_waiting(job, self.position_of(job) or 0)

    def status_of(self, job: LiveJob) -> JobEvent:
        if job.outcome is not None:
            return event_of(job.outcome)
        if job.state is JobState.RUNNING and job.task_id is not None:
            return Running(job.key, job.task_id, self._eta_of_running(job))
        position = self.position_of(job)
        if position is None and job.state is JobState.QUEUED and (reason := _blocked_reason(job)):
            return Paused(job.key, reason)
        return self.waiting_status(job, position)

    def waiting_status(self, job: LiveJob, position: int | None) -> Queued | Paused | Sent:
        """The situation of a job that was not accepted yet; without a position its request is on the way."""
        if position is None:
            return Sent(job.key)
        if reason := self._pause_reason():
            return Paused(job.key, reason)
        return Queued(job.key, position, self._eta_of_waiting(job, position))

    def _eta_of_running(self, job: LiveJob) -> Eta:
        try:
            return self._schedule.eta(job, self._now())
        except KeyError:  # nobody looks at it here: another session does, or its end is being written down
            return self._schedule.expected_duration(self.task_class_of(job)) if job.is_remote else Eta(0.0, 0.0)

    def _eta_of_waiting(self, job: LiveJob, position: int) -> Eta:
        rendering = self._schedule.expected_duration(self.task_class_of(job))
        waiting_status = position * self._rate.window_s / self._rate.limit
        return Eta(rendering.p50 + waiting_status, rendering.p90 + waiting_status)


def _blocked_reason(job: LiveJob) -> str | None:
    """What a job may be waiting for before it gets into the queue."""
    if job.follow_up is not None:
        return "waiting-for-source"
    return "waiting-for-upload" if local_images(job.request) else None
