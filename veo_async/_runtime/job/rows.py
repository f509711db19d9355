"""Conversion between a live job and its row on the ledger: plain functions, in both directions.

Later versions must be able to read the rows: requests are stored in our own spelling with all defaults, records as the
provider sent them, and errors by name with their evidence. Fields that a later version added are ignored, and an error
whose class no longer exists becomes a plain `VeoError`.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from veo_async import errors
from veo_async._ports import JobRow, Scalar
from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import Priority
from veo_async._wire import (
    AnyRequest,
    ExtendRequest,
    Record,
    RouteName,
    UpgradeRequest,
    VideoRequest,
    record_from_raw,
    route_named,
)
from veo_async._wire.converter import from_dict, to_dict
from veo_async._wire.images import by_content
from veo_async.errors import MAY_HAVE_BEEN_CHARGED, InvalidRequest, JobUnreadable, Problem, VeoError

from .live_job import LiveJob
from .outcome import Clip, Done, Failed, HistoryItem, InDoubt, Outcome, Refused

#: The request classes by their name on the ledger.
_KINDS: dict[str, Any] = {"generate": VideoRequest, "extend": ExtendRequest, "upgrade": UpgradeRequest}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_ENDS_WITH_CLIP = (JobState.READY, JobState.SAVED)


@lru_cache(maxsize=32)
def to_json(request: AnyRequest) -> str:
    """Return *request* as JSON; equal requests give equal text. A job that is submitted needs it three times."""
    return _dump(to_dict(request))


def content_key(request: AnyRequest, take: int = 1, tenant: str = "") -> str:
    """Return the automatic key of a request: the same content, take and tenant give the same key.

    A local image counts by its content, not by its path.
    """
    content = f"[{to_json(by_content(request))}, {take}, {_dump(tenant)}]"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def row_of(job: LiveJob, *, account: str, at: float) -> JobRow:
    """Return the row of a new job.

    Raises:
        InvalidRequest: its metadata cannot be stored.
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
        budget=job.budget,
        price=job.price,
        credits=job.credits,
        route=job.route,
        source=job.source,
    )


def job_from_row(row: JobRow) -> LiveJob:
    """Return the live job that *row* describes.

    Raises:
        JobUnreadable: the row is damaged, or a later version of this library wrote it.
    """
    try:
        return _decode(row)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a stored value, this row cannot be read
        reason = f"{type(error).__name__}: {error}"
        raise JobUnreadable(f"job {row.key!r} cannot be read from the ledger ({reason})", job_key=row.key) from None


def _decode(row: JobRow) -> LiveJob:
    priority: Priority = "interactive" if row.priority == "interactive" else "batch"
    job = LiveJob(row.key, _request_of(row), row.tenant, priority, deadline=row.deadline, save_to=row.save_to)
    job.metadata = json.loads(row.metadata) if row.metadata else None
    job.state = JobState(row.state)
    job.task_id, job.token, job.sent_at, job.attempts = row.task_id, row.token, row.sent_at, row.attempts
    job.budget, job.price, job.credits = row.budget, row.price, row.credits
    job.route, job.credits_consumed = _route_of(row), row.credits_consumed
    job.outcome = _outcome(job, row)
    for at in (row.submitted_at, row.sent_at, row.deadline, row.ended_at):
        to_datetime(at)
    return job


def _request_of(row: JobRow) -> AnyRequest | None:
    kind = _KINDS[row.kind]
    if row.request is None:
        if row.state in (JobState.QUEUED, JobState.SENDING):
            raise ValueError("a job without a request cannot be sent")
        return None
    request: AnyRequest = from_dict(json.loads(row.request), kind)
    return request


def _route_of(row: JobRow) -> RouteName | None:
    return None if row.route is None else route_named(row.route).name


#: The error of a job whose session died while sending it.
_LOST = {"error": "ResponseLost", "message": "the outcome of its request is unknown", "remedy": MAY_HAVE_BEEN_CHARGED}


def update_from_row(job: LiveJob, row: JobRow) -> None:
    """Update *job* from *row*, without notifying anyone.

    Raises:
        JobUnreadable: the row cannot be read; *job* is unchanged.
    """
    new = job_from_row(row)
    job.state, job.outcome = new.state, new.outcome
    job.task_id, job.token, job.sent_at, job.attempts = new.task_id, new.token, new.sent_at, new.attempts
    job.budget, job.price, job.credits = new.budget, new.price, new.credits
    job.route, job.credits_consumed = new.route, new.credits_consumed


