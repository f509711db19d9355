"""A list of prompts in a file: read whole, checked whole, and all its faults told at once.

Columns are named like the options of a request, and besides them ``key`` (what the job is called), ``take`` (another
clip of the same request), ``extend`` (how the clip goes on) and ``upgrade`` (``1080p`` or ``4k``). A template makes the
prompt of other columns: ``"{animal} on a {thing}"``. An empty cell is an option that is not given. An ``image``, or
several under ``image_urls``, may be files, named from the list's own folder; they are looked into here and uploaded
when their rows are submitted. Nothing here talks to anybody. What becomes of one line is in `rows`.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from veo_async._wire import Dialect
from veo_async._wire.images import local_images
from veo_async.errors import Problem, UsageError

from .rows import JOB_COLUMNS, PLACEHOLDER, REQUEST_COLUMNS, ImageFiles, RawRow, Row, RowProblem, parse_row

Kind = Literal["csv", "tsv", "jsonl", "json"]


@attrs.frozen(kw_only=True)
class Manifest:
    """The list: what can be sent, and what is wrong with the rest."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...]

    @property
    def uploads(self) -> int:
        """How many pictures its rows bring; the same one counts once."""
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
    """The list in *content*.

    Args:
        defaults: options of rows that do not name them.
        template: the prompt, with ``{column}`` where a column's value goes.
        folder: where image files are named from; without it the working folder. They are read: this blocks.

    Raises:
        UsageError: it cannot be read as such a list at all.
    """
    text = _decoded(content)
    columns, raw_rows = _table(text, kind)
    placeholders = frozenset(match[1] for match in PLACEHOLDER.finditer(template or "") if match[1])
    if template is not None:
        _check_template(template, placeholders, columns)
    unknown = [name for name in columns if name not in REQUEST_COLUMNS | JOB_COLUMNS | placeholders]
    if unknown:
        known = ", ".join(sorted(REQUEST_COLUMNS | JOB_COLUMNS))
        raise UsageError(f"columns that are no options: {', '.join(unknown)}; write one of {known}")
    images = ImageFiles(folder or Path())
    found = [parse_row(raw, dialect, defaults or {}, template, images) for raw in raw_rows]
    rows, duplicates = _without_duplicates([one for one in found if isinstance(one, Row)])
    problems = [*(one for one in found if isinstance(one, RowProblem)), *duplicates]
    return Manifest(columns=columns, rows=rows, problems=tuple(sorted(problems, key=lambda fault: fault.line)))


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


def _table(text: str, kind: Kind) -> tuple[tuple[str, ...], list[RawRow]]:
    if kind in ("csv", "tsv"):
        return _cells(text, "\t" if kind == "tsv" else _delimiter(text))
    raw_rows = list(_objects(text) if kind == "jsonl" else _items(text))
    return tuple(dict.fromkeys(name for raw in raw_rows for name in raw.values)), raw_rows


def _delimiter(text: str) -> str:
    """Spreadsheets of half the world write semicolons."""
    head = text.split("\n", 1)[0]
    return ";" if ";" in head and "," not in head else ","


def _cells(text: str, delimiter: str) -> tuple[tuple[str, ...], list[RawRow]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    raw_rows: list[RawRow] = []
    columns: tuple[str, ...] = ()
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if columns:
                    raw_rows.append(_of_cells(line, columns, cells))
                else:
                    columns = _header(line, cells)
            line = reader.line_num + 1
    except csv.Error as exc:
        raise UsageError(f"line {line}: {exc}; mend the quotes") from None
    return columns, raw_rows


def _header(line: int, cells: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise UsageError(f"line {line}: two columns are called {', '.join(map(repr, doubled))}; rename one")
    return columns


def _of_cells(line: int, columns: tuple[str, ...], cells: list[str]) -> RawRow:
    values = dict(zip(columns, cells, strict=False))
    if len(cells) <= len(columns):
        return RawRow(line, values)
    fault = Problem("columns", len(cells), f"more than the {len(columns)} of the first line", "quote cells with commas")
    return RawRow(line, values, (fault,))


def _objects(text: str) -> Iterator[RawRow]:
    for line, written in enumerate(text.splitlines(), 1):
        if written.strip():
            try:
                yield _object(line, json.loads(written))
            except ValueError as exc:
                raise UsageError(f'line {line}: {exc}; write one object to a line: {{"prompt": "…"}}') from None


def _items(text: str) -> Iterator[RawRow]:
    try:
        items = json.loads(text)
    except ValueError as exc:
        raise UsageError(f"no JSON: {exc}; write a list of objects: [{{…}}, …]") from None
    if not isinstance(items, list):
        raise UsageError("a JSON file must hold a list of objects: [{…}, …]")
    for number, item in enumerate(items, 1):
        yield _object(number, item)


def _object(line: int, value: Any) -> RawRow:
    if isinstance(value, dict):
        return RawRow(line, value)
    return RawRow(line, {}, (Problem("row", value, "must be an object", 'write {"prompt": "…"}'),))


# --- from cells to requests -------------------------------------------------------------------------------------


def _check_template(template: str, placeholders: Iterable[str], columns: tuple[str, ...]) -> None:
    if any(match[0] in "{}" for match in PLACEHOLDER.finditer(template)):
        raise UsageError(f"prompt template {template!r}: a brace that stands alone is written twice")
    missing = sorted(set(placeholders) - set(columns))
    if missing:
        there = ", ".join(columns)
        raise UsageError(f"prompt template {template!r}: no column {', '.join(map(repr, missing))}; use one of {there}")


def _without_duplicates(rows: list[Row]) -> tuple[tuple[Row, ...], list[RowProblem]]:
    first: dict[str, Row] = {}
    duplicates = []
    for row in rows:
        known = first.setdefault(row.key, row)
        if known is not row:
            same = known.request == row.request
            rule = f"line {known.line} has {'the same' if same else 'another'} request under this key"
            remedy = "write another number under take for another clip" if same else "give it a key of its own"
            duplicates.append(RowProblem(row.line, (Problem("key", row.key, rule, remedy),), row.cells))
    return tuple(first.values()), duplicates
