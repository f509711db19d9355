"""Numbers, durations and commands as people read them, or copy them."""

import shlex

from veo_async._base.numbers import format_number, plain_number

__all__ = [
    "command",
    "format_count",
    "format_credits",
    "format_duration",
    "format_number",
    "plain_number",
]


def format_count(number: int, noun: str) -> str:
    """Return *number* with its noun in the right form: ``1 clip``, ``2 clips``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_credits(credits: float) -> str:
    """Return an amount of credits: ``1 credit``, ``1,000,000 credits``."""
    text = format_number(credits)
    return f"{text} credit{'' if text == '1' else 's'}"


def format_duration(seconds: float) -> str:
    """Return a duration without false precision: ``42 s``, ``12 min``, ``2 h 15 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def command(*words: object) -> str:
    """Return a ``veo-async`` command line that can be pasted into a shell."""
    return shlex.join(["veo-async", *map(str, words)])
