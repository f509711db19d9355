"""Convert single JSON values to our types, without silent coercion.

Each reader takes the value of a field and returns our value, or None if the field has no usable value (missing, null,
or of a wrong type). None never becomes ``"None"``, ``"false"`` never becomes True, a bare URL never becomes its
letters. Code that needs the value raises (`responses`); other code accepts None. This is deliberate: an unusual detail
such as ``hasAudioList: "yes"`` must not cost the user a clip that is finished and charged. ``raw`` keeps the original
value.
"""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from . import strict_json

#: Epoch seconds have 12 digits only from the year 5138 on; larger values are milliseconds.
_FIRST_MILLISECOND_STAMP = 100_000_000_000
#: A URL may contain commas, so only a comma before another URL separates two of them.
_NEXT_URL = re.compile(r",\s*(?=['\"]?https?://)", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s/?#]\S*", re.IGNORECASE)
_INTEGER = re.compile(rf"-?[0-9]{{1,{strict_json.MAX_DIGITS}}}")


def string(value: Any) -> str | None:
    """Return a non-empty string."""
    return value if isinstance(value, str) and value else None


def integer(value: Any) -> int | None:
    """Return an integer, or the one in a string, which older responses use for flags."""
    if type(value) is int:  # isinstance would accept True
        return value
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def number(value: Any) -> float | None:
    """Return a number as a float."""
    return float(value) if type(value) in (int, float) else None


def boolean(value: Any) -> bool | None:
    """Return a boolean."""
    return value if isinstance(value, bool) else None


def integers(value: Any) -> tuple[int, ...]:
    """Return the integers of a list, or a single integer."""
    items = value if isinstance(value, list) else [value]
    return tuple(n for item in items if (n := integer(item)) is not None)


def booleans(value: Any) -> tuple[bool, ...]:
    """Return the booleans of a list."""
    return tuple(item for item in value if isinstance(item, bool)) if isinstance(value, list) else ()


def strings(value: Any) -> tuple[str, ...]:
    """Return the non-empty strings of a list."""
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()


def urls(value: Any) -> tuple[str, ...]:
    """Return the URLs in any of the known shapes: a list, a list in a string, ``[http://a, http://b]``, or a bare URL.

    Other items are ignored; the order is kept and duplicates are dropped.
    """
    return tuple(dict.fromkeys(found for item in _as_list(value) if (found := url(item))))


def url(value: Any) -> str | None:
    """Return an http(s) URL with a host, without surrounding spaces and quotes."""
    if not isinstance(value, str):
        return None
    candidate = value.strip().strip("'\"")
    return candidate if _URL.fullmatch(candidate) and candidate.isprintable() else None


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return []
    with contextlib.suppress(strict_json.NotJson):
        parsed = strict_json.parse(value.encode("utf-8", "surrogatepass"))
        return parsed if isinstance(parsed, list) else [parsed]
    bare = value.strip()
    return _NEXT_URL.split(bare[1:].removesuffix("]") if bare.startswith("[") else bare)


def instant(value: Any) -> datetime | None:
    """Return a time in UTC, from epoch milliseconds (used today), epoch seconds, ISO 8601 or ``2025-06-06 10:30:00``.

    The documentation does not name the time zone of the last format; UTC is assumed. Differences between two times of
    one response are right in any case.
    """
    if isinstance(value, str):
        return _parsed_instant(value.strip())
    stamp = number(value)
    if stamp is None:
        return None
    seconds = stamp / 1000 if abs(stamp) >= _FIRST_MILLISECOND_STAMP else stamp
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _parsed_instant(text: str) -> datetime | None:
    if text.isascii() and text.isdigit():
        return instant(integer(text))
    with contextlib.suppress(ValueError, OverflowError):
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return None


def params(value: Any) -> Mapping[str, Any]:
    """Return the request that the provider echoes, as an object or as JSON in a string; else an empty mapping."""
    if isinstance(value, str):
        with contextlib.suppress(strict_json.NotJson):
            value = strict_json.parse(value.encode("utf-8", "surrogatepass"))
    return value if isinstance(value, dict) else {}


def nested_params(value: Any) -> Mapping[str, Any] | None:
    """Return the echoed request; where its ``input`` is an object or JSON in a string, with the fields of that.

    Without any field it is None, so that an empty ``paramJson`` does not hide a ``param``.
    """
    outer = params(value)
    return ({**outer, **params(outer["input"])} if "input" in outer else outer) or None
