"""What was typed: the words of the command, and the options that every command has."""

import sys
from enum import IntEnum
from pathlib import Path

import attrs


class Verbosity(IntEnum):
    """How much is printed."""

    #: Results and errors only.
    QUIET = 0
    NORMAL = 1
    #: Codes, ids and the provider's words as well.
    VERBOSE = 2


@attrs.frozen(kw_only=True)
class Invocation:
    """One call of the program."""

    #: The arguments as they were typed, without the name of the program.
    words: tuple[str, ...] = ()
    verbosity: Verbosity = Verbosity.NORMAL
    env_file: Path | None = None

    @property
    def is_quiet(self) -> bool:
        return self.verbosity is Verbosity.QUIET

    @property
    def is_verbose(self) -> bool:
        return self.verbosity is Verbosity.VERBOSE


_current = Invocation(words=tuple(sys.argv[1:]))


def begin(invocation: Invocation) -> None:
    """Make *invocation* the current one; a process has one at a time."""
    global _current  # like sys.argv, it belongs to the process
    _current = invocation


def current() -> Invocation:
    """Return the current invocation."""
    return _current
