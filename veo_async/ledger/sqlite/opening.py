"""Opens a ledger's file: rejects what is not a usable ledger, migrates an older schema, and sets the connection up.

**A file that is rejected stays as it was, byte for byte.** So we check it first through an ``immutable`` connection,
which SQLite guarantees not to change anything; an ordinary connection would already complete or undo another program's
interrupted transaction. While the file may be in use we never open it other than through SQLite: closing any
descriptor of a file releases all POSIX locks that the process has on it, including SQLite's own.

**The journal.** Before 3.51.3, SQLite could lose a reset of the write-ahead log and corrupt the file when two
connections wrote at the same time (https://sqlite.org/wal.html#walresetbug, read 2026-11). So we use WAL with
``synchronous=FULL`` only where the library has the fix, and a rollback journal with ``EXTRA`` otherwise. The journal
mode is PERSIST and not TRUNCATE: it is as safe, since the zeroed header is synced, and 1.25 times as fast with eight
processes. The library that creates the file chooses: a newer one keeps an older one's journal, because the older
library may have the file open at the same time.

**Corruption** is detected by ``quick_check`` in files of up to `CHECKED_BYTES`. In larger files only the header and the
schema are read, and a damaged page is found when it is used.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from veo_async._base.kill_points import kill_point
from veo_async.errors import LedgerBusy, LedgerError, LedgerIOError, LedgerUnusable
from veo_async.ledger.rules import new_secret

from .home import check_name
from .location import database_uri
from .sql import MIGRATIONS, SQL, statements_of

#: "veoL", in the header of every ledger.
APPLICATION_ID = 0x76656F4C
#: The first SQLite in which the write-ahead log is safe with several connections.
MIN_SAFE_WAL = (3, 51, 3)
#: Files of up to this size are checked completely when they are opened.
CHECKED_BYTES = 16 * 2**20
_OTHER_FILE = "Use another file; this one was not modified."
_RESTORE = 'Restore a backup as the guide\'s page "backups" says.'
_FIX_DISK = "Free disk space or make the file writable; data already written is intact."


def open_file(path: Path, *, busy_timeout_s: float, may_create: bool) -> sqlite3.Connection:
    """Return a connection to the ledger at *path*, ready for use.

    Args:
        path: a path from `resolve_location`.
        busy_timeout_s: how long to wait for another program's lock.
        may_create: create the file if it does not exist.

    Raises:
        LedgerUnusable: the file is not a ledger, or not one that this version can use.
        LedgerBusy, LedgerIOError: the file cannot be opened now.
    """
    with translate_errors(path):
        if may_create:
            _create_if_missing(path)
        _check_is_ledger(path)
        connection = _connect(path, "mode=rw")
        try:
            _prepare(connection, path, busy_timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as `LedgerError`."""
    try:
        yield
    except sqlite3.Error as exc:
        raise translate_error(exc, path) from exc


def translate_error(exc: sqlite3.Error, path: Path) -> LedgerError:
    """Return the `LedgerError` that corresponds to *exc*."""
    match getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return LedgerBusy(f"{path} is locked by another program ({exc}).")
        case sqlite3.SQLITE_NOTADB:
            return LedgerUnusable(f"{path} is not a SQLite database.", remedy=_OTHER_FILE)
        case sqlite3.SQLITE_CORRUPT:
            return LedgerUnusable(f"{path} is damaged or truncated ({exc}).", remedy=_RESTORE)
        case _:
            return LedgerIOError(f"{path}: {exc}.", remedy=_FIX_DISK)


# --- checks that change nothing ---------------------------------------------------------------------------------


def _create_if_missing(path: Path) -> None:
    """Create an empty file that only its user may read; SQLite gives its journals the same mode."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    except FileExistsError:
        return
    except OSError as exc:
        raise LedgerIOError(f"{path} could not be created: {exc.strerror}.", remedy=_FIX_DISK) from exc
    os.close(descriptor)  # the file is new: this process has no locks on it that it could lose
    kill_point("open:after-create")


def _check_is_ledger(path: Path) -> None:
    try:
        with closing(_connect(path, "mode=ro&immutable=1")) as connection:
            _check_header(connection, path)
    except sqlite3.DatabaseError as exc:
        # A writer that was killed in a transaction leaves a file that looks damaged, and a journal that repairs it.
        is_damage = getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        if not (is_damage and _has_journal(path)):
            raise


def _check_header(connection: sqlite3.Connection, path: Path) -> None:
    is_ours = _pragma(connection, "application_id") == APPLICATION_ID
    version = int(_pragma(connection, "user_version"))
    if is_ours and version > len(MIGRATIONS):
        raise LedgerUnusable(
            f"{path} was written by a newer version of this library: schema version {version}; this version supports "
            f"up to {len(MIGRATIONS)}. Upgrade the library."
        )
    if not is_ours and (version or _has_tables(connection)):
        raise LedgerUnusable(f"{path} is a SQLite database that belongs to another program.", remedy=_OTHER_FILE)
    if is_ours and version:
        check_name(connection, path)


def _has_tables(connection: sqlite3.Connection) -> bool:
    if _pragma(connection, "application_id"):
        return True
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _has_journal(path: Path) -> bool:
    return any(Path(f"{path}{suffix}").exists() for suffix in ("-journal", "-wal"))


# --- setup ------------------------------------------------------------------------------------------------------


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{database_uri(path)}?{options}", uri=True, isolation_level=None, check_same_thread=False, timeout=0
    )


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA foreign_keys = ON")
    _check_integrity(connection, path)
    may_choose = _pragma(connection, "application_id") != APPLICATION_ID
    _migrate(connection, path)  # before WAL is set, so that a new file's header is in the file itself
    _choose_journal(connection, path, may_choose=may_choose)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    size = int(_pragma(connection, "page_count")) * int(_pragma(connection, "page_size"))
    if size > CHECKED_BYTES:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise LedgerUnusable(f"{path} is damaged ({verdict}).", remedy=_RESTORE)


def _choose_journal(connection: sqlite3.Connection, path: Path, *, may_choose: bool) -> None:
    mode = str(_pragma(connection, "journal_mode"))
    is_safe = sqlite3.sqlite_version_info >= MIN_SAFE_WAL
    if is_safe and (may_choose or mode == "wal"):
        mode = _set_journal(connection, "WAL")
    if mode != "wal" or not is_safe:
        mode = _set_journal(connection, "PERSIST")
    if mode == "wal" and not is_safe:
        raise LedgerUnusable(
            f"{path} is in use by a newer SQLite than {sqlite3.sqlite_version}, with a journal (WAL) that this version "
            "cannot share safely.",
            remedy="Use the same SQLite version in all programs that open it.",
        )
    connection.execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")


def _set_journal(connection: sqlite3.Connection, mode: str) -> str:
    try:
        return str(connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0])
    except sqlite3.OperationalError:  # another connection is using the file, so its journal mode stays
        return str(_pragma(connection, "journal_mode"))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate to the current schema in one transaction; several processes may try at the same time."""
    if _is_current(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check_header(connection, path)
        version = int(_pragma(connection, "user_version"))
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            for statement in statements_of(migration):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        if version == 0:
            connection.execute(SQL["save_meta"], {"name": "secret", "value": new_secret()})
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        kill_point("migrate:before-commit")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    kill_point("migrate:after-commit")


def _is_current(connection: sqlite3.Connection) -> bool:
    is_ours = _pragma(connection, "application_id") == APPLICATION_ID
    return is_ours and _pragma(connection, "user_version") == len(MIGRATIONS)


def _pragma(connection: sqlite3.Connection, name: str) -> int | str:
    value: int | str = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
