"""What the file name of a job may be made of, and the session's default target for jobs that name none."""

from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Clip, Done
from veo_async._runtime.queued.admission import Admission
from veo_async._wire import AnyRequest
from veo_async.media.templates import NameFacts, PathTemplate, absolute


async def facts_of_chain(key: str, first: AnyRequest, admission: Admission) -> NameFacts:
    """Return the facts about the job *key*, whose chain begins with *first* or, if that is a follow-up, before it."""
    request: AnyRequest | None = first
    while (source := await _source_of(request, admission)) is not None:
        request = source.request
    return _facts(key, request)


def default_target_of(default: str | PathTemplate | None, job: LiveJob) -> str | None:
    """Return where the clip of *job* is saved if neither its caller nor the ledger says so."""
    if not isinstance(default, PathTemplate):
        return default
    facts = facts_of_clip(job.outcome.clip) if isinstance(job.outcome, Done) else _facts(job.key, job.request)
    return absolute(default.fill(facts))


def facts_of_clip(clip: Clip) -> NameFacts:
    """Return the facts about the job of a finished clip."""
    model = next((item.model for item in clip.history if item.model), "")
    return NameFacts(key=clip.key, prompt=clip.first_prompt, model=model)


def _facts(key: str, request: AnyRequest | None) -> NameFacts:
    return NameFacts(key=key, prompt=getattr(request, "prompt", ""), model=getattr(request, "model", ""))


async def _source_of(request: AnyRequest | None, admission: Admission) -> LiveJob | None:
    """Return the job that *request* continues from; None if it continues from none that is known."""
    if after_key := getattr(request, "after_key", None):
        return await admission.find(after_key)
    task_id = getattr(request, "task_id", None)
    key = await admission.key_of_task(task_id) if task_id else None
    return await admission.find(key) if key else None
