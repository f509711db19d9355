"""File names that Windows rejects, or silently changes."""

import os
import re
from pathlib import PurePath, PureWindowsPath

#: Names of devices, which are reserved in upper and lower case, in every folder, with every ending.
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
_MAX_NAME = 255


def path_problem(path: str | os.PathLike[str], *, is_windows: bool = os.name == "nt") -> str | None:
    """Return which rule of Windows *path* breaks; None if it breaks none, and on other systems."""
    if not is_windows:
        return None
    parsed = PureWindowsPath(PurePath(path))
    names = parsed.parts[1:] if parsed.anchor else parsed.parts
    problems = (_name_problem(name) for name in names if name != "..")
    return next((problem for problem in problems if problem is not None), None)


def _name_problem(name: str) -> str | None:
    if (forbidden := _FORBIDDEN.search(name)) is not None:
        return f"a file name on Windows must not contain {forbidden[0]!r}"
    if RESERVED.match(name):
        return f"{name!r} is the name of a device on Windows; use another name"
    if name.endswith((".", " ")):
        return f"Windows drops the dot or space at the end of {name!r}; remove it"
    return f"a file name on Windows must not be longer than {_MAX_NAME} characters" if len(name) > _MAX_NAME else None
