"""Failing disks and locks: which calls fail, what was written anyway, and how the session recovers."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from veo_async.errors import LedgerBusy, LedgerError, LedgerIOError, LedgerUnusable
from veo_async.ledger import SqliteLedger
from veo_async.ledger.sqlite import ledger_file
from veo_async.ledger.sqlite import session as sqlite_session
from veo_async.ledger.sqlite.session import SqliteLedgerSession

from . import programs
from .support import ACCOUNT, ROOMY, Inline, job, sending, transition


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def at(path: Path, busy_timeout_s: float = 0.2) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline(), busy_timeout_s=busy_timeout_s)


def connection_of(session: SqliteLedgerSession) -> Any:
    connection = session._file._connection
    assert connection is not None
    return connection


async def keys(path: Path) -> list[str]:
    """Return the keys that another session lists."""
    inspector = await at(path).open(None)
    rows = await inspector.jobs()
    await inspector.close()
    return [row.key for row in rows]


# --- row 64: locked ---------------------------------------------------------------------------------------------


def test_busy_timeout_is_half_a_minute_by_default(path: Path) -> None:
    """Row 64. `test_connection_has_the_required_settings` checks that SQLite gets it."""
    assert SqliteLedger(path).busy_timeout_s == 30.0


@pytest.mark.realtime
@pytest.mark.parametrize("lock", ["EXCLUSIVE", "IMMEDIATE"])
async def test_call_fails_while_another_program_holds_the_lock(path: Path, lock: str) -> None:
    """Row 64: the call fails after the timeout and writes nothing.

    Once the lock is free, the same session works again.
    """
    session = await SqliteLedger(path, busy_timeout_s=0.2).open(ACCOUNT)
    await session.insert(job())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        started = time.monotonic()  # noqa: TID251  # the test measures real seconds
        with pytest.raises(LedgerBusy, match="locked"):
            await session.begin_send(sending(), ROOMY)
        assert 0.15 < time.monotonic() - started < 5.0  # noqa: TID251  # as above
        other.execute("ROLLBACK")
    assert (await session.get("dog")).state == "queued"  # type: ignore[union-attr]  # it exists
    assert len(await session.transitions("dog")) == 1
    assert await session.begin_send(sending(), ROOMY)
    await session.close()


async def test_commit_blocked_by_a_reader_is_rolled_back(path: Path) -> None:
    """With a rollback journal, COMMIT itself can find the file locked; the batch is undone completely."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM job").fetchall()
        with pytest.raises(LedgerBusy):
            await session.insert(job("cat"))
        reader.execute("COMMIT")
    assert await keys(path) == ["dog"]
    assert (await session.insert(job("cat"))).owner == session.session_id
    await session.close()


# --- row 66: full, read-only, gone ------------------------------------------------------------------------------


