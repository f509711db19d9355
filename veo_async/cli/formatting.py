"""Numbers, durations and commands as people read them, or copy them."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from veo_async._base.numbers import format_count, format_duration, format_number, plain_number

from .invocation import current

__all__ = [
    "command",
    "format_count",
    "format_credits",
    "format_duration",
    "format_number",
    "generate_command",
    "needs_no_key",
    "plain_number",
    "same_command",
    "short_path",
]

#: Commands that do without an API key.
_WITHOUT_KEY = frozenset(
    {
        *("demo", "simulator", "guide", "jobs", "timeline", "contact-sheet"),
        *("ledger in-doubt", "ledger resubmit", "ledger abandon"),
    }
)
#: Words that neither cmd nor PowerShell would change.
_PLAIN_ON_WINDOWS = re.compile(r"[\w.:/\\+=-]+")


def format_credits(credits: float) -> str:
    """Return an amount of credits: ``1 credit``, ``1,000,000 credits``."""
    text = format_number(credits)
    return f"{text} credit{'' if text == '1' else 's'}"


def short_path(path: str | Path) -> str:
    """Return *path* from the current folder on, if it is below it."""
    file = Path(path)
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def command(*words: object) -> str:
    """Return a ``veo-async`` command line that can be pasted into a shell.

    It names the ``--env-file`` of this call, which may hold the API key, unless the command needs no key.
    """
    typed = [str(word) for word in words]
    file = current().env_file
    is_named = file is None or any(word.split("=")[0] == "--env-file" for word in typed)
    option = [] if is_named or needs_no_key(typed) else ["--env-file", str(file)]
    return join_words(["veo-async", *typed, *option])


def same_command(*, without: str | None = None, route: str | None = None) -> str:
    """Return the command as it was typed: without its options, running it again would do something else.

    Args:
        without: an option to leave out; ``--accept-restored``, which is given once, is always left out.
        route: the route to take instead of the one that was typed.
    """
    words = [word for word in current().words if word not in (without, "--accept-restored")]
    return command(*words) if route is None else command(*_without_route(words), "--route", route)


def _without_route(words: Sequence[str]) -> list[str]:
    return [
        word
        for before, word in zip(("", *words), words, strict=False)
        if "--route" not in (before, word) and not word.startswith("--route=")
    ]


def without_hold() -> str:
    """Return the command that sends the jobs on hold, and says so."""
    accepting = same_command(without="--stop-on-overcharge")
    return f"{accepting}   (sends them at the provider's price; nothing is charged twice)"


def generate_command(*options: object, prompt: str = "A dog surfing at dusk") -> str:
    """Return a command that generates a clip of *prompt*, whose quotes are the same in every shell."""
    words = command("generate", *options).split(" ", 2)
    return " ".join([*words[:2], f'"{prompt}"', *words[2:]])


def needs_no_key(words: Sequence[str]) -> bool:
    """Whether the command line *words* does without an API key."""
    return not words or words[0] in _WITHOUT_KEY or " ".join(words[:2]) in _WITHOUT_KEY or "--help" in words


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
