"""Requests to the provider: immutable values with our own option names.

The *type* of each value is checked at once. `validation` checks whether the provider accepts the value, and
`converter` spells it; both depend on the dialect.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from enum import Enum
from os import PathLike, fsdecode
from typing import Any, TypedDict

import attrs

from veo_async.errors import InvalidRequest, Problem

from .models import (
    DEFAULT_MODEL,
    AspectRatio,
    AspectRatioName,
    DurationSeconds,
    ExtendModel,
    GenerationType,
    GenerationTypeName,
    Model,
    ModelName,
    Resolution,
    ResolutionName,
)
from .task_ids import is_upgrade_name


class VideoOptions(TypedDict, total=False):
    """The options of a `VideoRequest`, as keyword arguments."""

    image: str | PathLike[str] | bytes | Sequence[str | PathLike[str] | bytes]
    image_urls: Sequence[str | PathLike[str] | bytes]
    model: ModelName | Model
    generation_type: GenerationTypeName | GenerationType | None
    aspect_ratio: AspectRatioName | AspectRatio
    seeds: int | None
    callback_url: str | None
    enable_fallback: bool | None
    enable_translation: bool
    watermark: str | None
    resolution: ResolutionName | Resolution | None
    duration: DurationSeconds | None


class ExtendOptions(TypedDict, total=False):
    """The options of an `ExtendRequest`, as keyword arguments."""

    model: ExtendModel
    seeds: int | None
    callback_url: str | None
    watermark: str | None


#: Not accepted as lists of images. A set, for example, would lose the order of first and last frame.
_NO_LISTS = (str, bytes, Mapping, Set)


def _enum_value(value: Any) -> Any:
    """Return the value of an enum member: requests hold the provider's strings."""
    return value.value if isinstance(value, Enum) else value


def _as_tuple(value: Any) -> Any:
    """Return the items of a list-like as a tuple. Other values, such as a single string, are left and fail later."""
    if value is None:
        return ()
    if not isinstance(value, Iterable) or isinstance(value, _NO_LISTS):
        return value
    return tuple(fsdecode(item) if isinstance(item, PathLike) else item for item in value)


def is_instance(value: Any, kind: type) -> bool:
    """Return True if *value* is a *kind*. Unlike in `isinstance`, a boolean is not a number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _instance_of(kind: type, type_name: str) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    """Return an attrs validator that accepts a *kind*, and None where that is the default."""

    def check_type(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not is_instance(value, kind) and not (value is None and attribute.default is None):
            raise _type_error(attribute.name, value, type_name)

    return check_type


def _strings(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise _type_error(attribute.name, value, "a list of strings")


def _type_error(name: str, value: Any, type_name: str) -> InvalidRequest:
    return InvalidRequest.of(Problem(name, value, f"must be {type_name}"))


_text = _instance_of(str, "a string")
_number = _instance_of(int, "a whole number")
_flag = _instance_of(bool, "True or False")


@attrs.frozen
class VideoRequest:
    """A request for one clip.

    Options that are None are not sent. Model, aspect ratio and translation are always sent, because the provider's
    documentation contradicts itself about their defaults.

    Attributes:
        prompt: what the clip shows, including sound and speech.
        image_urls: first frame, first and last frame, or reference images: public URLs, or files that a session
            uploads.
        model: see `Model`.
        generation_type: see `GenerationType`. None lets the provider decide by the images.
        aspect_ratio: see `AspectRatio`.
        seeds: 10000 to 99999. The same seed gives similar clips. None lets the provider choose one.
        callback_url: the URL to which the provider posts when the task has finished.
        enable_fallback: deprecated by the provider; do not use it.
        enable_translation: translate the prompt into English first. This can drop instructions about the spoken
            language.
        watermark: text drawn into the video.
        resolution: see `Resolution`. None is the provider's default, 720p.
        duration: seconds: 4, 6 or 8. None is the provider's default, 8.
    """

    prompt: str = attrs.field(validator=_text)
    image_urls: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_as_tuple, validator=_strings)
    model: str = attrs.field(default=DEFAULT_MODEL, kw_only=True, converter=_enum_value, validator=_text)
    generation_type: str | None = attrs.field(default=None, kw_only=True, converter=_enum_value, validator=_text)
    aspect_ratio: str = attrs.field(
        default=AspectRatio.LANDSCAPE.value, kw_only=True, converter=_enum_value, validator=_text
    )
    seeds: int | None = attrs.field(default=None, kw_only=True, validator=_number)
    callback_url: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    enable_fallback: bool | None = attrs.field(default=None, kw_only=True, validator=_flag)
    enable_translation: bool = attrs.field(default=True, kw_only=True, validator=_flag)
    watermark: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    resolution: str | None = attrs.field(default=None, kw_only=True, converter=_enum_value, validator=_text)
    duration: int | None = attrs.field(default=None, kw_only=True, validator=_number)

    def __attrs_post_init__(self) -> None:
        if self.enable_fallback is not None:
            warnings.warn(
                "enable_fallback is deprecated: the provider asks to remove it",
                DeprecationWarning,
                stacklevel=3,
            )


@attrs.frozen
class ExtendRequest:
    """A request to continue a clip by about seven seconds.

    Attributes:
        task_id: the task of the source clip, which must not have been upgraded to 1080p.
        prompt: what happens in the continuation.
        model: ``fast``, ``quality`` or ``lite``: extensions use their own model names. None: the model of the source
            clip, or ``fast`` if that is not known.
        seeds: 10000 to 99999, or None.
        callback_url: the URL to which the provider posts when the task has finished.
        watermark: text drawn into the video.
        after_key: instead of a task: the key of the job that makes the source clip.
    """

    task_id: str = attrs.field(default="", validator=_text)
    prompt: str = attrs.field(default="", validator=_text)
    model: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    seeds: int | None = attrs.field(default=None, kw_only=True, validator=_number)
    callback_url: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    watermark: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    after_key: str | None = attrs.field(default=None, kw_only=True, validator=_text)


@attrs.frozen
class UpgradeRequest:
    """A request for the 1080p or 4K version of a clip.

    On the ``veo`` route the provider has no task for it: the same request is repeated until the video exists, and a
    1080p video gets no id. So we form the task id from the source's: ``1080p:4c9a…``.

    Attributes:
        task_id: the task of the source clip, which must have succeeded.
        to: ``1080p`` or ``4k``.
        index: the index of the video within the task, from 0.
        callback_url: the URL to which the provider posts when a 4K task has finished.
        after_key: instead of a task: the key of the job that makes the source clip.
    """

    task_id: str = attrs.field(default="", validator=_text)
    to: str = attrs.field(default=Resolution.HD1080.value, converter=_enum_value, validator=_text)
    index: int | None = attrs.field(default=None, kw_only=True, validator=_number)
    callback_url: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    after_key: str | None = attrs.field(default=None, kw_only=True, validator=_text)

    @property
    def task_name(self) -> str:
        """The task id of this upgrade."""
        return f"{self.to}:{self.task_id}:{self.index}" if self.index else f"{self.to}:{self.task_id}"


#: Every kind of request that a job can have.
AnyRequest = VideoRequest | ExtendRequest | UpgradeRequest


def upgrade_from_name(task_name: str) -> UpgradeRequest | None:
    """Return the upgrade with the task id *task_name*, or None for a task id of the provider."""
    if not is_upgrade_name(task_name):
        return None
    to, _, rest = task_name.partition(":")
    task_id, _, index = rest.partition(":")
    return UpgradeRequest(task_id, to, index=int(index) if index.isdecimal() else None)
