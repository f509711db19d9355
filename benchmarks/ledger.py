"""The cost of the ledger: jobs submitted per second, and the lag that this causes in the event loop.

*submitted*: `VeoSession.submit` with a ledger file returns once the job is on the disk. It is compared with the INSERT
and COMMIT of the competent client (`_competent.py`), during which the event loop is blocked. Jobs are submitted one at
a time, and 500 at the same moment; the contestants take turns.

Both use the same journal. It is the write-ahead log where SQLite is at least 3.51.3, as before that it could corrupt a
file that several connections write; otherwise it is a rollback journal with ``synchronous=EXTRA``, which needs five
syncs for a commit instead of one. In that case the competent client is also shown with the write-ahead log, which is
safe for its single connection. *in a thread* is the same INSERT and COMMIT without blocking the event loop: the least
that a client can do which writes its ledger next to hundreds of running tasks.

The lag is measured while a session submits a list of jobs with ``map``, the usual way, and once more while all jobs are
inserted at the same moment, the worst case. Then storage faults: COMMITs fail at random, before or after they take
effect, and no job whose insertion was confirmed may be missing.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

import attrs
from _common import Report, main, quantile
from _competent import Database

from veo_async import VeoSession
from veo_async._ports import JobRow, LedgerSession
from veo_async.errors import LedgerError
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.ledger.sqlite import ledger_file as disk
from veo_async.ledger.sqlite import session as sqlite
from veo_async.ledger.sqlite.opening import MIN_SAFE_WAL
from veo_async.settings import Limits, Network
from veo_async.simulator import MemoryTransport

TICK_S = 0.001

#: The journal and its ``synchronous`` that the ledger uses with this SQLite.
JOURNAL = ("WAL", "FULL") if sqlite3.sqlite_version_info >= MIN_SAFE_WAL else ("PERSIST", "EXTRA")


def job(number: int) -> JobRow:
    request = '{"prompt": "' + "A dog surfing. " * 20 + '"}'
    return JobRow(key=f"job-{number}", account="a", state="queued", request=request, submitted_at=float(number))


async def sample(late: list[float]) -> None:
    """Append to *late* by how many seconds each tick is late."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(loop.time() - due_at)


async def insert_all(ledger: LedgerSession, jobs: int) -> tuple[float, list[float]]:
    """Insert all jobs at the same moment. Return the seconds it takes, and by how many seconds each tick is late."""
    late: list[float] = []
    sampler = asyncio.create_task(sample(late))
    await asyncio.sleep(0.02)
    late.clear()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(jobs):
            group.create_task(ledger.insert(job(number)))
    elapsed_s = time.perf_counter() - started
    await asyncio.sleep(2 * TICK_S)
    sampler.cancel()
    await ledger.close()
    return elapsed_s, late


async def through_session(path: Path | None, jobs: int) -> list[float]:
    """Return the lag while a session submits a list; the rate lets it send almost nothing."""
    late: list[float] = []
    provider = MemoryTransport()
    async with VeoSession(
        provider.api_key, ledger=path, network=Network(transport=provider), limits=Limits(rate=(1, 3600.0))
    ) as veo:
        sampler = asyncio.create_task(sample(late))
        reading = asyncio.create_task(anext(aiter(veo.map(map(str, range(jobs)), buffersize=jobs))))
        while len(veo.jobs()) < jobs:  # noqa: ASYNC110  # the benchmark watches from outside
            await asyncio.sleep(0.05)
        sampler.cancel()
        reading.cancel()
        await asyncio.wait([reading])
    return late


@attrs.frozen
class Submitting:
    """How many seconds each contestant needed for the same jobs, round by round."""

    ours: list[float] = attrs.field(factory=list)
    competent: list[float] = attrs.field(factory=list)
    in_thread: list[float] = attrs.field(factory=list)
    with_wal: list[float] = attrs.field(factory=list)


