"""`veo.ledger.jobs`, `counts` and `prune`: the jobs of all sessions on a ledger."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done, Job, VeoSession
from veo_async.ledger import MemoryLedger, SqliteLedger

from .ledgers import InlineExecutor, session_with_ledger
from .support import memory

pytestmark = pytest.mark.veo_virtual_time


def at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, executor=InlineExecutor())


async def keys(veo: VeoSession, *args: Any, **options: Any) -> list[str]:
    return [job.key async for job in veo.ledger.jobs(*args, **options)]


async def test_jobs_of_earlier_sessions_are_listed_with_their_outcomes(tmp_path: Path) -> None:
    """Oldest first, by state, tenant, time and number; a session does not keep what it lists."""
    sim, path = memory(), tmp_path / "veo.db"
    async with session_with_ledger(sim, at(path)) as veo:
        for n in range(3):
            await (await veo.submit(f"Dog {n}", key=f"dog-{n}", tenant="anna" if n else "")).finished()
        await (await veo.submit("A cat", key="cat")).finished()
    with closing(sqlite3.connect(path)) as file:
        [(submitted_at,)] = file.execute("SELECT submitted_at FROM job WHERE key = 'cat'")
    middle = datetime.fromtimestamp(submitted_at - 1, UTC)
    async with session_with_ledger(sim, at(path)) as veo:
        before = len(veo.jobs())
        jobs = [job async for job in veo.ledger.jobs()]
        assert [job.key for job in jobs] == ["dog-0", "dog-1", "dog-2", "cat"]
        assert all(isinstance(job, Job) and isinstance(job.outcome, Done) for job in jobs)
        assert (await jobs[0]).urls
        assert await keys(veo, limit=2) == ["dog-2", "cat"]
        assert await keys(veo, tenant="anna", limit=1) == ["dog-2"]
        assert await keys(veo, since=middle) == ["cat"]
        assert await keys(veo, "failed") == []
        assert await keys(veo, "ready", since=middle - timedelta(days=1)) == ["dog-0", "dog-1", "dog-2", "cat"]
        assert await veo.ledger.counts() == {"ready": 4}
        assert await veo.ledger.counts(tenant="anna") == {"ready": 2}
        assert len(veo.jobs()) == before


async def test_unfinished_job_of_another_session_is_followed() -> None:
    """It is listed as a job whose outcome becomes known."""
    sim, ledger = memory(), MemoryLedger()
    async with session_with_ledger(sim, ledger) as veo, session_with_ledger(sim, ledger) as other:
        job = await veo.submit("A dog", key="dog")
        [listed] = [job async for job in other.ledger.jobs()]
        assert listed.outcome is None
        assert isinstance(await listed.finished(), Done)
        assert job.outcome is not None


async def test_row_that_cannot_be_read_is_left_out_of_the_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names it."""
    sim, path = memory(), tmp_path / "veo.db"
    async with session_with_ledger(sim, at(path)) as veo:
        for key in ("dog", "cat"):
            await (await veo.submit("A dog", key=key)).finished()
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE job SET outcome = x'00' WHERE key = 'dog'")
        file.commit()
    async with session_with_ledger(sim, at(path)) as veo:
        assert await keys(veo) == ["cat"]
    assert "job 'dog' cannot be read from the ledger" in caplog.text


async def test_session_without_a_ledger_lists_nothing() -> None:
    """Its own jobs are in `veo.jobs()`."""
    async with session_with_ledger(memory(), None) as veo:
        await (await veo.submit("A dog")).finished()
        assert await keys(veo) == []
        assert await veo.ledger.counts() == {}
        assert len(veo.jobs()) == 1


async def test_pruned_key_is_paid_for_again(tmp_path: Path) -> None:
    """As documented: with the job the ledger has forgotten that it was paid."""
    sim, path = memory(), tmp_path / "veo.db"
    async with session_with_ledger(sim, at(path)) as veo:
        await (await veo.submit("A dog", key="dog")).finished()
    async with session_with_ledger(sim, at(path)) as veo:
        await (await veo.submit("A dog", key="dog")).finished()
        assert len(sim.charges) == 1
    async with session_with_ledger(sim, at(path)) as veo:
        await asyncio.sleep(3600)
        assert await veo.ledger.prune(older_than=timedelta(hours=2)) == 0
        assert await veo.ledger.prune(older_than=timedelta(minutes=30)) == 1
        assert await veo.ledger.counts() == {}
        await (await veo.submit("A dog", key="dog")).finished()
        assert len(sim.charges) == 2
