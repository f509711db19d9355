"""Run a module as Windows would: ``python -m tests.portability.windows veo_async demo``.

What Windows lacks is taken away before the module is imported, and what behaves differently there is imitated:

- no ``fcntl``, ``resource``, ``pwd``; no ``O_CLOEXEC`` and the like; no ``fork``, ``fchmod``, ``getuid``; no ``/proc``
- ``msvcrt.locking``: a lock belongs to one handle, and other handles can neither read nor write the locked bytes
- an open file can be neither replaced nor removed; a folder cannot be opened
- a file opened without ``O_BINARY`` translates line ends
- event loops have no signal handlers and no readers; ``os.kill`` ends a process at once; Ctrl-Break exists
- the clock advances in steps of 1/64 second

``os.name`` stays as it is, because the standard library chooses its modules by it.
"""

import asyncio
import contextlib
import errno
import fcntl
import io
import logging.handlers  # noqa: F401  # modules that look for these things when they are imported come first
import os
import pathlib  # noqa: F401
import random  # noqa: F401
import runpy
import shutil  # noqa: F401
import signal
import socket  # noqa: F401
import struct
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
import time
import types
from asyncio import selector_events, unix_events
from collections.abc import Iterator
from typing import Any

_MODULES = ("fcntl", "grp", "pwd", "resource", "syslog", "termios")
_OS_NAMES = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
    *("fchmod", "fchown", "fork", "geteuid", "getuid", "mkfifo", "register_at_fork"),
)
#: A flag that Linux ignores.
_O_BINARY = 0x8000
_CLOCK_STEP_S = 1 / 64
_MAX_POSITION = 2**31 - 1
#: The byte by which processes see that others have a file open.
_MARKER = 2**40

_open, _read, _write, _kill = os.open, os.read, os.write, os.kill
_unlink, _replace, _rename = os.unlink, os.replace, os.rename
_monotonic, _clock_info = time.monotonic, time.get_clock_info  # noqa: TID251  # this is the clock
_io_open = io.open
_text_files: set[int] = set()


# --- locks ------------------------------------------------------------------------------------------------------


def _region(kind: int, start: int, length: int) -> bytes:
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, start, length, 0)


def _is_locked(descriptor: int, start: int, length: int) -> bool:
    """Whether another handle has locked a part of the region."""
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _region(fcntl.F_WRLCK, start, length))  # type: ignore[attr-defined]
    return struct.unpack("hhqqi0q", found)[0] != fcntl.F_UNLCK


class FakeMsvcrt(types.ModuleType):
    """The locks of ``msvcrt``, on the locks of Linux that belong to an open file."""

    LK_UNLCK, LK_LOCK, LK_NBLCK, LK_RLCK, LK_NBRLCK = range(5)

    def locking(self, descriptor: int, mode: int, length: int) -> None:
        """Lock or unlock *length* bytes from the current position."""
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        if start > _MAX_POSITION:
            raise OSError(errno.EINVAL, "Invalid argument")
        kind = fcntl.F_UNLCK if mode == self.LK_UNLCK else fcntl.F_WRLCK
        attempts = 10 if mode in (self.LK_LOCK, self.LK_RLCK) else 1
        for attempt in range(attempts):
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _region(kind, start, length))  # type: ignore[attr-defined]
            except (BlockingIOError, PermissionError):
                if attempt < attempts - 1:
                    time.sleep(1)
                continue
            return
        if attempts == 1:
            raise PermissionError(errno.EACCES, "Permission denied")
        raise OSError(errno.EDEADLK, "Resource deadlock avoided")


# --- files ------------------------------------------------------------------------------------------------------


def _is_open_here(path: Any) -> bool:
    found = os.stat(path, follow_symlinks=False)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(int(name))):
                return True
    return False


@contextlib.contextmanager
def _exclusive(path: Any) -> Iterator[None]:
    """Raise an error if the file is open here, or in another process by `_fake_open`; meanwhile it cannot be opened."""
    in_use = PermissionError(errno.EACCES, "The process cannot access the file because it is being used", str(path))
    if not os.path.lexists(path) or os.path.islink(path):
        yield
        return
    if _is_open_here(path):
        raise in_use
    descriptor = _open(path, os.O_RDWR)
    try:
        if _is_locked(descriptor, 0, _MARKER):
            raise in_use
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _region(fcntl.F_WRLCK, _MARKER, 1))  # type: ignore[attr-defined]
        except OSError:
            raise in_use from None
        yield
    finally:
        os.close(descriptor)


