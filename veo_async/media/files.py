"""File operations that are safe against crashes, other processes and planted links.

Everything here blocks; call it through `run_blocking`.
"""

import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veo_async._base.atomic_write import write_atomically

#: Never follow a symbolic link; never pass the descriptor to a child process.
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
#: Our sidecars are small; a larger file is not one of them, and only this much of it is read.
_MAX_JSON_BYTES = 4 * 1024 * 1024


def create(path: Path) -> int:
    """Create a file that only this user can read, and return its descriptor. Fail if *path* exists, even as a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)


def open_regular(path: Path, *, to_write: bool = False) -> int | None:
    """Open an existing regular file and return its descriptor, or None if it is missing or of another kind.

    Only partial files are opened for writing: a finished video may be read-only.
    """
    access = os.O_RDWR if to_write else os.O_RDONLY
    try:
        descriptor = os.open(path, access | getattr(os, "O_NONBLOCK", 0) | _SAFE)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def check_free_space(folder: Path, needed: float) -> None:
    """Raise the error of a full disk unless *needed* bytes are free in *folder*."""
    usage = shutil.disk_usage(folder)
    if usage.total and usage.free < needed:  # some network file systems report zero for both
        raise OSError(errno.ENOSPC, "not enough free disk space for the video")


def write_json(
    path: Path, values: Mapping[str, Any], *, mode: int = 0o600, exact_mode: int | None = None, replace: bool = True
) -> None:
    """Write *values* to *path* atomically, as `write_atomically` does. The caller flushes the folder."""
    text = json.dumps(values, ensure_ascii=False, indent=2, default=str) + "\n"
    data = text.encode("utf-8", "replace")
    write_atomically(path, data, mode=mode, exact_mode=exact_mode, replace=replace, sync_folder=False)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in *path*, or None if the file is missing or does not contain one."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:
        try:
            values = json.loads(file.read(_MAX_JSON_BYTES))
        except (ValueError, RecursionError, OSError):
            return None
    return values if isinstance(values, dict) else None
