"""A ledger that is years old: what does it cost to use one with N finished jobs?

A session makes some clips on a simulated provider, so that its rows are real ones. SQL then repeats the first of these
jobs N times, with all of its history. Measured are: opening the ledger, submitting a job, listing jobs in doubt, the
first page of jobs and the newest twenty, and counting. Each is compared with the same on a ledger of 1,000 jobs. Then
half of the jobs are pruned, while another session submits.
"""

import asyncio
import itertools
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from typing import Any

from _common import Report, in_virtual_time, main

from veo_async import VeoSession
from veo_async._ports import JobQuery, JobRow, Transition
from veo_async.ledger import LedgerSession, SqliteLedger, pages
from veo_async.settings import Limits, Network
from veo_async.simulator import MemoryTransport

ACCOUNT = "studio"
#: The time of new jobs; all others are older.
NOW = 1.9e9
PROMPT = "A dog surfing a long wave at dusk, filmed from a drone; the camera follows it to the beach. "

#: What is measured, and the goal in milliseconds. Counting takes longer the more jobs there are.
USES = {"open": 20, "submit": 5, "in_doubt": 5, "first_page": 200, "newest": 200, "counts": None}

#: Repeats job number 0 with another key, task and token; one job each minute, all of them years ago.
COPIES = """
INSERT INTO job
SELECT {columns} FROM job, (
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :jobs) SELECT n FROM number
) WHERE key = :template
"""
HISTORY = """
INSERT INTO transition (key, event, before, after, at, changes, evidence, session_id)
SELECT job.key, event, before, after, at, replace(replace(changes, :token, job.token), :task_id, job.task_id), evidence,
    session_id
FROM job JOIN transition ON transition.key = :template WHERE job.key <> :template
ORDER BY job.submitted_seq, transition.seq
"""
ATTEMPTS = "INSERT INTO attempt SELECT token, key FROM job WHERE key <> :template"


class Inline(Executor):
    """Runs all work immediately: virtual time does not wait for threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


async def make_clips(path: Path, jobs: int) -> None:
    """Make clips on a simulated provider: a session with its real rows."""
    provider = MemoryTransport()
    async with VeoSession(
        provider.api_key,
        account=ACCOUNT,
        ledger=SqliteLedger(path, executor=Inline()),
        network=Network(transport=provider),
        limits=Limits(rate=(1000, 1.0)),
    ) as veo:
        prompts = {f"row-{number:07}": PROMPT for number in range(jobs)}
        made = [await veo.submit(prompt, key=key) for key, prompt in prompts.items()]
        for job in made:
            await job.finished()
    await save_all(path)


async def save_all(path: Path) -> None:
    """Note that each clip was saved, as a session does after the download."""
    ledger = await SqliteLedger(path, executor=Inline()).open(ACCOUNT)
    for row in await ledger.jobs(["ready"]):
        file = f"/srv/clips/summer/{row.key}.mp4"
        outcome = json.dumps(
            {**json.loads(row.outcome or "{}"), "files": [file], "sizes": [[1280, 720]]}, sort_keys=True
        )
        changes = {"outcome": outcome, "save_to": file}
        at = (row.ended_at or 0.0) + 2.0
        saved = Transition(
            key=row.key, event="save", before="ready", after="saved", at=at, changes=changes, evidence={"files": 1}
        )
        await ledger.apply(saved)
    await ledger.close()


def bytes_per_job(path: Path) -> float:
    """Return the size of the used pages for each job, without those of an empty ledger and of the last hour's calls."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM sent_call")
        file.commit()
        (count,) = file.execute("SELECT count(*) FROM job").fetchone()
        (tables,) = file.execute("SELECT count(*) FROM sqlite_master WHERE rootpage > 0").fetchone()
        pages_, free, size = (
            file.execute(f"PRAGMA {n}").fetchone()[0] for n in ("page_count", "freelist_count", "page_size")
        )
    return float((pages_ - free - tables) * size / count)


