"""`prune_after`: open sessions delete the jobs of their account that finished long ago."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from veo_async._ports import JobRow, Ledger
from veo_async.errors import LedgerIOError, UsageError
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.ledger.memory import MemoryLedgerSession
from veo_async.ledger.sqlite import session as sqlite_session
from veo_async.session import VeoSession

from .ledgers import InlineExecutor, session_with_ledger
from .support import VirtualSession, memory, now

pytestmark = pytest.mark.veo_virtual_time

DAY_S = 86400.0
ACCOUNT = "studio"


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """A ledger that keeps finished jobs for ten days."""
    if request.param == "memory":
        return MemoryLedger(prune_after=timedelta(days=10))
    return SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor(), prune_after=timedelta(days=10))


async def add_jobs(ledger: Ledger, *, ended_days_ago: float, count: int = 1, **columns: Any) -> None:
    """Insert jobs that failed that many days ago."""
    at = now() - ended_days_ago * DAY_S
    session = await ledger.open(ACCOUNT)
    for number in range(count):
        key = f"{ended_days_ago}-days-{number}"
        row = JobRow(key=key, account=ACCOUNT, state="failed", request='{"prompt": "A dog"}', submitted_at=at)
        await session.insert(attrs.evolve(row, **{"ended_at": at, **columns}))
    await session.close()


async def keys(ledger: Ledger) -> list[str]:
    session = await ledger.open(None)
    rows = await session.jobs()
    await session.close()
    return [row.key for row in rows]


def session_on(ledger: Ledger, **options: Any) -> VeoSession:
    sim = options.pop("sim", None) or memory()
    return session_with_ledger(sim, ledger, **{"kind": VirtualSession, "account": ACCOUNT, **options})


async def test_jobs_that_finished_long_ago_are_deleted_when_a_session_opens(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of the log says how many."""
    caplog.set_level(logging.INFO, "veo_async")
    await add_jobs(ledger, ended_days_ago=11, count=3)
    await add_jobs(ledger, ended_days_ago=9)
    async with session_on(ledger):
        await asyncio.sleep(1.0)
        assert await keys(ledger) == ["9-days-0"]
    [line] = [record for record in caplog.records if getattr(record, "action", "") == "pruned"]
    assert line.levelname == "INFO"
    assert line.getMessage() == "3 jobs that finished more than 10 days ago were deleted from the ledger"


async def test_open_session_deletes_jobs_within_an_hour_after_their_time(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """It searches every hour, and is silent when it finds nothing."""
    caplog.set_level(logging.INFO, "veo_async")
    await add_jobs(ledger, ended_days_ago=10 - 0.5 / 24)
    async with session_on(ledger):
        await asyncio.sleep(1800.0)
        assert len(await keys(ledger)) == 1
        await asyncio.sleep(1801.0)
        assert await keys(ledger) == []
    assert caplog.text.count("deleted from the ledger") == 1


async def test_unfinished_jobs_and_those_of_other_accounts_are_kept_however_old(ledger: Ledger) -> None:
    """A job in doubt may still be resolved, and another account keeps its jobs for as long as it likes."""
    await add_jobs(ledger, ended_days_ago=100, state="in_doubt", ended_at=None)
    await add_jobs(ledger, ended_days_ago=50, account="another")
    await add_jobs(ledger, ended_days_ago=20)
    async with session_on(ledger):
        await asyncio.sleep(1.0)
        assert await keys(ledger) == ["100-days-0", "50-days-0"]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_ledger_keeps_everything_by_default(kind: str, tmp_path: Path) -> None:
    """Deleting a job means that its request may be paid for again, so it needs a setting."""
    is_memory = kind == "memory"
    ledger = MemoryLedger() if is_memory else SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())
    await add_jobs(ledger, ended_days_ago=10_000)
    async with session_on(ledger):
        await asyncio.sleep(3601.0)
        assert len(await keys(ledger)) == 1


async def test_request_is_sent_while_old_jobs_are_being_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are deleted a few at a time; a new job takes its turn in between."""
    monkeypatch.setattr(sqlite_session, "PRUNE_BATCH", 2)
    path = tmp_path / "veo.db"
    ledger = SqliteLedger(path, executor=InlineExecutor(), prune_after=timedelta(days=10))
    await add_jobs(ledger, ended_days_ago=11, count=1000)
    sim = memory()
    async with session_on(ledger, sim=sim) as veo:
        job = await veo.submit("A cat", key="cat")
        await job.accepted()
        left = len(await keys(ledger))
        assert 1 < left < 1001
        await job
        assert await keys(ledger) == ["cat"]


async def test_failed_deletion_is_logged_and_tried_again_after_an_hour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not stop the session."""
    ledger = MemoryLedger(prune_after=timedelta(days=10))
    await add_jobs(ledger, ended_days_ago=11)

    async def fail(self: MemoryLedgerSession, before: float) -> int:
        raise LedgerIOError("the disk is full")

    async with session_on(ledger) as veo:
        with monkeypatch.context() as patch:
            patch.setattr(MemoryLedgerSession, "prune", fail)
            await (await veo.submit("A cat", key="cat"))
        assert len(await keys(ledger)) == 2
        await asyncio.sleep(3600.0)
        assert await keys(ledger) == ["cat"]
    assert "could not delete old jobs from the ledger: the disk is full" in caplog.text


@pytest.mark.parametrize("kind", [MemoryLedger, lambda **options: SqliteLedger("veo.db", **options)])
def test_time_that_is_too_short_is_rejected_with_its_reason(kind: Any) -> None:
    """A deleted job is paid for again, so a slip of the unit must not delete what was made yesterday."""
    with pytest.raises(UsageError, match=r"prune_after=.*at least one day.*charged again"):
        kind(prune_after=timedelta(hours=23))
    with pytest.raises(UsageError, match=r"prune_after=30: must be None or a timedelta, for example timedelta"):
        kind(prune_after=30)
    assert kind(prune_after=timedelta(days=1)).prune_after == timedelta(days=1)
