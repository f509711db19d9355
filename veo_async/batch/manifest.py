"""A list of prompts in a file: reads and checks the whole list, and reports all of its problems together.

Columns are named like the options of a request. Four more columns concern the job: ``key`` (the job's key), ``take``
(another clip of the same request), ``extend`` (the prompt of an extension) and ``upgrade`` (``1080p`` or ``4k``). A
column ``error``, which ``rejected.csv`` has, is ignored. A template builds the prompt from other columns:
``"{animal} on a {thing}"``. An empty cell leaves its option unset. ``image``, or several under ``image_urls``, may be
files, relative to the list's folder; they are read here and uploaded when their rows are submitted. Nothing here uses
the network. `rows` parses a single row.
"""

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from veo_async._base.checks import nearest
from veo_async.errors import Problem, UsageError
from veo_async.requests import local_images
from veo_async.types import Dialect

from .rows import (
    ERROR_COLUMN,
    JOB_COLUMNS,
    PLACEHOLDER,
    REQUEST_COLUMNS,
    ImageFiles,
    RawRow,
    Row,
    RowProblem,
    parse_row,
)

#: Common names of columns that are called differently here.
_OTHER_NAMES = {
    "id": "key",
    "name": "key",
    "text": "prompt",
    "ratio": "aspect_ratio",
    "seed": "seeds",
    "images": "image",
}

Kind = Literal["csv", "tsv", "jsonl", "json"]


