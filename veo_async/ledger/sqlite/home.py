"""The home of a ledger: the place where its sessions see each other's locks.

A ledger that was restored from a backup does not know which of its jobs were sent since. A copy of a ledger does not
know what the sessions on the original send, nor does a session that opens the same file under a second name, with other
locks. Each of them would pay for the same jobs again. So the ledger stores the id of its home, and the `mark`, outside
the file, stores it as well, with the number of requests that were sent. When a session opens:

=========================================  =========================================================================
mark                                       meaning
=========================================  =========================================================================
of this home, not ahead of the ledger      all is well
of this ledger, ahead of it                the ledger was **restored**: it lacks requests that were sent
missing, a copy, or of another home        the ledger **moved**: it was copied, or its folder was deleted
=========================================  =========================================================================

The first session that sends requests makes the home. A ledger that moved gets a new one silently if it has no
unfinished jobs. In any other case it is refused with `LedgerRestored`, until the user says ``accept_restored=True``:
then it gets a new home, and its unsent jobs are sent.
Moving both parts together within one file system keeps the mark's identity, and therefore the home.

Every write compares the home's id. A session whose ledger has got another home writes nothing more, because
sessions elsewhere cannot see its lock and take over its jobs.
"""

import logging
import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from veo_async._base.numbers import format_count
from veo_async._rules.lifecycle import JobState
from veo_async.errors import LedgerRestored, LedgerUnusable

from .mark import LockedMark, Mark, MarkFile
from .sql import SQL
from .statements import fetch_all

_logger = logging.getLogger(__name__)


class Displacement(Enum):
    """Why a ledger's unsent jobs may have been sent by others."""

    RESTORED = "restored"
    MOVED = "moved"


@attrs.frozen(kw_only=True)
class StoredHome:
    """What the ledger's own file says."""

    ledger_id: str = ""
    #: Empty until the first session that sends requests opens the ledger.
    home_id: str = ""
    home_path: bytes = b""
    #: How many creating requests were permitted.
    sent: int = 0


def _new_home(path: Path) -> dict[str, str | bytes]:
    return {"home_id": secrets.token_hex(16), "home_path": os.fsencode(path)}


def read_stored(connection: sqlite3.Connection) -> StoredHome:
    """Return what the file says."""
    known = attrs.fields_dict(StoredHome)
    values = {name: value for name, value in connection.execute(SQL["meta"]) if name in known}
    return StoredHome(**values, sent=connection.execute(SQL["last_sent"]).fetchone()[0])


def find_displacement(stored: StoredHome, mark: Mark | None) -> Displacement | None:
    """Compare the ledger with its mark."""
    if mark is not None and mark.ledger_id == stored.ledger_id and mark.sent > stored.sent:
        return Displacement.RESTORED
    is_same = mark is not None and mark.home_id == stored.home_id
    return None if is_same else Displacement.MOVED


def check_name(connection: sqlite3.Connection, path: Path) -> None:
    """Reject a second name of a ledger: it would have a second set of locks, and of journals.

    Raises:
        LedgerUnusable: *path* is not the name under which the ledger is used.
    """
    home = Path(os.fsdecode(read_stored(connection).home_path))
    if home != path and _is_same(home, path) and not _is_same(_folder_of(home), _folder_of(path)):
        raise LedgerUnusable(
            f"{path} and {home} are the same file; with two names its sessions would not see each other.",
            remedy=f"Use {home}.",
        )


def _folder_of(path: Path) -> Path:
    return Path(f"{path}.d")


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):
        return os.path.samefile(one, other)
    return False