async def test_write_fails_when_sqlite_is_full_and_works_again_with_room(path: Path) -> None:
    """Row 66: SQLite's own "full". Everything else stays readable."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    connection_of(session).execute("PRAGMA max_page_count = 1")  # less than the file has, so it cannot grow
    with pytest.raises(LedgerIOError, match="full"):
        await session.insert(job("big", request="x" * 100_000))
    assert await keys(path) == ["dog"]
    assert await session.get("big") is None
    assert (
        await session.insert(job("big", request="x" * 100_000))
    ).owner == session.session_id  # the limit applied to the old connection only
    await session.close()


def can_mount() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0  # noqa: S607  # found on the PATH
    )


@pytest.mark.parametrize("how", ["rlimit", "tmpfs"])
def test_write_fails_when_the_disk_is_full_and_works_again_with_room(tmp_path: Path, how: str) -> None:
    """Row 66: with a limit on file sizes, and with a small file system where one can be mounted."""
    if how == "tmpfs" and can_mount():
        command = (
            f'mount -t tmpfs -o size=400k none "{tmp_path}" && head -c 60k /dev/zero > "{tmp_path}/ballast" && '
            f'exec "{sys.executable}" -m tests.ledger.programs crowded "{tmp_path}/ledger.db" tmpfs'
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command],  # noqa: S607  # found on the PATH
            capture_output=True,
            text=True,
            check=True,
            cwd=programs.ROOT,
            env={**os.environ, "PYTHONPATH": str(programs.ROOT)},
        )
        found = json.loads(done.stdout)
    else:
        found = programs.run("crowded", tmp_path / "ledger.db", "rlimit")
    assert found["kept"] > 10
    assert found["failure"]
    assert found["intact"]
    assert found["again"]
    assert found["integrity"] == "ok"


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as another user than root, who may write anywhere."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that any user may write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are private
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


async def test_read_only_file_rejects_writes(public_folder: Path) -> None:
    """Row 66: the first write fails, so nothing is sent, and the file can still be read."""
    path = public_folder / "ledger.db"
    with unprivileged():
        session = await at(path).open(ACCOUNT)
        await session.insert(job())
        await session.close()
        path.chmod(0o400)
        session = await at(path).open(ACCOUNT)
        with pytest.raises(LedgerIOError, match=r"readonly|read-only"):
            await session.begin_send(sending(), ROOMY)
        path.chmod(0o600)
        assert (await session.get("dog")).state == "queued"  # type: ignore[union-attr]  # it exists
        assert (await session.insert(job("cat"))).owner == session.session_id
        await session.close()


async def test_read_only_folder_rejects_open(public_folder: Path) -> None:
    """Row 66: neither the lock file nor the ledger can be created."""
    public_folder.chmod(0o555)
    with unprivileged(), pytest.raises(LedgerIOError, match="could not be created"):
        await at(public_folder / "ledger.db").open(ACCOUNT)


async def test_session_fails_while_the_folder_is_away(path: Path) -> None:
    """Row 66: SQLite could still write to the open file, but no other session would read it."""
    folder = path.parent / "disk"
    folder.mkdir()
    session = await at(folder / "ledger.db").open(ACCOUNT)
    await session.insert(job())
    folder.rename(path.parent / "away")
    for _ in range(2):
        with pytest.raises(LedgerIOError):
            await session.begin_send(sending(), ROOMY)
    with pytest.raises(LedgerIOError):
        await session.get("dog")
    (path.parent / "away").rename(folder)
    assert await session.begin_send(sending(), ROOMY)
    await session.close()


async def test_replaced_file_is_not_written_to(path: Path) -> None:
    """The other ledger is recognised by its secret."""
    session, other = await at(path).open(ACCOUNT), await at(path.with_name("other.db")).open(ACCOUNT)
    await session.insert(job())
    await other.close()
    os.replace(path.with_name("other.db"), path)
    with pytest.raises(LedgerIOError, match="moved or removed"):
        await session.insert(job("cat"))
    with pytest.raises(LedgerUnusable, match="another ledger"):
        await session.insert(job("cat"))
    await session.close()
    assert await keys(path) == []


# --- row 66: COMMIT fails ---------------------------------------------------------------------------------------


class Faulty:
    """A connection whose next COMMIT raises an error, before or after it happens."""

    def __init__(self, connection: sqlite3.Connection, faults: "Faults") -> None:
        self._connection, self._faults = connection, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        fault = self._faults.commit if statement == "COMMIT" else ""
        if fault:
            self._faults.commit = self._faults.then
        if fault == "before":
            raise sqlite3.OperationalError("disk I/O error")
        cursor = self._connection.execute(statement, *values)
        if fault == "after":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


class Faults:
    """The faults to inject: *commit* at the next COMMIT, *then* at the one after it."""

    def __init__(self) -> None:
        self.commit = self.then = ""
        self.cannot_open = False

    def opener(self, path: Path, busy_timeout_s: float) -> Callable[[bool], Any]:
        plain = ledger_file.opener(path, busy_timeout_s)

        def open_it(may_create: bool) -> Any:
            if self.cannot_open:
                raise sqlite3.OperationalError("unable to open database file")
            return Faulty(plain(may_create), self)

        return open_it


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Faults for all connections that are opened from now on."""
    faults = Faults()
    monkeypatch.setattr(sqlite_session, "opener", faults.opener)
    return faults


