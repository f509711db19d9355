"""One line of a list: from what was written to what is wanted, or to all that is wrong with it."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from veo_async._runtime.job.follow_ups import ChainItem, FollowUp, chain_of
from veo_async._runtime.job.rows import content_key
from veo_async._runtime.queued.images import inspect_image
from veo_async._wire import Dialect, ExtendRequest, VideoRequest, problems_of
from veo_async._wire.converter import from_dict
from veo_async._wire.images import is_path, with_image
from veo_async.errors import InvalidRequest, Problem

REQUEST_COLUMNS = frozenset({"image", *(field.name for field in attrs.fields(VideoRequest))})
#: Columns that are about the job, not about the request.
JOB_COLUMNS = frozenset({"key", "take", "extend", "upgrade"})

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NUMBERS = frozenset({"seeds", "duration", "take"})
_FLAGS = frozenset({"enable_translation", "enable_fallback"})
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}|[{}]")


@attrs.frozen(kw_only=True)
class Row:
    """One job that is wanted."""

    #: Where it stands in the file.
    line: int
    key: str
    take: int
    request: VideoRequest
    #: What is made of the clip once it is there.
    then: tuple[FollowUp, ...] = ()
    #: What was written, column by column, to be written out again.
    cells: Mapping[str, str] = attrs.field(repr=False)

    @property
    def chain(self) -> list[ChainItem]:
        """Its job, and those that follow."""
        return [ChainItem(self.key, self.request), *chain_of(self.key, self.then)]


@attrs.frozen
class RowProblem:
    """What is wrong with one line."""

    line: int
    faults: tuple[Problem, ...]
    cells: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def __str__(self) -> str:
        return "; ".join(f"line {self.line}: {fault}" for fault in self.faults)


@attrs.frozen
class RawRow:
    line: int
    values: Mapping[str, Any]
    faults: tuple[Problem, ...] = ()


def _fill_template(template: str, values: Mapping[str, Any]) -> str:
    """Our own, because ``str.format`` reaches into whatever it is given."""
    return PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")) if match[1] else match[0][0], template)


class ImageFiles:
    """The image files of one list, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str | InvalidRequest] = {}

    def with_references(self, request: VideoRequest) -> VideoRequest:
        """*request* with its files as jobs hold them.

        Raises:
            InvalidRequest: some cannot be used; all of them are told.
        """
        seen = [self._inspect(image) if is_path(image) else image for image in request.image_urls]
        if faults := [fault for one in seen if isinstance(one, InvalidRequest) for fault in one.problems]:
            raise InvalidRequest.of(*faults)
        return attrs.evolve(request, image_urls=seen) if tuple(seen) != request.image_urls else request

    def _inspect(self, path: str) -> str | InvalidRequest:
        if path not in self._known:
            try:
                self._known[path] = inspect_image(os.path.join(self._folder, path)).as_reference
            except InvalidRequest as error:
                self._known[path] = error
        return self._known[path]


def parse_row(
    raw: RawRow, dialect: Dialect, defaults: Mapping[str, Any], template: str | None, images: ImageFiles
) -> Row | RowProblem:
    cells = {name: to_cell(value) for name, value in raw.values.items()}
    faults = [*raw.faults]
    values: dict[str, Any] = {}
    for name, value in raw.values.items():
        if name in REQUEST_COLUMNS | JOB_COLUMNS and value not in ("", None):
            try:
                values[name] = _value(name, value)
            except ValueError:
                faults.append(Problem(name, value, *_type_problem(name)))
    take, key = values.pop("take", 1), values.pop("key", None)
    then = _then(values.pop("extend", None), values.pop("upgrade", None))
    plain = {**defaults, **values}
    if template is not None and "prompt" not in values:
        plain["prompt"] = _fill_template(template, raw.values)
    if faults:
        return RowProblem(raw.line, tuple(faults), cells)
    try:
        request = images.with_references(from_dict(with_image(plain), VideoRequest))
    except InvalidRequest as error:
        return RowProblem(raw.line, error.problems, cells)
    name = str(key) if key is not None else content_key(request, take)
    row = Row(line=raw.line, key=name, take=take, request=request, then=then, cells=cells)
    try:
        broken = [fault for link in row.chain for fault in problems_of(link.request, dialect)]
    except InvalidRequest as error:
        broken = list(error.problems)
    return RowProblem(raw.line, tuple(broken), cells) if broken else row


def _then(extend: Any, upgrade: Any) -> tuple[FollowUp, ...]:
    """The steps in their order: what was taken to 1080p cannot be extended any more."""
    extension = () if extend is None else (ExtendRequest(prompt=str(extend)),)
    return extension if upgrade is None else (*extension, str(upgrade))


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value  # JSON says itself what it is; the converter is strict about it
    if name in _NUMBERS:
        return int(value)
    if name in _FLAGS:
        return _flag(value)
    return value.split() if name == "image_urls" else value


def _flag(value: str) -> bool:
    if value.strip().lower() not in _WORDS:
        raise ValueError(value)
    return _WORDS[value.strip().lower()]


def _type_problem(name: str) -> tuple[str, str]:
    if name in _FLAGS:
        return "must be true or false", "write true or false"
    return "must be a whole number", "write a whole number"


def to_cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
