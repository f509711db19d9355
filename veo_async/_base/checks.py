"""Checks of arguments. Each raises `UsageError` with the argument's name, its value and what is allowed."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

from veo_async.errors import UsageError

#: Longer values are cut in an error's text.
_MAX_SHOWN = 80


def reject(name: str, value: object, rule: str) -> NoReturn:
    """Raise `UsageError`: *name* was given *value*, and *rule* says what is allowed."""
    shown = repr(value)
    raise UsageError(f"{name}={shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + '…'}: {rule}")


def check_count(name: str, value: Any, *, minimum: int = 1) -> None:
    """Require a whole number of at least *minimum*."""
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        reject(name, value, f"must be a whole number, {minimum} or more")


def check_positive(name: str, value: Any) -> None:
    """Require a positive, finite number."""
    if not is_number(value) or value <= 0:
        reject(name, value, "must be a positive number")


def check_flag(name: str, value: Any) -> None:
    """Require True or False."""
    if not isinstance(value, bool):
        reject(name, value, "must be True or False")


def check_text(name: str, value: Any) -> None:
    """Require a string that is not empty and can be encoded."""
    if not isinstance(value, str) or not value:
        reject(name, value, "must be a non-empty string")
    check_encodable_text(name, value)


def check_encodable_text(name: str, value: str) -> None:
    """Require text without lone surrogates: neither a request nor a ledger can contain half a character."""
    if not is_encodable(value):
        reject(name, value, "contains a lone surrogate; decode the text as UTF-8")


def is_encodable(text: str) -> bool:
    """Return True if *text* can be encoded as UTF-8, so it has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nearest(value: object, choices: Iterable[object]) -> str | None:
    """Return the one of *choices* of which the text *value* is a part or a misspelling; None if there is none."""
    import difflib  # only errors need it

    if not isinstance(value, str):
        return None
    by_spelling = {str(choice).casefold(): str(choice) for choice in choices}
    parts = [spelling for spelling in by_spelling if value.casefold() in spelling.split("_")]
    near = parts or difflib.get_close_matches(value.casefold(), by_spelling, n=1)
    return by_spelling[near[0]] if near else None


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Require one of *choices*; the error names the nearest one."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        near = nearest(value, choices)
        hint = f" (did you mean {near!r}?)" if near else ""
        reject(name, value, f"must be one of {listed}{hint}")


def check_several(name: str, value: Any, rule: str, *, kinds: tuple[type, ...], but_not: tuple[type, ...]) -> None:
    """Require one of *kinds* of iterables. A text or a dict would be read as a list of its letters or keys."""
    if not isinstance(value, kinds) or isinstance(value, (str, bytes, bytearray, Mapping, *but_not)):
        reject(name, value, rule)


def check_callable(name: str, value: Any, signature: str) -> None:
    """Require a function; *signature* shows how it is called."""
    if not callable(value):
        reject(name, value, f"must be a function, called as {signature}")


def check_instance(name: str, value: Any, kind: type, example: str) -> None:
    """Require an instance of *kind*; *example* shows how to make one."""
    if not isinstance(value, kind):
        reject(name, value, f"must be {example}")


def is_number(value: Any) -> bool:
    """Return True for a finite int or float; a bool is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
