"""One row of a list: parses its values into a job, or collects everything that is wrong with it."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from veo_async.errors import InvalidRequest, Problem
from veo_async.media.names import readable_name
from veo_async.requests import (
    ChainItem,
    automatic_key,
    chain_of,
    inspect_image,
    is_path,
    problems_of,
    request_from_dict,
    with_image,
)
from veo_async.types import Dialect, ExtendRequest, FollowUp, VideoRequest

#: Columns that set an option of the request.
REQUEST_COLUMNS = frozenset({"image", *(field.name for field in attrs.fields(VideoRequest))})
#: Columns that concern the job rather than its request.
JOB_COLUMNS = frozenset({"key", "take", "extend", "upgrade"})
#: The column of ``rejected.csv`` with the reason. It is ignored when that file is run as a list.
ERROR_COLUMN = "error"
#: The column of ``rejected.csv`` with the number that the row has in its list, so that names keep their numbers.
NUMBER_COLUMN = "list_row"
#: The columns that ``results.csv`` adds to those of the list.
RESULT_COLUMNS = (
    *("status", "path", "height", "credits", "credits_consumed", "reason", "remedy", "detail", "task_id", "log_url"),
)

_NOT_OTHERS = REQUEST_COLUMNS | JOB_COLUMNS | {NUMBER_COLUMN}
#: ``{column}``, a doubled brace, or a single brace, which is an error.
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}|[{}]")

#: A German Excel writes WAHR and FALSCH.
_TRUE, _FALSE = ("true", "yes", "1", "wahr", "ja"), ("false", "no", "0", "falsch", "nein")
_BOOLEANS = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
#: A whole number, perhaps with a decimal point, or with a comma as in many spreadsheets.
_WHOLE_NUMBER = re.compile(r"([+-]?\d+)(?:[.,]0*)?")
#: In these columns, blanks around the text belong to it.
_TEXT_COLUMNS = frozenset({"prompt", "extend"})
_INTEGER_COLUMNS = frozenset({"seeds", "duration", "take"})
#: What surrounds a name without being seen.
INVISIBLE = " \t\r\n\xa0\u200b\u200e\u200f\ufeff"
_BLANKS = re.compile(r"[\s_-]+")
_BOOLEAN_COLUMNS = frozenset({"enable_translation", "enable_fallback"})


@attrs.frozen(kw_only=True)
class Row:
    """A valid row: one job to submit."""

    #: Line number in the file.
    line: int
    #: Its number among the rows of the list, from 1.
    number: int = 1
    key: str
    take: int
    request: VideoRequest
    #: Follow-ups of the clip, in order.
    then: tuple[FollowUp, ...] = ()
    #: The row as it was read, by column, to be copied to the result files.
    cells: Mapping[str, str] = attrs.field(repr=False)
    #: The values of the columns that set nothing.
    others: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def label(self) -> str:
        """What to call the row in a message."""
        return readable_name(self.key, self.request.prompt)

    @property
    def chain(self) -> list[ChainItem]:
        """The row's job and its follow-ups."""
        return chain_of(self.key, self.request, self.then)


@attrs.frozen
class RowProblem:
    """An invalid row and everything that is wrong with it."""

    line: int
    problems: tuple[Problem, ...]
    cells: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    number: int = 1

    def __str__(self) -> str:
        return "; ".join(f"line {self.line}: {problem}" for problem in self.problems)


@attrs.frozen
class RawRow:
    """A row before its values are checked."""

    line: int
    #: Its position among the rows of the file, from 1.
    position: int
    values: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()

    @property
    def number(self) -> int:
        """Its number in the list: in ``rejected.csv`` that of the list it belongs to."""
        given = _WHOLE_NUMBER.fullmatch(str(self.values.get(NUMBER_COLUMN, "")).strip())
        return int(given[1]) if given else self.position

    @property
    def cells(self) -> dict[str, str]:
        """The values as text."""
        return {name: to_cell(value) for name, value in self.values.items() if name != NUMBER_COLUMN}

    @property
    def others(self) -> dict[str, Any]:
        """The values of the columns that set nothing."""
        others = ((name, value) for name, value in self.values.items() if name not in _NOT_OTHERS)
        return {name: value for name, value in others if value not in ("", None)}


