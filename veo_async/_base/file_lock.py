"""Locks on files, and renaming and removing files while they are locked, on POSIX and on Windows.

A lock belongs to an open file. The system releases it when the file is closed and when the process ends for any reason,
so a file that cannot be locked belongs to a process that is alive. POSIX record locks (``fcntl.lockf``) cannot
show that: a process loses them when it closes any other descriptor of the same file.

POSIX has ``flock``. Windows has ``msvcrt.locking``, and differs in three ways:

- Other handles cannot read or write locked bytes. So we lock one byte that is far beyond the end of our files.
- It waits for at most ten seconds. So we wait by ourselves.
- An open file can be neither renamed nor removed. So we close it first, which releases the lock. If another process
  opens the file in between, the rename or the removal fails, and the file belongs to that process.

Everything here blocks; call it through `run_blocking`.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: The highest position that the C library of Windows accepts is 2**31 - 1.
_LOCKED_BYTE = 2**31 - 2
#: Seconds between two attempts on Windows.
_RETRY_S = 0.02
#: How often to repeat what fails because another program has a file open: about one second.
_ATTEMPTS = 50
_FOLDER_LOCK = ".veo-async.lock"


def try_lock(descriptor: int) -> bool:
    """Lock the open file until it is closed. Return False if it is locked already.

    Raises:
        OSError: the file system has no locks.
    """
    if fcntl is None:
        return _try_lock_byte(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(descriptor: int) -> None:
    """Wait until the open file can be locked, and lock it until it is closed.

    Raises:
        OSError: the file system has no locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    while not _try_lock_byte(descriptor):
        time.sleep(_RETRY_S)


def lock_if_possible(descriptor: int) -> bool:
    """Lock the open file as `try_lock` does. Return False also if its file system has no locks."""
    try:
        return try_lock(descriptor)
    except OSError:
        return False


def lock_new(path: Path, descriptor: int) -> bool:
    """Lock a file that was just created. Return False if another process took it for abandoned before that."""
    try:
        return try_lock(descriptor) and is_named(path, descriptor)
    except OSError:  # the file system has no locks, so no process takes a file for abandoned
        return True


def unlock(descriptor: int) -> None:
    """Release the lock before the file is closed, also for copies of the descriptor in forked children."""
    if fcntl is None:
        _on_locked_byte(descriptor, "LK_UNLCK")
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_named(path: Path, descriptor: int) -> bool:
    """Return True if *path* still names this open file."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    # On Windows an open file keeps its name, and Python's device numbers of a path and of a descriptor may differ.
    return fcntl is None or os.path.samestat(found, os.fstat(descriptor))


def remove_and_close(path: Path, descriptor: int) -> None:
    """Remove the locked file and close it, so that no other process can lock it in between.

    Raises:
        OSError: it could not be removed; it is closed.
    """
    _close_and(path.unlink, descriptor)


def replace(path: Path, target: Path) -> None:
    """Rename *path* to *target*, replacing that.

    On Windows this is repeated for a second if it is refused, because virus scanners and other readers open files for a
    moment.
    """
    for _ in range(_ATTEMPTS - 1 if fcntl is None else 0):
        with contextlib.suppress(PermissionError):
            os.replace(path, target)
            return
        time.sleep(_RETRY_S)
    os.replace(path, target)


def rename_and_close(
    path: Path, target: Path, descriptor: int, *, rename: Callable[[Path, Path], object] = replace
) -> None:
    """Rename the locked file to *target*, by default replacing that, and close it.

    It stays locked until it has its name, so that no other process takes it for abandoned; on Windows see above.

    Raises:
        OSError: it could not be renamed; it is closed.
    """
    _close_and(lambda: rename(path, target), descriptor)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Let only one process at a time run the block for *folder*, where the file system supports locks."""
    path, descriptor = _open_folder(folder)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            lock(descriptor)
        yield
    finally:
        if fcntl is None:
            with contextlib.suppress(OSError):  # another process waits for it
                remove_and_close(path, descriptor)
        else:
            os.close(descriptor)


def _open_folder(folder: Path) -> tuple[Path, int]:
    """Open *folder* itself, or on Windows, where that is impossible, a file in it."""
    if fcntl is not None:
        return folder, os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    path = folder / _FOLDER_LOCK
    return path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _close_and(work: Callable[[], object], descriptor: int) -> None:
    if fcntl is None:
        os.close(descriptor)
        work()
        return
    try:
        work()
    finally:
        os.close(descriptor)


def _try_lock_byte(descriptor: int) -> bool:
    try:
        _on_locked_byte(descriptor, "LK_NBLCK")
    except PermissionError:
        return False
    return True


def _on_locked_byte(descriptor: int, action: str) -> None:
    msvcrt: Any = import_module("msvcrt")  # type checkers on other systems do not know its functions
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, getattr(msvcrt, action), 1)
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)