async def submitting(folder: Path, jobs: int, rounds: int, *, together: bool) -> Submitting:
    """Submit *jobs* jobs in each round."""
    provider, found = MemoryTransport(), Submitting()
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    competent, with_wal = Database(folder / "competent.db", *JOURNAL), Database(folder / "wal.db")
    off_loop = await loop.run_in_executor(thread, Database, folder / "thread.db", *JOURNAL)
    async with VeoSession(
        provider.api_key,
        ledger=folder / "ours.db",
        network=Network(transport=provider),
        limits=Limits(rate=(1, 3600.0), explore=False),
    ) as veo:
        await veo.submit("the only job that is sent")
        for number in range(rounds):
            prompts = [f"A dog surfing, take {number}-{take}" for take in range(jobs)]
            numbered = [*enumerate(prompts, number * jobs)]
            with timed(found.ours):
                if together:
                    async with asyncio.TaskGroup() as group:
                        for prompt in prompts:
                            group.create_task(veo.submit(prompt))
                else:
                    for prompt in prompts:
                        await veo.submit(prompt)
            for database, times in ((competent, found.competent), (with_wal, found.with_wal)):
                with timed(times):
                    for take, prompt in numbered:
                        database.insert(take, prompt)
            with timed(found.in_thread):
                for take, prompt in numbered:
                    await loop.run_in_executor(thread, off_loop.insert, take, prompt)
    await loop.run_in_executor(thread, off_loop.close)
    thread.shutdown()
    return found


@contextlib.contextmanager
def timed(times: list[float]) -> Iterator[None]:
    """Append to *times* how many seconds the block takes."""
    started = time.perf_counter()
    yield
    times.append(time.perf_counter() - started)


async def ours(ledger: Any, jobs: int) -> tuple[float, list[float]]:
    return await insert_all(await ledger.open("a"), jobs)


class Faulty:
    """A connection on which half of the commits fail, before or after they take effect."""

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
    """Return the number of jobs whose insertion was confirmed, and how many of these are missing."""
    rng, plain = Random(53), disk.opener
    sqlite.opener = lambda path, wait_s: lambda may: Faulty(plain(path, wait_s)(may), rng)  # type: ignore[assignment,return-value]  # it behaves like a connection
    confirmed = set()
    try:
        ledger = await SqliteLedger(path).open("a")
        for number in range(jobs):
            with contextlib.suppress(LedgerError):
                confirmed.add((await ledger.insert(job(number))).key)
        await ledger.close()
    finally:
        sqlite.opener = plain
    ledger = await SqliteLedger(path).open(None)
    stored = {row.key for row in await ledger.jobs()}
    await ledger.close()
    return len(confirmed), len(confirmed - stored)


def compare(report: Report) -> None:
    jobs = 200 if report.is_quick else 1000
    _compare_submitting(report)
    with tempfile.TemporaryDirectory() as folder:
        _, bare = asyncio.run(ours(MemoryLedger(), jobs))
        _, late = asyncio.run(ours(SqliteLedger(Path(folder, "ours.db")), jobs))
        lag = asyncio.run(through_session(Path(folder, "session.db"), jobs))
        lag_without = asyncio.run(through_session(None, jobs))
        confirmed, missing = asyncio.run(with_faults(Path(folder, "faults.db"), jobs // 2))
    report.add(
        f"loop lag while {jobs:,} jobs are submitted, p99, ms",
        1000 * quantile(lag, 0.99),
        at_most=20,
        compared_with=f"{1000 * quantile(lag_without, 0.99):.1f}  without a ledger",
        digits=1,
        needs_full_size=True,
    )
    report.add(
        "  the maximum when all are inserted at one moment, ms",
        1000 * max(late),
        compared_with=f"{1000 * max(bare):.1f}  in memory",
        digits=1,
    )
    report.add("storage faults: jobs confirmed", confirmed, at_least=1)
    report.add("storage faults: jobs confirmed and missing", missing, at_most=0)


def _compare_submitting(report: Report) -> None:
    rounds = 5 if report.is_quick else 15
    for text, jobs, together, slack in (("one at a time", 100, False, 3.0), ("500 together", 500, True, 1.5)):
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(submitting(Path(folder), jobs, rounds, together=together))
        low, middle, high = quantiles(_throughputs(found.ours, found.competent))
        report.add(
            f"submitted {text}: throughput / competent",
            middle,
            at_least=0.8,
            digits=2,
            compared_with=f"1.00; quartiles {low:.2f} to {high:.2f}",
            slack=slack,
        )
        in_thread = median(_throughputs(found.in_thread, found.competent))
        report.add("  the competent client in a thread / competent", in_thread, digits=2)
        with_wal = median(_throughputs(found.ours, found.with_wal))
        report.add("  ours / the competent client with the write-ahead log", with_wal, digits=2)
        report.add(
            f"submitted {text}: jobs per second",
            jobs / median(found.ours),
            compared_with=f"{jobs / median(found.competent):,.0f} competent",
        )


def _throughputs(own: list[float], other: list[float]) -> list[float]:
    """Return the throughput of one contestant divided by that of another, round by round."""
    return [b / a for a, b in zip(own, other, strict=True)]


if __name__ == "__main__":
    main("The cost of the ledger", compare)
