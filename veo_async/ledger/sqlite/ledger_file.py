"""One connection to the ledger's file, and what is done when it fails; everything here runs in the book's own thread.

A batch is one transaction. Each call in it has a savepoint, so that one that fails (its task is another job's) takes
nothing with it; nobody is answered before the COMMIT has returned.

**When COMMIT itself fails** nobody knows whether the batch came to be. After a failed sync the kernel may show pages
that never reached the disk, so the connection is believed no more: it is closed and opened again, which lets SQLite
finish or undo what was begun, and the batch's number, written in the same transaction, is looked for. If it is there,
one more commit, synced afresh, makes it hold, and the calls are answered as if nothing had been; if not, they are
refused, and nothing has come to be. If the file cannot even be opened, the calls are refused and the book tries anew at
each call. Should such a batch turn out to have come to be after all, its jobs are told as changed in the next news:
they are further than their driver was told.
"""

import contextlib
import copy
import ctypes
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import attrs

from veo_async._base.kill_points import kill_point
from veo_async.errors import LedgerError, LedgerIOError, LedgerUnusable

from .group_commit import LedgerCall
from .opening import open_file, translate_error
from .queries import Queries
from .session_lock import SessionLock
from .sql import SQL

#: Opens the file; the argument is whether it may be made.
Opener = Callable[[bool], sqlite3.Connection]
#: Calls with which a session takes on work: new jobs, requests, and the jobs of dead sessions.
_NEEDS_LOCK = ("submit", "send", "changes")


def opener(path: Path, busy_timeout_s: float) -> Opener:
    """The ordinary way to a connection."""
    return lambda may_create: open_file(path, busy_timeout_s=busy_timeout_s, may_create=may_create)


@attrs.frozen
class _UncertainCommit:
    """A batch that was refused and of which nobody knows whether it came to be."""

    batch: int
    #: The last step before it.
    step: int


