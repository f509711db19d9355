"""Deadlines of requests: each block ends in time, with one timer for all of them."""

import asyncio
from typing import Any

import pytest

from veo_async._api.deadlines import Deadlines

pytestmark = pytest.mark.veo_virtual_time


async def sleep_within(deadlines: Deadlines, timeout_s: float, seconds: float) -> float:
    """Sleep in a block with a limit, and return how long it took; negative after a `TimeoutError`."""
    began_at = asyncio.get_running_loop().time()
    try:
        with deadlines.limit(timeout_s):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return began_at - asyncio.get_running_loop().time()
    return asyncio.get_running_loop().time() - began_at


async def test_each_block_ends_at_its_own_deadline() -> None:
    """Also one that begins later and ends earlier; the others are not affected."""
    deadlines = Deadlines()
    limits = ((30.0, 100.0), (2.0, 100.0), (5.0, 1.0), (30.0, 29.0), (7.5, 100.0))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sleep_within(deadlines, *limit), name=f"test.{limit}") for limit in limits]
    took = [task.result() for task in tasks]
    assert took == pytest.approx([-30.0, -2.0, 1.0, 29.0, -7.5])
    deadlines.close()


async def test_deadline_applies_to_requests_after_an_idle_time() -> None:
    """The timer is set again although it fired while nothing ran."""
    deadlines = Deadlines()
    assert await sleep_within(deadlines, 5.0, 1.0) == pytest.approx(1.0)
    await asyncio.sleep(20)
    assert await sleep_within(deadlines, 5.0, 100.0) == pytest.approx(-5.0)
    deadlines.close()


async def test_cancellation_is_not_turned_into_a_timeout() -> None:
    """A task that is cancelled before its deadline, or at the same moment, is cancelled."""
    deadlines = Deadlines()
    for cancel_after in (1.0, 5.0):
        task = asyncio.create_task(sleep_within(deadlines, 5.0, 100.0), name="test.cancelled")
        asyncio.get_running_loop().call_later(cancel_after, task.cancel)
        await asyncio.wait([task])
        assert task.cancelled()
    deadlines.close()


async def test_block_after_a_timeout_is_not_cancelled() -> None:
    """The cancellation that ended the first block is used up."""
    deadlines = Deadlines()
    task = asyncio.current_task()
    assert task is not None
    assert await sleep_within(deadlines, 1.0, 2.0) == pytest.approx(-1.0)
    assert task.cancelling() == 0
    assert await sleep_within(deadlines, 3.0, 2.0) == pytest.approx(2.0)
    deadlines.close()


async def test_inner_deadline_leaves_the_outer_block_running() -> None:
    deadlines = Deadlines()
    with deadlines.limit(10.0):
        assert await sleep_within(deadlines, 1.0, 5.0) == pytest.approx(-1.0)
        await asyncio.sleep(5)
    deadlines.close()


async def test_thousand_requests_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer is set for the first of them, and then once per timeout."""
    loop = asyncio.get_running_loop()
    call_at, timers = loop.call_at, []

    def counting(at: float, callback: Any, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(getattr(callback, "__self__", None))
        return call_at(at, callback, *arguments, **options)

    monkeypatch.setattr(loop, "call_at", counting)
    deadlines = Deadlines()
    for _ in range(1000):
        await sleep_within(deadlines, 30.0, 0.1)
    assert timers.count(deadlines) <= 5
    deadlines.close()
