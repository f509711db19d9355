"""Several accounts in programs that are killed and started again with another rule."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.fast_clock import SPEED
from tests.programs import read_until, run_fast, started_fast
from veo_async._ports import JobRow
from veo_async.ledger import SqliteLedger
from veo_async.simulator import Simulator
from veo_async.types import ApiKey

KEYS = {"a": "sim-key-of-account-a", "b": "sim-key-of-account-b"}

PROGRAM = """
import asyncio, sys
from collections import Counter
from veo_async import VeoSession
from veo_async.accounts import Accounts

async def main(rule):
    sessions = {name: VeoSession(f"sim-key-of-account-{name}", ledger="veo.db") for name in "ab"}
    async with Accounts(sessions, rule=rule) as veo:
        jobs = [await veo.submit("Dog 0")]
        print("begun", flush=True)
        jobs += [await veo.submit(f"Dog {n}") for n in range(1, 50)]
        print("submitted", flush=True)
        outcomes = Counter([type(await job.finished()).__name__ for job in jobs])
        print(outcomes["Done"], outcomes["InDoubt"], outcomes.total())

asyncio.run(main((lambda submission: "b") if sys.argv[1:] else "round-robin"))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that submits fifty jobs to two accounts, in turn or, with an argument, all to one."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


def two_accounts() -> Simulator:
    """Return a provider, not started, with both accounts."""
    keys = {key: name for name, key in KEYS.items()}
    return Simulator(speed=SPEED, client_speed=SPEED, duration_s=60.0, api_keys=keys)


async def rows(file: Path) -> list[JobRow]:
    session = await SqliteLedger(file).open(None)
    found = await session.jobs()
    await session.close()
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed with SIGKILL")
async def test_program_that_is_killed_and_run_with_another_rule_keeps_each_job_on_its_account(
    program: Path, tmp_path: Path
) -> None:
    """Each clip is charged once at most, to the account that the ledger named before the request was sent."""
    async with two_accounts() as sim:
        process = await started_fast(program, sim=sim, cwd=tmp_path)
        await read_until(process, b"submitted")
        while len(sim.charges) < 10:  # noqa: ASYNC110  # the process counts, not an event
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        before = {row.key: row.account for row in await rows(tmp_path / "veo.db")}
        output = await run_fast(program, "b", sim=sim, cwd=tmp_path)
        charges = sim.charges
    done, in_doubt, total = map(int, output.split()[-3:])
    assert (done + in_doubt, total) == (50, 50)
    after = await rows(tmp_path / "veo.db")
    assert {row.key: row.account for row in after} == before
    assert Counter(before.values()) == {ApiKey(key).account_id: 25 for key in KEYS.values()}
    assert max(Counter(charge.body["prompt"] for charge in charges).values()) == 1
    known = {row.task_id for row in after}
    paid = {charge.task_id: ApiKey(KEYS[charge.account]).account_id for charge in charges}
    assert {row.task_id: row.account for row in after if row.task_id} == {
        task_id: account for task_id, account in paid.items() if task_id in known
    }
    assert len(paid.keys() - known) <= in_doubt


@pytest.mark.slow
async def test_two_programs_with_different_rules_pay_once_for_each_clip(program: Path, tmp_path: Path) -> None:
    """They submit the same list, the second one while the first does, and each of them gets every clip."""
    async with two_accounts() as sim:
        first = await started_fast(program, sim=sim, cwd=tmp_path)
        await read_until(first, b"begun")  # so its rule has placed a job, no matter which program is faster
        second = await run_fast(program, "b", sim=sim, cwd=tmp_path)
        rest, _ = await first.communicate()
        charges = sim.charges
    assert [output.split()[-3:] for output in (second, rest.decode())] == [["50", "0", "50"]] * 2
    assert len(charges) == 50
    assert {charge.account for charge in charges} == {"a", "b"}
