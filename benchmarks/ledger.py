"""What it costs to write everything down: jobs planned per second, and what the event loop feels of it.

Beside us: a plain loop that commits each job by itself, with the settings of our own connection. The loop's lag is
taken while a session takes a list of jobs in with ``map``, which is how jobs come in, and once more while all of them
come in the same moment, which is the worst that can be done to it. Then storage faults: a COMMIT that fails before or
after it took place, at random; nothing that was answered may be missing.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from _common import Report, main, quantile

from veo_async import VeoSession
from veo_async._ports import JobRow, LedgerSession
from veo_async.errors import LedgerError
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.ledger.sqlite import ledger_file as disk
from veo_async.ledger.sqlite import session as sqlite
from veo_async.ledger.sqlite.opening import open_file
from veo_async.ledger.sqlite.sql import SQL
from veo_async.simulator import MemoryTransport

TICK_S = 0.001


def job(number: int) -> JobRow:
    request = '{"prompt": "' + "A dog surfing. " * 20 + '"}'
    return JobRow(key=f"job-{number}", account="a", state="queued", request=request, submitted_at=float(number))


async def sample(late: list[float]) -> None:
    """By how much each tick comes late."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(loop.time() - due_at)


async def plan_all(book: LedgerSession, jobs: int) -> tuple[float, list[float]]:
    """Seconds, and by how much each tick of a millisecond came late."""
    late: list[float] = []
    sampler = asyncio.create_task(sample(late))
    await asyncio.sleep(0.02)
    late.clear()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(jobs):
            group.create_task(book.insert(job(number)))
    spent = time.perf_counter() - started
    await asyncio.sleep(2 * TICK_S)
    sampler.cancel()
    await book.close()
    return spent, late


async def through_session(path: Path | None, jobs: int) -> list[float]:
    """The lag while a session takes a list in; next to nothing is sent meanwhile."""
    late: list[float] = []
    provider = MemoryTransport()
    async with VeoSession(provider.api_key, transport=provider, ledger=path, rate=(1, 3600.0)) as veo:
        sampler = asyncio.create_task(sample(late))
        reading = asyncio.create_task(anext(aiter(veo.map(map(str, range(jobs)), buffersize=jobs))))
        while len(veo.jobs()) < jobs:  # noqa: ASYNC110  # it is a benchmark: it watches from outside
            await asyncio.sleep(0.05)
        sampler.cancel()
        reading.cancel()
        await asyncio.wait([reading])
    return late


async def ours(ledger: Any, jobs: int) -> tuple[float, list[float]]:
    return await plan_all(await ledger.open("a"), jobs)


def one_by_one(path: Path, jobs: int) -> float:
    """Seconds for a commit for each job, without any of our checks."""
    connection = open_file(path, busy_timeout_s=30.0, may_create=True)
    names = [field.name for field in JobRow.__attrs_attrs__]  # type: ignore[attr-defined]  # attrs puts it there
    started = time.perf_counter()
    for number in range(jobs):
        connection.execute("BEGIN IMMEDIATE")
        row = job(number)
        connection.execute(SQL["insert_job"], {**{name: getattr(row, name) for name in names}, "seq": number})
        connection.execute("COMMIT")
    spent = time.perf_counter() - started
    connection.close()
    return spent


class Faulty:
    """A connection some of whose commits fail, before or after they took place."""

    def __init__(self, connection: sqlite3.Connection, rng: Random) -> None:
        self._connection, self._rng = connection, rng

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        fault = self._rng.choice(["", "", "before", "after"]) if statement == "COMMIT" else ""
        if fault == "before":
            raise sqlite3.OperationalError("disk I/O error")
        cursor = self._connection.execute(statement, *values)
        if fault == "after":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


async def with_faults(path: Path, jobs: int) -> tuple[int, int]:
    """How many jobs were answered, and how many of these are missing."""
    rng, plain = Random(53), disk.opener
    sqlite.opener = lambda path, wait_s: lambda may: Faulty(plain(path, wait_s)(may), rng)  # type: ignore[assignment,return-value]  # it behaves as one
    answered = set()
    try:
        book = await SqliteLedger(path).open("a")
        for number in range(jobs):
            with contextlib.suppress(LedgerError):
                answered.add((await book.insert(job(number))).key)
        await book.close()
    finally:
        sqlite.opener = plain
    book = await SqliteLedger(path).open(None)
    there = {row.key for row in await book.jobs()}
    await book.close()
    return len(answered), len(answered - there)


def compare(report: Report) -> None:
    jobs = 200 if report.is_quick else 1000
    with tempfile.TemporaryDirectory() as folder:
        memory_s, bare = asyncio.run(ours(MemoryLedger(), jobs))
        file_s, late = asyncio.run(ours(SqliteLedger(Path(folder, "ours.db")), jobs))
        lag = asyncio.run(through_session(Path(folder, "session.db"), jobs))
        lag_without = asyncio.run(through_session(None, jobs))
        plain_s = one_by_one(Path(folder, "plain.db"), jobs)
        answered, missing = asyncio.run(with_faults(Path(folder, "faults.db"), jobs // 2))
    report.add("jobs planned per second, in memory", jobs / memory_s)
    report.add("jobs planned per second, in a file", jobs / file_s, beside=f"{jobs / plain_s:,.0f}  commit for each")
    report.add("  times as fast as a commit for each", plain_s / file_s, digits=1)
    report.add(
        f"loop lag while {jobs:,} jobs are taken in, p99, ms",
        1000 * quantile(lag, 0.99),
        most=20,
        beside=f"{1000 * quantile(lag_without, 0.99):.1f}  without a ledger",
        digits=1,
        needs_full_size=True,
    )
    report.add(
        "  the worst when all come in one moment, ms",
        1000 * max(late),
        beside=f"{1000 * max(bare):.1f}  in memory",
        digits=1,
    )
    report.add("storage faults: jobs answered", answered, least=1)
    report.add("storage faults: answered and missing", missing, most=0)


if __name__ == "__main__":
    main("Writing everything down", compare)
