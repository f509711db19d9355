"""The names of a list's clips in its output folder."""

import os
from pathlib import Path

from veo_async._base.checks import reject
from veo_async.media.templates import escape_braces, parse_template

_ENDING = ".mp4"


def check_name(name: str) -> None:
    """Check a template for the names of a list's clips.

    Raises:
        UsageError: a placeholder is wrong, the name leads out of the folder, or all clips would get the same one.
    """
    template = parse_template("name", _with_ending(name), has_number=True)
    path = template.as_example()
    if os.path.isabs(path) or ".." in Path(path).parts or not Path(path).stem:
        reject("name", name, "must be a name in the output folder; choose the folder with --out")
    if not template.names & {"n", "key", "id", "slug"}:
        reject("name", name, "must contain {n:03}, {key}, {id} or {slug}, so that each clip gets a name")


def target_in(out: Path, name: str | None) -> str:
    """Return the template for the clips of a list: the folder *out*, or *name* in it."""
    folder = escape_braces(os.path.join(out, ""))
    return folder if name is None else folder + _with_ending(name)


def _with_ending(name: str) -> str:
    return name if name.lower().endswith(_ENDING) else name + _ENDING
