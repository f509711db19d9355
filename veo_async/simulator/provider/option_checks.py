"""Validators for the simulator's options. Each error names the option, its value and what is allowed."""

from collections.abc import Callable
from typing import Any, get_args

import attrs

from veo_async.errors import UsageError

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _error(attribute: "attrs.Attribute[Any]", value: Any, rule: str) -> UsageError:
    return UsageError(f"{attribute.name}={value!r}: {rule}")


def one_of(literal: Any) -> _Validator:
    """Allow the values of a ``Literal``, and None if that is the default."""
    allowed = get_args(literal)

    def check(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value not in allowed and not (value is None and attribute.default is None):
            listed = ", ".join(repr(option) for option in allowed)
            raise _error(attribute, value, f"is not a valid value; use one of {listed}")

    return check


def at_least(bound: float, *, exclusive: bool = False, optional: bool = False) -> _Validator:
    """Allow numbers from *bound*, without *bound* itself if *exclusive*; None if *optional* or if it is the default."""
    rule = f"must be {'more than' if exclusive else 'at least'} {bound:g}"

    def check(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and (optional or attribute.default is None):
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _error(attribute, value, "must be a number")
        if value < bound or (exclusive and value == bound):
            raise _error(attribute, value, rule)

    return check


def check_fraction(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Allow numbers from 0 to 1."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _error(attribute, value, "must be between 0 and 1, e.g. 0.05")


def check_rate(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Allow a count and a window in seconds, and None if that is the default."""
    if not (_is_rate(value) or (value is None and attribute.default is None)):
        raise _error(attribute, value, "must be a count and a window in seconds, e.g. (20, 10.0)")


def check_optional_rate(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Allow a count and a window in seconds, and None."""
    if value is not None:
        check_rate(_, attribute, value)


def _is_rate(value: Any) -> bool:
    try:
        count, window_s = value
        return bool(int(count) == count and count >= 1 and window_s > 0)
    except (TypeError, ValueError):
        return False


def check_port(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Allow port numbers, and 0 for any free port."""
    if not isinstance(value, int) or not 0 <= value <= 65535:
        raise _error(attribute, value, "is not a port; use 1 to 65535, or 0 for any free port")


def seconds(default: float | None) -> Any:
    """Return a field for a number of seconds, 0 or more."""
    return attrs.field(default=default, validator=at_least(0))


def fraction(default: float) -> Any:
    """Return a field for a number from 0 to 1."""
    return attrs.field(default=default, validator=check_fraction)


def choice(literal: Any, default: Any) -> Any:
    """Return a field for one of the values of a ``Literal``."""
    return attrs.field(default=default, validator=one_of(literal))
