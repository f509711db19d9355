"""Between a live job and its row in a ledger: plain functions, both ways.

What is written must be read by later versions: requests in our own spelling with their defaults written out, records
as the provider sent them, errors by name with their evidence. What a later version wrote and this one does not know is
passed over, and an error nobody knows any more becomes a plain `VeoError`.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from veo_async import errors
from veo_async._ports import JobRow, Scalar
from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import Priority
from veo_async._wire import AnyRequest, ExtendRequest, Record, UpgradeRequest, VideoRequest, record_from_raw
from veo_async._wire.converter import from_dict, to_dict
from veo_async._wire.images import by_content
from veo_async.errors import MAY_HAVE_BEEN_CHARGED, InvalidRequest, Problem, VeoError

from .live_job import LiveJob
from .outcome import Clip, Done, Failed, HistoryItem, InDoubt, Outcome, Refused

#: What a ledger calls each kind of request.
_KINDS: dict[str, Any] = {
    "generate": VideoRequest,
    "extend": ExtendRequest,
    "upgrade": UpgradeRequest,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_ENDS_WITH_CLIP = (JobState.READY, JobState.SAVED)


def to_json(request: AnyRequest) -> str:
    """*request* as JSON, the same for the same request."""
    return _dump(to_dict(request))


def content_key(request: AnyRequest, take: int = 1, tenant: str = "") -> str:
    """Return the automatic key of a request: the same content, take and tenant give the same key.

    A local image counts by its content, not by its path.
    """
    return hashlib.sha256(_dump([to_dict(by_content(request)), take, tenant]).encode()).hexdigest()[:20]


def row_of(job: LiveJob, *, account: str, at: float) -> JobRow:
    """*entry* as it is planned.

    Raises:
        InvalidRequest: its metadata is nothing that could be written down.
    """
    return JobRow(
        key=job.key,
        account=account,
        state=job.state,
        request=to_json(job.request) if job.request else None,
        kind=_NAMES[type(job.request)] if job.request else "generate",
        tenant=job.tenant,
        priority=job.priority,
        metadata=_metadata(job.metadata),
        task_id=job.task_id,
        submitted_at=at,
        deadline=job.deadline,
        save_to=job.save_to,
    )


def job_from_row(row: JobRow) -> LiveJob:
    """The live job that *row* tells of."""
    priority: Priority = "interactive" if row.priority == "interactive" else "batch"
    job = LiveJob(
        row.key,
        _request_of(row),
        tenant=row.tenant,
        priority=priority,
        metadata=json.loads(row.metadata) if row.metadata else None,
        deadline=row.deadline,
        save_to=row.save_to,
    )
    update_from_row(job, row)
    return job


def _request_of(row: JobRow) -> AnyRequest | None:
    return from_dict(json.loads(row.request), _KINDS[row.kind]) if row.request else None


#: The error of a job whose session died while sending it.
_LOST = {"error": "ResponseLost", "message": "nobody knows what became of its request", "remedy": MAY_HAVE_BEEN_CHARGED}


def update_from_row(job: LiveJob, row: JobRow) -> None:
    """Bring *entry* to where *row* is; whoever waits is not told."""
    job.state = JobState(row.state)
    job.task_id, job.token, job.sent_at, job.attempts = row.task_id, row.token, row.sent_at, row.attempts
    job.outcome = _outcome(job, row)


def outcome_to_json(outcome: Outcome) -> str:
    """How a job ended, to be written down."""
    if isinstance(outcome, Done):
        clip = outcome.clip
        stored: dict[str, Any] = {"record": dict(clip.record.raw)}
        if clip.files:
            stored["files"] = [str(file) for file in clip.files]
        if len(clip.history) > 1:
            stored["history"] = [attrs.astuple(made) for made in clip.history]
        return _dump(stored)
    return _dump({"error": error_to_dict(outcome.error)})


def error_evidence(error: VeoError) -> dict[str, Scalar]:
    """What *error* tells that the provider's support would want to know."""
    plain = error_to_dict(error)
    return {name: value for name, value in plain.items() if name not in ("job_key", "remedy") and value is not None}


def error_to_dict(error: VeoError) -> dict[str, Scalar]:
    """*error* by name, with its message and all of its evidence that is plain."""
    known = {name: value for name, value in vars(error).items() if _is_plain(value) and not name.startswith("_")}
    return {"error": type(error).__name__, "message": error.message, **known}


def error_from_dict(plain: Mapping[str, Any]) -> VeoError:
    """The error that `error_to_dict` wrote."""
    kind = getattr(errors, str(plain.get("error")), VeoError)
    error: VeoError = (kind if isinstance(kind, type) and issubclass(kind, VeoError) else VeoError)(
        str(plain.get("message", ""))
    )
    for name, value in plain.items():
        if name not in ("error", "message") and hasattr(type(error), name):
            setattr(error, name, value)
    return error


def to_datetime(at: float | None) -> datetime | None:
    """Wall-clock seconds as a date."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _outcome(job: LiveJob, row: JobRow) -> Outcome | None:
    stored: dict[str, Any] = json.loads(row.outcome) if row.outcome else {}
    if job.state in _ENDS_WITH_CLIP:
        clip = clip_of(job, record_from_raw(stored.get("record", {})))
        history = tuple(HistoryItem(*made) for made in stored.get("history", ())) or clip.history
        return Done(attrs.evolve(clip, files=tuple(map(Path, stored.get("files", ()))), history=history))
    if job.state in (JobState.QUEUED, JobState.SENDING, JobState.RUNNING):
        return None
    error = error_from_dict(stored.get("error", _LOST))
    match job.state:
        case JobState.REFUSED:
            return Refused(job.key, error.message, error)
        case JobState.IN_DOUBT:
            return InDoubt(job.key, error)
        case _:
            return Failed(job.key, error)


def clip_of(job: LiveJob, record: Record, before: tuple[HistoryItem, ...] = ()) -> Clip:
    """The clip that *record* tells of; *before* is what it was made from."""
    is_extended = isinstance(job.request, ExtendRequest)
    kind = _NAMES[type(job.request)] if job.request else "adopted"
    task_id = job.task_id or ""
    return Clip(
        key=job.key,
        task_id=task_id,
        urls=(record.full_urls or record.urls) if is_extended else record.urls,
        request=job.request,
        record=record,
        history=(*before, HistoryItem(kind, task_id, job.key)),
    )


def _metadata(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return _dump(value)
    except (TypeError, ValueError) as why:
        fault = Problem(
            "metadata", value, f"cannot be written into a ledger: {why}", "use strings, numbers, lists, dicts"
        )
        raise InvalidRequest.of(fault) from None


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | None)


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
