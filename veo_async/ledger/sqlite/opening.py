"""Opening a ledger's file: what is refused, what is set, how an older one is brought up to date.

**A file that is refused stays as it was, byte for byte.** So it is looked at first through a connection that SQLite
promises to change nothing by (``immutable``): an ordinary one would already finish another program's interrupted
transaction. And it is never opened by other means than SQLite while it may be in use: closing any descriptor of a file
frees all POSIX locks that the process has on it, SQLite's own among them.

**Which journal.** Until 3.51.3 SQLite could lose a reset of the write-ahead log and corrupt the file when two
connections wrote at once (https://sqlite.org/wal.html#walresetbug, read 2026-11). So WAL with ``synchronous=FULL``
only with a library that has the cure, and a rollback journal with ``EXTRA`` otherwise. PERSIST and not TRUNCATE: as
safe, since the zeroed header is synced, and 1.25 times as fast with eight processes. The file's maker decides: a newer
library leaves an older one's journal as it is, because the older one may have the file open this moment.

**Corruption** is looked for by ``quick_check`` in files up to `CHECKED_BYTES`; beyond that only the header and the
schema are read, and a damaged page shows when it is used.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from veo_async._base.kill_points import kill_point
from veo_async.errors import LedgerBusy, LedgerError, LedgerIOError, LedgerUnusable
from veo_async.ledger.rules import new_secret

from .sql import MIGRATIONS, SQL, statements_of

#: "veoL", in the header of each ledger.
APPLICATION_ID = 0x76656F4C
#: The first library in which the write-ahead log is safe with several connections.
MIN_SAFE_WAL = (3, 51, 3)
#: Files up to this size are checked whole when they are opened.
CHECKED_BYTES = 16 * 2**20
_OTHER_FILE = "Use another file; this one was not modified."
_FIX_DISK = "Free disk space or make the file writable; data already written is intact."


def open_file(path: Path, *, busy_timeout_s: float, may_create: bool) -> sqlite3.Connection:
    """A connection to the ledger at *path*, ready for use; *path* is settled, see `place`.

    Raises:
        LedgerUnusable: it is not a ledger of ours, or not one that this version can use.
        LedgerBusy, LedgerIOError: it cannot be opened just now.
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
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as exc:
        raise translate_error(exc, path) from exc


def translate_error(exc: sqlite3.Error, path: Path) -> LedgerError:
    """What SQLite means, in our words."""
    match getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return LedgerBusy(f"{path} is locked by another program ({exc}).")
        case sqlite3.SQLITE_NOTADB:
            return LedgerUnusable(f"{path} is not a ledger, nor any SQLite database.", remedy=_OTHER_FILE)
        case sqlite3.SQLITE_CORRUPT:
            return LedgerUnusable(f"{path} is damaged or cut short ({exc}). Bring a copy back.")
        case _:
            return LedgerIOError(f"{path}: {exc}.", remedy=_FIX_DISK)


# --- looking first ----------------------------------------------------------------------------------------------


def _create_if_missing(path: Path) -> None:
    """An empty file that only its user may read; its journals take over its mode."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as exc:
        raise LedgerIOError(f"{path} cannot be made: {exc.strerror}.", remedy=_FIX_DISK) from exc
    os.close(descriptor)  # it was made this moment, so no connection to it can lose its locks
    kill_point("open:after-create")


def _check_is_ledger(path: Path) -> None:
    try:
        with closing(_connect(path, "mode=ro&immutable=1")) as looking:
            _check_header(looking, path)
    except sqlite3.DatabaseError as exc:
        # A writer that was killed half-way leaves a file that looks damaged and a journal that mends it.
        is_damage = getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
        if not (is_damage and _has_journal(path)):
            raise


def _check_header(connection: sqlite3.Connection, path: Path) -> None:
    is_ours = _pragma(connection, "application_id") == APPLICATION_ID
    version = int(_pragma(connection, "user_version"))
    if is_ours and version > len(MIGRATIONS):
        raise LedgerUnusable(
            f"{path} was written by a newer version of this library: its form is {version}, this one knows "
            f"{len(MIGRATIONS)}. Install that version."
        )
    if not is_ours and (version or _has_tables(connection)):
        raise LedgerUnusable(f"{path} is a SQLite database of another program.", remedy=_OTHER_FILE)


def _has_tables(connection: sqlite3.Connection) -> bool:
    if _pragma(connection, "application_id"):
        return True
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _has_journal(path: Path) -> bool:
    return any(Path(f"{path}{suffix}").exists() for suffix in ("-journal", "-wal"))


# --- setting it up ----------------------------------------------------------------------------------------------


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False, timeout=0)


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA foreign_keys = ON")
    _check_integrity(connection, path)
    may_choose = _pragma(connection, "application_id") != APPLICATION_ID
    _migrate(connection, path)  # in the journal that is there, so that a new file's header is in the file itself
    _choose_journal(connection, path, may_choose=may_choose)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    size = int(_pragma(connection, "page_count")) * int(_pragma(connection, "page_size"))
    if size > CHECKED_BYTES:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise LedgerUnusable(f"{path} is damaged ({verdict}). Bring a copy back.")


def _choose_journal(connection: sqlite3.Connection, path: Path, *, may_choose: bool) -> None:
    mode = str(_pragma(connection, "journal_mode"))
    is_safe = sqlite3.sqlite_version_info >= MIN_SAFE_WAL
    if is_safe and (may_choose or mode == "wal"):
        mode = _set_journal(connection, "WAL")
    if mode != "wal" or not is_safe:
        mode = _set_journal(connection, "PERSIST")
    if mode == "wal" and not is_safe:
        raise LedgerUnusable(
            f"{path} is in use by a newer SQLite than {sqlite3.sqlite_version}, which must not join it.",
            remedy="Use the same SQLite version in all programs that open it.",
        )
    connection.execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")


def _set_journal(connection: sqlite3.Connection, wanted: str) -> str:
    try:
        return str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
    except sqlite3.OperationalError:  # another connection is in it, which settles the matter
        return str(_pragma(connection, "journal_mode"))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring it to this version's form, in one transaction; several processes may try at once."""
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
            connection.execute(SQL["save_secret"], {"secret": new_secret()})
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
