"""Markdown tables, and texts for their cells from docstrings, types and defaults."""

import enum
import inspect
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_ENTRY = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)
_TYPE_NAMES = {"PathLike": "path", "bool": "True or False", "int": "whole number", "float": "number", "str": "text"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [_row(header), "|" + "---|" * len(header), *map(_row, rows)]
    return "".join(f"{line}\n" for line in lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', 'or') for cell in cells)} |"


def as_cell(text: str) -> str:
    """Return the text of a docstring for a cell: one line, without the markup of Sphinx."""
    one_line = " ".join(text.split()).rstrip(".")
    one_line = re.sub(r"``([^`]+)``", r"`\1`", one_line)
    return re.sub(r"(?<![\w*])\*(\w+)\*(?![\w*])", r"`\1`", one_line)


def entries(thing: Any) -> Mapping[str, str]:
    """Return the entries of the lists ``Args:`` and ``Attributes:`` in a docstring, by name."""
    return {name: as_cell(text) for name, text in _ENTRY.findall(inspect.getdoc(thing) or "")}


def default(value: Any) -> str:
    """Return a default value for a cell."""
    if value in (None, (), "") or value is inspect.Parameter.empty:
        return "–"
    return f"`{value!r}`".replace("'", '"')


def type_name(kind: Any) -> str:
    """Return a type in plain words; choices are listed."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, typing.Union):
        named = dict.fromkeys(type_name(part) for part in arguments if not _is_left_out(part))
        return " or ".join(named)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"({', '.join(map(type_name, arguments))})"
    if origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence":
        return f"list of {type_name(arguments[0])}"
    name = getattr(origin or kind, "__name__", str(kind))
    return _TYPE_NAMES.get(name, name)


def _is_left_out(part: Any) -> bool:
    """Whether a part of a union says nothing: None, or an enum whose values are listed as well."""
    return part is type(None) or (isinstance(part, type) and issubclass(part, enum.Enum))
