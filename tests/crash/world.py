"""What a session's process lives in and does not take with it when it is killed: the provider, a receiver, the file."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from aiohttp import web

from veo_async._ports import JobRow, LedgerSession, Transition
from veo_async.ledger import SqliteLedger
from veo_async.simulator import Fault, Simulator

from .victim import Order

ROOT = Path(__file__).parents[2]


@attrs.define(eq=False)
class World:
    """One provider, one file, and processes that come and go."""

    sim: Simulator
    path: Path
    #: A hold of the ledger that drives nothing.
    book: LedgerSession
    public_url: str | None
    rate: tuple[int, float] = (1000, 1.0)

    async def kill_at(self, wire: str, *jobs: str, fault: Fault | None = None) -> dict[str, JobRow]:
        """Have a process die at *wire*, with *jobs* of its own; what it leaves."""
        if fault is not None:
            self.sim.inject(fault)
        code, said = await self._run(jobs, trip=wire)
        assert code == -signal.SIGKILL, f"nothing came by at {wire}: {code}\n{said}"
        return await self.rows()

    async def go_on(self, *jobs: str) -> dict[str, JobRow]:
        """Have a process go on to the end, and look that all is as it must be; what it leaves."""
        code, said = await self._run(jobs, trip="")
        assert code == 0, said
        rows = await self.rows()
        told = json.loads(said.splitlines()[-1])
        assert told == {key: rows[key].state for key in told}
        assert told.keys() >= set(jobs)
        await self._check(rows)
        return rows

    async def rows(self) -> dict[str, JobRow]:
        return {row.key: row for row in await self.book.jobs()}

    async def events(self, key: str) -> list[str]:
        return [step.event for step in await self.book.transitions(key)]

    def paid(self) -> dict[str, str]:
        """Which job's request made which task."""
        return {charge.body["prompt"]: charge.task_id for charge in self.sim.charges}

    def posted(self) -> set[str]:
        """The jobs whose request has come to the provider."""
        return {json.loads(seen.content)["prompt"] for seen in self.sim.requests_to()}

    async def _check(self, rows: dict[str, JobRow]) -> None:
        """Nothing was paid twice, every paid task is on the ledger, and every job is done or in doubt for a reason."""
        assert self.sim.double_charges() == ()
        paid = self.paid()
        for key, row in rows.items():
            assert row.state in ("ready", "in_doubt"), (key, row.state)
            if row.state == "ready" or self.public_url is not None:
                assert row.task_id == paid.get(key)
            if row.state == "in_doubt":
                assert row.token is not None
                assert _reason(await self.book.transitions(key))
        assert paid.keys() <= rows.keys()

    async def _run(self, jobs: Collection[str], *, trip: str) -> tuple[int, str]:
        order = Order(
            ledger=str(self.path),
            url=self.sim.url,
            api_key=self.sim.api_key,
            public_url=self.public_url,
            jobs=list(jobs),
            rate=self.rate,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "tests.crash.victim", order.as_json()),
            cwd=ROOT,
            env={**os.environ, "VEO_ASYNC_KILL_AT": trip} if trip else os.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


def _reason(steps: list[Transition]) -> Any:
    """Why the job is in doubt, as its timeline tells."""
    last = next(step for step in reversed(steps) if step.after == "in_doubt")
    return last.evidence.get("why") or last.evidence.get("error")


@asynccontextmanager
async def world(
    folder: Path, *, rate: tuple[int, float] = (1000, 1.0), with_callbacks: bool = True, **options: Any
) -> AsyncIterator[World]:
    """A provider that takes a moment for each clip, and a receiver that writes callbacks into the ledger."""
    book = await SqliteLedger(folder / "veo.db").open(None)

    async def receive(request: web.Request) -> web.Response:
        told = await request.json()
        # By the machine's clock, as a receiver's process would.
        is_known = await book.add_hint(request.match_info["token"], told["data"]["taskId"], sim.now())
        return web.Response(status=200 if is_known else 404)

    app = web.Application()
    app.router.add_post("/veo/cb/{token}", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    public_url = f"http://127.0.0.1:{runner.addresses[0][1]}" if with_callbacks else None
    try:
        async with Simulator(rate=rate, **{"duration_s": 0.3, "seed": 1, **options}) as sim:
            yield World(sim, folder / "veo.db", book, public_url, rate)
    finally:
        await runner.cleanup()
        await book.close()
