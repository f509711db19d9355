"""A list of prompts in a file: read whole, checked whole, and all its faults told at once.

Columns are named like the options of a request, and besides them ``key`` (what the job is called) and ``take``
(another clip of the same request). A template makes the prompt of other columns: ``"{animal} on a {thing}"``. An empty
cell is an option that is not given. Nothing here talks to anybody.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from veo_async._runtime.rows import content_key
from veo_async._wire import Dialect, VideoRequest, faults_of
from veo_async._wire.converter import from_plain
from veo_async.errors import Fault, InvalidRequest, UsageError

Kind = Literal["csv", "tsv", "jsonl", "json"]

OPTIONS = frozenset(field.name for field in attrs.fields(VideoRequest))
#: Columns that are about the job, not about the request.
OWN = frozenset({"key", "take"})

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NUMBERS = frozenset({"seeds", "duration", "take"})
_FLAGS = frozenset({"enable_translation", "enable_fallback"})
_HOLE = re.compile(r"\{\{|\}\}|\{(\w+)\}|[{}]")


@attrs.frozen(kw_only=True)
class Row:
    """One job that is wanted."""

    #: Where it stands in the file.
    line: int
    key: str
    take: int
    request: VideoRequest
    #: What was written, column by column, to be written out again.
    cells: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen
class RowFault:
    """What is wrong with one line."""

    line: int
    faults: tuple[Fault, ...]
    cells: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def __str__(self) -> str:
        return "; ".join(f"line {self.line}: {fault}" for fault in self.faults)


@attrs.frozen(kw_only=True)
class Manifest:
    """The list: what can be sent, and what is wrong with the rest."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[RowFault, ...]


@attrs.frozen
class _Raw:
    line: int
    values: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()


def read_manifest(
    content: bytes,
    kind: Kind,
    dialect: Dialect,
    *,
    defaults: Mapping[str, Any] | None = None,
    template: str | None = None,
) -> Manifest:
    """The list in *content*.

    Args:
        defaults: options of rows that do not name them.
        template: the prompt, with ``{column}`` where a column's value goes.

    Raises:
        UsageError: it cannot be read as such a list at all.
    """
    text = _decoded(content)
    columns, raws = _table(text, kind)
    holes = frozenset(match[1] for match in _HOLE.finditer(template or "") if match[1])
    if template is not None:
        _check_template(template, holes, columns)
    unknown = [name for name in columns if name not in OPTIONS | OWN | holes]
    if unknown:
        known = ", ".join(sorted(OPTIONS | OWN))
        raise UsageError(f"columns that are no options: {', '.join(unknown)}; write one of {known}")
    found = [_row(raw, dialect, defaults or {}, template) for raw in raws]
    rows, doubles = _without_doubles([one for one in found if isinstance(one, Row)])
    faults = [*(one for one in found if isinstance(one, RowFault)), *doubles]
    return Manifest(columns=columns, rows=rows, faults=tuple(sorted(faults, key=lambda fault: fault.line)))


def kind_of(path: Path) -> Kind:
    """What kind of list a file is, by its name."""
    for kind in ("csv", "tsv", "jsonl", "json"):
        if path.suffix.lower() == f".{kind}":
            return kind
    raise UsageError(f"{path.name!r}: name it .csv, .tsv, .jsonl or .json, or say --kind")


# --- from bytes to cells ----------------------------------------------------------------------------------------


def _decoded(content: bytes) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise UsageError(f"line {line}: this is no {encoding}; save the file as UTF-8") from None


def _table(text: str, kind: Kind) -> tuple[tuple[str, ...], list[_Raw]]:
    if kind in ("csv", "tsv"):
        return _cells(text, "\t" if kind == "tsv" else _delimiter(text))
    raws = list(_objects(text) if kind == "jsonl" else _items(text))
    return tuple(dict.fromkeys(name for raw in raws for name in raw.values)), raws


def _delimiter(text: str) -> str:
    """Spreadsheets of half the world write semicolons."""
    head = text.split("\n", 1)[0]
    return ";" if ";" in head and "," not in head else ","


