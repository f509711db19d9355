"""What one look means, and what a row of looks means."""

from typing import Any

import pytest

from veo_async import errors
from veo_async._rules.polling.poll_result import (
    BACKOFF_MAX_S,
    CONFIRM_S,
    EMPTY_AGAIN_S,
    EMPTY_WAIT_S,
    NOT_YET_S,
    RECORD_WAIT_S,
    NotFinished,
    PollAgain,
    PollHistory,
    PollResult,
    SlowDown,
    Succeeded,
    Unsuccessful,
    interpret,
)
from veo_async._wire import Record

RUNS = Record(flag=0)
DONE = Record(flag=1, urls=("https://a.invalid/1.mp4",))
EMPTY = Record(flag=1)
FAILED = Record(task_id="t", flag=3, error_code=501, error_message="broken")
REFUSED = Record(task_id="t", flag=2, error_code=400, error_message="flagged for violating content policies")
ODD = Record(flag=7)
MISSING = errors.RecordNotFound("record is null", body_code=422)
BROKEN = errors.ServerError("502")


def looks(*found: tuple[float, Any]) -> list[PollResult]:
    """The meanings of looks at one task, each with its moment."""
    memory = PollHistory(started_at=0.0)
    return [interpret(memory, each, at) for at, each in found]


@pytest.mark.parametrize(
    ("found", "meaning"),
    [
        (RUNS, NotFinished()),
        (DONE, Succeeded(DONE)),
        (EMPTY, PollAgain(EMPTY_AGAIN_S)),
        (FAILED, PollAgain(CONFIRM_S)),
        (ODD, PollAgain(2.0)),
        (Record(), PollAgain(2.0)),
        (MISSING, PollAgain(2.0)),
        (BROKEN, PollAgain(2.0)),
        (errors.ResponseLost("cut"), PollAgain(2.0)),
        (errors.MalformedResponse("html"), PollAgain(2.0)),
        (errors.Unauthorized("401"), PollAgain(2.0)),
        (errors.NotFound("404"), PollAgain(2.0)),
        (errors.Maintenance("455"), PollAgain(2.0)),
        (errors.NotReady("not yet", endpoint="record-info"), PollAgain(2.0)),
        (errors.NotReady("not yet", endpoint="get-1080p-video"), PollAgain(NOT_YET_S)),
        (errors.RateLimited("429"), SlowDown(None)),
        (errors.RateLimited("429", retry_after=7.0), SlowDown(7.0)),
    ],
)
def test_a_first_look_means(found: Any, meaning: PollResult) -> None:
    """What a single look can tell; nothing but a clip ends a job at once."""
    assert looks((5.0, found)) == [meaning]


def test_a_record_that_has_expired_is_an_end() -> None:
    """The provider has forgotten it, and says so in a sentence of its own."""
    error = errors.RecordExpired("within 14 days")
    assert looks((5.0, error)) == [Unsuccessful(error)]


def test_bad_looks_come_ever_later_and_a_good_one_forgets_them() -> None:
    """2, 4, 8, … up to a minute; then from the beginning."""
    waits = [m.after for m in looks(*((float(n), BROKEN) for n in range(9))) if isinstance(m, PollAgain)]
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    assert looks((0, BROKEN), (1, BROKEN), (2, RUNS), (3, BROKEN))[-1] == PollAgain(2.0)
    assert looks((0, BROKEN), (1, ODD), (2, BROKEN))[-1] == PollAgain(8.0)
    assert looks(*((float(n), BROKEN) for n in range(5000)))[-1] == PollAgain(BACKOFF_MAX_S)


def test_no_record_is_normal_for_a_while_and_then_the_task_is_lost() -> None:
    """As long as there never was one."""
    assert looks((RECORD_WAIT_S - 0.1, MISSING)) == [PollAgain(2.0)]
    assert looks((RECORD_WAIT_S, MISSING)) == [Unsuccessful(MISSING)]


def test_a_record_that_was_seen_and_is_gone_is_a_bad_look() -> None:
    """However long it is gone."""
    assert isinstance(looks((10, RUNS), (1000, MISSING))[-1], PollAgain)


def test_a_failure_is_believed_after_a_second_look() -> None:
    """Not sooner than after the time in which flags settle; a look too early waits for the rest of it."""
    first, early, late = looks((100, FAILED), (104, FAILED), (110, FAILED))
    assert (first, early) == (PollAgain(CONFIRM_S), PollAgain(CONFIRM_S - 4.0))
    assert isinstance(late, Unsuccessful)
    assert isinstance(late.error, errors.TaskFailed)
    assert (late.error.task_id, late.error.reason_code) == ("t", 501)


def test_a_failure_that_is_taken_back_counts_anew() -> None:
    """Running again: what came before is forgotten."""
    assert looks((100, FAILED), (105, RUNS), (120, FAILED))[-1] == PollAgain(CONFIRM_S)


def test_a_bad_look_between_two_failures_changes_nothing() -> None:
    """It told nothing, for or against."""
    assert isinstance(looks((100, FAILED), (105, BROKEN), (110, FAILED))[-1], Unsuccessful)


def test_a_refusal_for_the_content_is_told_as_one() -> None:
    """Flag 2 or 3 alike."""
    end = looks((100, REFUSED), (110, REFUSED))[-1]
    assert isinstance(end, Unsuccessful)
    assert isinstance(end.error, errors.ContentRefused)


def test_success_without_urls_ends_with_them_or_after_its_time() -> None:
    """Looked at every five seconds; then the clip is made and paid and its address unknown."""
    assert looks((100, EMPTY), (105, EMPTY), (110, DONE))[1:] == [PollAgain(EMPTY_AGAIN_S), Succeeded(DONE)]
    end = looks((100, EMPTY), (100 + EMPTY_WAIT_S, EMPTY))[-1]
    assert isinstance(end, Unsuccessful)
    assert isinstance(end.error, errors.DownloadFailed)


def test_a_success_that_is_taken_back_is_not_believed_for_as_long() -> None:
    """Neither by "running" nor by "failed"; after that time the record is taken at its word again."""
    for other in (RUNS, FAILED):
        assert looks((100, EMPTY), (105, other), (115, other))[1:] == [PollAgain(EMPTY_AGAIN_S)] * 2
    late = 100 + EMPTY_WAIT_S
    assert looks((100, EMPTY), (late, RUNS), (late + 5, RUNS))[1:] == [NotFinished(), NotFinished()]
    assert looks((100, EMPTY), (late, FAILED))[-1] == PollAgain(CONFIRM_S)
    assert isinstance(looks((100, EMPTY), (late, FAILED), (late + 10, FAILED))[-1], Unsuccessful)


def test_a_failure_without_words_is_a_failure() -> None:
    """No code and no message."""
    end = looks((0, Record(flag=3)), (10, Record(flag=3)))[-1]
    assert isinstance(end, Unsuccessful)
    assert type(end.error) is errors.TaskFailed
