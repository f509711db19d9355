"""Kill the session's process at random moments, restart it, and compare the ledger with the provider's charge log.

The simulator runs in its own process; the SQLite file is real; `kill -9` comes every quarter to half a second. 5 % of
the creating requests are accepted without a response, and 3 % are dropped unread. This process survives: it receives
the callbacks, stores them on the ledger as hints, and counts. Batches follow each other until there were enough kills.

For comparison: a client that stores every task id it receives and, after a restart, sends again what it has no id for.

``--kills N``  ``--jobs N`` (per batch)  ``--seed N``
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
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, get_args

import attrs
from _common import Report
from _kill9_processes import prompt_of
from aiohttp import web

from veo_async._ports import LedgerSession
from veo_async.ledger import SqliteLedger
from veo_async.types import RouteName

#: A process is killed between MIN_LIFE_S and MAX_LIFE_S seconds after it started.
MIN_LIFE_S, MAX_LIFE_S = 0.25, 0.6
#: How long the last process of a batch, which is not killed, may take to finish all jobs, in seconds. Lost responses
#: arrive sooner than good ones, so five failures in a row happen, and the session then pauses sending for a minute.
FINISH_TIMEOUT_S = 200.0
#: With this many kills both routes are drawn, except once in a million seeds.
MANY_KILLS = 20
_PROCESSES = str(Path(__file__).with_name("_kill9_processes.py"))
_ACTIVE = ("queued", "sending", "running")


@attrs.define
class Counts:
    """What happened, over all batches."""

    batches: int = 0
    kills: int = 0
    jobs: int = 0
    charges: int = 0
    charges_on_jobs: int = 0
    duplicates: int = 0
    unknown: int = 0
    bound: int = 0
    lost_responses: int = 0
    in_doubt: int = 0
    in_doubt_and_charged: int = 0
    unfinished: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(attrs.astuple(self), attrs.astuple(other), strict=True)))


@contextlib.asynccontextmanager
async def process(role: str, options: dict[str, Any]) -> AsyncIterator[tuple[Process, Any]]:
    """Start a process; yield it and the first line that it prints. Kill it at the end of the block."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, _PROCESSES, role, json.dumps(options), stdin=PIPE, stdout=PIPE
    )
    try:
        assert child.stdout is not None
        yield child, json.loads(await child.stdout.readline())
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@contextlib.asynccontextmanager
async def receiver(ledger: LedgerSession) -> AsyncIterator[str]:
    """Store every callback on the ledger; yield the address to which callbacks are sent."""

    async def receive(request: web.Request) -> web.Response:
        task_id = (await request.json())["data"]["taskId"]
        now = time.time()  # noqa: TID251  # the machine's clock, as in any receiver
        is_known = await ledger.add_hint(request.match_info["token"], task_id, now)
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
    """The simulator in its own process."""

    child: Process

    async def read(self) -> dict[str, Any]:
        """Return its charges and counters."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(b"\n")
        counters: dict[str, Any] = json.loads(await self.child.stdout.readline())
        return counters


async def kill_often(
    role: str, options: dict[str, Any], rng: Random, max_kills: int, is_done: Callable[[], Awaitable[bool]]
) -> int:
    """Start *role* and kill it until *is_done* or *max_kills* is reached. Return the number of kills."""
    for kills in range(max_kills):
        if await is_done():
            return kills
        async with process(role, _with_route(options, rng)) as (child, _):
            await asyncio.sleep(rng.uniform(MIN_LIFE_S, MAX_LIFE_S))
            assert child.returncode is None, f"{role} exited before it was killed: {child.returncode}"
    return max_kills


def _with_route(options: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Return *options* with a drawn route: a process that is started again may send on another one."""
    return {**options, "route": rng.choice(get_args(RouteName))}


async def finish(role: str, options: dict[str, Any], is_done: Callable[[], Awaitable[bool]]) -> None:
    """Start *role*, wait until *is_done*, and terminate it."""
    async with process(role, options) as (child, _):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                while not await is_done():  # noqa: ASYNC110  # other processes must be asked; they send no events
                    await asyncio.sleep(0.1)
        child.terminate()
        await asyncio.wait_for(child.wait(), 30)


async def our_batch(path: Path, seed: int, jobs: int, max_kills: int) -> Counts:
    """Run one batch on a new ledger file until every job that can finish has finished."""
    rng = Random(seed)
    ledger = await SqliteLedger(path).open(None)
    try:
        async with process("provider", {"seed": seed}) as (child, address), receiver(ledger) as public_url:
            provider = Provider(child)
            options = {**address, "ledger": str(path), "public_url": public_url, "jobs": jobs}

            async def is_quiet() -> bool:
                """Return True if no job is active."""
                rows = await ledger.jobs()
                return len(rows) == jobs and not any(row.state in _ACTIVE for row in rows)

            async def is_finished() -> bool:
                """Return True if, in addition, every callback arrived and bound its job."""
                if not await is_quiet():
                    return False
                counters = await provider.read()
                charged = {prompt for prompt, _ in counters["charges"]}
                all_arrived = counters["acknowledged"] == len(counters["charges"])
                return all_arrived and not any(_prompt(row.key) in charged for row in await ledger.jobs(["in_doubt"]))

            kills = await kill_often("session", options, rng, max_kills, is_quiet)
            await finish("session", _with_route(options, rng), is_finished)
            return await _count(ledger, await provider.read(), kills=kills, jobs=jobs)
    finally:
        await ledger.close()