@attrs.define(eq=False)
class Home:
    """The home of one open ledger.

    Args:
        is_worker: the session sends requests. Any other session reads and repairs; it accepts every home.
        accept_restored: give a restored or moved ledger a new home.
    """

    path: Path
    mark: MarkFile
    is_worker: bool
    accept_restored: bool
    #: Why a session that sends requests could not open the ledger; None if it could.
    problem: LedgerRestored | None = attrs.field(default=None, init=False)
    #: Empty while the session has no home, or needs none.
    _home_id: str = attrs.field(default="", init=False)
    _ledger_id: str = attrs.field(default="", init=False)

    def enter(self, connection: sqlite3.Connection) -> None:
        """Check that the ledger is at its home, or give it a new one.

        Raises:
            LedgerRestored: it may only be opened with ``accept_restored``; nothing was changed.
        """
        mark = self.mark.read()  # before the ledger, so that it is not ahead because another session is sending
        stored = read_stored(connection)
        displacement = find_displacement(stored, mark)
        if displacement is None:
            self._set(stored)
            self._note_path(connection, stored)
        elif self.is_worker:
            self._move(connection)
        else:
            self.problem = self._find_problem(connection, stored, displacement, mark)

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise if another session gave the ledger another home. Runs inside each transaction that writes."""
        if self._home_id and connection.execute(SQL["home_id"]).fetchone() != (self._home_id,):
            raise LedgerUnusable(
                f"{self.path} was opened under another name, or with accept_restored, while this session had it open.",
                remedy="Use one name for it, and open another session.",
            )

    def check_not_restored(self, connection: sqlite3.Connection, mark: LockedMark) -> None:
        """Raise if the file was replaced by a backup while the session had it open. Runs inside a transaction."""
        stored, current = read_stored(connection), mark.read()
        displacement = find_displacement(stored, current)
        if displacement is Displacement.RESTORED:
            problem = self._find_problem(connection, stored, displacement, current)
            assert problem is not None  # noqa: S101  # requests are missing
            raise problem

    def advance(self, mark: LockedMark, sent: int) -> None:
        """Make the mark say that *sent* requests were permitted, at least."""
        current = mark.read()
        if current is None or current.home_id != self._home_id or current.sent < sent:
            mark.write(self._ledger_id, self._home_id, sent)

    def restore_mark(self, sent: int) -> None:
        """Make the mark again after it was removed."""
        if self.is_worker:
            with self.mark.open_for_update() as mark:
                self.advance(mark, sent)

    def _move(self, connection: sqlite3.Connection) -> None:
        """Give the ledger a new home, in one transaction; several processes may try at the same time."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            stored, mark = read_stored(connection), self.mark.read()
            displacement = find_displacement(stored, mark)
            if displacement is not None:
                self._allow(self._find_problem(connection, stored, displacement, mark))
                stored = self._move_in(connection, stored)
            self._set(stored)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _allow(self, problem: LedgerRestored | None) -> None:
        if problem is None:
            return
        if not self.accept_restored:
            raise problem
        _logger.warning("accepted: %s", problem.message, extra={"action": "ledger-accepted"})

    def _move_in(self, connection: sqlite3.Connection, stored: StoredHome) -> StoredHome:
        values: dict[str, Any] = {**_new_home(self.path), "ledger_id": stored.ledger_id or secrets.token_hex(16)}
        for name, value in values.items():
            connection.execute(SQL["save_meta"], {"name": name, "value": value})
        # If the COMMIT fails, the mark belongs to no home, and the next session begins again.
        with self.mark.open_for_update() as mark:
            mark.write(values["ledger_id"], values["home_id"], stored.sent)
        return attrs.evolve(stored, **values)

    def _set(self, stored: StoredHome) -> None:
        self._home_id, self._ledger_id = stored.home_id, stored.ledger_id

    def _note_path(self, connection: sqlite3.Connection, stored: StoredHome) -> None:
        """Store the path of a ledger that was moved together with its mark."""
        path = os.fsencode(self.path)
        if self.is_worker and stored.home_path != path:
            with suppress(sqlite3.OperationalError):  # read-only or busy: the next session does it
                connection.execute(SQL["save_meta"], {"name": "home_path", "value": path})

    def _find_problem(
        self, connection: sqlite3.Connection, stored: StoredHome, displacement: Displacement, mark: Mark | None
    ) -> LedgerRestored | None:
        """Return why the ledger cannot be used; None if nothing can be paid for twice."""
        missing = mark.sent - stored.sent if mark is not None and displacement is Displacement.RESTORED else 0
        unfinished = fetch_all(connection, SQL["unfinished_prices"])
        if not missing and (not unfinished or not stored.home_id):
            return None
        unsent = [_credits(price) for state, price in unfinished if state == JobState.QUEUED]
        return _restored(self.path, missing, len(unfinished), unsent)


def _credits(price: Any) -> float | None:
    """Return the stored price; None if it is unknown, or if the row is damaged."""
    return price if isinstance(price, int | float) else None


def _restored(path: Path, missing: int, unfinished: int, prices: Sequence[float | None]) -> LedgerRestored:
    unsent, credits = len(prices), sum(price for price in prices if price is not None)
    if missing:
        sent_since = f"{format_count(missing, 'request')} sent since then {'is' if missing == 1 else 'are'}"
        what = f"{path} was restored from a backup: {sent_since} not in it."
    else:
        what = f"{path} was copied, restored or moved to another place, so other sessions may have sent its jobs."
    cost = f"up to {credits:,.10g} credits" if None not in prices else f"{credits:,.10g} credits or more"
    if unsent:
        risk = f"Its {format_count(unsent, 'unsent job')} may be paid for already; sending them costs {cost}."
    elif unfinished:
        risk = f"It has {format_count(unfinished, 'unfinished job')} and no unsent ones."
    else:
        risk = "New jobs with the same keys would be paid for again."
    return LedgerRestored(
        f"{what} {risk}",
        path=str(path),
        missing_requests=missing or None,
        unsent_jobs=unsent,
        unsent_credits=float(credits),
    )
