"""Batches of calls for one file: which calls share a batch."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from veo_async.ledger.sqlite.group_commit import GroupCommit, LedgerCall

pytestmark = pytest.mark.veo_virtual_time


class SlowDisk(Executor):
    """Runs each batch after a second of the loop's time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        asyncio.get_running_loop().call_later(1.0, lambda: future.set_result(fn(*args, **kwargs)))
        return future


async def call_in_turn(group: GroupCommit, names: str) -> None:
    """Make the calls *names*, each after the result of the one before."""
    for name in names:
        await group.submit(LedgerCall(name, lambda: None))


def new_group() -> tuple[GroupCommit, list[str]]:
    """Return a group, and the names of the calls in each of its batches."""
    batches: list[str] = []
    return GroupCommit(lambda calls: batches.append("".join(call.name for call in calls)), SlowDisk()), batches


async def test_next_batch_contains_the_next_calls_of_those_who_got_results() -> None:
    """Two callers with one call after the other share every batch, although one of them began later."""
    group, batches = new_group()
    async with asyncio.TaskGroup() as callers:
        callers.create_task(call_in_turn(group, "abcd"), name="test.first")
        await asyncio.sleep(0.5)
        callers.create_task(call_in_turn(group, "wxyz"), name="test.second")
    assert list(map(sorted, batches)) == [["a"], ["b", "w"], ["c", "x"], ["d", "y"], ["z"]]


async def test_single_caller_does_not_wait_for_others() -> None:
    """Four calls, one after the other, take four times as long as one."""
    group, batches = new_group()
    began_at = asyncio.get_running_loop().time()
    await call_in_turn(group, "abcd")
    assert batches == ["a", "b", "c", "d"]
    assert asyncio.get_running_loop().time() - began_at == pytest.approx(4.0)
