"""Several processes on one file, some of them killed."""

import asyncio
import json
import os
import signal
from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest

from veo_async._ports import RateClaim
from veo_async.ledger import SqliteLedger

from . import programs
from .support import ACCOUNT, ROOMY, Inline, job, sending, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline())


# --- row 61: fork -----------------------------------------------------------------------------------------------


async def test_a_child_is_refused_and_the_parent_goes_on(path: Path) -> None:
    """Row 61: every call of an inherited book says why it is refused; nothing of the parent's is disturbed."""
    found = programs.run("forked", path)
    assert len(found["child"]) == 5
    assert all("opened before a fork; open another session in the child" in text for text in found["child"])
    assert found["jobs"] == ["dog", "cat"]
    assert found["taken"] == 0  # the parent was seen alive


async def test_a_child_does_not_keep_its_dead_parent_alive(path: Path) -> None:
    """Row 61: the lock is not inherited."""
    with programs.start("orphan", path) as process:
        assert process.stdout is not None
        child = int(await asyncio.to_thread(process.stdout.readline))
        process.wait(20)
        try:
            assert process.returncode == -signal.SIGKILL
            book = await at(path).open(ACCOUNT)
            assert len((await book.changes(0.0)).taken_over) == 1
            await book.close()
        finally:
            os.kill(child, signal.SIGKILL)


# --- row 62: many at once ---------------------------------------------------------------------------------------

PROCESSES, JOBS, LIMIT, SPAN_S = 8, 800, 20, 0.1


async def test_eight_processes_share_one_ledger(path: Path) -> None:
    """Row 62: nothing is planned or driven twice, no step is lost, and no window holds more calls than the limit."""
    running = [programs.start("share", path, seed, JOBS, LIMIT, SPAN_S) for seed in range(PROCESSES)]
    found: list[Any] = []
    for process in running:
        with process:
            out, err = await asyncio.to_thread(process.communicate)
            assert process.returncode == 0, err
            found.append(json.loads(out.splitlines()[-1]))
    driven = sorted(key for one in found for key in one["mine"])
    assert driven == sorted(f"job-{n}" for n in range(JOBS))
    book = await at(path).open(None)
    rows = await book.jobs()
    assert len(rows) == JOBS
    sent = []
    for row in rows:
        steps = await book.transitions(row.key)
        assert [taken.event for taken in steps] == ["submit", "send", "accept"]
        assert row.task_id == f"t-{row.key}"
        sent.append(steps[1].at)
    await book.close()
    assert sorted(sent) == sorted(call for one in found for call in one["sent"])
    assert most_in_a_window(sent) <= LIMIT
    assert most_in_a_window(sent) > LIMIT // 2  # it was tried


def most_in_a_window(calls: list[float]) -> int:
    """The most calls in any span that is open at its end."""
    calls = sorted(calls)
    return max(n - bisect_right(calls, call - SPAN_S) + 1 for n, call in enumerate(calls))


# --- kill -9 ----------------------------------------------------------------------------------------------------


async def test_a_killed_owners_jobs_are_taken_over(path: Path) -> None:
    """While it lives nobody gets them; the moment it is dead somebody does."""
    with programs.start("hold", path) as process:
        assert process.stdout is not None
        owner = json.loads(await asyncio.to_thread(process.stdout.readline))
        book = await at(path).open(ACCOUNT)
        news = await book.changes(200.0)
        assert news.taken_over == ()
        assert {row.owner for row in news.changed} == {owner}
        assert not await book.apply(step("abandon", "b"))
        process.kill()
        process.wait(20)
        taken = (await book.changes(201.0)).taken_over
    assert [(row.key, row.state, row.owner) for row in taken] == [
        ("a", "in_doubt", book.session_id),
        ("b", "queued", book.session_id),
    ]
    assert [file.stem for file in Path(f"{path}.d").iterdir()] == [book.session_id]
    await book.close()


WIRES = ["submit", "send", "accept", "complete", "save"]
STATES = ["", "queued", "in_doubt", "running", "ready", "saved"]


@pytest.mark.parametrize("boundary", ["before-commit", "after-commit"])
@pytest.mark.parametrize("event", WIRES)
async def test_killed_at_each_boundary(path: Path, event: str, boundary: str) -> None:
    """A step is whole or not at all, and whatever was answered is there."""
    answered = [json.loads(line) for line in programs.run("life", path, trip=f"{event}:{boundary}")]
    number = WIRES.index(event)
    assert answered == WIRES[:number]
    book = await at(path).open(ACCOUNT)
    news = await book.changes(200.0)
    done = number + (boundary == "after-commit")
    steps = [taken.event for taken in await book.transitions("dog")]
    assert steps == WIRES[:done] + (["lose"] if done == 2 else [])
    if done and STATES[done] != "saved":
        assert [row.state for row in news.taken_over] == [STATES[done]]
    else:
        assert news.taken_over == ()
    await book.close()


@pytest.mark.parametrize("wire", ["open:after-create", "migrate:before-commit", "migrate:after-commit"])
async def test_killed_while_making_the_ledger(path: Path, wire: str) -> None:
    """The next to come makes it whole."""
    programs.run("life", path, trip=wire)
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    await book.close()


async def test_a_wire_can_wait_for_its_turn(path: Path) -> None:
    """The second commit of the same name."""
    with programs.start("acks", path, trip="accept:after-commit:2") as process:
        out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == -signal.SIGKILL, err
    assert out


async def test_a_permit_that_dies_with_its_holder_costs_one_place(path: Path) -> None:
    """Row 71: for one window, and nothing else."""
    programs.run("life", path, trip="send:after-commit")
    book = await at(path).open(ACCOUNT)
    (row,) = (await book.changes(102.0)).taken_over
    assert row.state == "in_doubt"
    for n in range(3):
        await book.insert(job(str(n)))
    granted = []
    for n in range(3):
        permit = await book.begin_send(sending(str(n), at=105.0), RateClaim(limit=3, window_s=10.0, own_calls=n))
        assert permit is not None
        granted.append(permit.is_granted)
    assert granted == [True, True, False]
    assert permit is not None
    assert permit.gate.closed_until == 111.0  # the dead one's call left at 101
    last = await book.begin_send(sending("2", at=111.0), RateClaim(limit=3, window_s=10.0, own_calls=2))
    assert last is not None
    assert last.is_granted
    await book.close()


async def test_two_that_take_over_in_different_processes(path: Path) -> None:
    """A killed process's jobs go to one of two, none to both."""
    with programs.start("hold", path) as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.kill()
    one, two = await SqliteLedger(path).open(ACCOUNT), await SqliteLedger(path).open(ACCOUNT)
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(one.changes(0.0)), group.create_task(two.changes(0.0))
    assert sorted(row.key for news in (first, second) for row in news.result().taken_over) == ["a", "b"]
    assert await one.begin_send(sending("b"), ROOMY) is None or await two.begin_send(sending("b"), ROOMY) is None
    await one.close()
    await two.close()
