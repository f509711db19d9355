"""Strict parsing of untrusted JSON.

The standard parser accepts input that no correct provider sends and that could mislead us about money: two ``taskId``
in one object (the last one wins silently), ``NaN``, numbers of a thousand digits, and nesting that overflows the stack
of later code. Here each of these raises `NotJson`. A byte order mark is accepted: it does not change the meaning, and
rejecting it would throw away a task id that was paid for. For the same reason half a character (``"\\ud83d"``, a lone
surrogate, as left by a text that was cut in the middle of an emoji) is replaced by U+FFFD: it cannot be stored.
"""

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any

#: Far deeper than any documented response, and shallow enough for recursive code.
MAX_DEPTH = 32
#: Epoch milliseconds have 13 digits, 64-bit numbers 19.
MAX_DIGITS = 25


#: The escape of a surrogate. Bytes in UTF-8 contain none.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The bytes are not valid JSON, or not JSON that we accept."""


def parse(body: bytes) -> Any:
    """Return the value of *body*.

    Raises:
        NotJson: with the reason.
    """
    try:
        value = _decoder.decode(body.removeprefix(codecs.BOM_UTF8).decode())
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as exc:  # invalid UTF-8, invalid JSON, or a failed check
        problem = str(exc)
    else:
        if body.count(b"[") + body.count(b"{") <= MAX_DEPTH or not _is_deep(value):
            return _without_surrogates(value) if _SURROGATE.search(body) else value
        problem = "nested too deeply"
    # Raised outside the handler: the parser's error contains the whole text and would become its context.
    raise NotJson(problem)


def _without_surrogates(value: Any) -> Any:
    """Return *value* with each lone surrogate replaced by U+FFFD, in names as well."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
        case _:
            return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise NotJson("duplicate key in an object")
    return fields


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise NotJson(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJson("number out of range")
    return number


def _reject_constant(word: str) -> None:
    raise NotJson(f"{word} is not JSON")


#: Created once: creating one takes a third of the time of parsing a record.
_decoder = json.JSONDecoder(
    object_pairs_hook=_unambiguous,
    parse_int=_bounded_int,
    parse_float=_finite,
    parse_constant=_reject_constant,
)


def _is_deep(value: Any) -> bool:
    """Return True if *value* is nested deeper than `MAX_DEPTH`; works level by level, without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(parent: Any) -> Iterable[Any]:
    if isinstance(parent, dict):
        return parent.values()
    return parent if isinstance(parent, list) else ()