@attrs.frozen(kw_only=True)
class Manifest:
    """A parsed list: the valid rows, and the problems of the others."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...]

    @property
    def uploads(self) -> int:
        """Number of image files to upload; files with the same content count once."""
        return len({image.digest for row in self.rows for image in local_images(row.request)})


def read_manifest(
    content: bytes,
    kind: Kind,
    dialect: Dialect,
    *,
    defaults: Mapping[str, Any] | None = None,
    template: str | None = None,
    folder: Path | None = None,
) -> Manifest:
    """Parse the list in *content*. Reads the image files that it names, so this blocks.

    Args:
        defaults: request options for rows that do not set them.
        template: the prompt, with a ``{column}`` placeholder for each value.
        folder: the folder that image files are relative to (default: the working directory).

    Raises:
        UsageError: *content* is not a list of this kind, or its columns or the template are wrong.
    """
    columns, raw_rows = _table(_decoded(content), kind)
    columns = tuple(name for name in columns if name != ERROR_COLUMN)
    placeholders = frozenset(match[1] for match in PLACEHOLDER.finditer(template or "") if match[1])
    if template is not None:
        _check_template(template, placeholders, columns)
    _check_columns(columns, placeholders)
    images = ImageFiles(folder or Path())
    parsed = [parse_row(raw, dialect, defaults or {}, template, images) for raw in raw_rows]
    rows, duplicates = _without_duplicates([row for row in parsed if isinstance(row, Row)])
    problems = [*(problem for problem in parsed if isinstance(problem, RowProblem)), *duplicates]
    return Manifest(columns=columns, rows=rows, problems=tuple(sorted(problems, key=lambda problem: problem.line)))


def kind_of(path: Path) -> Kind:
    """Return the kind of list that *path* is by its extension.

    Raises:
        UsageError: the extension is a different one.
    """
    for kind in ("csv", "tsv", "jsonl", "json"):
        if path.suffix.lower() == f".{kind}":
            return kind
    raise UsageError(f"{path.name!r}: name it .csv, .tsv, .jsonl or .json, or pass --format")


# --- from bytes to cells ----------------------------------------------------------------------------------------


def _decoded(content: bytes) -> str:
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        name = "UTF-16" if is_utf16 else "UTF-8"
        raise UsageError(f"line {line}: not valid {name}; save the file as UTF-8 (in Excel: CSV UTF-8)") from None


def _table(text: str, kind: Kind) -> tuple[tuple[str, ...], list[RawRow]]:
    """Return the names of all columns, and the rows."""
    if kind in ("csv", "tsv"):
        return _cells(text, "\t" if kind == "tsv" else _delimiter(text))
    raw_rows = list(_objects(text) if kind == "jsonl" else _items(text))
    return tuple(dict.fromkeys(name for raw in raw_rows for name in raw.values)), raw_rows


def _delimiter(text: str) -> str:
    """Return the delimiter of a CSV file. In many locales spreadsheets write semicolons."""
    header = text.split("\n", 1)[0]
    return ";" if ";" in header and "," not in header else ","


def _cells(text: str, delimiter: str) -> tuple[tuple[str, ...], list[RawRow]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    raw_rows: list[RawRow] = []
    columns: tuple[str, ...] = ()
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if columns:
                    raw_rows.append(_row_of_cells(line, columns, cells))
                else:
                    columns = _header(line, cells)
            line = reader.line_num + 1
    except csv.Error as exc:
        raise UsageError(f"line {line}: {exc}; fix the quoting") from None
    return columns, raw_rows


def _header(line: int, cells: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    duplicates = sorted({name for name in columns if columns.count(name) > 1})
    if duplicates:
        raise UsageError(f"line {line}: two columns are called {', '.join(map(repr, duplicates))}; rename one")
    return columns


def _row_of_cells(line: int, columns: tuple[str, ...], cells: list[str]) -> RawRow:
    values = dict(zip(columns, cells, strict=False))
    if len(cells) <= len(columns):
        return RawRow(line, values)
    rule = f"more cells than the {len(columns)} header columns"
    return RawRow(line, values, (Problem("columns", len(cells), rule, "quote cells with commas"),))


def _objects(text: str) -> Iterator[RawRow]:
    for line, item in enumerate(text.splitlines(), 1):
        if item.strip():
            try:
                yield _row_of_object(line, json.loads(item))
            except ValueError as exc:
                raise UsageError(f'line {line}: {exc}; write one object per line: {{"prompt": "…"}}') from None


def _items(text: str) -> Iterator[RawRow]:
    try:
        items = json.loads(text)
    except ValueError as exc:
        raise UsageError(f"invalid JSON: {exc}; write a list of objects: [{{…}}, …]") from None
    if not isinstance(items, list):
        raise UsageError("a JSON file must hold a list of objects: [{…}, …]")
    for number, item in enumerate(items, 1):
        yield _row_of_object(number, item)


def _row_of_object(line: int, value: Any) -> RawRow:
    if isinstance(value, dict):
        return RawRow(line, value)
    return RawRow(line, {}, (Problem("row", value, "must be an object", 'write {"prompt": "…"}'),))


# --- checks over the whole list ---------------------------------------------------------------------------------


def _check_template(template: str, placeholders: Collection[str], columns: Collection[str]) -> None:
    if any(match[0] in "{}" for match in PLACEHOLDER.finditer(template)):
        raise UsageError(f"prompt template {template!r}: write a literal brace twice: {{{{ or }}}}")
    missing = sorted(set(placeholders) - set(columns))
    if missing:
        names, known = ", ".join(map(repr, missing)), ", ".join(columns)
        raise UsageError(f"prompt template {template!r}: no column {names}; the columns are {known}")


def _check_columns(columns: Collection[str], placeholders: Collection[str]) -> None:
    known = sorted(REQUEST_COLUMNS | JOB_COLUMNS)
    unknown = [name for name in columns if name not in known and name not in placeholders]
    if unknown:
        noun = "column" if len(unknown) == 1 else "columns"
        shown = ", ".join(_with_suggestion(name, known) for name in unknown)
        raise UsageError(f"unknown {noun}: {shown}; known columns: {', '.join(known)}")


def _with_suggestion(name: str, known: Collection[str]) -> str:
    """Return the name of an unknown column, with the known one that was probably meant."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    meant = _OTHER_NAMES.get(plain) or nearest(plain, known)
    return f"{name} (did you mean {meant}?)" if meant else name


def _without_duplicates(rows: list[Row]) -> tuple[tuple[Row, ...], list[RowProblem]]:
    """Return the first row of each key, and a problem for each later one."""
    first: dict[str, Row] = {}
    duplicates = []
    for row in rows:
        known = first.setdefault(row.key, row)
        if known is not row:
            is_same = known.request == row.request
            rule = f"line {known.line} has {'the same' if is_same else 'another'} request under this key"
            remedy = "set a different take for another clip" if is_same else "give it a unique key"
            duplicates.append(RowProblem(row.line, (Problem("key", row.key, rule, remedy),), row.cells))
    return tuple(first.values()), duplicates
