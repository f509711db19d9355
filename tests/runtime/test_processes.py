"""Whole programs on one ledger file: concurrent, interrupted, terminated, forked."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.fast_clock import SPEED
from tests.programs import run, run_fast
from veo_async._ports import JobRow, Transition
from veo_async.ledger import SqliteLedger
from veo_async.simulator import Simulator, delay

MANY = """
import asyncio
from veo_async import Done, VeoSession
from veo_async.settings import Limits

async def main():
    async with VeoSession(ledger="veo.db", limits=Limits(rate=(20, 10.0))) as veo:
        jobs = [await veo.submit(f"Dog number {n}", key=f"dog-{n}") for n in range(30)]
        outcomes = [await job.finished() for job in jobs]
        print(sum(isinstance(outcome, Done) for outcome in outcomes), "done")

asyncio.run(main())
"""

ONE = """
import asyncio
from veo_async import VeoSession
from veo_async.settings import Limits
from veo_async.events import Sent

def on_event(event):
    if isinstance(event, Sent):
        print("sent", flush=True)

async def main():
    async with VeoSession(ledger="veo.db", limits=Limits(rate=(1, 10.0)), on_event=on_event) as veo:
        await veo.submit("A cat", key="second", tenant="later")
        await (await veo.submit("A dog", key="first", priority="interactive"))

asyncio.run(main())
"""

FORK = """
import asyncio, os, sys
from veo_async import VeoSession
from veo_async.errors import LedgerError, SessionClosed

async def main():
    async with VeoSession(ledger="veo.db") as veo:
        job = await veo.submit("A dog", key="dog")
        child = os.fork()
        if child == 0:
            try:
                await veo.submit("A cat", key="cat")
            except SessionClosed as error:
                print(error, flush=True)
                os._exit(7)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print("child", os.waitstatus_to_exitcode(status))
        print("parent", (await job).key)

asyncio.run(main())
"""

SLOW = """
import asyncio
from pathlib import Path
from veo_async import VeoSession
from veo_async.events import Sent

sent = asyncio.Event()

def on_event(event):
    if isinstance(event, Sent):
        sent.set()

async def file(name):
    while not Path(name).exists():
        await asyncio.sleep(0.02)

async def remove_lock():  # the session makes it again once a second
    await sent.wait()
    own = list(Path("veo.db.d").glob("*.lock"))
    while not Path("found").exists():
        for lock in own:
            lock.unlink(missing_ok=True)
        Path("sent").touch()
        await asyncio.sleep(0.001)

async def main():
    async with VeoSession(ledger="veo.db", on_event=on_event) as veo:
        await file("other")
        removing = asyncio.create_task(remove_lock())
        job = await veo.submit("A dog", key="dog")
        print("accepted", await job.accepted())
        await removing

asyncio.run(main())
"""

TAKE_OVER = """
import asyncio
from pathlib import Path
from veo_async import VeoSession

async def main():
    Path("other").touch()
    while not Path("sent").exists():
        await asyncio.sleep(0.02)
    async with VeoSession(ledger="veo.db") as veo:
        job = await veo.ledger.find("dog")
        print("found", job.state)
        Path("found").touch()
        while job.task_id is None:
            await asyncio.sleep(0.05)
        print("finished", (await job).task_id)

asyncio.run(main())
"""


async def read_ledger(file: Path) -> dict[str, tuple[JobRow, list[Transition]]]:
    """Return the row and the timeline of every job, by key."""
    session = await SqliteLedger(file).open(None)
    jobs = {row.key: (row, await session.transitions(row.key)) for row in await session.jobs()}
    await session.close()
    return jobs


@pytest.mark.usefixtures("route")
@pytest.mark.slow
async def test_row_62_concurrent_processes_are_charged_once_per_job(tmp_path: Path) -> None:
    """Four processes submit the same keys at the same time: each gets every clip, and each clip is charged once."""
    program = tmp_path / "many.py"
    program.write_text(MANY)
    async with Simulator(speed=SPEED, client_speed=SPEED, max_running=1000) as sim, asyncio.TaskGroup() as group:
        runs = [group.create_task(run_fast(program, cwd=tmp_path, sim=sim)) for _ in range(4)]
    assert [done.result().strip() for done in runs] == ["30 done"] * 4
    assert len(sim.charges) == 30
    sim.assert_no_double_charge()
    assert len(sim.requests_to()) <= 34  # a few are rate limited, because each process learns the limit for itself
    jobs = await read_ledger(tmp_path / "veo.db")
    assert {row.state for row, _ in jobs.values()} == {"ready"}
    for _, steps in jobs.values():
        assert [step.event for step in steps].count("accept") == 1


@pytest.mark.usefixtures("route")
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)])
async def test_row_58_interrupted_or_terminated_process_sends_nothing_more(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """After Ctrl-C the request in flight finishes and nothing new is sent; SIGTERM leaves the job in state sending."""
    program = tmp_path / "one.py"
    program.write_text(ONE)
    slow = delay(1.5, before=False, on=1, endpoint="generate")
    async with Simulator(faults=[slow], rate=(1, 10.0)) as sim:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            cwd=tmp_path,
            env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"sent\n"
        await asyncio.sleep(0.3)
        process.send_signal(number)
        await process.communicate()
        assert process.returncode == code
        await asyncio.sleep(1.5)
        assert len(sim.requests_to()) == 1
        jobs = await read_ledger(tmp_path / "veo.db")
        [(first, steps)] = [job for job in jobs.values() if job[0].state != "queued"]
        if number == signal.SIGINT:
            assert (first.state, first.task_id) == ("running", sim.charges[0].task_id)
        else:
            assert first.state == "sending"
            assert [step.event for step in steps] == ["submit", "send"]
        assert len(jobs) == 2


async def test_row_61_forked_child_gets_an_error_and_the_parent_continues(tmp_path: Path) -> None:
    """The error says what to do instead, and the child writes nothing to the ledger."""
    (tmp_path / "fork.py").write_text(FORK)
    async with Simulator(duration_s=20.0, speed=SPEED, client_speed=SPEED) as sim:
        output = await run_fast(tmp_path / "fork.py", cwd=tmp_path, sim=sim)
    assert "before a fork" in output
    assert "child 7" in output
    assert "parent dog" in output
    jobs = await read_ledger(tmp_path / "veo.db")
    assert list(jobs) == ["dog"]


@pytest.mark.usefixtures("route")
@pytest.mark.slow
async def test_a_process_that_is_considered_dead_records_the_task_of_its_request(tmp_path: Path) -> None:
    """Its lock file is removed during its request, and another process takes the job over: one charge, no crash."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "take_over.py").write_text(TAKE_OVER)
    slow = delay(5.0, before=False, on=1, endpoint="generate")
    async with Simulator(faults=[slow], duration_s=0.5) as sim:
        first = asyncio.create_task(run(sys.executable, "slow.py", cwd=tmp_path, sim=sim))
        taken_over = await run(sys.executable, "take_over.py", cwd=tmp_path, sim=sim)
        output = await first
    [charge] = sim.charges
    assert f"accepted {charge.task_id}" in output
    assert "found in_doubt" in taken_over
    assert f"finished {charge.task_id}" in taken_over
    ledger = await SqliteLedger(tmp_path / "veo.db").open(None)
    [row] = await ledger.jobs()
    events = [str(transition.event) for transition in await ledger.transitions("dog")]
    await ledger.close()
    assert (row.state, row.task_id) == ("ready", charge.task_id)
    assert events == ["submit", "send", "lose", "bind", "complete"]
