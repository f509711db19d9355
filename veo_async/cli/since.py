"""``--since`` and ``--older-than``: a moment, as an age or as a date."""

import re
from datetime import UTC, datetime

from veo_async.errors import UsageError

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_since(text: str, now: float, option: str = "--since") -> float:
    """Return the Unix time that the *text* of *option* names at the time *now*: ``2h`` ago, or a date in UTC.

    Raises:
        UsageError: *text* is neither.
    """
    if age := _AGE.fullmatch(text.strip()):
        return now - float(age[1]) * _SECONDS[age[2]]
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} {text!r}: write an age, such as 30m, 2h or 3d, or a date, such as 2026-11-01 or 2026-11-01T18:00"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