async def test_failed_commit_that_did_not_happen_is_reported_as_failed(path: Path, faults: Faults) -> None:
    """A new connection does not find the batch, so its calls fail and nothing is written."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    await session.changes(0.0)
    before = connection_of(session)
    faults.commit = "before"
    with pytest.raises(LedgerIOError, match="disk I/O error"):
        await session.begin_send(sending(), ROOMY)
    assert connection_of_or_none(session) is not before  # a new connection, because the old one is no longer trusted
    assert (await session.get("dog")).state == "queued"  # type: ignore[union-attr]  # it exists
    assert await keys(path) == ["dog"]
    assert (await session.changes(1.0)).changed == ()
    assert await session.begin_send(sending(), ROOMY)
    assert [item.event for item in await session.transitions("dog")] == ["submit", "send"]
    await session.close()


def connection_of_or_none(session: SqliteLedgerSession) -> Any:
    return session._file._connection


async def test_failed_commit_that_did_happen_returns_normally(path: Path, faults: Faults) -> None:
    """A new connection finds the batch, one more commit makes it durable, and its calls return normally."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    before = connection_of(session)
    faults.commit = "after"
    permit = await session.begin_send(sending(), ROOMY)
    assert permit is not None
    assert permit.is_granted
    assert connection_of(session) is not before
    assert [item.event for item in await session.transitions("dog")] == ["submit", "send"]
    assert await session.apply(transition("accept", task_id="t1"))
    assert (await session.changes(0.0)).changed == ()
    await session.close()


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_uncertain_commit_is_reported_with_the_next_changes(path: Path, faults: Faults, fault: str) -> None:
    """The file cannot be opened again, so all calls fail until it can.

    If the batch was committed, its jobs are in the changes.
    """
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    await session.changes(0.0)
    faults.commit, faults.cannot_open = fault, True
    with pytest.raises(LedgerIOError, match="may or may not have been committed"):
        await session.begin_send(sending(), ROOMY)
    for _ in range(2):
        with pytest.raises(LedgerIOError):
            await session.get("dog")
    faults.cannot_open = False
    changes = await session.changes(1.0)
    assert [(row.key, row.state) for row in changes.changed] == ([("dog", "sending")] if fault == "after" else [])
    assert (await session.changes(2.0)).changed == ()
    await session.close()


async def test_second_failed_commit_is_uncertain(path: Path, faults: Faults) -> None:
    """The batch was found but may not be durable: its call fails, and the job is reported later if it changed."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job())
    await session.changes(0.0)
    faults.commit, faults.then = "after", "before"
    with pytest.raises(LedgerIOError, match="may or may not have been committed"):
        await session.begin_send(sending(), ROOMY)
    faults.commit = faults.then = ""
    assert [row.state for row in (await session.changes(1.0)).changed] == ["sending"]
    await session.close()


async def test_failed_batch_raises_a_separate_error_for_each_call(path: Path, faults: Faults) -> None:
    """The next batch succeeds."""
    session = await SqliteLedger(path).open(ACCOUNT)
    faults.commit = "before"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(session, str(n))) for n in range(10)]
    failures = [task.result() for task in tasks if isinstance(task.result(), LedgerError)]
    assert failures
    assert len({id(failure) for failure in failures}) == len(failures)
    assert len(await session.jobs()) == 10 - len(failures)
    await session.close()


async def outcome(session: SqliteLedgerSession, key: str) -> object:
    try:
        return await session.insert(job(key))
    except LedgerError as exc:
        return exc


async def test_random_commit_failures_lose_nothing_acknowledged(path: Path, faults: Faults) -> None:
    """Row 53: commits fail before or after they happen. The file has exactly the jobs that were acknowledged."""
    rng = Random(53)
    session = await at(path).open(ACCOUNT)
    acknowledged, failed = [], []
    for n in range(200):
        faults.commit = rng.choice(["", "before", "after"])
        result = await outcome(session, str(n))
        (failed if isinstance(result, LedgerError) else acknowledged).append(str(n))
    faults.commit = ""
    assert [row.key for row in await session.jobs()] == acknowledged
    assert len(failed) > 30
    await session.close()


# --- row 53: power failure --------------------------------------------------------------------------------------


@pytest.mark.realtime
async def test_copy_made_at_any_moment_has_every_reported_transition(path: Path) -> None:
    """Row 53: a writer is stopped at random moments, and file and journal are copied as they are."""
    copies: list[tuple[Path, int]] = []
    reported: list[tuple[str, ...]] = []
    with programs.start("acks", path) as process:
        try:
            unread = b""
            rng = Random(53)
            while len(copies) < 25:
                await asyncio.sleep(rng.uniform(0.005, 0.05))
                unread += stop_and_read(process)
                *lines, unread = unread.split(b"\n")
                reported += [tuple(json.loads(line)) for line in lines]
                if reported:
                    copies.append((copy(path, len(copies)), len(reported)))
                process.send_signal(signal.SIGCONT)
        finally:
            process.kill()
    missing = 0
    for copied, count in copies:
        stored = set(transitions_in(copied))
        missing += len(set(reported[:count]) - stored)
    assert missing == 0
    assert len(reported) > 100


def stop_and_read(process: "subprocess.Popen[str]") -> bytes:
    """Stop the process, and return what it has printed since the last call."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    printed = b""
    try:
        while more := os.read(pipe, 65536):
            printed += more
    except BlockingIOError:
        pass
    return printed


def copy(path: Path, number: int) -> Path:
    where = path.parent / f"copy-{number}"
    where.mkdir()
    for suffix in ("", "-journal"):
        shutil.copyfile(f"{path}{suffix}", where / f"{path.name}{suffix}")
    return where / path.name


def transitions_in(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT key, event FROM transition").fetchall()
