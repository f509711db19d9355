"""Kill the session's process again and again, at random moments, and look into the provider's charge book.

A real simulator in a process of its own, a real SQLite file, `kill -9` every quarter to half a second; 5 % of the
creating requests are accepted without an answer and 3 % are dropped unread. This process survives: it receives the
callbacks and writes them into the ledger as hints, and it counts. Batch follows batch until there were kills enough.

Beside us: a client that writes down every task id it is told and, when it is started again, sends what it has none for.

``--kills N``  ``--jobs N`` (in a batch)  ``--seed N``
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import attrs
from _common import Report
from _victims import prompt_of
from aiohttp import web

from veo_async._ports import LedgerSession
from veo_async.ledger import SqliteLedger

#: A process is killed so many seconds after it began.
SOON_S, LATE_S = 0.25, 0.6
#: How long the last process of a batch, which nobody kills, may take to bring everything to its end. Answers that are
#: lost come sooner than good ones, so five in a row happen, and creation pauses for a minute then.
PATIENCE_S = 200.0
_VICTIMS = str(Path(__file__).with_name("_victims.py"))
_ON_THE_WAY = ("queued", "sending", "running")


@attrs.define
class Counts:
    """What has happened, over all batches."""

    batches: int = 0
    kills: int = 0
    jobs: int = 0
    charges: int = 0
    duplicates: int = 0
    unknown: int = 0
    bound: int = 0
    unanswered: int = 0
    in_doubt: int = 0
    doubts_accepted: int = 0
    unfinished: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + theirs for mine, theirs in zip(attrs.astuple(self), attrs.astuple(other), strict=True)))


@contextlib.asynccontextmanager
async def process(role: str, order: dict[str, Any]) -> AsyncIterator[tuple[Process, Any]]:
    """A process, and what it said first; it ends with the block."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, _VICTIMS, role, json.dumps(order), stdin=PIPE, stdout=PIPE
    )
    try:
        assert child.stdout is not None
        yield child, json.loads(await child.stdout.readline())
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@contextlib.asynccontextmanager
async def receiver(book: LedgerSession) -> AsyncIterator[str]:
    """Writes each callback into the ledger; its address."""

    async def receive(request: web.Request) -> web.Response:
        task_id = (await request.json())["data"]["taskId"]
        is_known = await book.add_hint(request.match_info["token"], task_id, time.time())  # noqa: TID251  # as processes do
        return web.Response(status=200 if is_known else 404)

    app = web.Application()
    app.router.add_post("/veo/cb/{token}", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@attrs.define
class Provider:
    """The simulator, in its process."""

    child: Process

    async def look(self) -> dict[str, Any]:
        """Its charge book."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(b"\n")
        told: dict[str, Any] = json.loads(await self.child.stdout.readline())
        return told


async def kill_often(role: str, order: dict[str, Any], rng: Random, most: int, is_over: Any) -> int:
    """Start *role* and kill it until everything is over or *most* have died; how many have."""
    for kills in range(most):
        if await is_over():
            return kills
        async with process(role, order) as (child, _):
            await asyncio.sleep(rng.uniform(SOON_S, LATE_S))
            assert child.returncode is None, f"{role} ended by itself: {child.returncode}"
    return most


async def finish(role: str, order: dict[str, Any], is_over: Any) -> None:
    """Start *role*, let it come to its end, and ask it to go."""
    async with process(role, order) as (child, _):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not await is_over():  # noqa: ASYNC110  # other processes are asked, and have no events for us
                    await asyncio.sleep(0.1)
        child.terminate()
        await asyncio.wait_for(child.wait(), 30)


async def our_batch(ledger: Path, seed: int, jobs: int, most: int) -> Counts:
    """One ledger, from its first job to the end of all that can end."""
    rng = Random(seed)
    book = await SqliteLedger(ledger).open(None)
    try:
        async with process("provider", {"seed": seed}) as (child, there), receiver(book) as public_url:
            provider = Provider(child)
            order = {**there, "ledger": str(ledger), "public_url": public_url, "jobs": jobs}

            async def is_quiet() -> bool:
                rows = await book.jobs()
                return len(rows) == jobs and not any(row.state in _ON_THE_WAY for row in rows)

            async def is_over() -> bool:
                """Nothing is on its way, and no doubt is left of whose task a callback has told."""
                if not await is_quiet():
                    return False
                seen = await provider.look()
                paid = {prompt for prompt, _ in seen["charges"]}
                has_told = len(seen["told"]) == len(seen["charges"])
                return has_told and not any(_prompt(row.key) in paid for row in await book.jobs(["in_doubt"]))

            kills = await kill_often("session", order, rng, most, is_quiet)
            await finish("session", order, is_over)
            return await _count(book, await provider.look(), kills=kills, jobs=jobs)
    finally:
        await book.close()


async def _count(book: LedgerSession, seen: dict[str, Any], *, kills: int, jobs: int) -> Counts:
    rows = await book.jobs()
    paid = dict(seen["charges"])
    known = {row.task_id for row in rows}
    in_doubt = [row for row in rows if row.state == "in_doubt"]
    events = [{step.event for step in await book.transitions(row.key)} for row in rows]
    return Counts(
        batches=1,
        kills=kills,
        jobs=jobs,
        charges=len(seen["charges"]),
        duplicates=seen["extra"],
        unknown=sum(task_id not in known for _, task_id in seen["charges"]),
        bound=sum("bind" in those for those in events),
        unanswered=seen["unanswered"],
        in_doubt=len(in_doubt),
        doubts_accepted=sum(_prompt(row.key) in paid for row in in_doubt),
        unfinished=jobs - len(in_doubt) - sum(row.state == "ready" for row in rows),
    )


def _prompt(key: str) -> str:
    return prompt_of(int(key.removeprefix("job-")))


async def their_batch(path: Path, seed: int, jobs: int) -> Counts:
    """The same with a client that sends again what it has no task id for."""
    async with process("provider", {"seed": seed}) as (child, there):
        order = {**there, "ledger": str(path), "jobs": jobs}

        async def is_over() -> bool:
            with contextlib.closing(sqlite3.connect(path)) as kept, contextlib.suppress(sqlite3.Error):
                return bool(kept.execute("SELECT count(*) FROM made").fetchone()[0] >= jobs)
            return False

        kills = await kill_often("naive", order, Random(seed), 1000, is_over)
        seen = await Provider(child).look()
    return Counts(batches=1, kills=kills, jobs=jobs, charges=len(seen["charges"]), duplicates=seen["extra"])


async def compare(report: Report, *, kills: int, jobs: int, seed: int) -> None:
    began = time.monotonic()  # noqa: TID251  # real seconds
    ours = Counts()
    with tempfile.TemporaryDirectory() as folder:
        theirs = await their_batch(Path(folder, "naive.db"), seed, jobs)
        while ours.kills < kills:
            ledger = Path(folder, f"veo-{ours.batches}.db")
            ours += await our_batch(ledger, seed + ours.batches, jobs, kills - ours.kills)
    naive = f"{theirs.duplicates}  sends again, {theirs.kills} kills, {theirs.jobs} jobs"
    report.add("kills", ours.kills, least=kills)
    report.add("batches of jobs", ours.batches)
    report.add("charges", ours.charges, beside=str(theirs.charges))
    report.add("paid twice", ours.duplicates, most=0, beside=naive)
    report.add(
        "  per 100 kills", 100 * ours.duplicates / ours.kills, beside=f"{100 * theirs.duplicates / theirs.kills:.0f}"
    )
    report.add("paid and not on the ledger", ours.unknown, most=0)
    report.add("accepted without an answer", ours.unanswered)
    report.add("bound by the token of its callback", ours.bound, least=1)
    report.add("doubts left", ours.in_doubt)
    report.add("  of these really accepted", ours.doubts_accepted, most=0)
    report.add("jobs neither done nor in doubt", ours.unfinished, most=0)
    report.add("seconds", time.monotonic() - began)  # noqa: TID251


def main() -> None:
    title = "The process is killed, again and again"
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="25 kills")
    parser.add_argument("--kills", type=int, help="how many, 100 if nothing is said")
    parser.add_argument("--jobs", type=int, default=400, help="jobs of a batch")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = Report(f"{title}, seed {given.seed}", given.quick)
    kills = given.kills or (25 if given.quick else 100)
    asyncio.run(compare(report, kills=kills, jobs=given.jobs, seed=given.seed))
    sys.exit(report.show())


if __name__ == "__main__":
    main()
