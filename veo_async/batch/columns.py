"""The names of a list's columns: which ones are known, how they may be spelled, and what was meant by others.

Case, surrounding blanks, and blanks or hyphens instead of underscores do not matter: ``Aspect Ratio`` is
``aspect_ratio``. An unknown column is only copied to the results, with a warning. Nothing is guessed: a column
``promt`` is not taken for ``prompt``, because a wrong guess would be paid for.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from veo_async._base.checks import nearest
from veo_async.errors import UsageError

from .rows import (
    ERROR_COLUMN,
    INVISIBLE,
    JOB_COLUMNS,
    NUMBER_COLUMN,
    REQUEST_COLUMNS,
    RESULT_COLUMNS,
    spelling,
)

_KNOWN = tuple(sorted(REQUEST_COLUMNS | JOB_COLUMNS))
#: Common names of columns that are called differently here.
_OTHER_NAMES = {
    "id": "key",
    "name": "key",
    "text": "prompt",
    "description": "prompt",
    "beschreibung": "prompt",
    "описание": "prompt",
    "промпт": "prompt",
    "format": "aspect_ratio",
    "seed": "seeds",
    "images": "image",
}
#: A list with all of these is the ``results.csv`` of an earlier run.
_OF_RESULTS = frozenset({"status", "path", "task_id"})
#: More names are only counted in a message.
_MAX_SHOWN = 12


def names_of(headers: Sequence[str]) -> dict[str, str | None]:
    """Return the name that each column has from here on; None for a column that is left out.

    A known column gets its own name. One that is called like a column of ``results.csv`` gets another name, so that
    both fit there. What an earlier run has written is left out.
    """
    is_of_results = {spelling(header) for header in headers} >= _OF_RESULTS
    return {header: _name_of(header, is_of_results=is_of_results) for header in headers}


def _name_of(header: str, *, is_of_results: bool) -> str | None:
    form, plain = spelling(header), header.strip(INVISIBLE)
    if form == ERROR_COLUMN or not form:
        return None
    if form in (*_KNOWN, NUMBER_COLUMN):
        return form
    if form in RESULT_COLUMNS:
        return None if is_of_results else f"{plain} (list)"
    return plain


def unknown_columns(columns: Iterable[str], used: Collection[str]) -> list[str]:
    """Return the columns that set nothing; *used* are those that the prompt template contains."""
    return [name for name in columns if name not in _KNOWN and name not in used]


def unknown_text(unknown: Sequence[str]) -> str:
    """Return that *unknown* are not known, with the names that were probably meant."""
    if len(unknown) == 1:
        meant = _meant(unknown[0])
        end = f'; did you mean "{meant}"?' if meant else "."
        return f'"{unknown[0]}" is an unknown column{end}'
    return f"{_listed([_with_meaning(name) for name in unknown])} are unknown columns."


def check_prompt_column(columns: Sequence[str], line: int) -> None:
    """Check that the list has a column with prompts.

    Raises:
        UsageError: it has none; the error lists the columns and says what to do.
    """
    if "prompt" in columns:
        return
    near = next((name for name in columns if _meant(name) == "prompt"), None)
    steps = [f'Rename "{near}" to "prompt".' if near else 'Call the column with the prompts "prompt".']
    if len(columns) == 1 and near is None:
        steps.append('If the file has no line with column names, add one above the first line: "prompt".')
    elif near is None:
        steps.append('Or build the prompts from other columns: --prompt "A {animal} on a {thing}".')
    found = _listed([f'"{name}"' for name in columns])
    noun = "column is" if len(columns) == 1 else "columns are"
    raise UsageError(f'line {line}: no column is called "prompt"; the {noun} {found}. {" ".join(steps)}')


def known_columns() -> str:
    """Return the names of all known columns, for a message."""
    return ", ".join(_KNOWN)


def by_spelling(columns: Iterable[str]) -> Mapping[str, str]:
    """Return the columns by their `spelling`."""
    return {spelling(name): name for name in columns}


def _meant(name: str) -> str | None:
    """Return the known column that was probably meant by *name*."""
    form = spelling(name)
    return _OTHER_NAMES.get(form) or nearest(form, _KNOWN)


def _with_meaning(name: str) -> str:
    meant = _meant(name)
    return f'"{name}" (did you mean "{meant}"?)' if meant else f'"{name}"'


def _listed(items: Sequence[str]) -> str:
    if len(items) > _MAX_SHOWN:
        items = [*items[:_MAX_SHOWN], f"{len(items) - _MAX_SHOWN} more"]
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
