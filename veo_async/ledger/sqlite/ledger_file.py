"""One session's connection to the ledger's file: runs batches of calls, and recovers from failed commits.

A batch is one transaction, and each call in it has a savepoint, so that a call that fails (its task belongs to another
job) does not affect the others. Results are delivered only after COMMIT has returned. Everything here runs in the
ledger session's own thread.

**When COMMIT itself fails**, the batch may or may not have been committed. After a failed sync the kernel may return
pages that never reached the disk, so we no longer trust the connection. We close it and open a new one, which lets
SQLite complete or undo the transaction, and check whether the batch's number, written in the same transaction, is in
the file. If it is, one more synced commit makes the batch durable, and its calls return normally. If it is not, the
batch was not committed, and its calls fail. If the file cannot be opened at all, the calls fail, and we try again at
the next call. Should it turn out then that the batch was committed, its jobs are reported with the next changes,
because they are in a later state than their owner knows.
"""

import contextlib
import copy
import ctypes
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import attrs

from veo_async._base.kill_points import kill_point
from veo_async.errors import LedgerError, LedgerIOError, LedgerUnusable

from .group_commit import LedgerCall
from .home import Home
from .opening import open_file, translate_error, translate_errors
from .permits import mark_permits
from .queries import Queries
from .session_lock import SessionLock
from .sql import SQL

_logger = logging.getLogger(__name__)

#: Opens the file; the argument says whether it may be created.
Opener = Callable[[bool], sqlite3.Connection]
#: Calls with which a session takes on work: new jobs, requests, and the jobs of dead sessions.
_NEEDS_LOCK = ("submit", "send", "changes")

#: The size to which SQLite truncates a journal after `LedgerFile.vacuum`.
_MAX_JOURNAL = 2**20


def opener(path: Path, busy_timeout_s: float) -> Opener:
    """Return a function that opens a connection to *path*."""
    return lambda may_create: open_file(path, busy_timeout_s=busy_timeout_s, may_create=may_create)


@attrs.frozen
class _UncertainCommit:
    """A batch whose calls failed although it may have been committed."""

    batch: int
    #: The number of the last transition before it.
    last_transition: int


