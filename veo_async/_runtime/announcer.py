"""Telling what happens to jobs: those who listen to one, the user's hook, and whoever waits for the queue to move."""

from .hooks import Hooks
from .job.events import JobEvent, Sent, event_of
from .job.live_job import Entry
from .job.outcome import Outcome
from .job.registry import Roster
from .status import FrontDesk


class Announcer:
    """Tells.

    Args:
        desk: knows where a job stands; None where no job waits or runs.
    """

    def __init__(self, hooks: Hooks, roster: Roster, desk: FrontDesk | None = None) -> None:
        self._hooks, self._roster, self._desk = hooks, roster, desk

    def tell(self, entry: Entry, event: JobEvent) -> None:
        """Something has happened to *entry*."""
        if entry.outcome is None:
            entry.tell(event)
        if isinstance(event, Sent):
            self.queue_moved()
        self._hooks.tell(event)

    def queued(self, entry: Entry, *, position: int | None = None) -> None:
        """It waits; reckoned only where somebody listens, as a place in a long queue is dear."""
        if self._desk is not None and (self._hooks or entry.is_listened_to):
            at = self._desk.position_of(entry) if position is None else position
            self.tell(entry, self._desk.waiting(entry, at))

    def running(self, entry: Entry) -> None:
        """Its task runs."""
        if self._desk is not None and (self._hooks or entry.is_listened_to):
            self.tell(entry, self._desk.situation_of(entry))

    def ended(self, entry: Entry, outcome: Outcome) -> None:
        """This is how it ended, or stands."""
        entry.end(outcome)
        self._hooks.tell(event_of(outcome))

    def queue_moved(self) -> None:
        """There may be room in the queue for whoever waits for that."""
        self._roster.moved_on.set()
