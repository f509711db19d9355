"""What comes back: one immutable value per kind of answer, each keeping what the provider sent in ``raw``."""

import sys
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

import attrs

from veo_async.errors import MalformedResponse, NotReady, RecordNotFound, TaskFailed, TaskRefused

from . import codes
from .envelope import Envelope
from .fields import ACCEPTED, HD_VIDEO, RECORD, RECORD_PARAMS, UPLOAD, read_fields
from .readers import number, url


class TaskState(StrEnum):
    """What a record says of its task."""

    GENERATING = "generating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: The record says something that we do not know, or nothing: keep looking, the task may well be running.
    UNKNOWN = "unknown"


_GENERATING = 0
_STATES = {_GENERATING: TaskState.GENERATING, 1: TaskState.SUCCEEDED, 2: TaskState.FAILED, 3: TaskState.FAILED}


def _raw() -> Any:
    return attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Accepted:
    """A creating call was accepted: the task exists and will be charged."""

    task_id: str
    raw: Mapping[str, Any] = _raw()


@attrs.frozen(kw_only=True)
class UpscaledVideo:
    """What a 4K request answers: a task, and its videos once they are made."""

    task_id: str | None = None
    urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()

    @property
    def is_ready(self) -> bool:
        return bool(self.urls)


@attrs.frozen(kw_only=True)
class HdVideo:
    """The 1080p version of a video."""

    url: str
    raw: Mapping[str, Any] = _raw()


@attrs.frozen(kw_only=True)
class Failure:
    """Why a task failed, in the provider's words."""

    #: 400, 422, 500 and 501 are met; None when the provider gave none.
    code: int | None
    message: str

    @property
    def is_refusal(self) -> bool:
        """Whether the content was refused, as against something having broken."""
        return codes.is_refusal(self.message)

    def error(self, **evidence: Any) -> TaskFailed:
        """The failure as an exception to raise."""
        kind = TaskRefused if self.is_refusal else TaskFailed
        return kind(self.message or "the task failed", reason_code=self.code, **evidence)


@attrs.frozen(kw_only=True)
class Record:
    """The provider's record of one task: the final authority on its state."""

    task_id: str | None = None
    #: 0 making, 1 done, 2 and 3 failed; as it was sent.
    flag: int | None = None
    #: The finished videos.
    urls: tuple[str, ...] = ()
    #: After an extension: the whole video in one piece.
    full_urls: tuple[str, ...] = ()
    #: The uncropped videos, when the ratio is not 16:9.
    origin_urls: tuple[str, ...] = ()
    #: Stills, of 4K tasks.
    image_urls: tuple[str, ...] = ()
    media_ids: tuple[str, ...] = ()
    resolution: str | None = None
    #: One per video.
    has_audio: tuple[bool, ...] = ()
    #: What the provider drew or was given.
    seeds: tuple[int, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None
    #: Whether a fallback model made it; deprecated.
    fallback: bool | None = None
    raw: Mapping[str, Any] = _raw()

    @property
    def params(self) -> Mapping[str, Any]:
        """The request as the provider understood it: its own camel case, with the callback URL in it."""
        found: Mapping[str, Any] = read_fields(RECORD_PARAMS, self.raw).get("params", {})
        return found

    @property
    def state(self) -> TaskState:
        return _STATES.get(self.flag, TaskState.UNKNOWN) if self.flag is not None else TaskState.UNKNOWN

    @property
    def failure(self) -> Failure | None:
        """Why it failed; None unless it did."""
        if self.state is not TaskState.FAILED:
            return None
        return Failure(code=self.error_code, message=self.error_message or "")


@attrs.frozen(kw_only=True)
class Credits:
    """The balance of the account; fractions occur."""

    balance: float


@attrs.frozen(kw_only=True)
class DownloadLink:
    """A direct link to a result, good for 20 minutes. It proves nothing: links to nothing are minted too."""

    url: str


@attrs.frozen(kw_only=True)
class Upload:
    """A file on the provider's upload host, there for 24 hours to three days."""

    url: str
    file_id: str | None = None
    file_name: str | None = None
    original_name: str | None = None
    file_path: str | None = None
    upload_path: str | None = None
    size: int | None = None
    mime_type: str | None = None
    uploaded_at: datetime | None = None
    expires_at: datetime | None = None
    raw: Mapping[str, Any] = _raw()


# --- from an envelope to a value --------------------------------------------------------------------------------


def read_accepted(envelope: Envelope) -> Accepted:
    found = read_fields(ACCEPTED, envelope.data)
    if "task_id" not in found:
        _raise_malformed("accepted, but without a task id")
    return Accepted(task_id=found["task_id"], raw=envelope.data)


def read_record(envelope: Envelope) -> Record:
    if envelope.data is None:
        raise RecordNotFound("an answer without a record")
    return _record(_object(envelope.data))


def read_failed_record(envelope: Envelope) -> Record | None:
    """The record in an answer that says no: its task failed when ``data`` tells of an error, else there is none.

    Only with a code that a task fails with: a 429 or a 401 is about the question, whatever ``data`` says beside it.
    """
    if envelope.code not in codes.TASK_FAILURE_CODES or not isinstance(envelope.data, dict):
        return None
    record = _record(envelope.data, flag=3, error_code=envelope.code)
    return record if record.error_message else None


def record_from_raw(raw: Mapping[str, Any]) -> Record:
    """The record whose ``raw`` was kept."""
    return _record(raw)


def _record(data: Mapping[str, Any], **assumed: Any) -> Record:
    found = read_fields(RECORD, data, data.get("response"), data.get("info"))
    # Of a running task the next look brings another; every other record is for keeping.
    raw = data if found.get("flag") == _GENERATING else _intern_names(data)
    return Record(**{**assumed, **found, "raw": raw})


def _intern_names(value: Any) -> Any:
    """*value* with its names shared: the parser makes them anew for each answer, half of what a record weighs."""
    if not isinstance(value, dict):
        return value
    return {sys.intern(name): _intern_names(item) for name, item in value.items()}


def read_hd_video(envelope: Envelope) -> HdVideo:
    data = {} if envelope.data is None else _object(envelope.data)
    found = read_fields(HD_VIDEO, data)
    if "url" not in found:
        raise NotReady("no URL yet")  # its own message is "success"
    return HdVideo(url=found["url"], raw=data)


def read_upscaled(envelope: Envelope) -> UpscaledVideo:
    data = _object(envelope.data)
    return UpscaledVideo(**read_fields(ACCEPTED, data), raw=data)


def read_upscaled_from_error(envelope: Envelope) -> UpscaledVideo | None:
    """A repeated 4K request answers 422 although the video is there: the URLs tell, not the code."""
    found = read_fields(ACCEPTED, envelope.data)
    return UpscaledVideo(**found, raw=envelope.data) if "urls" in found else None


def read_credits(envelope: Envelope) -> Credits:
    balance = number(envelope.data)
    if balance is None:
        _raise_malformed("a balance that is no number")
    return Credits(balance=balance)


def read_download_link(envelope: Envelope) -> DownloadLink:
    link = url(envelope.data)
    if link is None:
        _raise_malformed("a download link that is no URL")
    return DownloadLink(url=link)


def read_upload(envelope: Envelope) -> Upload:
    found = read_fields(UPLOAD, envelope.data)
    if "url" not in found:
        _raise_malformed("an upload without a URL")
    return Upload(**found, raw=envelope.data)


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        _raise_malformed(f"data is a {type(data).__name__} where an object belongs")
    return data


def _raise_malformed(why: str) -> NoReturn:
    raise MalformedResponse(why)