def _fake_open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    if flags & os.O_WRONLY:
        flags = flags & ~os.O_WRONLY | os.O_RDWR  # the marker needs a file that can be read
    while True:
        descriptor = _open(path, flags & ~_O_BINARY, mode, dir_fd=dir_fd)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _region(fcntl.F_RDLCK, _MARKER, 1))  # type: ignore[attr-defined]
        if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(descriptor)):
            break
        os.close(descriptor)  # it was removed in between
    (_text_files.discard if flags & _O_BINARY else _text_files.add)(descriptor)
    return descriptor


def _check_unlocked(descriptor: int, length: int) -> None:
    try:
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return  # a pipe has no position
    if length and _is_locked(descriptor, start, length):
        raise PermissionError(errno.EACCES, "The process cannot access the locked part of the file")


def _fake_read(descriptor: int, length: int) -> bytes:
    _check_unlocked(descriptor, length)
    return _read(descriptor, length)


def _fake_write(descriptor: int, data: Any) -> int:
    _check_unlocked(descriptor, len(data))
    if descriptor not in _text_files:
        return _write(descriptor, data)
    _write(descriptor, bytes(data).replace(b"\n", b"\r\n"))
    return len(data)


def _fake_unlink(path: Any, **options: Any) -> None:
    with _exclusive(path):
        _unlink(path, **options)


def _fake_replace(source: Any, target: Any, **options: Any) -> None:
    with _exclusive(source), _exclusive(target):
        _replace(source, target, **options)


def _fake_rename(source: Any, target: Any, **options: Any) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "The file exists", str(source), None, str(target))
    with _exclusive(source):
        _rename(source, target, **options)


def _fake_io_open(file: Any, *args: Any, **options: Any) -> Any:
    if isinstance(file, str | os.PathLike) and os.fspath(file).startswith("/proc/"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(file))
    return _io_open(file, *args, **options)


# --- processes, loops and the clock -----------------------------------------------------------------------------


def _fake_kill(pid: int, number: int) -> None:
    _kill(pid, signal.Signals(9))


def _not_implemented(*_: Any, **__: Any) -> None:
    raise NotImplementedError


def _fake_monotonic() -> float:
    return _monotonic() // _CLOCK_STEP_S * _CLOCK_STEP_S


def _fake_clock_info(name: str) -> Any:
    info = vars(_clock_info(name))
    return types.SimpleNamespace(**info | {"resolution": _CLOCK_STEP_S} if name == "monotonic" else info)


def take_away() -> None:
    """Make this process as much like one on Windows as possible."""
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's way to say that there is none
    sys.modules["msvcrt"] = FakeMsvcrt("msvcrt")
    for name in _OS_NAMES:
        delattr(os, name)
    os.O_BINARY = _O_BINARY  # type: ignore[attr-defined]
    fakes = {"open": _fake_open, "read": _fake_read, "write": _fake_write, "kill": _fake_kill}
    fakes |= {"unlink": _fake_unlink, "remove": _fake_unlink, "replace": _fake_replace, "rename": _fake_rename}
    for name, fake in fakes.items():
        setattr(os, name, fake)
    io.open = _fake_io_open
    signal.SIGBREAK = signal.SIGUSR1  # type: ignore[attr-defined]
    del signal.SIGKILL
    for loop, name in (
        (unix_events._UnixSelectorEventLoop, "add_signal_handler"),
        (unix_events._UnixSelectorEventLoop, "remove_signal_handler"),
        (selector_events.BaseSelectorEventLoop, "add_reader"),
        (selector_events.BaseSelectorEventLoop, "add_writer"),
    ):
        assert hasattr(loop, name)
        setattr(loop, name, _not_implemented)
    setattr(time, "monotonic", _fake_monotonic)  # noqa: B010
    setattr(time, "get_clock_info", _fake_clock_info)  # noqa: B010
    assert asyncio.base_events.time is time


if __name__ == "__main__":
    del sys.argv[0]
    take_away()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
