"""From a request to what is wanted, and from a task's end to a job's: plain functions."""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._wire import AnyRequest, VideoRequest
from veo_async._wire.converter import from_dict
from veo_async.errors import ContentRefused, DownloadFailed, JobAbandoned, RecordExpired, RecordNotFound, VeoError

from .live_job import LiveJob
from .outcome import Done, Failed, HistoryItem, Refused
from .rows import clip_of

#: Ends after which a task may exist, and be paid, all the same.
_POSSIBLY_CHARGED = (RecordNotFound, RecordExpired, DownloadFailed, JobAbandoned)


def as_request(request: AnyRequest | str, options: Mapping[str, Any]) -> AnyRequest:
    """A whole request, from one with changes to it, or from a prompt with options."""
    if isinstance(request, AnyRequest):
        return attrs.evolve(request, **options) if options else request
    return from_dict({"prompt": request, **options}, VideoRequest)


def ended_without_charge(job: LiveJob) -> bool:
    """Ended without a clip and without a charge: the same key may be used for another try."""
    if not isinstance(job.outcome, Refused | Failed):
        return False
    return not isinstance(job.outcome.error, _POSSIBLY_CHARGED)


def rejected_job(request: AnyRequest | str, error: VeoError) -> LiveJob:
    """A job that was not taken in, for whoever wants an outcome all the same."""
    named = str(getattr(request, "prompt", request))  # whatever it was that was given
    key = error.job_key or named[:40]
    return LiveJob(key, None, state=JobState.REFUSED, outcome=Refused(key, error.message, error))


def outcome_of(
    job: LiveJob, end: Succeeded | Unsuccessful, history: tuple[HistoryItem, ...] = ()
) -> tuple[Event, Done | Refused | Failed]:
    """How a job ends whose task has ended, and the event that takes it there."""
    if isinstance(end, Succeeded):
        return Event.COMPLETE, Done(clip_of(job, end.record, history))
    end.error.add_evidence(job_key=job.key, task_id=job.task_id, attempts=job.attempts)
    if isinstance(end.error, ContentRefused):
        return Event.REFUSE, Refused(job.key, end.error.message, end.error)
    if isinstance(end.error, RecordExpired):
        return Event.EXPIRE, Failed(job.key, end.error)
    return Event.FAIL, Failed(job.key, end.error)
