"""What one look at a task means: is it still running, has it ended, or was it a bad look?

A bad look never ends a job. What the provider says is believed with these reserves:

- *No record* is normal for a new task, whose record appears late. Only after `GRACE_S` without any record is the task
  given up as lost; it is kept, and never sent again.
- *Success* is sticky: a record that takes it back is not believed for `EMPTY_S`.
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
    RecordMissing,
    TaskFailed,
    VeoError,
)

#: Users see records appear within a minute, rarely later (they tolerate 60 to 90 s).
GRACE_S: Final = 90.0
#: A flag that flaps has settled by then.
CONFIRM_S: Final = 10.0
#: Success without a URL is a copy that is still being made somewhere.
EMPTY_S: Final = 300.0
EMPTY_AGAIN_S: Final = 5.0
#: "Wait a bit and retry (20-30 s)" for 1080p, "30 s or more" for 4K.
NOT_YET_S: Final = 30.0
#: Back-off of one task after bad looks: 2, 4, 8 … s. A task is worth a look a minute whatever happens.
BAD_BASE_S: Final = 2.0
BAD_CAP_S: Final = 60.0


@attrs.define(eq=False)
class Looks:
    """What the looks at one task have shown so far."""

    started_at: float
    bad: int = 0
    failed_at: float | None = None
    empty_since: float | None = None
    has_record: bool = False


@attrs.frozen
class Runs:
    """It is still being made; the schedule says when to look again."""


@attrs.frozen
class LookAgain:
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
class Ended:
    """It is over without a video."""

    error: VeoError


Meaning = Runs | LookAgain | SlowDown | Succeeded | Ended


def read(looks: Looks, found: Record | VeoError, now: float) -> Meaning:
    """The meaning of what one look *found*; notes in *looks* what later ones need."""
    match found:
        case Record():
            return _read_record(looks, found, now)
        case RateLimited():
            return SlowDown(found.retry_after)
        case NotReady() if found.endpoint != RECORD_INFO.name:
            looks.bad = 0
            return LookAgain(NOT_YET_S)
        case RecordMissing():
            return _read_missing(looks, found, now)
        case RecordExpired():
            return Ended(found)
        case _:
            return _bad_look(looks)


def _read_record(looks: Looks, record: Record, now: float) -> Meaning:
    looks.has_record = True
    if record.state is not TaskState.UNKNOWN:
        looks.bad = 0
    match record.state:
        case TaskState.SUCCEEDED:
            return Succeeded(record) if record.urls else _read_empty(looks, record, now)
        case TaskState.FAILED:
            return _read_failure(looks, record, now)
        case TaskState.GENERATING:
            return _read_running(looks, now)
        case TaskState.UNKNOWN:
            return _bad_look(looks)
        case _:
            assert_never(record.state)


def _read_running(looks: Looks, now: float) -> Meaning:
    looks.failed_at = None
    if looks.empty_since is not None and now - looks.empty_since < EMPTY_S:
        return LookAgain(EMPTY_AGAIN_S)
    looks.empty_since = None
    return Runs()


def _read_failure(looks: Looks, record: Record, now: float) -> Meaning:
    if looks.empty_since is not None and now - looks.empty_since < EMPTY_S:
        return LookAgain(EMPTY_AGAIN_S)
    if looks.failed_at is None:
        looks.failed_at = now
    waited = now - looks.failed_at
    if waited < CONFIRM_S:
        return LookAgain(CONFIRM_S - waited)
    failure = record.failure
    return Ended(failure.error(task_id=record.task_id) if failure else TaskFailed("the task failed"))


def _read_empty(looks: Looks, record: Record, now: float) -> Meaning:
    if looks.empty_since is None:
        looks.empty_since = now
    if now - looks.empty_since < EMPTY_S:
        return LookAgain(EMPTY_AGAIN_S)
    return Ended(DownloadFailed("the task succeeded, but its record names no video", task_id=record.task_id))


def _read_missing(looks: Looks, error: RecordMissing, now: float) -> Meaning:
    if looks.has_record or now - looks.started_at < GRACE_S:
        return _bad_look(looks)
    return Ended(error)


def _bad_look(looks: Looks) -> LookAgain:
    looks.bad += 1
    return LookAgain(min(BAD_CAP_S, BAD_BASE_S * 2.0 ** min(looks.bad - 1, 10)))
