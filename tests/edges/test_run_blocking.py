"""Blocking work in a thread is done even if its caller is cancelled."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from veo_async._base.run_blocking import run_blocking

pytestmark = pytest.mark.realtime


async def test_work_that_waits_for_a_thread_is_done_after_a_cancellation() -> None:
    """Otherwise a cancelled download would leave its file open and locked."""
    release, is_closed = threading.Event(), threading.Event()
    with ThreadPoolExecutor(max_workers=1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        first = asyncio.create_task(run_blocking(release.wait), name="first")
        second = asyncio.create_task(run_blocking(is_closed.set), name="second")
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        await first
    assert is_closed.is_set()


async def test_error_of_work_whose_caller_was_cancelled_is_not_reported() -> None:
    """Its caller is gone; asyncio would report the error as unread."""
    reported: list[dict[str, Any]] = []
    release = threading.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def fail() -> None:
        release.wait()
        raise OSError("disk full")

    with ThreadPoolExecutor(max_workers=1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        work = asyncio.create_task(run_blocking(fail), name="work")
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        release.set()
    del work
    await asyncio.sleep(0.01)  # the executor's thread hands over the error
    gc.collect()
    await asyncio.sleep(0)
    assert not reported
