"""What survives when a session's process is killed: the provider, the receiver of callbacks, and the ledger file."""

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

from tests.routes import fields_of
from veo_async._ports import JobRow, LedgerSession, Transition
from veo_async.ledger import SqliteLedger
from veo_async.simulator import Fault, Simulator
from veo_async.types import RouteName

from .victim import Options

ROOT = Path(__file__).parents[2]


@attrs.define(eq=False)
class World:
    """One provider and one ledger file, on which processes run one after the other."""

    sim: Simulator
    path: Path
    #: A ledger session that owns no jobs.
    ledger: LedgerSession
    public_url: str | None
    rate: tuple[int, float] = (1000, 1.0)

    async def kill_at(
        self, point: str, *jobs: str, fault: Fault | None = None, route: RouteName = "veo"
    ) -> dict[str, JobRow]:
        """Run a process with *jobs* that is killed at the kill point *point*. Return the rows that it leaves."""
        if fault is not None:
            self.sim.inject(fault)
        exit_code, output = await self._run(jobs, kill_at=point, route=route)
        assert exit_code == -signal.SIGKILL, f"the process did not reach {point}: exit code {exit_code}\n{output}"
        return await self.rows()

    async def recover(self, *jobs: str, route: RouteName = "veo") -> dict[str, JobRow]:
        """Run a process with *jobs* until it exits, check every invariant, and return the rows that it leaves."""
        exit_code, output = await self._run(jobs, kill_at="", route=route)
        assert exit_code == 0, output
        rows = await self.rows()
        reported = json.loads(output.splitlines()[-1])
        assert reported == {key: rows[key].state for key in reported}
        assert reported.keys() >= set(jobs)
        await self._check(rows)
        return rows

    async def rows(self) -> dict[str, JobRow]:
        return {row.key: row for row in await self.ledger.jobs()}

    async def events(self, key: str) -> list[str]:
        return [step.event for step in await self.ledger.transitions(key)]

    def charged(self) -> dict[str, str]:
        """Return the charged task of each job."""
        return {fields_of(charge.body)["prompt"]: charge.task_id for charge in self.sim.charges}

    def posted(self) -> set[str]:
        """Return the jobs whose creating request reached the provider."""
        return {fields_of(request.body)["prompt"] for request in self.sim.requests_to()}

    def endpoints_of(self, task_id: str | None, *, after: int = 0) -> set[str]:
        """Return the endpoints that were asked about a task, leaving out the first *after* requests."""
        return {request.endpoint for request in self.sim.requests[after:] if request.query.get("taskId") == task_id}

    async def _check(self, rows: dict[str, JobRow]) -> None:
        """Nothing was charged twice, every charged task is on the ledger, and a job in doubt has a reason."""
        assert self.sim.double_charges() == ()
        charged = self.charged()
        for key, row in rows.items():
            assert row.state in ("ready", "in_doubt"), (key, row.state)
            if row.state == "ready" or self.public_url is not None:
                assert row.task_id == charged.get(key)
            if row.state == "in_doubt":
                assert row.token is not None
                assert _reason(await self.ledger.transitions(key))
        assert charged.keys() <= rows.keys()

    async def _run(self, jobs: Collection[str], *, kill_at: str, route: RouteName) -> tuple[int, str]:
        """Run `victim` and return its exit code and its output."""
        options = Options(
            ledger=str(self.path),
            url=self.sim.url,
            api_key=self.sim.api_key,
            public_url=self.public_url,
            jobs=list(jobs),
            route=route,
            rate=self.rate,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "tests.crash.victim", options.to_json()),
            cwd=ROOT,
            env={**os.environ, "VEO_ASYNC_KILL_AT": kill_at} if kill_at else os.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


def _reason(timeline: list[Transition]) -> Any:
    """Return why the job is in doubt, from the evidence of its latest transition to that state."""
    last = next(step for step in reversed(timeline) if step.after == "in_doubt")
    return last.evidence.get("why") or last.evidence.get("error")


@asynccontextmanager
async def open_world(
    folder: Path, *, rate: tuple[int, float] = (1000, 1.0), with_callbacks: bool = True, **options: Any
) -> AsyncIterator[World]:
    """Start a provider whose clips take 0.3 s, and a receiver that stores callbacks on the ledger."""
    ledger = await SqliteLedger(folder / "veo.db").open(None)

    async def receive(request: web.Request) -> web.Response:
        callback = await request.json()
        # The machine's clock, as in a receiver with its own process.
        is_known = await ledger.add_hint(request.match_info["token"], callback["data"]["taskId"], sim.now())
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
            yield World(sim, folder / "veo.db", ledger, public_url, rate)
    finally:
        await runner.cleanup()
        await ledger.close()
