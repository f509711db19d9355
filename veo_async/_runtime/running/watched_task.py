"""What the watcher knows about each task, and its counts."""

import math

import attrs

from veo_async._rules.polling.poll_result import PollHistory
from veo_async._wire import Record

#: After a poll that a hint caused, further hints are delayed, by twice as long each time.
HINT_BACKOFF_FIRST_S = 1.0
HINT_BACKOFF_MAX_S = 300.0


@attrs.define(eq=False, repr=False)
class WatchedTask:
    polls: PollHistory
    #: The number and the time of the poll that was requested for it; 0 if none was.
    number: int = 0
    due: float = math.inf
    is_being_polled: bool = False
    #: Whether a hint has arrived during the poll.
    has_hint: bool = False
    #: Set by a hint. Further hints are ignored until `hints_ignored_until`; each one doubles `hint_backoff_s`.
    was_hinted: bool = False
    hints_ignored_until: float = -math.inf
    hint_backoff_s: float = HINT_BACKOFF_FIRST_S

    def begin_poll(self) -> None:
        """Note that a worker polls it: an earlier request is stale."""
        self.is_being_polled, self.number, self.due = True, 0, math.inf


@attrs.frozen
class WatcherStatistics:
    """Counts of the watcher.

    Attributes:
        tasks: tasks that are being polled.
        polls: all polls of the session, and how many of them failed.
        failed_polls: polls without a usable response.
    """

    tasks: int
    polls: int
    failed_polls: int


def duration_of(record: Record | None) -> float | None:
    """Return the duration in seconds by the server's clock, which is exact regardless of the time of the poll."""
    if record is None or record.created_at is None or record.completed_at is None:
        return None
    seconds = (record.completed_at - record.created_at).total_seconds()
    return seconds if seconds > 0 else None
