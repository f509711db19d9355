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
from .job.live_job import Entry


class FrontDesk:
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
        queue: FairQueue[Entry],
        schedule: FixedSchedule | LearnedSchedule,
        rate: GateSettings,
        pause_reason: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        self._provider, self._queue, self._schedule, self._rate = provider, queue, schedule, rate
        self._pause_reason, self._now = pause_reason, now

    def class_of(self, entry: Entry) -> TaskClass:
        """Which tasks take about as long as this one."""
        match entry.request:
            case UpgradeRequest(to=to):
                return TaskClass(self._provider, "upgrade", to)
            case ExtendRequest(model=model):
                return TaskClass(self._provider, f"extend-{model}", "720p")
            case request:
                wanted = request or VideoRequest("-")
                return TaskClass(self._provider, wanted.model, wanted.resolution or "720p")

    def position_of(self, entry: Entry) -> int | None:
        return self._queue.position(entry) if entry in self._queue else None

    def eta_of(self, entry: Entry) -> Eta | None:
        if entry.outcome is not None:
            return None
        if entry.state is JobState.RUNNING:
            return self._eta_of_running(entry)
        return self._eta_of_waiting(entry, self.position_of(entry) or 0)

    def situation_of(self, entry: Entry) -> JobEvent:
        if entry.outcome is not None:
            return event_of(entry.outcome)
        if entry.state is JobState.RUNNING and entry.task_id is not None:
            return Running(entry.key, entry.task_id, self._eta_of_running(entry))
        position = self.position_of(entry)
        if position is None and entry.state is JobState.QUEUED and (reason := _held_for(entry)):
            return Paused(entry.key, reason)
        return self.waiting(entry, position)

    def waiting(self, entry: Entry, position: int | None) -> Queued | Paused | Sent:
        """The situation of a job that was not accepted yet; without a position its request is on the way."""
        if position is None:
            return Sent(entry.key)
        if reason := self._pause_reason():
            return Paused(entry.key, reason)
        return Queued(entry.key, position, self._eta_of_waiting(entry, position))

    def _eta_of_running(self, entry: Entry) -> Eta:
        try:
            return self._schedule.eta(entry, self._now())
        except KeyError:  # nobody looks at it here: another session does, or its end is being written down
            return self._schedule.expect(self.class_of(entry)) if entry.is_followed else Eta(0.0, 0.0)

    def _eta_of_waiting(self, entry: Entry, position: int) -> Eta:
        rendering = self._schedule.expect(self.class_of(entry))
        waiting = position * self._rate.window_s / self._rate.limit
        return Eta(rendering.p50 + waiting, rendering.p90 + waiting)


def _held_for(entry: Entry) -> str | None:
    """What a job may be waiting for before it gets into the queue."""
    if entry.follow_up is not None:
        return "source"
    return "upload" if local_images(entry.request) else None
