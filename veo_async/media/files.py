"""Writing so that a crash leaves the old or the new, never a mixture. All of it blocks: call it through `blocking`."""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veo_async._base.atomic_write import write_atomically

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

#: Never through a link that somebody laid; never handed to a child process.
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
#: A JSON of ours is small; what is larger is not ours.
_MOST_JSON_BYTES = 4 * 1024 * 1024


def create(path: Path) -> int:
    """A descriptor of a new file that only we may read; never one that is there, never through a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)


def open_regular(path: Path, *, to_write: bool = False) -> int | None:
    """A descriptor of a plain file that is there; None when it is anything else, or not there.

    Only a part is opened to be written to: a finished film may well be one that nobody may change any more.
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
    """Raise what a full disk would raise unless *needed* bytes are free where *folder* is."""
    usage = shutil.disk_usage(folder)
    if usage.total and usage.free < needed:  # some network file systems tell nothing, which is zero
        raise OSError(errno.ENOSPC, "too little room for the video")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write *values* to *path* atomically. The caller flushes the folder."""
    write_atomically(path, encode(values), mode=0o600, sync_folder=False)


def encode(values: Mapping[str, Any]) -> bytes:
    """*values* as JSON for people and programs; what JSON has no word for is written as its text."""
    return (json.dumps(values, ensure_ascii=False, indent=2, default=str) + "\n").encode("utf-8", "replace")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in *path*; None when there is none that we could have written."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:
        try:
            read = json.loads(file.read(_MOST_JSON_BYTES))
        except (ValueError, RecursionError, OSError):
            return None
    return read if isinstance(read, dict) else None


def try_lock(descriptor: int) -> bool:
    """Take the file for ourselves until it is closed; whether that worked."""
    if fcntl is None:  # pragma: no cover  # Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another has it, or the file system knows no locks: then it cannot be known to be free
        return False
    return True


def is_same_file(path: Path, descriptor: int) -> bool:
    """Whether *path* is still the name of this open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Alone among all processes that put finished files into *folder*, where the system can promise that."""
    if fcntl is None:  # pragma: no cover  # Windows: replacing is atomic there, too; only the pair of files is not
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        with contextlib.suppress(OSError):  # network file systems that know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
