"""Tables about the simulator: its settings and its faults."""

import inspect
import re
from collections.abc import Mapping

import attrs

from veo_async.simulator import FAULTS, SimulatorSettings

from .markdown import as_cell, default, table


def settings_table_of_the_simulator() -> str:
    """Return every setting with the comment above it in the code."""
    documented = _comments()
    rows = [
        [f"`{field.name}`", documented[field.name], _default_of(field)] for field in attrs.fields(SimulatorSettings)
    ]
    return table(["setting", "meaning", "default"], rows)


def fault_table() -> str:
    """Return all faults."""
    rows = [[f"`{kind.name}`", as_cell(kind.description)] for kind in FAULTS.values()]
    return table(["fault", "effect"], rows)


def _comments() -> Mapping[str, str]:
    """Return the ``#:`` comments of the fields, by name."""
    found: dict[str, str] = {}
    for kind in reversed(SimulatorSettings.__mro__[:-1]):
        for comment, name in re.findall(r"((?:    #: .*\n)+)    (\w+):", inspect.getsource(kind)):
            found[name] = as_cell(comment.replace("#:", ""))
    return found


def _default_of(field: "attrs.Attribute[object]") -> str:
    """Return a default as it is written in a call."""
    value = field.default
    if isinstance(value, attrs.Factory) or callable(value):  # type: ignore[arg-type]  # a class at run time
        return "–"
    if isinstance(value, frozenset):
        return ", ".join(f"`{item}`" for item in sorted(value)) or "–"
    return default(value)
