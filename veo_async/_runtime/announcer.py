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

    def __init__(self, hooks: Hooks, roster: JobRegistry, desk: StatusReporter | None = None) -> None:
        self._hooks, self._roster, self._desk = hooks, roster, desk

    def tell(self, entry: LiveJob, event: JobEvent) -> None:
        """Something has happened to *entry*."""
        if entry.outcome is None:
            entry.notify(event)
        if isinstance(event, Sent):
            self.queue_moved()
        self._hooks.notify(event)

    def queued(self, entry: LiveJob, *, position: int | None = None) -> None:
        """It waits; reckoned only where somebody listens, as a place in a long queue is dear."""
        if self._desk is not None and (self._hooks or entry.has_subscribers):
            at = self._desk.position_of(entry) if position is None else position
            self.tell(entry, self._desk.waiting_status(entry, at))

    def running(self, entry: LiveJob) -> None:
        """Its task runs."""
        if self._desk is not None and (self._hooks or entry.has_subscribers):
            self.tell(entry, self._desk.status_of(entry))

    def ended(self, entry: LiveJob, outcome: Outcome) -> None:
        """This is how it ended, or stands."""
        entry.set_outcome(outcome)
        self._hooks.notify(event_of(outcome))

    def queue_moved(self) -> None:
        """There may be room in the queue for whoever waits for that."""
        self._roster.queue_changed.set()
