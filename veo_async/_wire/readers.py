"""One value at a time: from what JSON holds to what we mean, without quiet coercion.

Each reader takes whatever stood in a field and answers the value, or None when the field says nothing (absent, null,
or of a type that it must not have). None never becomes ``"None"``, ``"false"`` never becomes True, a bare URL never
becomes its letters. Who needs the value says so and raises (`answers`); who does not lives with None. That is on
purpose: an odd decoration such as ``hasAudioList: "yes"`` must not cost a user a clip that is paid for and ready.
The odd value itself is never lost, ``raw`` keeps it.
"""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from . import strict_json

#: Epoch seconds reach 11 digits in the year 5138; anything larger is milliseconds.
_FIRST_MILLISECOND_STAMP = 100_000_000_000
#: A comma may stand inside a URL, so only one that is followed by another URL parts two of them.
_NEXT_URL = re.compile(r",\s*(?=['\"]?https?://)", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s/?#]\S*", re.IGNORECASE)
_WHOLE = re.compile(rf"-?[0-9]{{1,{strict_json.MAX_DIGITS}}}")


def string(value: Any) -> str | None:
    """A string with something in it."""
    return value if isinstance(value, str) and value else None


def integer(value: Any) -> int | None:
    """An integer; also the string form of one, which older answers use for flags."""
    if type(value) is int:  # isinstance would let True through
        return value
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else None


def number(value: Any) -> float | None:
    """A number, whole or not."""
    return float(value) if type(value) in (int, float) else None


def boolean(value: Any) -> bool | None:
    """A JSON boolean and nothing else."""
    return value if isinstance(value, bool) else None


def integers(value: Any) -> tuple[int, ...]:
    """A list of integers, or a lone integer."""
    items = value if isinstance(value, list) else [value]
    return tuple(n for item in items if (n := integer(item)) is not None)


def booleans(value: Any) -> tuple[bool, ...]:
    """A list of booleans."""
    return tuple(item for item in value if isinstance(item, bool)) if isinstance(value, list) else ()


def strings(value: Any) -> tuple[str, ...]:
    """A list of strings."""
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()


def urls(value: Any) -> tuple[str, ...]:
    """URLs out of any of the shapes met: a list, a JSON string of one, ``[http://a, http://b]``, a bare URL.

    Only what looks like a URL counts; order is kept and repetitions are dropped.
    """
    return tuple(dict.fromkeys(found for item in _as_list(value) if (found := url(item))))


def url(value: Any) -> str | None:
    """One http(s) URL with a host, freed of blanks and quotes around it."""
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
    """A point in time in UTC: epoch milliseconds (real), epoch seconds, ISO 8601 or ``2025-06-06 10:30:00``.

    The pages do not name the zone of the last form; UTC is assumed. Durations taken between two stamps of the same
    answer are right either way.
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
    """The request as the provider echoes it: an object, or JSON in a string; empty when it is neither."""
    if isinstance(value, str):
        with contextlib.suppress(strict_json.NotJson):
            value = strict_json.parse(value.encode("utf-8", "surrogatepass"))
    return value if isinstance(value, dict) else {}