def _cells(text: str, delimiter: str) -> tuple[tuple[str, ...], list[_Raw]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    raws: list[_Raw] = []
    columns: tuple[str, ...] = ()
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if columns:
                    raws.append(_of_cells(line, columns, cells))
                else:
                    columns = _header(line, cells)
            line = reader.line_num + 1
    except csv.Error as exc:
        raise UsageError(f"line {line}: {exc}; mend the quotes") from None
    return columns, raws


def _header(line: int, cells: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise UsageError(f"line {line}: two columns are called {', '.join(map(repr, doubled))}; rename one")
    return columns


def _of_cells(line: int, columns: tuple[str, ...], cells: list[str]) -> _Raw:
    values = dict(zip(columns, cells, strict=False))
    if len(cells) <= len(columns):
        return _Raw(line, values)
    fault = Fault("columns", len(cells), f"more than the {len(columns)} of the first line", "quote cells with commas")
    return _Raw(line, values, (fault,))


def _objects(text: str) -> Iterator[_Raw]:
    for line, written in enumerate(text.splitlines(), 1):
        if written.strip():
            try:
                yield _object(line, json.loads(written))
            except ValueError as exc:
                raise UsageError(f'line {line}: {exc}; write one object to a line: {{"prompt": "…"}}') from None


def _items(text: str) -> Iterator[_Raw]:
    try:
        items = json.loads(text)
    except ValueError as exc:
        raise UsageError(f"no JSON: {exc}; write a list of objects: [{{…}}, …]") from None
    if not isinstance(items, list):
        raise UsageError("a JSON file must hold a list of objects: [{…}, …]")
    for number, item in enumerate(items, 1):
        yield _object(number, item)


def _object(line: int, value: Any) -> _Raw:
    if isinstance(value, dict):
        return _Raw(line, value)
    return _Raw(line, {}, (Fault("row", value, "must be an object", 'write {"prompt": "…"}'),))


# --- from cells to requests -------------------------------------------------------------------------------------


def _check_template(template: str, holes: Iterable[str], columns: tuple[str, ...]) -> None:
    if any(match[0] in "{}" for match in _HOLE.finditer(template)):
        raise UsageError(f"prompt template {template!r}: a brace that stands alone is written twice")
    missing = sorted(set(holes) - set(columns))
    if missing:
        there = ", ".join(columns)
        raise UsageError(f"prompt template {template!r}: no column {', '.join(map(repr, missing))}; use one of {there}")


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """Our own, because ``str.format`` reaches into whatever it is given."""
    return _HOLE.sub(lambda match: str(values.get(match[1], "")) if match[1] else match[0][0], template)


def _row(raw: _Raw, dialect: Dialect, defaults: Mapping[str, Any], template: str | None) -> Row | RowFault:
    cells = {name: _written(value) for name, value in raw.values.items()}
    faults = [*raw.faults]
    given: dict[str, Any] = {}
    for name, value in raw.values.items():
        if name in OPTIONS | OWN and value not in ("", None):
            try:
                given[name] = _value(name, value)
            except ValueError:
                faults.append(Fault(name, value, *_told_of(name)))
    take, key = given.pop("take", 1), given.pop("key", None)
    plain = {**defaults, **given}
    if template is not None and "prompt" not in given:
        plain["prompt"] = _filled(template, raw.values)
    if faults:
        return RowFault(raw.line, tuple(faults), cells)
    try:
        request = from_plain(plain, VideoRequest)
    except InvalidRequest as error:
        return RowFault(raw.line, error.faults, cells)
    if broken := tuple(faults_of(request, dialect)):
        return RowFault(raw.line, broken, cells)
    name = str(key) if key is not None else content_key(request, take)
    return Row(line=raw.line, key=name, take=take, request=request, cells=cells)


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


def _told_of(name: str) -> tuple[str, str]:
    if name in _FLAGS:
        return "must be true or false", "write true or false"
    return "must be a whole number", "write a whole number"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _without_doubles(rows: list[Row]) -> tuple[tuple[Row, ...], list[RowFault]]:
    first: dict[str, Row] = {}
    doubles = []
    for row in rows:
        known = first.setdefault(row.key, row)
        if known is not row:
            same = known.request == row.request
            rule = f"line {known.line} has {'the same' if same else 'another'} request under this key"
            remedy = "write another number under take for another clip" if same else "give it a key of its own"
            doubles.append(RowFault(row.line, (Fault("key", row.key, rule, remedy),), row.cells))
    return tuple(first.values()), doubles
