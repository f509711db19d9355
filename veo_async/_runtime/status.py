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

    def task_class_of(self, entry: LiveJob) -> TaskClass:
        """Which tasks take about as long as this one."""
        match entry.request:
            case UpgradeRequest(to=to):
                return TaskClass(self._provider, "upgrade", to)
            case ExtendRequest(model=model):
                return TaskClass(self._provider, f"extend-{model}", "720p")
            case request:
                wanted = request or VideoRequest("-")
                return TaskClass(self._provider, wanted.model, wanted.resolution or "720p")

    def position_of(self, entry: LiveJob) -> int | None:
        return self._queue.position(entry) if entry in self._queue else None

    def eta_of(self, entry: LiveJob) -> Eta | None:
        if entry.outcome is not None:
            return None
        if entry.state is JobState.RUNNING:
            return self._eta_of_running(entry)
        return self._eta_of_waiting(entry, self.position_of(entry) or 0)

    def status_of(self, entry: LiveJob) -> JobEvent:
        if entry.outcome is not None:
            return event_of(entry.outcome)
        if entry.state is JobState.RUNNING and entry.task_id is not None:
            return Running(entry.key, entry.task_id, self._eta_of_running(entry))
        position = self.position_of(entry)
        if position is None and entry.state is JobState.QUEUED and (reason := _blocked_reason(entry)):
            return Paused(entry.key, reason)
        return self.waiting_status(entry, position)

    def waiting_status(self, entry: LiveJob, position: int | None) -> Queued | Paused | Sent:
        """The situation of a job that was not accepted yet; without a position its request is on the way."""
        if position is None:
            return Sent(entry.key)
        if reason := self._pause_reason():
            return Paused(entry.key, reason)
        return Queued(entry.key, position, self._eta_of_waiting(entry, position))

    def _eta_of_running(self, entry: LiveJob) -> Eta:
        try:
            return self._schedule.eta(entry, self._now())
        except KeyError:  # nobody looks at it here: another session does, or its end is being written down
            return self._schedule.expected_duration(self.task_class_of(entry)) if entry.is_remote else Eta(0.0, 0.0)

    def _eta_of_waiting(self, entry: LiveJob, position: int) -> Eta:
        rendering = self._schedule.expected_duration(self.task_class_of(entry))
        waiting_status = position * self._rate.window_s / self._rate.limit
        return Eta(rendering.p50 + waiting_status, rendering.p90 + waiting_status)


def _blocked_reason(entry: LiveJob) -> str | None:
    """What a job may be waiting for before it gets into the queue."""
    if entry.follow_up is not None:
        return "source"
    return "upload" if local_images(entry.request) else None
