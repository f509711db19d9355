"""What one poll of a task means: is the task still running, has it ended, or did the poll fail?

A failed poll never ends a job. The provider's records are trusted with these reservations:

- *No record* is normal for a new task, whose record appears late. Only after `RECORD_WAIT_S` without any record, and
  after a second poll at least `CONFIRM_S` later, the task is considered lost; its id is kept, and the request is never
  sent again.
- *Success* is sticky: a record that reverts it is not trusted for `EMPTY_WAIT_S`.
- *Success without URLs* is polled again for the same time; the URLs usually follow within seconds.
- *Failure* (flag 2 or 3) must be confirmed by a second poll at least `CONFIRM_S` later, because flags are unstable.
- *A failed poll* (HTML, broken JSON, 5xx, a lost response, an unknown flag) delays the next poll of this task. If the
  provider or the network is the cause, it also counts for the condition that all tasks share (`outage`).
- *404* without a word about the record says that the route does not exist. Tasks of the other one are polled as always.
- *Not ready* is the response for an upgrade in progress; the documentation asks for half a minute between two polls. If
  it says for minutes that there is no result, as for an upgrade whose source does not exist, the upgrade has failed.
- *"Only within 14 days"* ends a task only if the task can be that old; of a younger one the response is wrong.
- *429* slows down all polls, not only those of this task: it is about the account.
"""

from typing import Final, assert_never

import attrs

from veo_async._wire import Record, TaskState
from veo_async._wire.codes import is_source_missing
from veo_async._wire.endpoints import RECORD_INFO
from veo_async.errors import (
    DownloadFailed,
    NotFound,
    NotReady,
    RateLimited,
    RecordExpired,
    RecordNotFound,
    TaskFailed,
    VeoError,
)

#: Users report that records appear within a minute, rarely later (60 to 90 s).
RECORD_WAIT_S: Final = 90.0
#: The provider keeps records for 14 days. A day less allows for clocks and time zones.
MIN_EXPIRED_AGE_S: Final = 13 * 86400.0
#: An unstable flag is stable by then.
CONFIRM_S: Final = 10.0
#: Success without a URL means that the provider is still copying the video.
EMPTY_WAIT_S: Final = 300.0
EMPTY_AGAIN_S: Final = 5.0
#: "Wait a bit and retry (20-30 s)" for 1080p, "30 s or more" for 4K.
NOT_YET_S: Final = 30.0
#: Backoff of one task after failed polls: 2, 4, 8 … s. Every task is polled at least once per minute.
BACKOFF_FIRST_S: Final = 2.0
BACKOFF_MAX_S: Final = 60.0
#: The remedy for a task without a record.
NO_RECORD: Final = (
    "Check the task id, and that the API key belongs to the account that created it; "
    "the provider keeps records for 14 days."
)


@attrs.define(eq=False)
class PollHistory:
    """What the polls of one task have shown."""

    started_at: float
    #: False for an adopted task, which may be much older.
    is_age_known: bool = True
    failures: int = 0
    failed_at: float | None = None
    empty_since: float | None = None
    has_record: bool = False
    #: Since when every poll has found no record, although there should be one.
    missing_since: float | None = None


@attrs.frozen
class NotFinished:
    """The task is still running; the schedule decides when to poll again."""


@attrs.frozen
class PollAgain:
    """Poll again after *after* seconds; the poll was not conclusive."""

    after: float


@attrs.frozen
class PollFailed:
    """The poll failed; poll again after *after* seconds."""

    after: float
    #: Whether the provider or the network is the cause, so that polls of other tasks would fail, too.
    is_shared: bool = False


@attrs.frozen
class SlowDown:
    """Poll all tasks less often; *after* is the Retry-After in seconds, if the provider sent one."""

    after: float | None


@attrs.frozen
class Succeeded:
    """The task has succeeded, and *record* contains its videos."""

    record: Record


@attrs.frozen
class Unsuccessful:
    """The task has ended without a video."""

    error: VeoError


