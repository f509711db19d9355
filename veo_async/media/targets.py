"""What a path means: a file, if it ends in ``.mp4``; a folder, if it exists, ends in a slash or has no ending.

Everything here blocks, because what exists already also counts.
"""

import os
from os import PathLike
from pathlib import Path

from veo_async._base.checks import reject

_ENDING = ".mp4"
_SEPARATORS = tuple({"/", os.sep, os.altsep or os.sep} if os.name == "nt" else {os.sep})


def is_file_name(target: str) -> bool:
    """Return True if *target* names a file. A folder that exists is never one."""
    return Path(target).suffix.lower() == _ENDING and not target.endswith(_SEPARATORS) and not os.path.isdir(target)


def parse_target(name: str, path: str | PathLike[str]) -> str:
    """Return *path* absolute; a folder ends with a separator, so that it is still one in a later run.

    Raises:
        UsageError: it is neither a file nor a folder by its name, it could not be created, or what exists is of the
            other kind. The error calls the argument *name*.
    """
    given = os.fspath(path)
    target = os.path.abspath(given)
    if is_file_name(given):
        _check_can_be_created(name, path, Path(target).parent)
        return target
    ending = os.path.splitext(target)[1]
    if ending and not given.endswith(_SEPARATORS) and not os.path.isdir(target):
        stem = given.removesuffix(ending)
        reject(
            name,
            given,
            f"clips are .mp4 files; name one like {stem + _ENDING!r}, or write {given + '/'!r} for a folder",
        )
    _check_can_be_created(name, path, Path(target))
    return os.path.join(target, "")


def parse_folder(name: str, path: str | PathLike[str]) -> str:
    """Return *path* as `parse_target` does, if it is a folder.

    Raises:
        UsageError: it is not one.
    """
    if is_file_name(os.fspath(path)):
        reject(name, os.fspath(path), "must be a folder, not a file")
    return parse_target(name, path)


def _check_can_be_created(name: str, path: str | PathLike[str], folder: Path) -> None:
    """Require that *folder* exists or that its parent does: only one level is created."""
    nearest = folder if folder.exists() else folder.parent
    if not nearest.exists():
        reject(name, os.fspath(path), f"the folder {str(nearest)!r} does not exist; create it first, or check the path")
    if not nearest.is_dir():
        reject(name, os.fspath(path), f"{str(nearest)!r} is a file and not a folder")
