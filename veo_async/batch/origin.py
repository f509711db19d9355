"""Where a list comes from: a small file in the output folder, by which ``rejected.csv`` belongs to its list.

A ``rejected.csv`` next to this file belongs to the list that was run into the folder: its image files are relative to
that list, its results go to the same folder, its gallery has the same title, and what it costs counts in the same
budget. Anywhere else it is a list like any other. Everything here blocks.
"""

import json
from pathlib import Path

import attrs

from veo_async._base.atomic_write import write_atomically
from veo_async.errors import ResultsWriteError

from .gallery.formatting import readable
from .results import REJECTED, translate_os_errors

_NAME = "list.json"


@attrs.frozen(kw_only=True)
class Origin:
    """A list that was run into an output folder."""

    #: The name of its budget: the absolute path of the list.
    budget: str
    #: The folder that its image files are relative to.
    folder: Path
    #: The title of its gallery.
    title: str = "Clips"


def origin_of(source: Path | None, out: Path) -> Origin:
    """Return the origin of the list in *source*, or of one from standard input, which is known by its output folder."""
    if source is None:
        return Origin(budget=str(out.resolve()), folder=Path.cwd())
    title = readable(source.stem) or "Clips"
    return Origin(budget=str(source.resolve()), folder=source.resolve().parent, title=title)


def write_origin(out: Path, origin: Origin) -> None:
    """Store *origin* in the output folder *out*.

    Raises:
        ResultsWriteError: the folder is not writable.
    """
    values = {"budget": origin.budget, "folder": str(origin.folder), "title": origin.title}
    with translate_os_errors(out, ResultsWriteError):
        write_atomically(out / _NAME, (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode())


def read_origin(source: Path) -> Origin | None:
    """Return the origin of the list that *source* is the ``rejected.csv`` of; None if it belongs to none."""
    if source.name != REJECTED:
        return None
    try:
        values = json.loads(source.with_name(_NAME).read_bytes())
        return Origin(budget=str(values["budget"]), folder=Path(values["folder"]), title=str(values["title"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
