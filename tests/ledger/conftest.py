"""Ledgers of every kind, opened and closed; whatever a test leaves open fails it."""

import gc
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from veo_async._ports import Ledger, LedgerSession
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.ledger.sqlite import opening as sqlite_file

from .support import ACCOUNT, Inline


@pytest.fixture(autouse=True)
def leaves_nothing_open() -> Iterator[None]:
    """Threads and files, before and after."""
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    left = {thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")}
    assert not left
    assert len(os.listdir("/proc/self/fd")) <= files


@pytest.fixture(params=["memory", "sqlite", "sqlite-inline", "sqlite-wal"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """One of each kind."""
    match request.param:
        case "memory":
            return MemoryLedger()
        case "sqlite":
            return SqliteLedger(tmp_path / "ledger.db")
        case "sqlite-wal":  # what a library does that has the cure; here no other process writes
            monkeypatch.setattr(sqlite_file, "MIN_SAFE_WAL", sqlite3.sqlite_version_info)
    return SqliteLedger(tmp_path / "ledger.db", executor=Inline())


class Books:
    """Opens books of one ledger and closes them in the end."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._open: list[LedgerSession] = []

    async def open(self, account: str | None = ACCOUNT) -> LedgerSession:
        book = await self.ledger.open(account)
        self._open.append(book)
        return book

    async def close(self) -> None:
        for book in self._open:
            await book.close()


@pytest.fixture
async def books(ledger: Ledger) -> AsyncIterator[Books]:
    """Opens as many books of the ledger as a test likes."""
    books = Books(ledger)
    yield books
    await books.close()