def repeat(path: Path, jobs: int) -> None:
    """Repeat the first job of the ledger *jobs* times."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA synchronous = OFF")
        file.execute("PRAGMA cache_size = -200000")
        names = [name for _, name, *_ in file.execute("PRAGMA table_info(job)")]
        new = {
            "key": "'old-' || printf('%07d', n)",
            "task_id": "lower(hex(randomblob(length(task_id) / 2)))",
            "token": "substr(lower(hex(randomblob(64))), 1, length(token))",
            "submitted_at": "submitted_at - 1e8 + 60.0 * n",
            "ended_at": "ended_at - 1e8 + 60.0 * n",
            "submitted_seq": "n",
        }
        template, token, task_id = file.execute("SELECT key, token, task_id FROM job LIMIT 1").fetchone()
        values = {"template": template, "token": token, "task_id": task_id, "jobs": jobs}
        file.execute(COPIES.format(columns=", ".join(new.get(name, name) for name in names)), values)
        file.execute(ATTEMPTS, values)
        file.execute(HISTORY, values)
        file.commit()


class Old:
    """Works on a ledger with many finished jobs; each method is one thing to measure."""

    def __init__(self, path: Path) -> None:
        self.path, self._numbers = path, itertools.count()

    async def open(self, _: LedgerSession) -> None:
        session = await SqliteLedger(self.path).open(ACCOUNT)
        await session.changes(NOW)
        await session.close()

    async def submit(self, session: LedgerSession) -> None:
        key = f"new-{next(self._numbers)}"
        await session.insert(JobRow(key=key, account=ACCOUNT, state="queued", request="{}", submitted_at=NOW))

    async def in_doubt(self, session: LedgerSession) -> None:
        await session.jobs(["in_doubt"])

    async def first_page(self, session: LedgerSession) -> None:
        await anext(aiter(pages(session, JobQuery())))

    async def newest(self, session: LedgerSession) -> None:
        await anext(aiter(pages(session, JobQuery(state="saved", since=1.0), limit=20)))

    async def counts(self, session: LedgerSession) -> None:
        await session.counts(JobQuery())


async def milliseconds(work: Awaitable[None]) -> float:
    """Return how long *work* takes."""
    started = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - started)


async def measure(paths: Sequence[Path], times: int) -> dict[str, list[float]]:
    """Return the median milliseconds of each use of each ledger; the ledgers take turns."""
    taken: dict[str, list[list[float]]] = {name: [[] for _ in paths] for name in USES}
    sessions = [(Old(path), await SqliteLedger(path).open(ACCOUNT)) for path in paths]
    for name, _ in itertools.product(USES, range(times)):
        for place, (old, session) in enumerate(sessions):
            taken[name][place].append(await milliseconds(getattr(old, name)(session)))
    for _, session in sessions:
        await session.close()
    return {name: [statistics.median(values) for values in columns] for name, columns in taken.items()}


async def prune_half(path: Path, jobs: int) -> tuple[int, float, list[float]]:
    """Prune the older half; return how many jobs, the seconds, and the milliseconds of each submit in that time."""
    old, waits = Old(path), []
    pruner, other = await SqliteLedger(path).open(ACCOUNT), await SqliteLedger(path).open(ACCOUNT)
    with closing(sqlite3.connect(path)) as file:
        statement = "SELECT ended_at FROM job WHERE ended_at IS NOT NULL ORDER BY ended_at LIMIT 1 OFFSET ?"
        (before,) = file.execute(statement, (jobs // 2,)).fetchone()
    started = time.perf_counter()
    pruning = asyncio.create_task(pruner.prune(before))
    while not pruning.done():
        waits.append(await milliseconds(old.submit(other)))
        await asyncio.sleep(0.05)
    elapsed_s = time.perf_counter() - started
    await other.close()
    await pruner.close()
    return pruning.result(), elapsed_s, waits


def compare(report: Report) -> None:
    jobs, times = (20_000, 25) if report.is_quick else (1_000_000, 51)
    with tempfile.TemporaryDirectory() as folder:
        real, young, old = (Path(folder, f"{name}.db") for name in ("real", "young", "old"))
        in_virtual_time(make_clips(real, 500 if report.is_quick else 5000))
        for path, size in ((young, 1000), (old, jobs)):
            in_virtual_time(make_clips(path, 1))
            repeat(path, size)
        taken = asyncio.run(measure([old, young], times))
        size, copied = bytes_per_job(real), bytes_per_job(old)
        pruned, prune_s, waits = asyncio.run(prune_half(old, jobs))
    compared_with = f"{copied:,.0f}  copied in order"
    label = "bytes per finished job, of a session"
    report.add(label, size, at_most=1536, compared_with=compared_with, needs_full_size=True)
    for name, goal in USES.items():
        ours, base = taken[name]
        label = f"{name.replace('_', ' ')}, ms, {jobs:,} finished jobs"
        compared = f"{base:.2f}  1,000 jobs"
        report.add(label, ours, at_most=goal, compared_with=compared, digits=2, needs_full_size=True)
        if goal is not None:
            report.add("  times as long as with 1,000", ours / base, at_most=2, slack=1.5, digits=2)
    report.add("jobs pruned per second", pruned / prune_s)
    report.add("  submit of another session in that time, median, ms", statistics.median(waits), digits=1)
    report.add("  maximum, ms", max(waits), digits=1)
    report.add("  jobs pruned of those that should be", pruned / (jobs // 2), at_least=1, at_most=1, digits=3)


if __name__ == "__main__":
    main("An old ledger", compare)
