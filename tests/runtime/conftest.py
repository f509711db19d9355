"""Fail every test of the runtime that leaks a task, a thread, a socket or an unread exception."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from veo_async._ports import Ledger
from veo_async.ledger import MemoryLedger, SqliteLedger

from .ledgers import InlineExecutor

# Imported modules are never freed, so the collections after each test can skip them.
gc.collect()
gc.freeze()


def _open_files() -> int:
    """Count the open files and sockets, except for a spare descriptor that libuv keeps."""
    if not os.path.isdir("/proc/self/fd"):
        return 0
    links = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return sum(link != os.devnull for link in links)


def _wait_for_threads(files: int) -> None:
    """Wait a moment for threads whose caller was cancelled: each closes its file when its work is done."""
    end = time.monotonic() + 2.0
    while _open_files() > files and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture(autouse=True)
async def leaves_nothing_behind() -> AsyncIterator[None]:
    """Compare tasks, threads and files before and after, and collect what asyncio reports to its exception handler."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    threads, files = set(threading.enumerate()), _open_files()
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
    left = {
        thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith(("asyncio_", "uvloop_"))
    }
    assert not left, f"threads left behind: {left}"
    _wait_for_threads(files)
    assert _open_files() <= files, "a socket or file was left open"
    assert not complaints, f"asyncio reported: {complaints}"


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """A ledger in memory and one in a file; both work in virtual time."""
    if request.param == "memory":
        return MemoryLedger()
    return SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())
