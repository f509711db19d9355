"""Requests from a user's arguments, and outcomes from the end of a task: plain functions."""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._wire import AnyRequest, VideoRequest
from veo_async._wire.converter import from_dict, unknown_options
from veo_async.errors import (
    ClipExpired,
    ContentRefused,
    DownloadFailed,
    InvalidRequest,
    JobAbandoned,
    Problem,
    RecordExpired,
    RecordNotFound,
    VeoError,
)

from .live_job import LiveJob
from .outcome import KEPT_FOR, Done, Failed, HistoryItem, Outcome, Refused
from .rows import clip_of, to_datetime

#: Errors after which the task of a failed job may exist, and be charged, nevertheless. A refused job has no task.
_POSSIBLY_CHARGED = (RecordNotFound, RecordExpired, DownloadFailed, JobAbandoned)


def as_request(request: AnyRequest | str, options: Mapping[str, Any]) -> AnyRequest:
    """Return *request* with *options* changed, or a request built from a prompt and *options*.

    Raises:
        InvalidRequest: *request* is neither, or an option is wrong.
    """
    if not isinstance(request, str | AnyRequest):
        rule = "must be a prompt or a request"
        raise InvalidRequest.of(Problem("request", request, rule, "for several, use map()"))
    if not isinstance(request, str):
        if not options:
            return request
        if unknown := unknown_options(options, attrs.fields_dict(type(request))):
            raise InvalidRequest.of(*unknown)
        return attrs.evolve(request, **options)
    return from_dict({"prompt": request, **options}, VideoRequest) if options else VideoRequest(request)


def ended_without_charge(job: LiveJob) -> bool:
    """Whether *job* finished without a clip and without a charge: its key may be used again."""
    return _is_free(job.outcome)


def is_certainly_free(job: LiveJob, outcome: Outcome | None) -> bool:
    """Whether the latest request of *job*, which ended with *outcome*, certainly was not charged."""
    was_never_sent = not job.attempts and job.task_id is None
    is_abandoned = isinstance(outcome, Failed) and isinstance(outcome.error, JobAbandoned)
    return (is_abandoned and was_never_sent) or _is_free(outcome)


def _is_free(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Refused) or (
        isinstance(outcome, Failed) and not isinstance(outcome.error, _POSSIBLY_CHARGED)
    )


def credits_after(job: LiveJob, event: Event, outcome: Outcome | None) -> float | None:
    """Return what *job* has cost or may cost after *event*: another request adds its price, a free one returns it."""
    if event is Event.RESUBMIT:
        return None if job.credits is None or job.price is None else job.credits + job.price
    if not is_certainly_free(job, outcome):
        return job.credits
    if job.credits is not None and job.price is not None:
        return job.credits - job.price
    return 0.0 if job.attempts <= 1 else None


def check_not_deleted(job: LiveJob, now: float) -> None:
    """Check that the provider still has the clip of *job*, unless it was saved.

    Raises:
        ClipExpired: it does not.
    """
    if not isinstance(job.outcome, Done) or job.outcome.clip.files or job.sent_at is None:
        return
    if now - job.sent_at > KEPT_FOR.total_seconds():
        generated_at = job.outcome.clip.completed_at or to_datetime(job.sent_at)
        message = f"the clip was generated on {generated_at:%Y-%m-%d}, and the provider has deleted it since"
        raise ClipExpired(message, job_key=job.key, task_id=job.task_id)


def rejected_job(request: AnyRequest | str, error: VeoError) -> LiveJob:
    """Return a job with the outcome `Refused` for a request that could not be submitted."""
    key = error.job_key or str(getattr(request, "prompt", request))[:40]
    return LiveJob(key, None, state=JobState.REFUSED, outcome=Refused(key, error))


def outcome_of(
    job: LiveJob, end: Succeeded | Unsuccessful, history: tuple[HistoryItem, ...] = ()
) -> tuple[Event, Done | Refused | Failed]:
    """Return the outcome of a job whose task has ended as *end* says, and the event of that transition."""
    if isinstance(end, Succeeded):
        return Event.COMPLETE, Done(clip_of(job, end.record, history))
    end.error.add_evidence(job_key=job.key, task_id=job.task_id, attempts=job.attempts)
    if isinstance(end.error, ContentRefused):
        return Event.REFUSE, Refused(job.key, end.error)
    if isinstance(end.error, RecordExpired):
        return Event.EXPIRE, Failed(job.key, end.error)
    return Event.FAIL, Failed(job.key, end.error)
