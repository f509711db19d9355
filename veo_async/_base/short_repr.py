"""`short_repr`: a `repr` that shows only what differs from the defaults."""

from typing import Any

import attrs


def short_repr(self: Any) -> str:
    """Show the fields of an attrs object that differ from their defaults; assign it to ``__repr__``.

    An object whose constructor failed has only some of its fields; a traceback with values shows it.
    """
    shown = [
        f"{field.name}={field.repr(value) if callable(field.repr) else repr(value)}"
        for field in attrs.fields(type(self))
        if field.repr and (value := getattr(self, field.name, field.default)) != field.default
    ]
    return f"{type(self).__name__}({', '.join(shown)})"
