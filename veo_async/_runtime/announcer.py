"""Telling what happens to jobs: those who listen to one, the user's hook, and whoever waits for the queue to move."""

from .hooks import Hooks
from .job.events import JobEvent, Sent, event_of
from .job.live_job import LiveJob
from .job.outcome import Outcome
from .job.registry import JobRegistry
from .status import StatusReporter


class Announcer:
    """Tells.

    Args:
        desk: knows where a job stands; None where no job waits or runs.
    """

    def __init__(self, hooks: Hooks, registry: JobRegistry, status: StatusReporter | None = None) -> None:
        self._hooks, self._registry, self._status = hooks, registry, status

    def notify(self, job: LiveJob, event: JobEvent) -> None:
        """Something has happened to *entry*."""
        if job.outcome is None:
            job.notify(event)
        if isinstance(event, Sent):
            self.queue_moved()
        self._hooks.notify(event)

    def queued(self, job: LiveJob, *, position: int | None = None) -> None:
        """It waits; reckoned only where somebody listens, as a place in a long queue is dear."""
        if self._status is not None and (self._hooks or job.has_subscribers):
            at = self._status.position_of(job) if position is None else position
            self.notify(job, self._status.waiting_status(job, at))

    def running(self, job: LiveJob) -> None:
        """Its task runs."""
        if self._status is not None and (self._hooks or job.has_subscribers):
            self.notify(job, self._status.status_of(job))

    def finished(self, job: LiveJob, outcome: Outcome) -> None:
        """This is how it ended, or stands."""
        job.set_outcome(outcome)
        self._hooks.notify(event_of(outcome))

    def queue_moved(self) -> None:
        """There may be room in the queue for whoever waits for that."""
        self._registry.queue_changed.set()
