"""What we ask of the provider: immutable values with our own option names.

A value's *type* is checked when it is made; whether the provider will take it is the business of `validation`,
which knows the dialect. Spelling is the dialect's business too (`converter`).
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from enum import Enum
from os import PathLike, fsdecode
from typing import Any, TypedDict

import attrs

from veo_async.errors import InvalidRequest, Problem

from .models import DEFAULT_EXTEND_MODEL, DEFAULT_MODEL, UPGRADE_TARGETS, AspectRatio, Resolution


class VideoOptions(TypedDict, total=False):
    """The options of a `VideoRequest`, as keyword arguments of the calls that make one."""

    image: str | PathLike[str] | bytes
    image_urls: Sequence[str | PathLike[str] | bytes]
    model: str
    generation_type: str | None
    aspect_ratio: str
    seeds: int | None
    callback_url: str | None
    enable_fallback: bool | None
    enable_translation: bool
    watermark: str | None
    resolution: str | None
    duration: int | None


class ExtendOptions(TypedDict, total=False):
    """The options of an `ExtendRequest`, likewise."""

    model: str
    seeds: int | None
    callback_url: str | None
    watermark: str | None


#: A set would put the first and the last frame in any order.
_NO_LISTS = (str, bytes, Mapping, Set)


def _enum_value(value: Any) -> Any:
    """Our enums are a help for typing; the request itself holds the provider's words."""
    return value.value if isinstance(value, Enum) else value


def _as_tuple(value: Any) -> Any:
    """A tuple of what a list-like holds; a lone string and what has no order stay, to be refused by their type."""
    if value is None:
        return ()
    if not isinstance(value, Iterable) or isinstance(value, _NO_LISTS):
        return value
    return tuple(fsdecode(item) if isinstance(item, PathLike) else item for item in value)


def _instance_of(wanted: type, described: str) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    """A validator: the value is a *wanted*, and True is no number."""

    def check_type(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        is_right = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        if not is_right and not (value is None and attribute.default is None):
            raise _type_fault(attribute.name, value, described)

    return check_type


def _strings(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise _type_fault(attribute.name, value, "a list of strings")


def _type_fault(name: str, value: Any, described: str) -> InvalidRequest:
    return InvalidRequest.of(Problem(name, value, f"must be {described}", f"pass {described}"))


_text = _instance_of(str, "a string")
_number = _instance_of(int, "a whole number")
_flag = _instance_of(bool, "True or False")


@attrs.frozen
class VideoRequest:
    """One clip that is wanted.

    Only what is set is sent, save for model, aspect ratio and translation: these are always sent, because the
    provider's own pages disagree about their defaults.
    """

    #: What the clip shows; sound and speech too.
    prompt: str = attrs.field(validator=_text)
    #: First frame, first and last frame, or reference material: public URLs, or files that a session uploads.
    image_urls: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_as_tuple, validator=_strings)
    #: See `Model`.
    model: str = attrs.field(default=DEFAULT_MODEL, kw_only=True, converter=_enum_value, validator=_text)
    #: See `GenerationType`; None lets the provider go by the images.
    generation_type: str | None = attrs.field(default=None, kw_only=True, converter=_enum_value, validator=_text)
    #: See `AspectRatio`.
    aspect_ratio: str = attrs.field(
        default=AspectRatio.LANDSCAPE.value, kw_only=True, converter=_enum_value, validator=_text
    )
    #: 10000 to 99999: similar clips for the same number. None lets the provider draw one.
    seeds: int | None = attrs.field(default=None, kw_only=True, validator=_number)
    #: Where the provider posts the end of the task.
    callback_url: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    #: Deprecated by the provider: leave it out.
    enable_fallback: bool | None = attrs.field(default=None, kw_only=True, validator=_flag)
    #: Have the prompt put into English first. It can drop instructions about the language that is spoken.
    enable_translation: bool = attrs.field(default=True, kw_only=True, validator=_flag)
    #: Text drawn into the picture.
    watermark: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    #: See `Resolution`; None is the provider's default, 720p.
    resolution: str | None = attrs.field(default=None, kw_only=True, converter=_enum_value, validator=_text)
    #: Seconds: 4, 6 or 8. None is the provider's default, 8.
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
    """A continuation of a clip: about seven seconds more."""

    #: The task whose clip goes on; not one that was taken to 1080p.
    task_id: str = attrs.field(default="", validator=_text)
    #: How it goes on.
    prompt: str = attrs.field(default="", validator=_text)
    #: ``fast``, ``quality`` or ``lite``: an extension has model names of its own.
    model: str = attrs.field(default=DEFAULT_EXTEND_MODEL, kw_only=True, validator=_text)
    #: 10000 to 99999, or None.
    seeds: int | None = attrs.field(default=None, kw_only=True, validator=_number)
    #: Where the provider posts the end of the task.
    callback_url: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    #: Text drawn into the picture.
    watermark: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    #: Instead of a task: the key of the job whose task it will be.
    after_key: str | None = attrs.field(default=None, kw_only=True, validator=_text)


@attrs.frozen
class UpgradeRequest:
    """A clip's 1080p or 4K version.

    The provider asks for it by its source, again and again until it is made, and gives the 1080p one no id at all. So
    an upgrade's task is named by us, for its source: ``1080p:4c9a…``.
    """

    #: The task whose clip is taken up; it has succeeded.
    task_id: str = attrs.field(default="", validator=_text)
    #: ``1080p`` or ``4k``.
    to: str = attrs.field(default=Resolution.HD1080.value, converter=_enum_value, validator=_text)
    #: Which of the task's videos, from 0.
    index: int | None = attrs.field(default=None, kw_only=True, validator=_number)
    #: Where the provider posts the end of a 4K task.
    callback_url: str | None = attrs.field(default=None, kw_only=True, validator=_text)
    #: Instead of a task: the key of the job whose task it will be.
    after_key: str | None = attrs.field(default=None, kw_only=True, validator=_text)

    @property
    def task_name(self) -> str:
        """What the task of this upgrade is called."""
        return f"{self.to}:{self.task_id}:{self.index}" if self.index else f"{self.to}:{self.task_id}"


#: Everything that a job can be of.
AnyRequest = VideoRequest | ExtendRequest | UpgradeRequest


def upgrade_from_name(task_name: str) -> UpgradeRequest | None:
    """The upgrade whose task is called *task_name*; None for a task that the provider has named."""
    to, _, rest = task_name.partition(":")
    if to not in UPGRADE_TARGETS or not rest:
        return None
    task_id, _, index = rest.partition(":")
    return UpgradeRequest(task_id, to, index=int(index) if index.isdecimal() else None)
