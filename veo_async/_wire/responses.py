"""Responses of the provider: one immutable type per kind; ``raw`` keeps the original object."""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

import attrs

from veo_async.errors import MalformedResponse, NotReady, RecordNotFound, TaskFailed, TaskRefused, printable

from . import codes
from .envelope import Envelope
from .fields import ACCEPTED, HD_VIDEO, RECORD, RECORD_PARAMS, UPLOAD, read_fields
from .readers import number, params, string, url
from .task_ids import is_from_provider


class TaskState(StrEnum):
    """The state of a task, according to its record."""

    GENERATING = "generating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: The record has an unknown state or none: keep polling, the task may be running.
    UNKNOWN = "unknown"


_GENERATING = 0
#: The words of the jobs route. The flag counts where the word is missing or new.
_FLAGS = {"waiting": 0, "queuing": 0, "generating": 0, "success": 1, "fail": 3}
_STATES = {_GENERATING: TaskState.GENERATING, 1: TaskState.SUCCEEDED, 2: TaskState.FAILED, 3: TaskState.FAILED}


def _raw() -> Any:
    return attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Accepted:
    """An accepted creating request: the task exists and will be charged."""

    task_id: str
    raw: Mapping[str, Any] = _raw()


@attrs.frozen(kw_only=True)
class UpscaledVideo:
    """The response to a 4K request: a task, and its videos once they exist."""

    task_id: str | None = None
    urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()

    @property
    def is_ready(self) -> bool:
        """Whether the videos exist."""
        return bool(self.urls)


@attrs.frozen(kw_only=True)
class HdVideo:
    """The 1080p version of a video."""

    url: str
    raw: Mapping[str, Any] = _raw()


@attrs.frozen(kw_only=True)
class Failure:
    """Why a task failed, as the provider states it."""

    #: 400, 422, 500 or 501; None if the provider sent none.
    code: int | None
    message: str

    @property
    def is_refusal(self) -> bool:
        """Whether the content was refused, as opposed to a technical failure."""
        return codes.is_refusal(self.message)

    def error(self, **evidence: Any) -> TaskFailed:
        """Return the failure as an exception."""
        kind = TaskRefused if self.is_refusal else TaskFailed
        reason = printable(self.message)
        return kind(self.message or "the task failed", reason_code=self.code, reason=reason, **evidence)


