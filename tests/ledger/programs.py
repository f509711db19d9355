"""Programs that tests run as processes of their own, to be killed: ``python -m tests.ledger.programs NAME PATH …``."""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from veo_async._ports import RateClaim
from veo_async.errors import LedgerError, LedgerIOError
from veo_async.ledger import SqliteLedger

from .support import ACCOUNT, ROOMY, job, sending, step

ROOT = Path(__file__).parents[2]


def start(name: str, *args: Any, trip: str = "") -> "subprocess.Popen[str]":
    """Start one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if trip:
        environment["VEO_ASYNC_KILL_AT"] = trip
    command = [sys.executable, "-m", "tests.ledger.programs", name, *map(str, args)]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(name: str, *args: Any, trip: str = "", expect_kill: bool = False) -> Any:
    """Run one to its end; what it printed last, as JSON."""
    with start(name, *args, trip=trip) as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == (-signal.SIGKILL if expect_kill or trip else 0), f"{process.returncode}\n{out}\n{err}"
    lines = out.splitlines()
    return json.loads(lines[-1]) if lines and not (expect_kill or trip) else lines


def say(value: Any) -> None:
    """One line, at once and whole."""
    os.write(1, (json.dumps(value) + "\n").encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# --- the programs -----------------------------------------------------------------------------------------------


def interrupted(path: str) -> None:
    """Another program's database with a transaction on its way."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE theirs (x)")
    connection.executemany("INSERT INTO theirs VALUES (?)", [("x" * 1000,)] * 100)
    _tear(connection, "UPDATE theirs SET x = 'y'")


def torn(path: str) -> None:
    """A ledger with a transaction half in the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = PERSIST")
    _tear(connection, "UPDATE job SET tenant = 'half'")


def _tear(connection: sqlite3.Connection, change: str) -> None:
    connection.execute("PRAGMA cache_size = 2")  # so that pages go to the file before the commit
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(change)
    die()


async def life(path: str) -> None:
    """One job from plan to save; says each step when it is answered."""
    book = await SqliteLedger(path).open(ACCOUNT)
    await book.insert(job(save_to="dog.mp4"))
    say("submit")
    await book.begin_send(sending(), ROOMY)
    say("send")
    for taken in (step("accept", task_id="t1"), step("complete"), step("save")):
        await book.apply(taken)
        say(taken.event)
    await book.close()


async def hold(path: str) -> None:
    """Some jobs, and then sleep with the ledger open."""
    book = await SqliteLedger(path).open(ACCOUNT)
    for key in ("a", "b"):
        await book.insert(job(key))
    await book.begin_send(sending("a"), ROOMY)
    say(book.session_id)
    await asyncio.sleep(60)


async def acks(path: str) -> None:
    """Jobs without end, several at once; a line for each step that was answered."""
    book = await SqliteLedger(path).open(ACCOUNT)

    async def drive(lane: int) -> None:
        for n in range(10**6):
            key = f"{lane}-{n}"
            await book.insert(job(key))
            say([key, "submit"])
            await book.begin_send(sending(key), ROOMY)
            say([key, "send"])
            await book.apply(step("accept", key, task_id=f"t-{key}"))
            say([key, "accept"])

    async with asyncio.TaskGroup() as group:
        for lane in range(8):
            group.create_task(drive(lane))


async def share(path: str, seed: str, jobs: str, limit: str, span_s: str) -> None:
    """Plan the same jobs as everybody, in another order, and drive those that are ours."""
    rng, names = Random(int(seed)), [f"job-{n}" for n in range(int(jobs))]
    rng.shuffle(names)
    book = await SqliteLedger(path).open(ACCOUNT)
    own: list[float] = []
    planned = []
    for start_at in range(0, len(names), 50):
        async with asyncio.TaskGroup() as group:
            planned += [group.create_task(book.insert(job(key))) for key in names[start_at : start_at + 50]]
    mine = [row.key for row in (task.result() for task in planned) if row.owner == book.session_id]
    for key in mine:
        while True:
            now = time.time()  # noqa: TID251  # a wall clock is what processes share
            recent = [at for at in own if at + float(span_s) > now]
            if len(recent) < int(limit):
                claim = RateClaim(limit=int(limit), window_s=float(span_s), own_calls=len(recent))
                permit = await book.begin_send(sending(key, at=now), claim)
                assert permit is not None
                if permit.is_granted:
                    own.append(now)
                    break
                await asyncio.sleep(max(0.001, permit.gate.closed_until - now))
            else:
                await asyncio.sleep(0.005)
        assert await book.apply(step("accept", key, at=now, task_id=f"t-{key}"))
    await book.close()
    say({"mine": mine, "sent": own})


async def forked(path: str) -> None:
    """A child inherits an open book; what it and the parent find."""
    book = await SqliteLedger(path).open(ACCOUNT)
    await book.insert(job())
    tell, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)
        os.write(told, json.dumps(await _in_child(book)).encode())
        os._exit(0)
    os.close(told)
    with os.fdopen(tell) as pipe:
        said = json.load(pipe)
    os.waitpid(child, 0)  # noqa: ASYNC222  # it has ended
    await book.insert(job("cat"))
    other = await SqliteLedger(path).open(ACCOUNT)
    seen = await other.changes(0.0)
    await other.close()
    await book.close()
    say({"child": said, "jobs": [row.key for row in seen.changed], "taken": len(seen.taken_over)})


async def _in_child(book: Any) -> list[str]:
    said = []
    for call in (book.insert(job()), book.apply(step("abandon")), book.get("dog"), book.changes(0.0), book.close()):
        try:
            await call
        except LedgerError as exc:
            said.append(str(exc))
    return said


async def orphan(path: str) -> None:
    """The parent dies, the child it forked lives on: its jobs are free all the same."""
    book = await SqliteLedger(path).open(ACCOUNT)
    await book.insert(job())
    if os.fork() == 0:
        say(os.getpid())
        os.close(1)
        os.close(2)
        time.sleep(20)  # noqa: ASYNC251  # a child without a loop
        os._exit(0)
    await asyncio.sleep(0.2)
    die()


async def crowded(path: str, how: str) -> None:
    """Fill the disk until it says no; then read everything back, make room, go on."""
    if how == "rlimit":  # every write beyond it fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    book = await SqliteLedger(path).open(ACCOUNT)
    kept = []
    failure = ""
    for n in range(10_000):
        try:
            kept.append((await book.insert(job(str(n), request="x" * 2000))).key)
        except LedgerIOError as exc:
            failure = str(exc)
            break
    intact = [row.key for row in await book.jobs()] == kept
    if how == "rlimit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        Path(path).with_name("ballast").unlink()
    again = (await book.insert(job("again"))).owner == book.session_id
    await book.close()
    checked = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0]
    say({"kept": len(kept), "failure": failure, "intact": intact, "again": again, "integrity": checked})


if __name__ == "__main__":
    program = globals()[sys.argv[1]]
    if asyncio.iscoroutinefunction(program):
        asyncio.run(program(*sys.argv[2:]))
    else:
        program(*sys.argv[2:])
