"""Tables of all errors and all events, from their classes."""

import inspect
from typing import Any, get_args

import attrs

from veo_async import errors, events

from .markdown import as_cell, table


def error_table() -> str:
    """Return every error in the order of the tree, with what it means and what to do."""
    rows = []
    for error in _tree(errors.VeoError):
        bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__ if issubclass(base, errors.VeoError))
        is_safe = "yes" if error.retryable else "no"
        rows.append([f"`{error.__name__}`", bases, _meaning(error), is_safe, as_cell(error.remedy) or "–"])
    return table(["error", "is a", "meaning", "safe to send again", "what to do"], rows)


def event_table() -> str:
    """Return every event with its attributes."""
    rows = []
    for kind in get_args(events.JobEvent):
        names = [field.name for field in attrs.fields(kind)]
        rows.append([f"`{kind.__name__}`", _meaning(kind), ", ".join(f"`{name}`" for name in names)])
    return table(["event", "meaning", "attributes"], rows)


def _tree(error: type[errors.VeoError]) -> list[type[errors.VeoError]]:
    """Return the errors of the library below *error*, each once, parents first."""
    children = [child for child in error.__subclasses__() if child.__module__.startswith("veo_async.errors")]
    return list(dict.fromkeys(kind for child in children for kind in (child, *_tree(child))))


def _meaning(kind: type[Any]) -> str:
    return as_cell((inspect.getdoc(kind) or "").partition("\n\n")[0].replace("`", ""))
