"""``--env-file``: environment variables from a file. It is never read unless it is named.

The format is what dotenv files have in common: ``NAME=VALUE`` on each line, with an optional ``export`` before it,
quotes around the value, and comments. Values are taken as they are: ``$NAME`` is not replaced.
"""

import re
from collections.abc import MutableMapping
from pathlib import Path

from veo_async.errors import UsageError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def load_env_file(path: Path, environ: MutableMapping[str, str]) -> None:
    """Set the variables in the file *path* that *environ* does not have.

    Raises:
        UsageError: the file cannot be read, or a line is not an assignment; *environ* is unchanged.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as exc:
        raise UsageError(f"--env-file {path}: {exc.strerror}; name a file that can be read") from None
    except UnicodeDecodeError:
        raise UsageError(f"--env-file {path}: the file is not UTF-8 text; save it as UTF-8") from None
    for name, value in parse_env_file(text, path).items():
        environ.setdefault(name, value)


def parse_env_file(text: str, path: Path) -> dict[str, str]:
    """Return the variables in *text*; the last of several assignments counts.

    Raises:
        UsageError: names the file and the line, and not the value, which may be a secret.
    """
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            assignment = _LINE.fullmatch(stripped)
            if assignment is None:
                raise _error(path, number, "not an assignment; write NAME=VALUE")
            if (value := _value(assignment[2])) is None:
                raise _error(path, number, f"the quotes around the value of {assignment[1]} do not match")
            values[assignment[1]] = value
    return values


def _value(text: str) -> str | None:
    """Return the value that *text* stands for; None if its quotes do not match."""
    if not text.startswith(('"', "'")):
        return re.sub(r"(^|\s+)#.*", "", text)
    if (quoted := _QUOTED.fullmatch(text)) is None:
        return None
    if quoted[1] is None:
        return quoted[2]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted[1])


def _error(path: Path, number: int, problem: str) -> UsageError:
    return UsageError(f"--env-file {path}, line {number}: {problem}")
