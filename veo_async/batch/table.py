"""From the text of a list to its rows: CSV, TSV, JSON lines or JSON. Each row knows its line in the file."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import attrs

from veo_async.errors import Problem, UsageError

from .columns import names_of
from .rows import NUMBER_COLUMN, REQUEST_COLUMNS, RawRow, spelling

Kind = Literal["csv", "tsv", "jsonl", "json"]

#: Excel writes and reads this line to name the delimiter.
_DELIMITER_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_DELIMITERS = (",", ";", "\t")
_HOW_TO_BEGIN: dict[Kind, str] = {
    "csv": "Write the column names into the first line, for example prompt, and below it a line for each clip.",
    "tsv": "Write the column names into the first line, for example prompt, and below it a line for each clip.",
    "jsonl": 'Write a line for each clip: {"prompt": "A dog surfing at dusk"}.',
    "json": 'Write an object for each clip: [{"prompt": "A dog surfing at dusk"}].',
}
_BLANK = re.compile(r"[ \t\n\r]*")
_JSON = json.JSONDecoder()


@attrs.frozen(kw_only=True)
class Table:
    """The columns and rows of a list."""

    #: The columns, and the line in which each is found first.
    columns: dict[str, int]
    rows: list[RawRow]


def read_table(text: str, kind: Kind) -> Table:
    """Parse the text of a list.

    Raises:
        UsageError: it is not a list of this kind, or has no rows.
    """
    if kind in ("csv", "tsv"):
        table = _read_cells(text, kind)
    else:
        table = _table_of_objects([*(_lines(text) if kind == "jsonl" else _items(text))])
    table.columns.pop(NUMBER_COLUMN, None)
    if not table.rows and table.columns:
        line = max(table.columns.values())
        raise UsageError(f"line {line}: the list has column names and no rows. Add a line below them for each clip.")
    if not table.rows:
        raise UsageError(f"the list is empty. {_HOW_TO_BEGIN[kind]}")
    return table


# --- CSV ----------------------------------------------------------------------------------------------------------


def _read_cells(text: str, kind: Kind) -> Table:
    named = _DELIMITER_LINE.match(text)
    skipped, text = (1, text[named.end() :]) if named else (0, text)
    delimiter = named[1] if named else "\t" if kind == "tsv" else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    names: dict[str, str | None] = {}
    columns: dict[str, int] = {}
    rows: list[RawRow] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if header is None:
                    header = _header(line + skipped, cells)
                    names = names_of([name for name in header if name])
                    columns = {name: line + skipped for name in names.values() if name is not None}
                else:
                    rows.append(_row_of_cells(line + skipped, len(rows) + 1, header, names, cells))
            line = reader.line_num + 1
    except csv.Error as exc:
        raise UsageError(f"line {line + skipped}: {exc}; fix the quoting") from None
    return Table(columns=columns, rows=rows)


def _delimiter(text: str) -> str:
    """Return the delimiter by which the first line has the most known columns, or else the most columns."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def score(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([first], delimiter=delimiter), [])
        return sum(spelling(cell) in REQUEST_COLUMNS for cell in cells), len(cells)

    return max(_DELIMITERS, key=score)


def _header(line: int, cells: list[str]) -> list[str]:
    """Return the names of the columns; empty ones, as behind the last column of a spreadsheet, stay empty."""
    forms = [spelling(cell) for cell in cells]
    duplicates = [cell.strip() for cell, form in zip(cells, forms, strict=True) if form and forms.count(form) > 1]
    if duplicates:
        raise UsageError(f"line {line}: two columns are called {duplicates[0]!r}; rename one")
    return [cell if form else "" for cell, form in zip(cells, forms, strict=True)]


def _row_of_cells(
    line: int, number: int, header: Sequence[str], names: dict[str, str | None], cells: Sequence[str]
) -> RawRow:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for column, cell in zip(header, cells, strict=False):
        if name := names.get(column):
            values[name] = cell
        elif not column and cell.strip():
            problems.append(Problem("columns", cell, "is in a column without a name", "name it in the first line"))
    if any(cell.strip() for cell in cells[len(header) :]):
        rule = f"more cells than the {len(header)} header columns"
        problems.append(Problem("columns", len(cells), rule, "quote cells with commas"))
    return RawRow(line, number, values, tuple(problems))


# --- JSON ---------------------------------------------------------------------------------------------------------


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of each line that is not blank."""
    for line, item in enumerate(text.split("\n"), 1):
        if item.strip():
            try:
                yield line, json.loads(item)
            except json.JSONDecodeError as exc:
                where = f"{exc.msg} at column {exc.colno}"
                raise UsageError(f'line {line}: {where}; write one object per line: {{"prompt": "…"}}') from None
            except (ValueError, RecursionError) as exc:
                raise UsageError(f"line {line}: {exc}") from None


def _items(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of each item of a JSON list."""
    try:
        yield from _decoded_items(text)
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}: {exc.msg} at column {exc.colno}"
        raise UsageError(f"{where}; write a list of objects: [{{…}}, …]") from None
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"invalid JSON: {exc}") from None


def _decoded_items(text: str) -> Iterator[tuple[int, Any]]:
    place, line, counted = _skip_blanks(text, 0), 1, 0
    if place == len(text):
        return
    _expect("[", text, place, "Not a list")
    place = _skip_blanks(text, place + 1)
    has_next = text[place : place + 1] != "]"
    while has_next:
        line, counted = line + text.count("\n", counted, place), place
        value, place = _JSON.raw_decode(text, place)
        yield line, value
        place = _skip_blanks(text, place)
        has_next = text[place : place + 1] == ","
        place = _skip_blanks(text, place + 1) if has_next else place
    _expect("]", text, place, "Expecting ',' or ']'")
    place = _skip_blanks(text, place + 1)
    _expect("", text, place, "Extra data")


def _expect(character: str, text: str, place: int, message: str) -> None:
    if text[place : place + 1] != character:
        raise json.JSONDecodeError(message, text, place)


def _skip_blanks(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _table_of_objects(items: Sequence[tuple[int, Any]]) -> Table:
    headers = dict.fromkeys(str(name) for _, item in items if isinstance(item, dict) for name in item)
    names = names_of([*headers])
    rows = [_row_of_object(line, number, names, item) for number, (line, item) in enumerate(items, 1)]
    columns: dict[str, int] = {}
    for row in rows:
        for name in row.values:
            columns.setdefault(name, row.line)
    return Table(columns=columns, rows=rows)


def _row_of_object(line: int, number: int, names: dict[str, str | None], item: Any) -> RawRow:
    if not isinstance(item, dict):
        return RawRow(line, number, {}, (Problem("row", item, "must be an object", 'write {"prompt": "…"}'),))
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for header, value in item.items():
        if (name := names[header]) in values:
            problems.append(Problem(header, value, "is given twice, in two spellings", "remove one"))
        elif name is not None:
            values[name] = value
    return RawRow(line, number, values, tuple(problems))