PollResult = NotFinished | PollAgain | PollFailed | SlowDown | Succeeded | Unsuccessful


def interpret(history: PollHistory, result: Record | VeoError, now: float) -> PollResult:
    """Return what the *result* of one poll means, and update *history* for later polls."""
    if not isinstance(result, RecordNotFound):
        history.missing_since = None
    match result:
        case Record():
            return _read_record(history, result, now)
        case RateLimited():
            return SlowDown(result.retry_after)
        case NotReady() if result.endpoint != RECORD_INFO.name:
            return _read_upgrade(history, result, now)
        case RecordNotFound():
            return _read_missing(history, result, now)
        case RecordExpired():
            can_be = not history.is_age_known or now - history.started_at >= MIN_EXPIRED_AGE_S
            return Unsuccessful(result) if can_be else _failed_poll(history)
        case NotFound():
            return _failed_poll(history)
        case _:
            return _failed_poll(history, is_shared=True)


def _read_record(history: PollHistory, record: Record, now: float) -> PollResult:
    if record.state is not TaskState.UNKNOWN:
        history.failures, history.has_record = 0, True
    match record.state:
        case TaskState.SUCCEEDED:
            return Succeeded(record) if record.urls else _read_empty(history, record, now)
        case TaskState.FAILED:
            return _read_failure(history, record, now)
        case TaskState.GENERATING:
            return _read_running(history, now)
        case TaskState.UNKNOWN:
            return _failed_poll(history)
        case _:
            assert_never(record.state)


def _read_running(history: PollHistory, now: float) -> PollResult:
    history.failed_at = None
    if history.empty_since is not None and now - history.empty_since < EMPTY_WAIT_S:
        return PollAgain(EMPTY_AGAIN_S)
    history.empty_since = None
    return NotFinished()


def _read_failure(history: PollHistory, record: Record, now: float) -> PollResult:
    if history.empty_since is not None and now - history.empty_since < EMPTY_WAIT_S:
        return PollAgain(EMPTY_AGAIN_S)
    if history.failed_at is None:
        history.failed_at = now
    waited = now - history.failed_at
    if waited < CONFIRM_S:
        return PollAgain(CONFIRM_S - waited)
    failure = record.failure
    return Unsuccessful(failure.error(task_id=record.task_id) if failure else TaskFailed("the task failed"))


def _read_empty(history: PollHistory, record: Record, now: float) -> PollResult:
    if history.empty_since is None:
        history.empty_since = now
    if now - history.empty_since < EMPTY_WAIT_S:
        return PollAgain(EMPTY_AGAIN_S)
    return Unsuccessful(DownloadFailed("the task succeeded, but its record contains no video", task_id=record.task_id))


def _read_upgrade(history: PollHistory, not_ready: NotReady, now: float) -> PollResult:
    history.failures = 0
    history.failed_at = None
    if not is_source_missing(not_ready.message):
        history.empty_since = None
    elif history.empty_since is None:
        history.empty_since = now
    elif now - history.empty_since >= EMPTY_WAIT_S:
        return Unsuccessful(TaskFailed(not_ready.message, task_id=not_ready.task_id, reason_code=not_ready.body_code))
    return PollAgain(NOT_YET_S)


def _read_missing(history: PollHistory, error: RecordNotFound, now: float) -> PollResult:
    if history.has_record or now - history.started_at < RECORD_WAIT_S:
        return _failed_poll(history)
    if history.missing_since is None:
        history.missing_since = now
    waited = now - history.missing_since
    if waited < CONFIRM_S:
        return PollFailed(CONFIRM_S - waited)
    message = f"the provider has no record of this task after {RECORD_WAIT_S:g} s"
    return Unsuccessful(RecordNotFound(message, **error.evidence, remedy=NO_RECORD))


def _failed_poll(history: PollHistory, *, is_shared: bool = False) -> PollFailed:
    history.failures += 1
    return PollFailed(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(history.failures - 1, 10)), is_shared)
