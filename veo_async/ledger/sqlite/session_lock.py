"""How a book shows that it lives, and sees which others do.

Each book holds a lock (``flock``) on ``LEDGER.d/INSTANCE.lock``, and the kernel lets go of it whenever the process
ends, however it ends. Whoever can take an instance's lock, or finds no such file, knows that it is gone. No clock is
asked, and no process number that may have been given to another program since.

Two rules make it tight. A book's file is locked before its name stands anywhere in the ledger. And whoever removes a
dead one's file holds its lock while doing so, and whoever has just locked a file looks whether it is still there, so a
file that is being born is never taken for one left behind.
"""

import contextlib
import os
from pathlib import Path

import attrs

from veo_async.errors import LedgerIOError, LedgerUnusable
from veo_async.ledger import rules as terms

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows: locks there belong to handles and do not say who is alive
    fcntl = None  # type: ignore[assignment]


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    if fcntl is None:  # pragma: no cover  # Windows
        raise LedgerUnusable("A ledger file needs flock, which this system does not have. Use MemoryLedger.")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@attrs.define(eq=False)
class SessionLock:
    """One book's lock, held from `acquire` to `release`."""

    folder: Path
    session_id: str = attrs.field(factory=terms.new_session_id)
    _descriptor: int | None = attrs.field(default=None, init=False)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.session_id}.lock"

    def acquire(self) -> None:
        """Take the lock; others see this book alive from now on."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            while not self._create():
                pass
        except OSError as exc:
            raise LedgerIOError(
                f"No lock can be made in {self.folder}: {exc.strerror}.", remedy="Make it writable."
            ) from exc
        self._remove_stale()

    def _create(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptor = descriptor
        _lock(descriptor, wait=True)
        if self.is_held():
            return True
        self._close()
        return False

    def is_held(self) -> bool:
        """Is our file still where others look for it? Without it they take us for dead."""
        if self._descriptor is None:
            return False
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def is_alive(self, session_id: str) -> bool:
        """Does the book called *instance* hold its lock? One that is gone leaves no file behind."""
        if session_id == self.session_id:
            return True
        path = self.folder / f"{session_id}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise LedgerIOError(
                f"Whether {session_id} is alive cannot be seen: {exc.strerror}.", remedy=f"Make {self.folder} readable."
            ) from exc
        try:
            if not _lock(descriptor):
                return True
            with contextlib.suppress(OSError):
                path.unlink()
            return False
        finally:
            os.close(descriptor)

    def _remove_stale(self) -> None:
        """Remove what books left behind whose jobs were over, or nobody ever would."""
        for path in self.folder.glob("*.lock"):
            with contextlib.suppress(LedgerIOError):
                self.is_alive(path.stem)

    def release(self) -> None:
        """Give the lock up, and its file with it."""
        if self._descriptor is None:
            return
        if self.is_held():
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._close()

    def detach_after_fork(self) -> None:
        """In a forked child: the lock is the parent's, and must not outlive it here. Closing our copy frees nothing."""
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
