"""Programs that tests run, and kill, as separate processes: ``python -m tests.ledger.programs NAME PATH …``."""

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

from .support import ACCOUNT, ROOMY, job, sending, transition

ROOT = Path(__file__).parents[2]


def start(name: str, *args: Any, kill_at: str = "") -> "subprocess.Popen[str]":
    """Start a program, which kills itself at the kill point *kill_at*, if one is given."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if kill_at:
        environment["VEO_ASYNC_KILL_AT"] = kill_at
    command = [sys.executable, "-m", "tests.ledger.programs", name, *map(str, args)]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(name: str, *args: Any, kill_at: str = "", expect_kill: bool = False) -> Any:
    """Run a program until it ends. Return its last line, parsed as JSON, or all its lines if it was killed."""
    with start(name, *args, kill_at=kill_at) as process:
        out, err = process.communicate(timeout=50)
    is_killed = expect_kill or bool(kill_at)
    assert process.returncode == (-signal.SIGKILL if is_killed else 0), f"{process.returncode}\n{out}\n{err}"
    lines = out.splitlines()
    return json.loads(lines[-1]) if lines and not is_killed else lines


def report(value: Any) -> None:
    """Print *value* as one line, with a single unbuffered write."""
    os.write(1, (json.dumps(value) + "\n").encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# --- the programs -----------------------------------------------------------------------------------------------


def interrupted(path: str) -> None:
    """Leave a transaction half-way in another program's database."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE other (x)")
    connection.executemany("INSERT INTO other VALUES (?)", [("x" * 1000,)] * 100)
    _tear(connection, "UPDATE other SET x = 'y'")


def torn(path: str) -> None:
    """Leave a transaction half-way in a ledger."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = PERSIST")
    _tear(connection, "UPDATE job SET tenant = 'half'")


def _tear(connection: sqlite3.Connection, change: str) -> None:
    connection.execute("PRAGMA cache_size = 2")  # so that pages are written before the commit
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(change)
    die()


async def life(path: str) -> None:
    """Take one job from submit to save, and report each transition once it is durable."""
    session = await SqliteLedger(path).open(ACCOUNT)
    await session.insert(job(save_to="dog.mp4"))
    report("submit")
    await session.begin_send(sending(), ROOMY)
    report("send")
    for item in (transition("accept", task_id="t1"), transition("complete"), transition("save")):
        await session.apply(item)
        report(item.event)
    await session.close()


async def hold(path: str) -> None:
    """Submit two jobs, send one, and sleep with the ledger open."""
    session = await SqliteLedger(path).open(ACCOUNT)
    for key in ("a", "b"):
        await session.insert(job(key))
    await session.begin_send(sending("a"), ROOMY)
    report(session.session_id)
    await asyncio.sleep(60)


async def acks(path: str) -> None:
    """Write jobs in several tasks until killed, and report each transition once it is durable."""
    session = await SqliteLedger(path).open(ACCOUNT)

    async def write_jobs(lane: int) -> None:
        for n in range(10**6):
            key = f"{lane}-{n}"
            await session.insert(job(key))
            report([key, "submit"])
            await session.begin_send(sending(key), ROOMY)
            report([key, "send"])
            await session.apply(transition("accept", key, task_id=f"t-{key}"))
            report([key, "accept"])

    async with asyncio.TaskGroup() as group:
        for lane in range(8):
            group.create_task(write_jobs(lane))


async def share(path: str, seed: str, jobs: str, limit: str, span_s: str) -> None:
    """Submit the same jobs as the other processes, in another order, and send those that this process owns."""
    rng, names = Random(int(seed)), [f"job-{n}" for n in range(int(jobs))]
    rng.shuffle(names)
    session = await SqliteLedger(path).open(ACCOUNT)
    own_calls: list[float] = []
    inserted = []
    for start_at in range(0, len(names), 50):
        async with asyncio.TaskGroup() as group:
            inserted += [group.create_task(session.insert(job(key))) for key in names[start_at : start_at + 50]]
    mine = [row.key for row in (task.result() for task in inserted) if row.owner == session.session_id]
    for key in mine:
        while True:
            now = time.time()  # noqa: TID251  # processes share only the wall clock
            recent = [at for at in own_calls if at + float(span_s) > now]
            if len(recent) < int(limit):
                claim = RateClaim(limit=int(limit), window_s=float(span_s), own_calls=len(recent))
                permit = await session.begin_send(sending(key, at=now), claim)
                assert permit is not None
                if permit.is_granted:
                    own_calls.append(now)
                    break
                await asyncio.sleep(max(0.001, permit.gate.closed_until - now))
            else:
                await asyncio.sleep(0.005)
        assert await session.apply(transition("accept", key, at=now, task_id=f"t-{key}"))
    await session.close()
    report({"mine": mine, "sent": own_calls})


async def forked(path: str) -> None:
    """Fork with an open session, and report what the child, the parent and another session get."""
    session = await SqliteLedger(path).open(ACCOUNT)
    await session.insert(job())
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        os.write(write_end, json.dumps(await _in_child(session)).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        errors = json.load(pipe)
    os.waitpid(child, 0)  # noqa: ASYNC222  # the child has exited
    await session.insert(job("cat"))
    other = await SqliteLedger(path).open(ACCOUNT)
    changes = await other.changes(0.0)
    await other.close()
    await session.close()
    report({"child": errors, "jobs": [row.key for row in changes.changed], "taken": len(changes.taken_over)})


async def _in_child(session: Any) -> list[str]:
    errors = []
    for call in (
        session.insert(job()),
        session.apply(transition("abandon")),
        session.get("dog"),
        session.changes(0.0),
        session.close(),
    ):
        try:
            await call
        except LedgerError as exc:
            errors.append(str(exc))
    return errors


async def orphan(path: str) -> None:
    """Fork a child that outlives its parent, and kill the parent."""
    session = await SqliteLedger(path).open(ACCOUNT)
    await session.insert(job())
    if os.fork() == 0:
        report(os.getpid())
        os.close(1)
        os.close(2)
        time.sleep(20)  # noqa: ASYNC251  # the child has no event loop
        os._exit(0)
    await asyncio.sleep(0.2)
    die()


async def crowded(path: str, how: str) -> None:
    """Write until the disk is full, read everything, make room, and write again."""
    if how == "rlimit":  # every write beyond the limit fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    session = await SqliteLedger(path).open(ACCOUNT)
    kept = []
    failure = ""
    for n in range(10_000):
        try:
            kept.append((await session.insert(job(str(n), request="x" * 2000))).key)
        except LedgerIOError as exc:
            failure = str(exc)
            break
    intact = [row.key for row in await session.jobs()] == kept
    if how == "rlimit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        Path(path).with_name("ballast").unlink()
    again = (await session.insert(job("again"))).owner == session.session_id
    await session.close()
    checked = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0]
    report({"kept": len(kept), "failure": failure, "intact": intact, "again": again, "integrity": checked})


if __name__ == "__main__":
    program = globals()[sys.argv[1]]
    if asyncio.iscoroutinefunction(program):
        asyncio.run(program(*sys.argv[2:]))
    else:
        program(*sys.argv[2:])