@attrs.define(eq=False)
class LedgerFile:
    """The file of a ledger, opened for one session."""

    path: Path
    _open: Opener
    session_lock: SessionLock
    queries: Queries
    home: Home
    #: The ledger's secret, known once the file is open.
    secret: bytes = attrs.field(default=b"", init=False, repr=False)
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False, repr=False)
    #: Device and inode of the open file, to notice when it is moved or replaced.
    _stat: os.stat_result | None = attrs.field(default=None, init=False, repr=False)
    #: The number of the last batch that was written.
    _batch: int = attrs.field(default=0, init=False)
    _uncertain: _UncertainCommit | None = attrs.field(default=None, init=False)

    def open(self) -> None:
        """Create or open the file, then take the session lock: no row may name this session before it is locked.

        Then check that the file is at its home: the mark is in the folder of the locks.
        """
        try:
            connection = self._connect(may_create=True)
            self.session_lock.acquire()
            with translate_errors(self.path):
                self.home.enter(connection)
        except BaseException:
            self.close()
            raise

    def run(self, calls: Sequence[LedgerCall]) -> None:
        """Run *calls* as one batch and set the result or the failure of each; never raises."""
        try:
            if calls[0].is_exclusive:
                calls[0].work()
            else:
                self._run(calls)
        except Exception as exc:  # noqa: BLE001  # every caller must get the error, whatever it is
            failure = translate_error(exc, self.path) if isinstance(exc, sqlite3.Error) else exc
            for call in calls:  # a copy for each, because raising an exception extends its traceback
                call.failure = copy.copy(failure).with_traceback(exc.__traceback__)

    def vacuum(self) -> None:
        """Rewrite the file without its unused pages, and do not keep the journal of that."""
        connection = self._connection or self._connect(may_create=False)
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_JOURNAL}").fetchall()
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # does nothing with a rollback journal

    def close(self) -> None:
        """Close the connection and release the session lock."""
        self._disconnect()
        self.session_lock.release()

    def detach_after_fork(self) -> None:
        """Give up the parent's lock and connection in a forked child.

        The connection must not be closed in the child, not even by garbage collection, because that would complete or
        undo the parent's transaction. So we add a reference that is never released.
        """
        self.session_lock.detach_after_fork()
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    # --- a batch ---

    def _run(self, calls: Sequence[LedgerCall]) -> None:
        connection = self._connection or self._connect(may_create=False)
        offsets = self.queries.changes.offsets
        try:
            if any(call.is_write for call in calls):
                self._transact(connection, calls)
            else:
                for call in calls:
                    call.result = call.work()
        except BaseException as exc:
            self.queries.changes.offsets = offsets
            self._rollback(exc)
            raise

    def _transact(self, connection: sqlite3.Connection, calls: Sequence[LedgerCall]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        self._check_file_present()
        self.home.check(connection)
        self._keep_lock_file(calls)
        with mark_permits(self.home, connection, calls) as write_mark:
            write_mark(self._commit(connection, calls))

    def _commit(self, connection: sqlite3.Connection, calls: Sequence[LedgerCall]) -> int:
        """Run *calls* and commit them; return how many requests were permitted by then, by all sessions."""
        last_transition, changes = self.queries.last_transition(), connection.total_changes
        for call in calls:
            if call.failure is None:
                self._try(connection, call)
        if connection.total_changes != changes:
            self._batch += 1
            self.queries.save_batch(self._batch)
        sent = self.queries.last_sent()
        _kill_points(calls, "before-commit")
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._resolve_commit(exc, _UncertainCommit(self._batch, last_transition))
        _kill_points(calls, "after-commit")
        return sent

    def _try(self, connection: sqlite3.Connection, call: LedgerCall) -> None:
        offsets = self.queries.changes.offsets
        connection.execute("SAVEPOINT call")
        try:
            call.result = call.work()
        except Exception as exc:
            if isinstance(exc, LedgerError) or type(exc) in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise  # an error of the disk fails the whole batch, any other only this call
            call.failure = translate_error(exc, self.path) if isinstance(exc, sqlite3.Error) else exc
            self.queries.changes.offsets = offsets
            connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")

    def _check_file_present(self) -> None:
        """Raise if the file or our lock file was moved or removed.

        Writing to a removed file succeeds, but no other session would ever read it.
        """
        try:
            is_present = self._stat is not None and os.path.samestat(os.stat(self.path), self._stat)
        except OSError:
            is_present = False
        if not is_present:
            raise LedgerIOError(f"{self.path} was moved or removed while it was open.", remedy="Open another session.")

    def _keep_lock_file(self, calls: Sequence[LedgerCall]) -> None:
        """Make lock file and mark again if they were removed, e.g. by a cleaner of temporary files.

        This happens inside a transaction, so no other session takes over jobs at the same time. If one has done so
        before, those jobs are its own, as each row says. Without a lock file a session takes on no work, but it still
        records what it has sent.
        """
        if self.session_lock.has_lock_file():
            return
        try:
            self.session_lock.acquire_again()
            self.home.restore_mark(self.queries.last_sent())
        except LedgerError:
            if any(call.name in _NEEDS_LOCK for call in calls):
                raise
        else:
            message, folder = "the lock file in %s was removed, and made again", self.session_lock.folder
            _logger.warning(message, folder, extra={"action": "lock-restored"})

    # --- recovery ---

    def _rollback(self, exc: BaseException) -> None:
        """End the transaction, and close the connection unless *exc* only means that the file was locked."""
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        is_busy = isinstance(exc, sqlite3.Error) and _is_busy(exc)
        if not is_busy or connection.in_transaction:
            self._disconnect()

    def _resolve_commit(self, exc: sqlite3.Error, commit: _UncertainCommit) -> None:
        """Return if the batch was committed in spite of *exc*; raise if it was not, or if that is unknown."""
        if _is_busy(exc):
            raise exc  # readers blocked it; the transaction is intact and is rolled back
        self._disconnect()
        try:
            self._connect(may_create=False)
            if self.queries.last_batch() != commit.batch:
                raise exc
            self._commit_again()
        except (sqlite3.Error, LedgerError) as second:
            if second is not exc:
                self._mark_uncertain(exc, commit)
            raise

    def _mark_uncertain(self, exc: sqlite3.Error, commit: _UncertainCommit) -> NoReturn:
        self._uncertain = commit
        self._disconnect()
        raise LedgerIOError(
            f"{self.path} failed and cannot be read again ({exc}); the last write may or may not have been committed.",
            remedy="Free disk space or make the file readable and writable again, then open another session.",
        ) from exc

    def _commit_again(self) -> None:
        connection = self._connection
        if connection is None:  # pragma: no cover  # it has just been opened
            raise sqlite3.OperationalError("there is no connection")
        connection.execute("BEGIN IMMEDIATE")
        self._batch += 1
        self.queries.save_batch(self._batch)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # does nothing with a rollback journal

    def _connect(self, *, may_create: bool) -> sqlite3.Connection:
        connection = self._open(may_create)
        try:
            self._check_identity(connection)
            self._stat = os.stat(self.path)
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
            raise LedgerUnusable(
                f"{self.path} was replaced by another ledger while it was open.", remedy="Open another session."
            )
        self.secret = secret

    def _resolve_uncertain(self) -> None:
        """Find out whether the uncertain batch, if any, was committed."""
        if self._uncertain is not None and self.queries.last_batch() == self._uncertain.batch:
            self.queries.changes.on_uncertain_commit(self._uncertain.last_transition)
        self._uncertain = None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self.queries.use(None)
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _is_busy(exc: sqlite3.Error) -> bool:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _kill_points(calls: Sequence[LedgerCall], boundary: str) -> None:
    for call in calls:
        kill_point(f"{call.name}:{boundary}")
