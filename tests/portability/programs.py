"""Programs that tests run in their own process, on this system or as if on Windows.

``python -m tests.portability.programs NAME PATH …``
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.ledger.support import ACCOUNT, job
from veo_async._base import file_lock
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time, wait_for_event
from veo_async.ledger import SqliteLedger

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


def report(**values: Any) -> None:
    """Print *values* as one line of JSON."""
    print(json.dumps(values), flush=True)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _error(work: Any, *args: Any) -> int:
    try:
        work(*args)
    except OSError as error:
        return error.errno or -1
    return 0


# --- what the imitation does ------------------------------------------------------------------------------------


def rules_of_windows(path: Path) -> None:
    """Do what POSIX allows and Windows does not."""
    other = path.with_name("other")
    other.write_bytes(b"new")
    with opened(path) as descriptor:
        os.write(descriptor, b"content")
        refused = [_error(path.unlink), _error(os.replace, other, path), _error(os.replace, path, other)]
    report(
        refused=refused,
        folder=_error(os.open, path.parent, os.O_RDONLY),
        exists=_error(os.rename, other, path),
        text=_written_as_text(path.with_name("text")),
        locked=_read_of_locked_bytes(path),
        missing=[name for name in ("fork", "getuid", "O_CLOEXEC") if hasattr(os, name)],
    )


def _written_as_text(path: Path) -> str:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b"a\nb\n")
    os.close(descriptor)
    return path.read_bytes().decode()


def _read_of_locked_bytes(path: Path) -> int:
    msvcrt: Any = import_module("msvcrt")
    with opened(path) as holder, opened(path) as reader:
        msvcrt.locking(holder, msvcrt.LK_NBLCK, 1)
        return _error(os.read, reader, 10)


# --- file locks -------------------------------------------------------------------------------------------------


def locks(path: Path) -> None:
    """Lock a file, and try to lock and read it through another descriptor."""
    with opened(path) as holder, opened(path) as other:
        os.write(holder, b"content")
        first, second = file_lock.try_lock(holder), file_lock.try_lock(other)
        position, content = os.lseek(holder, 0, os.SEEK_CUR), os.read(other, 100).decode()
        os.write(holder, b" grows")
        with open(os.dup(holder), "rb"):
            pass  # a closed duplicate does not release the lock
        kept = file_lock.try_lock(other)
    with opened(path) as other:
        after = file_lock.try_lock(other)
    report(first=first, second=second, position=position, content=content, kept=kept, after=after)


def hold(path: Path) -> None:
    """Lock the file until the process is killed."""
    with opened(path) as descriptor:
        file_lock.lock(descriptor)
        report(locked=True)
        time.sleep(60)


def wait_for_lock(path: Path) -> None:
    """Report when the file has been locked."""
    with opened(path) as descriptor:
        report(free=file_lock.try_lock(descriptor))
        file_lock.lock(descriptor)
        report(locked=True)


def moves(path: Path) -> None:
    """Rename and remove a file that is locked."""
    target = path.with_name("target")
    target.write_bytes(b"old")
    descriptor = os.open(path, _FLAGS, 0o600)
    file_lock.try_lock(descriptor)
    os.write(descriptor, b"content")
    named = file_lock.is_named(path, descriptor)
    file_lock.rename_and_close(path, target, descriptor)
    moved = target.read_bytes().decode()
    descriptor = os.open(target, _FLAGS, 0o600)
    file_lock.try_lock(descriptor)
    file_lock.remove_and_close(target, descriptor)
    report(named=named, moved=moved, left=[file.name for file in path.parent.iterdir()])


def busy_target(path: Path) -> None:
    """Replace a file that a virus scanner has open for a moment."""
    path.write_bytes(b"old")
    new = path.with_name("new")
    new.write_bytes(b"new")
    scanner = os.open(path, _FLAGS)
    closing = threading.Timer(0.2, os.close, (scanner,))
    closing.start()
    file_lock.replace(new, path)
    report(content=path.read_bytes().decode())
    closing.join()


def take_turns(path: Path, name: str) -> None:
    """Enter the folder's lock several times; *path* shows who was in it."""
    for _ in range(20):
        with file_lock.folder_lock(path.parent), path.open("ab", buffering=0) as file:
            file.write(f"{name} ".encode())
            time.sleep(0.001)
            file.write(f"{name}\n".encode())


# --- the clock ---------------------------------------------------------------------------------------------------


def early_timers(path: Path) -> None:
    """Report by how many seconds timers fire early at most, and by how many they may."""

    async def main() -> float:
        early_s = 0.0
        for _ in range(10):
            deadline = loop_time() + 0.0172
            await wait_for_event(asyncio.Event(), deadline)
            early_s = max(early_s, deadline - loop_time())
        return early_s

    report(early_s=asyncio.run(main()), slack_s=TIMER_SLACK_S)


# --- ledgers ----------------------------------------------------------------------------------------------------


def own_jobs(path: Path) -> None:
    """Insert two jobs, send one, and hold them until the process is killed."""

    async def main() -> None:
        session = await SqliteLedger(path).open(ACCOUNT)
        for key in ("dog", "cat"):
            await session.insert(job(key))
        report(owner=session.session_id)
        await asyncio.sleep(60)

    asyncio.run(main())


def take_over(path: Path) -> None:
    """Report the jobs taken over, first while the other process lives and again after a line on standard input."""

    async def main() -> None:
        session = await SqliteLedger(path).open(ACCOUNT)
        report(taken=[row.key for row in (await session.changes(1.0)).taken_over])
        await asyncio.to_thread(sys.stdin.readline)
        report(taken=[row.key for row in (await session.changes(2.0)).taken_over])
        await session.close()

    asyncio.run(main())


if __name__ == "__main__":
    arguments: list[Any] = [Path(sys.argv[2]), *sys.argv[3:]]
    {name: work for name, work in globals().items() if callable(work)}[sys.argv[1]](*arguments)