@attrs.frozen(kw_only=True)
class Record:
    """The provider's record of one task. It decides the task's state.

    Attributes:
        task_id: the provider's task id.
        flag: 0 generating, 1 succeeded, 2 and 3 failed; as it was sent.
        urls: the finished videos.
        full_urls: after an extension: the complete video, source clip included. The newest documentation promises it
            in the callback only; `urls` is then the continuation alone.
        origin_urls: the uncropped videos, if the aspect ratio is not 16:9.
        image_urls: still images, for 4K tasks.
        media_ids: the provider's ids of the videos.
        resolution: the resolution of the videos.
        has_audio: one per video.
        seeds: the seeds, requested or chosen by the provider.
        created_at: when the task was created.
        completed_at: when the task finished.
        error_code: the provider's code for the failure.
        error_message: the provider's text for the failure.
        fallback: whether a fallback model generated the video; deprecated.
        model: the model of the jobs API that created the task; None on the other route.
        credits_consumed: what the task costs, filled while it waits; None if the record does not say.
        raw: the whole record, as it was received.
    """

    task_id: str | None = None
    flag: int | None = None
    urls: tuple[str, ...] = ()
    full_urls: tuple[str, ...] = ()
    origin_urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    media_ids: tuple[str, ...] = ()
    resolution: str | None = None
    has_audio: tuple[bool, ...] = ()
    seeds: tuple[int, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None
    fallback: bool | None = None
    model: str | None = None
    credits_consumed: float | None = None
    raw: Mapping[str, Any] = _raw()

    @property
    def params(self) -> Mapping[str, Any]:
        """The request as the provider understood it, in camel case, including the callback URL."""
        found: Mapping[str, Any] = read_fields(RECORD_PARAMS, self.raw).get("params", {})
        return found

    @property
    def state(self) -> TaskState:
        """The task's state."""
        return _STATES.get(self.flag, TaskState.UNKNOWN) if self.flag is not None else TaskState.UNKNOWN

    @property
    def failure(self) -> Failure | None:
        """Why the task failed; None if it did not fail."""
        if self.state is not TaskState.FAILED:
            return None
        # On the jobs route the code can be a word, which then may be the only reason.
        word = string(self.raw.get("failCode")) if self.error_code is None else None
        return Failure(code=self.error_code, message=self.error_message or word or "")


@attrs.frozen(kw_only=True)
class Credits:
    """The balance of the account; it can have a fraction.

    Attributes:
        balance: the credits on the account.
    """

    balance: float


@attrs.frozen(kw_only=True)
class DownloadLink:
    """A direct link to a result, valid for 20 minutes. The provider also creates links to files that do not exist."""

    url: str


@attrs.frozen(kw_only=True)
class Upload:
    """A file on the provider's upload host, which deletes it after 24 hours."""

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
    """Return the accepted task; its id is required."""
    task_id = read_fields(ACCEPTED, envelope.data).get("task_id")
    if task_id is None:
        _raise_malformed("accepted, but the response has no task id")
    if not is_from_provider(task_id):
        _raise_malformed(f"accepted, but {printable(repr(task_id), 100)} is not a task id")
    return Accepted(task_id=task_id, raw=envelope.data)


def read_record(envelope: Envelope) -> Record:
    """Return the record."""
    if envelope.data is None:
        raise RecordNotFound("the response contains no record")
    return _record(_object(envelope.data))


def read_failed_record(envelope: Envelope) -> Record | None:
    """Return the record of a failed task in an error response, or None if ``data`` contains no error of a task.

    Only codes with which tasks fail count: a 429 or a 401 is about the request, regardless of ``data``.
    """
    if envelope.code not in codes.TASK_FAILURE_CODES or not isinstance(envelope.data, dict):
        return None
    record = _record(envelope.data, flag=3, error_code=envelope.code)
    return record if record.error_message else None


def record_from_raw(raw: Mapping[str, Any]) -> Record:
    """Return the record with this ``raw``."""
    return _record(raw)


def _record(data: Mapping[str, Any], **assumed: Any) -> Record:
    found = read_fields(RECORD, data, *result_layers(data), data.get("info"))
    flag = _FLAGS.get(found.pop("word", None))
    if flag is not None:
        found["flag"] = flag
    # The record of a running task is replaced by the next poll; every other record is kept.
    raw = data if found.get("flag") == _GENERATING else _intern_names(data)
    return Record(**{**assumed, **found, "raw": raw})


def result_layers(data: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the objects in which the results of a task can be: ``response``, ``resultJson``, and ``data`` in either.

    Both are read as an object and as JSON in a string: a clip that was paid is not lost for its spelling.
    """
    for name in ("response", "resultJson"):
        if value := data.get(name):
            result = params(value)
            yield result
            yield result.get("data")


def _intern_names(value: Any) -> Any:
    """Return *value* with interned names: the parser creates them for each response, half the memory of a record."""
    if not isinstance(value, dict):
        return value
    return {sys.intern(name): _intern_names(item) for name, item in value.items()}


def read_hd_video(envelope: Envelope) -> HdVideo:
    """Return the 1080p video, or raise `NotReady`."""
    data = {} if envelope.data is None else _object(envelope.data)
    found = read_fields(HD_VIDEO, data)
    if "url" not in found:
        raise NotReady("the video has no URL yet")  # the provider's message is "success"
    return HdVideo(url=found["url"], raw=data)


def read_upscaled(envelope: Envelope) -> UpscaledVideo:
    """Return the task of the 4K video, with the URLs if it is ready."""
    data = _object(envelope.data)
    return UpscaledVideo(**read_fields(ACCEPTED, data), raw=data)


def read_upscaled_from_error(envelope: Envelope) -> UpscaledVideo | None:
    """Return the 4K video of an error response, if there is one: a repeated request gets a 422 with the URLs."""
    found = read_fields(ACCEPTED, envelope.data)
    return UpscaledVideo(**found, raw=envelope.data) if "urls" in found else None


def read_credits(envelope: Envelope) -> Credits:
    """Return the balance."""
    balance = number(envelope.data)
    if balance is None:
        _raise_malformed("the balance is not a number")
    return Credits(balance=balance)


def read_download_link(envelope: Envelope) -> DownloadLink:
    """Return the direct link."""
    link = url(envelope.data)
    if link is None:
        _raise_malformed("the download link is not a URL")
    return DownloadLink(url=link)


def read_upload(envelope: Envelope) -> Upload:
    """Return the uploaded file."""
    found = read_fields(UPLOAD, envelope.data)
    if "url" not in found:
        _raise_malformed("the upload response has no URL")
    return Upload(**found, raw=envelope.data)


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        _raise_malformed(f"data is a {type(data).__name__} instead of an object")
    return data


def _raise_malformed(message: str) -> NoReturn:
    raise MalformedResponse(message)
