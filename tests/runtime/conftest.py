"""Whatever a test of the runtime leaves behind fails it: a task, a thread, a socket, an exception nobody read."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

# What was imported stays for good: collections need not walk it after each test.
gc.collect()
gc.freeze()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(autouse=True)
async def leaves_nothing_behind() -> AsyncIterator[None]:
    """Count tasks, threads and files before and after, and listen for what asyncio itself complains about."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    threads, files = set(threading.enumerate()), _open_files()
    yield
    await asyncio.sleep(0)  # what was closed a moment ago says good-bye
    await asyncio.sleep(0)
    gc.collect()  # unread exceptions are told when their task is collected
    await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, f"tasks left behind: {others}"
    left = {thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")}
    assert not left, f"threads left behind: {left}"
    assert _open_files() <= files, "a socket or file was left open"
    assert not complaints, f"asyncio complains: {complaints}"
