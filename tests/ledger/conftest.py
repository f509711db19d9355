"""Ledgers of every kind and their sessions. A test fails if it leaves a thread or a file open."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.leaks import Leaks
from veo_async._ports import Ledger, LedgerSession
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.ledger.sqlite import opening

from .support import ACCOUNT, Inline


@pytest.fixture(autouse=True)
def leaves_nothing_open() -> Iterator[None]:
    """Compare the threads and open files before and after the test."""
    leaks = Leaks.before()
    yield
    leaks.check()


@pytest.fixture(params=["memory", "sqlite", "sqlite-inline", "sqlite-wal"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A new ledger of each kind."""
    match request.param:
        case "memory":
            return MemoryLedger()
        case "sqlite":
            return SqliteLedger(tmp_path / "ledger.db")
        case "sqlite-wal":  # as with a SQLite that has the fix; without it this is safe for a single process
            monkeypatch.setattr(opening, "MIN_SAFE_WAL", sqlite3.sqlite_version_info)
    return SqliteLedger(tmp_path / "ledger.db", executor=Inline())


class Sessions:
    """Opens sessions of one ledger, and closes them at the end."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._open: list[LedgerSession] = []

    async def open(self, account: str | None = ACCOUNT) -> LedgerSession:
        session = await self.ledger.open(account)
        self._open.append(session)
        return session

    async def close(self) -> None:
        for session in self._open:
            await session.close()


@pytest.fixture
async def sessions(ledger: Ledger) -> AsyncIterator[Sessions]:
    """Opens any number of sessions of the ledger."""
    sessions = Sessions(ledger)
    yield sessions
    await sessions.close()
