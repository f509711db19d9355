"""What one poll means, and what a sequence of polls means."""

from typing import Any

import pytest

from veo_async import errors
from veo_async._rules.polling.poll_result import (
    BACKOFF_MAX_S,
    CONFIRM_S,
    EMPTY_AGAIN_S,
    EMPTY_WAIT_S,
    MIN_EXPIRED_AGE_S,
    NOT_YET_S,
    RECORD_WAIT_S,
    NotFinished,
    PollAgain,
    PollFailed,
    PollHistory,
    PollResult,
    SlowDown,
    Succeeded,
    Unsuccessful,
    interpret,
)
from veo_async._wire import Record

RUNNING = Record(flag=0)
DONE = Record(flag=1, urls=("https://a.invalid/1.mp4",))
EMPTY = Record(flag=1)
FAILED = Record(task_id="t", flag=3, error_code=501, error_message="broken")
REFUSED = Record(task_id="t", flag=2, error_code=400, error_message="flagged for violating content policies")
ODD = Record(flag=7)
MISSING = errors.RecordNotFound("record is null", body_code=422)
PROCESSING = errors.NotReady("still processing", endpoint="get-1080p-video")
NO_RESULT = errors.NotReady("record result data is blank.", endpoint="get-1080p-video", task_id="t", body_code=422)
BROKEN = errors.ServerError("502")


def polls(*results: tuple[float, Any]) -> list[PollResult]:
    """Return what each poll of one task means; every result has its moment."""
    history = PollHistory(started_at=0.0)
    return [interpret(history, result, at) for at, result in results]


@pytest.mark.parametrize(
    ("result", "meaning"),
    [
        (RUNNING, NotFinished()),
        (DONE, Succeeded(DONE)),
        (EMPTY, PollAgain(EMPTY_AGAIN_S)),
        (FAILED, PollAgain(CONFIRM_S)),
        (ODD, PollFailed(2.0)),
        (Record(), PollFailed(2.0)),
        (MISSING, PollFailed(2.0)),
        (BROKEN, PollFailed(2.0, is_shared=True)),
        (errors.ResponseLost("cut"), PollFailed(2.0, is_shared=True)),
        (errors.MalformedResponse("html"), PollFailed(2.0, is_shared=True)),
        (errors.Unauthorized("401"), PollFailed(2.0, is_shared=True)),
        (errors.NotFound("404"), PollFailed(2.0)),
        (errors.Maintenance("455"), PollFailed(2.0, is_shared=True)),
        (errors.NotReady("not yet", endpoint="record-info"), PollFailed(2.0, is_shared=True)),
        (errors.NotReady("not yet", endpoint="get-1080p-video"), PollAgain(NOT_YET_S)),
        (errors.RateLimited("429"), SlowDown(None)),
        (errors.RateLimited("429", retry_after=7.0), SlowDown(7.0)),
    ],
)
def test_first_poll_means(result: Any, meaning: PollResult) -> None:
    """The meaning of a single poll; only a clip ends a job immediately."""
    assert polls((5.0, result)) == [meaning]


def test_expired_record_ends_the_task_only_if_it_can_be_that_old() -> None:
    """The provider deletes records after 14 days. Of a younger task it says so by mistake: the poll has failed."""
    error = errors.RecordExpired("within 14 days")
    assert polls((5.0, error), (MIN_EXPIRED_AGE_S - 1, error)) == [PollFailed(2.0), PollFailed(4.0)]
    assert polls((5.0, error), (6.0, DONE))[-1] == Succeeded(DONE)
    assert polls((MIN_EXPIRED_AGE_S, error)) == [Unsuccessful(error)]


def test_expired_record_of_an_adopted_task_ends_it() -> None:
    """Its age is not known."""
    error = errors.RecordExpired("within 14 days")
    assert interpret(PollHistory(started_at=0.0, is_age_known=False), error, 5.0) == Unsuccessful(error)


def test_failed_polls_back_off_until_a_poll_succeeds() -> None:
    """2, 4, 8, … up to a minute; then from the start."""
    waits = [m.after for m in polls(*((float(n), BROKEN) for n in range(9))) if isinstance(m, PollFailed)]
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    assert polls((0, BROKEN), (1, BROKEN), (2, RUNNING), (3, BROKEN))[-1] == PollFailed(2.0, is_shared=True)
    assert polls((0, BROKEN), (1, ODD), (2, BROKEN))[-1] == PollFailed(8.0, is_shared=True)
    assert polls(*((float(n), BROKEN) for n in range(5000)))[-1] == PollFailed(BACKOFF_MAX_S, is_shared=True)


def test_missing_record_is_normal_at_first_then_the_task_is_lost() -> None:
    """As long as there never was a record."""
    assert polls((RECORD_WAIT_S - 0.1, MISSING)) == [PollFailed(2.0)]
    first, end = polls((RECORD_WAIT_S, MISSING), (RECORD_WAIT_S + CONFIRM_S, MISSING))
    assert first == PollFailed(CONFIRM_S)
    assert isinstance(end, Unsuccessful)
    assert isinstance(end.error, errors.RecordNotFound)
    assert end.error.body_code == 422
    assert "no record of this task after 90 s. Check the task id" in str(end.error)