class ImageFiles:
    """The image files of one list. Each file is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str | InvalidRequest] = {}

    def with_references(self, request: VideoRequest) -> VideoRequest:
        """Return *request* with each image file replaced by a reference to its content.

        Raises:
            InvalidRequest: some files cannot be used; it lists all of them.
        """
        images = [self._inspect(image) if is_path(image) else image for image in request.image_urls]
        if problems := [problem for image in images if isinstance(image, InvalidRequest) for problem in image.problems]:
            raise InvalidRequest.of(*problems)
        return attrs.evolve(request, image_urls=images) if tuple(images) != request.image_urls else request

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
    """Return the job that *raw* describes, or everything that is wrong with it.

    Args:
        defaults: request options for rows that do not set them.
        template: the prompt of rows that do not set one, with ``{column}`` placeholders.
        images: resolves the row's image files.
    """
    values, problems = _parse_values(raw)
    take, key = values.pop("take", 1), values.pop("key", None)
    then = _follow_ups(values.pop("extend", None), values.pop("upgrade", None))
    options = {**defaults, **values}
    if template is not None and "prompt" not in values:
        options["prompt"] = _fill_template(template, raw.values)
    if problems:
        return RowProblem(raw.line, tuple(problems), raw.cells, raw.number)
    try:
        request = images.with_references(request_from_dict(with_image(options), VideoRequest))
        key = automatic_key(request, take) if key is None else str(key)
        row = Row(
            line=raw.line,
            number=raw.number,
            key=key,
            take=take,
            request=request,
            then=then,
            cells=raw.cells,
            others=raw.others,
        )
        problems = [problem for item in row.chain for problem in problems_of(item.request, dialect)]
    except InvalidRequest as error:
        return RowProblem(raw.line, error.problems, raw.cells, raw.number)
    return RowProblem(raw.line, tuple(problems), raw.cells, raw.number) if problems else row


def _parse_values(raw: RawRow) -> tuple[dict[str, Any], list[Problem]]:
    """Return the non-empty values of known columns converted to their types, and the problems found."""
    values: dict[str, Any] = {}
    problems = [*raw.problems]
    for name, value in raw.values.items():
        is_empty = value is None or (isinstance(value, str) and not value.strip())
        if name in REQUEST_COLUMNS | JOB_COLUMNS and not is_empty:
            try:
                values[name] = _parse_value(name, value)
            except ValueError:
                problems.append(Problem(name, value, *_type_problem(name)))
    return values, problems


def _parse_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):  # JSON values are typed already; the converter checks the types strictly
        is_whole = name in _INTEGER_COLUMNS and isinstance(value, float) and value.is_integer()
        return int(value) if is_whole else value
    if name in _INTEGER_COLUMNS:
        return _parse_whole_number(value)
    if name in _BOOLEAN_COLUMNS:
        return _parse_boolean(value)
    if name == "image_urls":
        return _parse_images(value)
    return value if name in _TEXT_COLUMNS else value.strip()


def _parse_whole_number(value: str) -> int:
    number = _WHOLE_NUMBER.fullmatch(value.strip())
    if number is None:
        raise ValueError(value)
    return int(number[1])


def _parse_images(value: str) -> list[Any]:
    """Return the images in a cell: separated by spaces, or a JSON list as ``rejected.csv`` has it."""
    if not value.lstrip().startswith("["):
        return value.split()
    images: list[Any] = json.loads(value)  # an invalid one raises ValueError
    return images


def _parse_boolean(value: str) -> bool:
    if value.strip().lower() not in _BOOLEANS:
        raise ValueError(value)
    return _BOOLEANS[value.strip().lower()]


def _type_problem(name: str) -> tuple[str, str]:
    """Return the rule and the remedy for a text that *name* cannot hold."""
    if name in _BOOLEAN_COLUMNS:
        return "must be true or false", "yes, no, 1 and 0 work as well"
    if name == "image_urls":
        return "must be files or URLs separated by spaces, or a JSON list of them", 'for example ["a b.png", "c.png"]'
    return "must be a whole number", "use digits only"


def _follow_ups(extend: Any, upgrade: Any) -> tuple[FollowUp, ...]:
    """Return the follow-ups in order: extend first, because an upgraded clip cannot be extended."""
    extension = () if extend is None else (ExtendRequest(prompt=str(extend)),)
    return extension if upgrade is None else (*extension, str(upgrade))


def _fill_template(template: str, values: Mapping[str, Any]) -> str:
    """Fill the placeholders of *template*. ``str.format`` would let a template read attributes of the values."""
    by_name = {spelling(name): value for name, value in values.items()}
    return PLACEHOLDER.sub(
        lambda match: to_cell(by_name.get(spelling(match[1]))) if match[1] else match[0][0], template
    )


def spelling(name: str) -> str:
    """Return the name of a column so that two spellings of one name are equal."""
    return _BLANKS.sub("_", name.strip(INVISIBLE).casefold())


def to_cell(value: Any) -> str:
    """Return *value* as the text of a CSV cell; JSON for anything but text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
