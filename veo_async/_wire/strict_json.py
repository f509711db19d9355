"""JSON from a stranger: read it whole and unambiguous, or refuse it.

The standard parser is quick and safe, but it lets through what no honest provider sends and what could mislead us
about money: two ``taskId`` in one object (the last one wins silently), ``NaN``, numbers of a thousand digits,
nesting that breaks whoever walks it later. Here each of these is a `NotJson`. A byte order mark is forgiven: it
changes nothing about the meaning, and refusing it would throw away a task id that was paid for.
"""

import codecs
import json
from collections.abc import Iterable
from typing import Any

#: Deeper than any page of the provider by far; walking, copying and pickling stay safe.
MAX_DEPTH = 32
#: Epoch milliseconds have 13 digits, 64-bit numbers 19.
MAX_DIGITS = 25


class NotJson(ValueError):
    """These bytes are not JSON that we are willing to believe."""


def parse(body: bytes) -> Any:
    """The value of *body*, or `NotJson` saying what is wrong with it."""
    try:
        value = _decoder.decode(body.removeprefix(codecs.BOM_UTF8).decode())
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as exc:  # of the text, of the JSON, or ours
        problem = str(exc)
    else:
        if body.count(b"[") + body.count(b"{") <= MAX_DEPTH or not _is_deep(value):
            return value
        problem = "nested too deeply"
    # Raised out here, because the parser's own error holds the whole text and would be the context of ours.
    raise NotJson(problem)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise NotJson("one object holds the same name twice")
    return fields


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise NotJson(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJson("a number beyond all bounds")
    return number


def _refuse_constant(word: str) -> None:
    raise NotJson(f"{word} is not JSON")


#: Made once: making one takes a third of the time that reading a record does.
_decoder = json.JSONDecoder(
    object_pairs_hook=_unambiguous,
    parse_int=_bounded_int,
    parse_float=_finite,
    parse_constant=_refuse_constant,
)


def _is_deep(value: Any) -> bool:
    """Walk level by level, so that depth costs no recursion."""
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
