"""Fail every test of the runtime that leaks a task, a thread, a socket or an unread exception."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.leaks import Leaks
from veo_async._ports import Ledger
from veo_async.ledger import MemoryLedger, SqliteLedger

from .ledgers import InlineExecutor


@pytest.fixture(autouse=True)
async def leaves_nothing_behind() -> AsyncIterator[None]:
    """Compare tasks, threads and files before and after, and collect what asyncio reports to its exception handler."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    leaks = Leaks.before()
    yield
    await asyncio.sleep(0)  # let closed transports finish
    await asyncio.sleep(0)
    gc.collect()  # asyncio reports unread exceptions when their task is collected
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, f"tasks left behind: {others}"
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid"):  # it ends with its process, a moment after that was reported
            thread.join(timeout=5.0)
    leaks.check()
    assert not complaints, f"asyncio reported: {complaints}"


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """A ledger in memory and one in a file; both work in virtual time."""
    if request.param == "memory":
        return MemoryLedger()
    return SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())
