"""Several processes share one file, and some of them are killed."""

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
from .support import ACCOUNT, ROOMY, Inline, job, sending, transition


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline())


# --- row 61: fork -----------------------------------------------------------------------------------------------


async def test_forked_child_is_rejected_and_the_parent_is_unaffected(path: Path) -> None:
    """Row 61: every call on an inherited session raises an error that says why.

    The parent's session continues to work.
    """
    found = programs.run("forked", path)
    assert len(found["child"]) == 5
    assert all("opened before a fork; open another session in the child" in text for text in found["child"])
    assert found["jobs"] == ["dog", "cat"]
    assert found["taken"] == 0  # the parent is alive


async def test_forked_child_does_not_keep_its_dead_parent_alive(path: Path) -> None:
    """Row 61: the child gives up the inherited lock."""
    with programs.start("orphan", path) as process:
        assert process.stdout is not None
        child = int(await asyncio.to_thread(process.stdout.readline))
        process.wait(20)
        try:
            assert process.returncode == -signal.SIGKILL
            session = await at(path).open(ACCOUNT)
            assert len((await session.changes(0.0)).taken_over) == 1
            await session.close()
        finally:
            os.kill(child, signal.SIGKILL)


# --- row 62: many processes -------------------------------------------------------------------------------------

PROCESSES, JOBS, LIMIT, SPAN_S = 8, 400, 20, 0.5


@pytest.mark.slow
async def test_eight_processes_share_one_ledger(path: Path) -> None:
    """Row 62: no job is stored or owned twice, no transition is lost, and no window exceeds the limit."""
    running = [programs.start("share", path, seed, JOBS, LIMIT, SPAN_S) for seed in range(PROCESSES)]
    found: list[Any] = []
    for process in running:
        with process:
            out, err = await asyncio.to_thread(process.communicate)
            assert process.returncode == 0, err
            found.append(json.loads(out.splitlines()[-1]))
    owned = sorted(key for one in found for key in one["mine"])
    assert owned == sorted(f"job-{n}" for n in range(JOBS))
    session = await at(path).open(None)
    rows = await session.jobs()
    assert len(rows) == JOBS
    sent = []
    for row in rows:
        transitions = await session.transitions(row.key)
        assert [item.event for item in transitions] == ["submit", "send", "accept"]
        assert row.task_id == f"t-{row.key}"
        sent.append(transitions[1].at)
    await session.close()
    assert sorted(sent) == sorted(call for one in found for call in one["sent"])
    assert max_in_window(sent) <= LIMIT
    assert max_in_window(sent) > LIMIT // 2  # the processes came close to the limit


def max_in_window(calls: list[float]) -> int:
    """Return the highest number of calls in any window of `SPAN_S`, its end excluded."""
    calls = sorted(calls)
    return max(n - bisect_right(calls, call - SPAN_S) + 1 for n, call in enumerate(calls))


# --- kill -9 ----------------------------------------------------------------------------------------------------


async def test_jobs_of_a_killed_process_are_taken_over(path: Path) -> None:
    """Another session gets them only once their owner is dead."""
    with programs.start("hold", path) as process:
        assert process.stdout is not None
        owner = json.loads(await asyncio.to_thread(process.stdout.readline))
        session = await at(path).open(ACCOUNT)
        changes = await session.changes(200.0)
        assert changes.taken_over == ()
        assert {row.owner for row in changes.changed} == {owner}
        assert not await session.apply(transition("abandon", "b"))
        process.kill()
        process.wait(20)
        taken = (await session.changes(201.0)).taken_over
    assert [(row.key, row.state, row.owner) for row in taken] == [
        ("a", "in_doubt", session.session_id),
        ("b", "queued", session.session_id),
    ]
    assert [file.stem for file in Path(f"{path}.d").glob("*.lock")] == [session.session_id]
    await session.close()


EVENTS = ["submit", "send", "accept", "complete", "save"]
STATES = ["", "queued", "in_doubt", "running", "ready", "saved"]


@pytest.mark.parametrize("boundary", ["before-commit", "after-commit"])
@pytest.mark.parametrize("event", EVENTS)
async def test_process_killed_around_a_commit_loses_nothing_reported(path: Path, event: str, boundary: str) -> None:
    """A transition is stored completely or not at all, and every transition that was reported is stored."""
    reported = [json.loads(line) for line in programs.run("life", path, kill_at=f"{event}:{boundary}")]
    number = EVENTS.index(event)
    assert reported == EVENTS[:number]
    session = await at(path).open(ACCOUNT)
    changes = await session.changes(200.0)
    done = number + (boundary == "after-commit")
    transitions = [item.event for item in await session.transitions("dog")]
    assert transitions == EVENTS[:done] + (["lose"] if done == 2 else [])
    if done and STATES[done] != "saved":
        assert [row.state for row in changes.taken_over] == [STATES[done]]
    else:
        assert changes.taken_over == ()
    await session.close()


@pytest.mark.parametrize("kill_point", ["open:after-create", "migrate:before-commit", "migrate:after-commit"])
async def test_process_killed_while_creating_the_ledger_leaves_a_usable_file(path: Path, kill_point: str) -> None:
    """The next session completes it."""
    programs.run("life", path, kill_at=kill_point)
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    await session.close()


async def test_kill_point_can_count(path: Path) -> None:
    """Here the process dies at the second commit of that name."""
    with programs.start("acks", path, kill_at="accept:after-commit:2") as process:
        out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == -signal.SIGKILL, err
    assert out


async def test_permit_of_a_dead_session_counts_for_one_window(path: Path) -> None:
    """Row 71: it takes up room in the rate limit until its window has passed, and no longer."""
    programs.run("life", path, kill_at="send:after-commit")
    session = await at(path).open(ACCOUNT)
    (row,) = (await session.changes(102.0)).taken_over
    assert row.state == "in_doubt"
    for n in range(3):
        await session.insert(job(str(n)))
    granted = []
    for n in range(3):
        permit = await session.begin_send(sending(str(n), at=105.0), RateClaim(limit=3, window_s=10.0, own_calls=n))
        assert permit is not None
        granted.append(permit.is_granted)
    assert granted == [True, True, False]
    assert permit is not None
    assert permit.gate.closed_until == 111.0  # the dead session's call was sent at 101
    last = await session.begin_send(sending("2", at=111.0), RateClaim(limit=3, window_s=10.0, own_calls=2))
    assert last is not None
    assert last.is_granted
    await session.close()


async def test_two_sessions_share_the_jobs_of_a_killed_process(path: Path) -> None:
    """Each job goes to one of them, none to both."""
    with programs.start("hold", path) as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.kill()
    one, two = await SqliteLedger(path).open(ACCOUNT), await SqliteLedger(path).open(ACCOUNT)
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(one.changes(0.0)), group.create_task(two.changes(0.0))
    assert sorted(row.key for changes in (first, second) for row in changes.result().taken_over) == ["a", "b"]
    assert await one.begin_send(sending("b"), ROOMY) is None or await two.begin_send(sending("b"), ROOMY) is None
    await one.close()
    await two.close()