async def _count(ledger: LedgerSession, counters: dict[str, Any], *, kills: int, jobs: int) -> Counts:
    rows = await ledger.jobs()
    charged = dict(counters["charges"])
    known = {row.task_id for row in rows}
    in_doubt = [row for row in rows if row.state == "in_doubt"]
    timelines = [{step.event for step in await ledger.transitions(row.key)} for row in rows]
    return Counts(
        batches=1,
        kills=kills,
        jobs=jobs,
        charges=len(counters["charges"]),
        charges_on_jobs=counters["charges_on_jobs"],
        duplicates=counters["duplicates"],
        unknown=sum(task_id not in known for _, task_id in counters["charges"]),
        bound=sum("bind" in events for events in timelines),
        lost_responses=counters["lost_responses"],
        in_doubt=len(in_doubt),
        in_doubt_and_charged=sum(_prompt(row.key) in charged for row in in_doubt),
        unfinished=jobs - len(in_doubt) - sum(row.state == "ready" for row in rows),
    )


def _prompt(key: str) -> str:
    return prompt_of(int(key.removeprefix("job-")))


async def naive_batch(path: Path, seed: int, jobs: int) -> Counts:
    """Run the same batch with the naive client."""
    async with process("provider", {"seed": seed}) as (child, address):
        options = {**address, "ledger": str(path), "jobs": jobs}

        async def is_done() -> bool:
            with contextlib.closing(sqlite3.connect(path)) as database, contextlib.suppress(sqlite3.Error):
                return bool(database.execute("SELECT count(*) FROM created").fetchone()[0] >= jobs)
            return False

        kills = await kill_often("naive", options, Random(seed), 1000, is_done)
        counters = await Provider(child).read()
    return Counts(
        batches=1, kills=kills, jobs=jobs, charges=len(counters["charges"]), duplicates=counters["duplicates"]
    )


async def compare(report: Report, *, kills: int, jobs: int, seed: int) -> None:
    began = time.monotonic()  # noqa: TID251  # real seconds
    ours = Counts()
    with tempfile.TemporaryDirectory() as folder:
        naive = await naive_batch(Path(folder, "naive.db"), seed, jobs)
        while ours.kills < kills:
            ledger = Path(folder, f"veo-{ours.batches}.db")
            ours += await our_batch(ledger, seed + ours.batches, jobs, kills - ours.kills)
    elapsed_s = time.monotonic() - began  # noqa: TID251  # real seconds
    naive_twice = f"{naive.duplicates}  naive client, {naive.kills} kills, {naive.jobs} jobs"
    naive_per_100 = f"{100 * naive.duplicates / naive.kills:.0f}"
    report.add("kills", ours.kills, at_least=kills)
    report.add("batches", ours.batches)
    report.add("charges", ours.charges, compared_with=str(naive.charges))
    # Each start of the process draws its route, so a few starts may all draw the same one.
    both = 1 if kills >= MANY_KILLS else None
    report.add("  on the route jobs, the others on veo", ours.charges_on_jobs, at_least=both)
    report.add("duplicate charges", ours.duplicates, at_most=0, compared_with=naive_twice)
    report.add("  per 100 kills", 100 * ours.duplicates / ours.kills, compared_with=naive_per_100)
    report.add("charged tasks missing from the ledger", ours.unknown, at_most=0)
    report.add("requests accepted without a response", ours.lost_responses)
    report.add("jobs bound to their task by a callback", ours.bound, at_least=1)
    report.add("jobs left in doubt", ours.in_doubt)
    report.add("  of these charged", ours.in_doubt_and_charged, at_most=0)
    report.add("jobs neither ready nor in doubt", ours.unfinished, at_most=0)
    report.add("seconds", elapsed_s)


def main() -> None:
    title = "The session's process is killed again and again"
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="25 kills")
    parser.add_argument("--kills", type=int, help="the number of kills (default: 100)")
    parser.add_argument("--jobs", type=int, default=400, help="jobs per batch (default: 400)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    arguments = parser.parse_args()
    report = Report(f"{title}, seed {arguments.seed}", arguments.quick)
    kills = arguments.kills or (25 if arguments.quick else 100)
    asyncio.run(compare(report, kills=kills, jobs=arguments.jobs, seed=arguments.seed))
    sys.exit(report.show())


if __name__ == "__main__":
    main()