@pytest.mark.parametrize("nothing", [ODD, Record()])
def test_task_without_a_readable_record_is_lost_like_one_without_any(nothing: Record) -> None:
    """A response without a known state does not prove that the task exists."""
    end = polls((10, nothing), (RECORD_WAIT_S, MISSING), (RECORD_WAIT_S + CONFIRM_S, MISSING))[-1]
    assert isinstance(end, Unsuccessful)
    assert isinstance(end.error, errors.RecordNotFound)


def test_missing_record_is_confirmed_by_the_next_poll() -> None:
    """A single response may be wrong. A poll that is too early waits for the rest; any other response starts over."""
    early = polls((100, MISSING), (104, MISSING), (111, BROKEN), (112, MISSING))
    assert early[:2] == [PollFailed(CONFIRM_S), PollFailed(CONFIRM_S - 4.0)]
    assert early[3] == PollFailed(CONFIRM_S)
    assert polls((100, MISSING), (110, RUNNING), (120, DONE))[-1] == Succeeded(DONE)


def test_record_that_disappears_is_a_failed_poll() -> None:
    """However long it is missing."""
    assert isinstance(polls((10, RUNNING), (1000, MISSING))[-1], PollFailed)


def test_failure_is_confirmed_by_a_second_poll() -> None:
    """Not before flags are stable; a poll that is too early waits for the rest of that time."""
    first, early, late = polls((100, FAILED), (104, FAILED), (110, FAILED))
    assert (first, early) == (PollAgain(CONFIRM_S), PollAgain(CONFIRM_S - 4.0))
    assert isinstance(late, Unsuccessful)
    assert isinstance(late.error, errors.TaskFailed)
    assert (late.error.task_id, late.error.reason_code) == ("t", 501)


def test_reverted_failure_starts_again() -> None:
    """The task runs again: the earlier failure is forgotten."""
    assert polls((100, FAILED), (105, RUNNING), (120, FAILED))[-1] == PollAgain(CONFIRM_S)


def test_not_ready_between_two_failures_of_an_upgrade_starts_again() -> None:
    """It is still being processed: the earlier failure is forgotten."""
    assert polls((100, FAILED), (110, PROCESSING), (140, FAILED))[-1] == PollAgain(CONFIRM_S)


def test_upgrade_without_a_result_for_minutes_has_failed() -> None:
    """The reason is the provider's sentence; a response that it is being processed starts the wait again."""
    late = 100 + EMPTY_WAIT_S
    end = polls((100, NO_RESULT), (late, NO_RESULT))[-1]
    assert isinstance(end, Unsuccessful)
    assert (end.error.message, end.error.task_id) == (NO_RESULT.message, "t")
    assert polls((100, NO_RESULT), (late - 1, NO_RESULT)) == [PollAgain(NOT_YET_S)] * 2
    assert polls((100, NO_RESULT), (110, PROCESSING), (late, NO_RESULT)) == [PollAgain(NOT_YET_S)] * 3


def test_failed_poll_between_two_failures_changes_nothing() -> None:
    """It proves neither success nor failure."""
    assert isinstance(polls((100, FAILED), (105, BROKEN), (110, FAILED))[-1], Unsuccessful)


def test_refused_content_is_reported_as_such() -> None:
    """With flag 2 and with flag 3."""
    end = polls((100, REFUSED), (110, REFUSED))[-1]
    assert isinstance(end, Unsuccessful)
    assert isinstance(end.error, errors.ContentRefused)


def test_success_without_urls_waits_for_them_up_to_a_limit() -> None:
    """Polled every five seconds; after the limit the clip was created and charged, but its URL is unknown."""
    assert polls((100, EMPTY), (105, EMPTY), (110, DONE))[1:] == [PollAgain(EMPTY_AGAIN_S), Succeeded(DONE)]
    end = polls((100, EMPTY), (100 + EMPTY_WAIT_S, EMPTY))[-1]
    assert isinstance(end, Unsuccessful)
    assert isinstance(end.error, errors.DownloadFailed)


def test_reverted_success_is_not_trusted_for_the_same_time() -> None:
    """Neither "running" nor "failed" is; after that time the record is trusted again."""
    for other in (RUNNING, FAILED):
        assert polls((100, EMPTY), (105, other), (115, other))[1:] == [PollAgain(EMPTY_AGAIN_S)] * 2
    late = 100 + EMPTY_WAIT_S
    assert polls((100, EMPTY), (late, RUNNING), (late + 5, RUNNING))[1:] == [NotFinished(), NotFinished()]
    assert polls((100, EMPTY), (late, FAILED))[-1] == PollAgain(CONFIRM_S)
    assert isinstance(polls((100, EMPTY), (late, FAILED), (late + 10, FAILED))[-1], Unsuccessful)


def test_failure_without_code_and_message_is_a_failure() -> None:
    """It has neither a code nor a message."""
    end = polls((0, Record(flag=3)), (10, Record(flag=3)))[-1]
    assert isinstance(end, Unsuccessful)
    assert type(end.error) is errors.TaskFailed
