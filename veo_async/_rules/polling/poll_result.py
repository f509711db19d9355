"""What one look at a task means: is it still running, has it ended, or was it a bad look?

A bad look never ends a job. What the provider says is believed with these reserves:

- *No record* is normal for a new task, whose record appears late. Only after `RECORD_WAIT_S` without any record is the task
  given up as lost; it is kept, and never sent again.
- *Success* is sticky: a record that takes it back is not believed for `EMPTY_WAIT_S`.
- *Success without URLs* is looked at again for as long; the URLs come a moment later.
- *Failure* (flag 2 or 3) is confirmed by a second look at least `CONFIRM_S` later, because flags flap.
- *Anything unreadable* (HTML, broken JSON, 5xx, a lost answer, an unknown flag) backs off this task alone.
- *Not yet* is what an upgrade says while it is being made; its pages ask for half a minute between two looks.
- *429* slows all looks, not this task: it is about the account.
"""

from typing import Final, assert_never

import attrs

from veo_async._wire import Record, TaskState
from veo_async._wire.endpoints import RECORD_INFO
from veo_async.errors import (
    DownloadFailed,
    NotReady,
    RateLimited,
    RecordExpired,
    RecordNotFound,
    TaskFailed,
    VeoError,
)

#: Users see records appear within a minute, rarely later (they tolerate 60 to 90 s).
RECORD_WAIT_S: Final = 90.0
#: A flag that flaps has settled by then.
CONFIRM_S: Final = 10.0
#: Success without a URL is a copy that is still being made somewhere.
EMPTY_WAIT_S: Final = 300.0
EMPTY_AGAIN_S: Final = 5.0
#: "Wait a bit and retry (20-30 s)" for 1080p, "30 s or more" for 4K.
NOT_YET_S: Final = 30.0
#: Back-off of one task after bad looks: 2, 4, 8 … s. A task is worth a look a minute whatever happens.
BACKOFF_FIRST_S: Final = 2.0
BACKOFF_MAX_S: Final = 60.0


@attrs.define(eq=False)
class PollHistory:
    """What the looks at one task have shown so far."""

    started_at: float
    failures: int = 0
    failed_at: float | None = None
    empty_since: float | None = None
    has_record: bool = False


@attrs.frozen
class NotFinished:
    """It is still being made; the schedule says when to look again."""


@attrs.frozen
class PollAgain:
    """Look again after so many seconds; nothing was learned about its end."""

    after: float


@attrs.frozen
class SlowDown:
    """The provider wants fewer looks at all."""

    after: float | None


@attrs.frozen
class Succeeded:
    """It is done, and these are its videos."""

    record: Record


@attrs.frozen
class Unsuccessful:
    """It is over without a video."""

    error: VeoError


PollResult = NotFinished | PollAgain | SlowDown | Succeeded | Unsuccessful


def interpret(looks: PollHistory, found: Record | VeoError, now: float) -> PollResult:
    """The meaning of what one look *found*; notes in *looks* what later ones need."""
    match found:
        case Record():
            return _read_record(looks, found, now)
        case RateLimited():
            return SlowDown(found.retry_after)
        case NotReady() if found.endpoint != RECORD_INFO.name:
            looks.failures = 0
            return PollAgain(NOT_YET_S)
        case RecordNotFound():
            return _read_missing(looks, found, now)
        case RecordExpired():
            return Unsuccessful(found)
        case _:
            return _failed_poll(looks)


def _read_record(looks: PollHistory, record: Record, now: float) -> PollResult:
    looks.has_record = True
    if record.state is not TaskState.UNKNOWN:
        looks.failures = 0
    match record.state:
        case TaskState.SUCCEEDED:
            return Succeeded(record) if record.urls else _read_empty(looks, record, now)
        case TaskState.FAILED:
            return _read_failure(looks, record, now)
        case TaskState.GENERATING:
            return _read_running(looks, now)
        case TaskState.UNKNOWN:
            return _failed_poll(looks)
        case _:
            assert_never(record.state)


def _read_running(looks: PollHistory, now: float) -> PollResult:
    looks.failed_at = None
    if looks.empty_since is not None and now - looks.empty_since < EMPTY_WAIT_S:
        return PollAgain(EMPTY_AGAIN_S)
    looks.empty_since = None
    return NotFinished()


def _read_failure(looks: PollHistory, record: Record, now: float) -> PollResult:
    if looks.empty_since is not None and now - looks.empty_since < EMPTY_WAIT_S:
        return PollAgain(EMPTY_AGAIN_S)
    if looks.failed_at is None:
        looks.failed_at = now
    waited = now - looks.failed_at
    if waited < CONFIRM_S:
        return PollAgain(CONFIRM_S - waited)
    failure = record.failure
    return Unsuccessful(failure.error(task_id=record.task_id) if failure else TaskFailed("the task failed"))


def _read_empty(looks: PollHistory, record: Record, now: float) -> PollResult:
    if looks.empty_since is None:
        looks.empty_since = now
    if now - looks.empty_since < EMPTY_WAIT_S:
        return PollAgain(EMPTY_AGAIN_S)
    return Unsuccessful(DownloadFailed("the task succeeded, but its record names no video", task_id=record.task_id))


def _read_missing(looks: PollHistory, error: RecordNotFound, now: float) -> PollResult:
    if looks.has_record or now - looks.started_at < RECORD_WAIT_S:
        return _failed_poll(looks)
    return Unsuccessful(error)


def _failed_poll(looks: PollHistory) -> PollAgain:
    looks.failures += 1
    return PollAgain(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(looks.failures - 1, 10)))
