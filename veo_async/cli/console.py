"""Standard output and standard error of the commands."""

import io
import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console

from .invocation import current

console: Console = Console(highlight=False)


def print_line(text: str = "") -> None:
    """Print *text* literally: without markup and without breaking long lines."""
    console.print(text, markup=False, soft_wrap=True)


def print_note(text: str = "") -> None:
    """Print *text*, which is not a result, unless ``-q`` was given."""
    if not current().is_quiet:
        print_line(text)


def print_error(text: str) -> None:
    """Print *text* to standard error."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


def write_json(values: Mapping[str, Any]) -> None:
    """Write *values* as one line of JSON, at once: a program at the other end of a pipe waits for it."""
    sys.stdout.write(json.dumps(values, ensure_ascii=not is_utf8(sys.stdout)) + "\n")
    sys.stdout.flush()


def print_document(values: Mapping[str, Any], *, compact: bool) -> None:
    """Write *values* as JSON over several lines, or as one line if *compact*."""
    if compact:
        write_json(values)
    else:
        sys.stdout.write(json.dumps(values, indent=2, ensure_ascii=not is_utf8(sys.stdout)) + "\n")


def escape_unprintable() -> None:
    """Print characters that the console's encoding lacks as escapes; by default they end the program.

    On Windows, output to a file or pipe has the encoding of the locale, for example cp1252.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_utf8(stream: TextIO) -> bool:
    """Whether *stream* can take any character."""
    return (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf8")