@attrs.define(eq=False)
class LedgerFile:
    """The file, as one book writes it."""

    path: Path
    _open: Opener
    session_lock: SessionLock
    queries: Queries
    secret: bytes = attrs.field(default=b"", init=False, repr=False)
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False, repr=False)
    _file: os.stat_result | None = attrs.field(default=None, init=False, repr=False)
    _batch: int = attrs.field(default=0, init=False)
    _uncertain: _UncertainCommit | None = attrs.field(default=None, init=False)

    def open(self) -> None:
        """Make or open the file, then take the lock; the name is in no row before."""
        try:
            self._connect(may_create=True)
            self.session_lock.acquire()
        except BaseException:
            self.close()
            raise

    def run(self, calls: Sequence[LedgerCall]) -> None:
        """Answer all of *calls*, or fail each; never raises."""
        if calls[0].is_exclusive:
            calls[0].work()
            return
        try:
            self._run(calls)
        except Exception as exc:  # noqa: BLE001  # whatever it is, those who wait have to hear of it
            failure = translate_error(exc, self.path) if isinstance(exc, sqlite3.Error) else exc
            for call in calls:  # each its own: a traceback grows with everybody who raises it
                call.failure = copy.copy(failure).with_traceback(exc.__traceback__)

    def close(self) -> None:
        """Let the file and the lock go."""
        self._disconnect()
        self.session_lock.release()

    def detach_after_fork(self) -> None:
        """In a forked child: lock and connection are the parent's.

        The connection is never closed here, not even when it is forgotten: closing would finish or undo the parent's
        transaction from the outside. So it is given a reference that nobody gives back.
        """
        self.session_lock.detach_after_fork()
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    # --- a batch ---

    def _run(self, calls: Sequence[LedgerCall]) -> None:
        connection = self._connection or self._connect(may_create=False)
        offsets = self.queries.offsets
        try:
            if any(call.is_write for call in calls):
                self._transact(connection, calls)
            else:
                for call in calls:
                    call.result = call.work()
        except BaseException as exc:
            self.queries.offsets = offsets
            self._rollback(exc)
            raise

    def _transact(self, connection: sqlite3.Connection, calls: Sequence[LedgerCall]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        self._check_file_present()
        if any(call.name in _NEEDS_LOCK for call in calls):
            self._check_lock_held()
        last_step, changes = self.queries.last_step(), connection.total_changes
        for call in calls:
            self._try(connection, call)
        if connection.total_changes != changes:
            self._batch += 1
            self.queries.save_batch(self._batch)
        _trip(calls, "before-commit")
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._resolve_commit(exc, _UncertainCommit(self._batch, last_step))
        _trip(calls, "after-commit")

    def _try(self, connection: sqlite3.Connection, call: LedgerCall) -> None:
        offsets = self.queries.offsets
        connection.execute("SAVEPOINT call")
        try:
            call.result = call.work()
        except Exception as exc:
            if isinstance(exc, LedgerError) or type(exc) in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise  # the disk's trouble is everybody's, any other the caller's own
            call.failure = translate_error(exc, self.path) if isinstance(exc, sqlite3.Error) else exc
            self.queries.offsets = offsets
            connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")

    def _check_file_present(self) -> None:
        """A file that was moved or removed can still be written to, and nobody would ever read it."""
        try:
            is_there = self._file is not None and os.path.samestat(os.stat(self.path), self._file)
        except OSError:
            is_there = False
        if not is_there:
            raise LedgerIOError(f"{self.path} was moved or removed while it was open.")

    def _check_lock_held(self) -> None:
        """Without its lock a session takes on no work. What happened to the requests that it sent is still recorded."""
        if not self.session_lock.is_held():
            raise LedgerIOError(
                f"The lock file in {self.session_lock.folder} was removed, so others take this session for dead. "
                "Open another session."
            )

    # --- trouble ---

    def _rollback(self, exc: BaseException) -> None:
        """Leave no transaction open; after more than a lock in the way, no connection either."""
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        is_busy = isinstance(exc, sqlite3.Error) and _is_busy(exc)
        if not is_busy or connection.in_transaction:
            self._disconnect()

    def _resolve_commit(self, exc: sqlite3.Error, what: _UncertainCommit) -> None:
        """Return if the batch came to be in spite of *exc*, and raise if it did not or nobody can say."""
        if _is_busy(exc):
            raise exc  # readers held it up; the transaction is whole and is undone
        self._disconnect()
        try:
            self._connect(may_create=False)
            if self.queries.last_batch() != what.batch:
                raise exc
            self._commit_again()
        except (sqlite3.Error, LedgerError) as second:
            if second is not exc:
                self._mark_uncertain(exc, what)
            raise

    def _mark_uncertain(self, exc: sqlite3.Error, what: _UncertainCommit) -> NoReturn:
        self._uncertain = what
        self._disconnect()
        raise LedgerIOError(
            f"{self.path} failed and cannot be read again ({exc}); what was being written may have come to be."
        ) from exc

    def _commit_again(self) -> None:
        connection = self._connection
        if connection is None:  # pragma: no cover  # it was opened a line before
            raise sqlite3.OperationalError("there is no connection")
        connection.execute("BEGIN IMMEDIATE")
        self._batch += 1
        self.queries.save_batch(self._batch)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # nothing to do with a rollback journal

    def _connect(self, *, may_create: bool) -> sqlite3.Connection:
        connection = self._open(may_create)
        try:
            self._check_identity(connection)
            self._file = os.stat(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self.queries.use(connection)
        self._resolve_uncertain()
        return connection

    def _check_identity(self, connection: sqlite3.Connection) -> None:
        (secret,) = connection.execute(SQL["secret"]).fetchone()
        if self.secret and secret != self.secret:
            raise LedgerUnusable(f"{self.path} was replaced by another ledger while it was open.")
        self.secret = secret

    def _resolve_uncertain(self) -> None:
        """Learn what became of a batch that was left open."""
        if self._uncertain is not None and self.queries.last_batch() == self._uncertain.batch:
            self.queries.offsets = attrs.evolve(self.queries.offsets, uncertain_after=self._uncertain.step)
        self._uncertain = None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self.queries.use(None)
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _is_busy(exc: sqlite3.Error) -> bool:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _trip(calls: Sequence[LedgerCall], boundary: str) -> None:
    for call in calls:
        kill_point(f"{call.name}:{boundary}")
