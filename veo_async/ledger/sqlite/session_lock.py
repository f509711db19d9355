"""Shows that a ledger session is alive, and finds out which other sessions are.

Each session holds a lock on ``LEDGER.d/SESSION_ID.lock`` (see `file_lock`). The system releases it when the
process ends, for any reason. A session that can lock another session's file, or finds no such file, knows that the
other one is dead. This needs no clock, and no process id that another program may have been given since.

Two rules prevent races. A session locks its file before its id is written to the ledger. A session removes the file of
a dead one only while it holds its lock, and a session that has just locked its own file checks that the file still
exists; so a new file is never mistaken for a stale one.
"""

import contextlib
import os
import re
from pathlib import Path

import attrs

from veo_async._base import file_lock
from veo_async.errors import LedgerIOError
from veo_async.ledger import rules

_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
#: Every id that `rules.new_session_id` returns, and no path to elsewhere.
_SESSION_ID = re.compile(r"\w+", re.ASCII)


@attrs.define(eq=False)
class SessionLock:
    """The lock of one session, held from `acquire` to `release`."""

    folder: Path
    session_id: str = attrs.field(factory=rules.new_session_id)
    _descriptor: int | None = attrs.field(default=None, init=False)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.session_id}.lock"

    def acquire(self) -> None:
        """Take the lock; from now on other sessions see this one as alive."""
        self._make()
        self._remove_stale()

    def acquire_again(self) -> None:
        """Take the lock again after its file or folder was removed."""
        self._close()
        self._make()

    def _make(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            while not self._create():
                pass
        except OSError as exc:
            raise LedgerIOError(
                f"Cannot create a lock file in {self.folder}: {exc.strerror}.", remedy="Make the folder writable."
            ) from exc

    def _create(self) -> bool:
        descriptor = os.open(self._path, _FLAGS | os.O_CREAT, 0o600)
        self._descriptor = descriptor
        file_lock.lock(descriptor)
        if self.has_lock_file():
            return True
        self._close()
        return False

    def has_lock_file(self) -> bool:
        """Whether our lock file still exists; without it other sessions consider this one dead."""
        return self._descriptor is not None and file_lock.is_named(self._path, self._descriptor)

    def is_alive(self, session_id: str) -> bool:
        """Whether session *session_id* holds its lock. Removes the lock file of a dead session."""
        if session_id == self.session_id:
            return True
        if _SESSION_ID.fullmatch(session_id) is None:
            return False  # no session has such an id
        path = self.folder / f"{session_id}.lock"
        try:
            descriptor = os.open(path, _FLAGS)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise LedgerIOError(
                f"Cannot determine whether session {session_id} is alive: {exc.strerror}.",
                remedy=f"Make {self.folder} readable.",
            ) from exc
        is_alive = True
        try:
            is_alive = not file_lock.try_lock(descriptor)
        finally:
            if is_alive:
                os.close(descriptor)
        if not is_alive:
            with contextlib.suppress(OSError):
                file_lock.remove_and_close(path, descriptor)
        return is_alive

    def _remove_stale(self) -> None:
        """Remove the lock files of dead sessions without unfinished jobs, which no other check would remove."""
        for path in self.folder.glob("*.lock"):
            with contextlib.suppress(LedgerIOError):
                self.is_alive(path.stem)

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._descriptor is not None and self.has_lock_file():
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                file_lock.remove_and_close(self._path, descriptor)
        self._close()

    def detach_after_fork(self) -> None:
        """Close our copy of the parent's lock in a forked child, so that the lock does not outlive the parent.

        Closing the copy does not release the parent's lock.
        """
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