def outcome_to_json(outcome: Outcome) -> str:
    """Return *outcome* as JSON."""
    if isinstance(outcome, Done):
        clip = outcome.clip
        stored: dict[str, Any] = {"record": dict(clip.record.raw)}
        if clip.files:
            stored["files"] = [str(file) for file in clip.files]
            stored["sizes"] = clip.sizes
        if len(clip.history) > 1:
            stored["history"] = [attrs.astuple(item) for item in clip.history]
        return _dump(stored)
    return _dump({"error": error_to_dict(outcome.error)})


def error_evidence(error: VeoError) -> dict[str, Scalar]:
    """Return what the provider's support would ask about *error*."""
    plain = error_to_dict(error)
    left_out = ("job_key", "remedy", "summary", "advice", "log_url")
    return {name: value for name, value in plain.items() if name not in left_out and value is not None}


def error_to_dict(error: VeoError) -> dict[str, Scalar]:
    """Return the name, the message and the plain evidence of *error*."""
    known = {name: value for name, value in vars(error).items() if _is_plain(value) and not name.startswith("_")}
    return {"error": type(error).__name__, "message": error.message, **known}


def error_from_dict(plain: Mapping[str, Any]) -> VeoError:
    """Return the error that `error_to_dict` converted."""
    kind = getattr(errors, str(plain.get("error")), VeoError)
    is_ours = isinstance(kind, type) and issubclass(kind, VeoError)
    error: VeoError = (kind if is_ours else VeoError)(str(plain.get("message", "")))
    for name, value in plain.items():
        if name not in ("error", "message") and not callable(getattr(type(error), name, len)):
            setattr(error, name, value)
    return error


def to_datetime(at: float | None) -> datetime | None:
    """Return wall-clock seconds as a date in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _outcome(job: LiveJob, row: JobRow) -> Outcome | None:
    stored: dict[str, Any] = json.loads(row.outcome) if row.outcome else {}
    if job.state in _ENDS_WITH_CLIP:
        clip = clip_of(job, record_from_raw(stored.get("record", {})))
        history = tuple(HistoryItem(*item) for item in stored.get("history", ())) or clip.history
        files = tuple(map(Path, stored.get("files", ())))
        sizes = tuple(size and (size[0], size[1]) for size in stored.get("sizes", ()))
        return Done(attrs.evolve(clip, files=files, sizes=sizes, history=history))
    if job.state in (JobState.QUEUED, JobState.SENDING, JobState.RUNNING):
        return None
    error = error_from_dict(stored.get("error", _LOST))
    match job.state:
        case JobState.REFUSED:
            return Refused(job.key, error)
        case JobState.IN_DOUBT:
            return InDoubt(job.key, error)
        case _:
            return Failed(job.key, error)


def clip_of(job: LiveJob, record: Record, before: tuple[HistoryItem, ...] = ()) -> Clip:
    """Return the clip of *record*; *before* is the history of its source."""
    is_extended = isinstance(job.request, ExtendRequest)
    kind = _NAMES[type(job.request)] if job.request else "adopted"
    task_id, prompt = job.task_id or "", getattr(job.request, "prompt", "")
    own = HistoryItem(kind, task_id, job.key, prompt, getattr(job.request, "model", ""))
    return Clip(
        key=job.key,
        task_id=task_id,
        urls=(record.full_urls or record.urls) if is_extended else record.urls,
        request=job.request,
        record=record,
        route=job.route or "veo",
        history=(*before, own),
    )


def _metadata(value: Any) -> str | None:
    if value is None:
        return None
    try:
        text = _dump(value)
        text.encode()
    except (TypeError, ValueError) as error:
        reason = "it contains a lone surrogate" if isinstance(error, UnicodeEncodeError) else error
        rule, remedy = f"cannot be stored on a ledger: {reason}", "use strings, numbers, lists, dicts"
        raise InvalidRequest.of(Problem("metadata", value, rule, remedy)) from None
    return text


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | None)


_dump = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode
