"""A list of prompts in a file: reads and checks the whole list, and reports all of its problems together.

Columns are named like the options of a request. Four more columns concern the job: ``key`` (the job's key), ``take``
(another clip of the same request), ``extend`` (the prompt of an extension) and ``upgrade`` (``1080p`` or ``4k``). Other
columns are kept for the results, with a warning. A template builds the prompt from any columns:
``"{animal} on a {thing}"``. An empty cell leaves its option unset. ``image``, or several under ``image_urls``, may be
files, relative to the list's folder; they are read here and uploaded when their rows are submitted. Nothing here uses
the network. `encoding` reads the text, `table` its rows, `columns` their names, and `rows` parses a single row.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from veo_async.errors import Problem, UsageError
from veo_async.requests import local_images
from veo_async.types import Dialect

from .columns import by_spelling, check_prompt_column, known_columns, unknown_columns, unknown_text
from .encoding import decode_list
from .rows import PLACEHOLDER, ImageFiles, Row, RowProblem, parse_row, spelling
from .table import Kind, Table, read_table

__all__ = ["Kind", "Manifest", "kind_of", "read_manifest"]


@attrs.frozen(kw_only=True)
class Manifest:
    """A parsed list: the valid rows, and the problems of the others."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...]
    #: What the user should know about the list as a whole: a sentence or two each.
    warnings: tuple[str, ...] = ()

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
    strict: bool = False,
) -> Manifest:
    """Parse the list in *content*. Reads the image files that it names, so this blocks.

    Args:
        defaults: request options for rows that do not set them.
        template: the prompt, with a ``{column}`` placeholder for each value.
        folder: the folder that image files are relative to (default: the working directory).
        strict: refuse columns that are not known.

    Raises:
        UsageError: *content* is not a list of this kind, is empty, or its columns or the template are wrong.
    """
    decoded = decode_list(content)
    table = read_table(decoded.text, kind)
    columns = tuple(table.columns)
    used = [] if template is None else _template_columns(template, columns)
    warnings = [decoded.warning, _unknown_warning(table, used, strict=strict)]
    if template is None and not all(row.problems for row in table.rows):
        check_prompt_column(columns, min(table.columns.values(), default=1))
    images = ImageFiles(folder or Path())
    parsed = [parse_row(raw, dialect, defaults or {}, template, images) for raw in table.rows]
    rows, duplicates = _without_duplicates([row for row in parsed if isinstance(row, Row)])
    problems = [*(problem for problem in parsed if isinstance(problem, RowProblem)), *duplicates]
    return Manifest(
        columns=columns,
        rows=rows,
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
        warnings=tuple(filter(None, warnings)),
    )


def kind_of(path: Path) -> Kind:
    """Return the kind of list that *path* is by its extension.

    Raises:
        UsageError: the extension is a different one.
    """
    for kind in ("csv", "tsv", "jsonl", "json"):
        if path.suffix.lower() == f".{kind}":
            return kind
    raise UsageError(f"{path.name!r}: name it .csv, .tsv, .jsonl or .json, or pass --format")


# --- checks over the whole list ---------------------------------------------------------------------------------


def _template_columns(template: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that the placeholders of *template* name.

    Raises:
        UsageError: there is no such column, or a single brace.
    """
    if any(match[0] in "{}" for match in PLACEHOLDER.finditer(template)):
        raise UsageError(f"prompt template {template!r}: write a literal brace twice: {{{{ or }}}}")
    known = by_spelling(columns)
    names = {match[1]: known.get(spelling(match[1])) for match in PLACEHOLDER.finditer(template) if match[1]}
    if missing := sorted(name for name, column in names.items() if column is None):
        listed, found = ", ".join(map(repr, missing)), ", ".join(columns)
        raise UsageError(f"prompt template {template!r}: no column {listed}; the columns are {found}")
    return [column for column in names.values() if column is not None]


def _unknown_warning(table: Table, used: Sequence[str], *, strict: bool) -> str:
    """Return the warning about columns that are not known; empty if there are none.

    Raises:
        UsageError: there are some, and the list is read strictly.
    """
    unknown = unknown_columns(table.columns, used)
    if not unknown:
        return ""
    text = f"line {table.columns[unknown[0]]}: {unknown_text(unknown)}"
    they_are, them = ("It is", "it") if len(unknown) == 1 else ("They are", "them")
    if strict:
        raise UsageError(f"{text} Rename or remove {them}, or leave out --strict. Known columns: {known_columns()}")
    return f"{text} {they_are} only copied to the results."


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
            duplicates.append(RowProblem(row.line, (Problem("key", row.key, rule, remedy),), row.cells, row.number))
    return tuple(first.values()), duplicates
