"""Sessions on a ledger that was restored from a backup, or whose folder of locks was removed."""

import asyncio
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done
from veo_async.errors import LedgerRestored, UsageError
from veo_async.ledger import SqliteLedger
from veo_async.simulator import delay

from .ledgers import InlineExecutor, session_with_ledger
from .support import memory

pytestmark = pytest.mark.veo_virtual_time


def at(path: Path, **options: Any) -> SqliteLedger:
    return SqliteLedger(path, executor=InlineExecutor(), **options)


def back_up(path: Path, target: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


@pytest.mark.usefixtures("route")
async def test_restored_ledger_pays_for_nothing_again_until_it_is_accepted(tmp_path: Path) -> None:
    """Of 12 jobs 8 were paid after the backup. Opening it names them; after accepting it, all 12 are sent."""
    path, backup, sim = tmp_path / "veo.db", tmp_path / "backup.db", memory()
    async with session_with_ledger(sim, at(path)) as veo:
        veo.stop_sending()
        for n in range(12):
            await veo.submit(f"Dog {n}", key=f"row-{n}")
    back_up(path, backup)
    async with session_with_ledger(sim, at(path), max_in_flight=8) as veo:
        for n in range(8):
            await (await veo.attach(f"row-{n}")).accepted()
    assert len(sim.charges) == 8
    backup.replace(path)
    for _ in range(2):
        with pytest.raises(LedgerRestored, match=r"8 requests .* 12 unsent jobs"):
            async with session_with_ledger(sim, at(path)):
                pass
    assert len(sim.charges) == 8
    async with session_with_ledger(sim, at(path, accept_restored=True)) as veo:
        assert veo.ledger.recovered.queued == 12
        for n in range(12):
            assert isinstance(await (await veo.attach(f"row-{n}")).finished(), Done)
    assert len(sim.charges) == 20


@pytest.mark.usefixtures("route")
async def test_folder_of_locks_removed_during_a_request_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The task id that arrives is recorded, new work is accepted, and another session leaves the jobs alone."""
    path, sim = tmp_path / "veo.db", memory(faults=[delay(10.0, before=False, on=1, endpoint="generate")])
    with caplog.at_level(logging.ERROR):
        async with session_with_ledger(sim, at(path)) as veo:
            job = await veo.submit("A dog", key="dog")
            await asyncio.sleep(1.5)
            shutil.rmtree(f"{path}.d")
            await asyncio.sleep(3.0)
            async with session_with_ledger(sim, at(path)) as other:
                assert other.ledger.recovered.in_doubt == 0
                assert isinstance(await (await veo.submit("A cat", key="cat")).finished(), Done)
                assert isinstance(await job.finished(), Done)
    assert not caplog.records
    sim.assert_no_double_charge()


def test_accept_restored_must_be_a_flag(tmp_path: Path) -> None:
    """The error names the argument."""
    with pytest.raises(UsageError, match="accept_restored='yes'"):
        SqliteLedger(tmp_path / "veo.db", accept_restored="yes")  # type: ignore[arg-type]  # the test is about that
