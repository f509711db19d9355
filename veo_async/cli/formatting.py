"""Numbers, durations and commands as people read them, or copy them."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence

from veo_async._base.numbers import format_duration, format_number, plain_number

__all__ = [
    "command",
    "format_count",
    "format_credits",
    "format_duration",
    "format_number",
    "plain_number",
]

#: Words that neither cmd nor PowerShell would change.
_PLAIN_ON_WINDOWS = re.compile(r"[\w.:/\\+=-]+")


def format_count(number: int, noun: str) -> str:
    """Return *number* with its noun in the right form: ``1 clip``, ``2 clips``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_credits(credits: float) -> str:
    """Return an amount of credits: ``1 credit``, ``1,000,000 credits``."""
    text = format_number(credits)
    return f"{text} credit{'' if text == '1' else 's'}"


def command(*words: object) -> str:
    """Return a ``veo-async`` command line that can be pasted into a shell."""
    return join_words(["veo-async", *map(str, words)])


def join_words(words: Sequence[str], *, is_windows: bool = os.name == "nt") -> str:
    """Return *words* as one command line, quoted for the shell of the system."""
    return " ".join(map(_quote_for_windows, words)) if is_windows else shlex.join(words)


def _quote_for_windows(word: str) -> str:
    """Quote *word* with double quotes, which cmd and PowerShell both know."""
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + found[2].replace('"', '\\"'), word)
    return f'"{escaped}"'


def environment_lines(values: Mapping[str, str], *, is_windows: bool = os.name == "nt") -> list[str]:
    """Return what to type into a shell, on Windows into PowerShell, to set environment variables."""
    if is_windows:
        return [f'$env:{name} = "{value}"' for name, value in values.items()]
    return ["export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())]
