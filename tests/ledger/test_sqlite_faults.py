"""The disk says no: what is refused, what came to be all the same, and how it goes on."""

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
from veo_async.ledger.sqlite import ledger_file as disk
from veo_async.ledger.sqlite import session as sqlite
from veo_async.ledger.sqlite.session import SqliteLedgerSession

from . import programs
from .support import ACCOUNT, ROOMY, Inline, job, sending, step


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def at(path: Path, busy_timeout_s: float = 0.2) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline(), busy_timeout_s=busy_timeout_s)


def connection_of(book: SqliteLedgerSession) -> Any:
    connection = book._file._connection
    assert connection is not None
    return connection


async def keys(path: Path) -> list[str]:
    """What another book sees."""
    looking = await at(path).open(None)
    rows = await looking.jobs()
    await looking.close()
    return [row.key for row in rows]


# --- row 64: locked ---------------------------------------------------------------------------------------------


def test_the_wait_for_a_lock_is_half_a_minute(path: Path) -> None:
    """Row 64: unless said otherwise; that SQLite is told so is tested with the settings."""
    assert SqliteLedger(path).busy_timeout_s == 30.0


@pytest.mark.realtime
@pytest.mark.parametrize("lock", ["EXCLUSIVE", "IMMEDIATE"])
async def test_somebody_else_has_it_locked(path: Path, lock: str) -> None:
    """Row 64: after the wait every call is refused and nothing is written; when it is free the same book goes on."""
    book = await SqliteLedger(path, busy_timeout_s=0.2).open(ACCOUNT)
    await book.insert(job())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        started = time.monotonic()  # noqa: TID251  # real seconds are what is tested
        with pytest.raises(LedgerBusy, match="locked"):
            await book.begin_send(sending(), ROOMY)
        assert 0.15 < time.monotonic() - started < 5.0  # noqa: TID251  # the same
        other.execute("ROLLBACK")
    assert (await book.get("dog")).state == "queued"  # type: ignore[union-attr]  # it is there
    assert len(await book.transitions("dog")) == 1
    assert await book.begin_send(sending(), ROOMY)
    await book.close()


async def test_a_reader_holds_up_the_commit(path: Path) -> None:
    """With a rollback journal COMMIT itself can find the file locked; the batch is undone, not left half-way."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM job").fetchall()
        with pytest.raises(LedgerBusy):
            await book.insert(job("cat"))
        reader.execute("COMMIT")
    assert await keys(path) == ["dog"]
    assert (await book.insert(job("cat"))).owner == book.session_id
    await book.close()


# --- row 66: full, read-only, gone ------------------------------------------------------------------------------


async def test_the_file_may_not_grow(path: Path) -> None:
    """Row 66: SQLite's own "full": refused, the rest readable, and it goes on when there is room."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    connection_of(book).execute("PRAGMA max_page_count = 1")  # as many as there are
    with pytest.raises(LedgerIOError, match="full"):
        await book.insert(job("big", request="x" * 100_000))
    assert await keys(path) == ["dog"]
    assert await book.get("big") is None
    assert (
        await book.insert(job("big", request="x" * 100_000))
    ).owner == book.session_id  # the limit was the connection's
    await book.close()


def can_mount() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0  # noqa: S607  # wherever it is
    )


@pytest.mark.parametrize("how", ["rlimit", "tmpfs"])
def test_the_disk_is_full(tmp_path: Path, how: str) -> None:
    """Row 66: a limit on file sizes, and a small file system of its own where one may be mounted."""
    if how == "tmpfs" and can_mount():
        command = (
            f'mount -t tmpfs -o size=400k none "{tmp_path}" && head -c 60k /dev/zero > "{tmp_path}/ballast" && '
            f'exec "{sys.executable}" -m tests.ledger.programs crowded "{tmp_path}/ledger.db" tmpfs'
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command],  # noqa: S607  # wherever it is
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
    """Root may write anywhere, so be somebody else for a while."""
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
    """A folder that everybody may write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own are closed to others
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


async def test_the_file_is_read_only(public_folder: Path) -> None:
    """Row 66: said at the first write, and nothing is sent on it."""
    path = public_folder / "ledger.db"
    with unprivileged():
        book = await at(path).open(ACCOUNT)
        await book.insert(job())
        await book.close()
        path.chmod(0o400)
        book = await at(path).open(ACCOUNT)
        with pytest.raises(LedgerIOError, match=r"readonly|read-only"):
            await book.begin_send(sending(), ROOMY)
        path.chmod(0o600)
        assert (await book.get("dog")).state == "queued"  # type: ignore[union-attr]  # it is there
        assert (await book.insert(job("cat"))).owner == book.session_id
        await book.close()


async def test_the_folder_is_read_only(public_folder: Path) -> None:
    """Row 66: no lock can be made there, and no file."""
    public_folder.chmod(0o555)
    with unprivileged(), pytest.raises(LedgerIOError, match="could not be created"):
        await at(public_folder / "ledger.db").open(ACCOUNT)


async def test_the_folder_goes_and_comes_back(path: Path) -> None:
    """Row 66: what is still open could be written to, and nobody would read it."""
    folder = path.parent / "disk"
    folder.mkdir()
    book = await at(folder / "ledger.db").open(ACCOUNT)
    await book.insert(job())
    folder.rename(path.parent / "away")
    for _ in range(2):
        with pytest.raises(LedgerIOError):
            await book.begin_send(sending(), ROOMY)
    with pytest.raises(LedgerIOError):
        await book.get("dog")
    (path.parent / "away").rename(folder)
    assert await book.begin_send(sending(), ROOMY)
    await book.close()


async def test_another_ledger_takes_its_place(path: Path) -> None:
    """It is not written to, and not taken for ours."""
    book, other = await at(path).open(ACCOUNT), await at(path.with_name("other.db")).open(ACCOUNT)
    await book.insert(job())
    await other.close()
    os.replace(path.with_name("other.db"), path)
    with pytest.raises(LedgerIOError, match="moved or removed"):
        await book.insert(job("cat"))
    with pytest.raises(LedgerUnusable, match="another ledger"):
        await book.insert(job("cat"))
    await book.close()
    assert await keys(path) == []


async def test_the_lock_file_was_removed(path: Path) -> None:
    """Others take this book for dead then, so it must not go on driving what they take over."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    shutil.rmtree(f"{path}.d")
    with pytest.raises(LedgerIOError, match="Open another session"):
        await book.begin_send(sending(), ROOMY)
    await book.close()


# --- row 66: COMMIT fails ---------------------------------------------------------------------------------------


class Faulty:
    """A connection whose next COMMIT fails, before or after it took place."""

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
    """What goes wrong next."""

    def __init__(self) -> None:
        self.commit = self.then = ""
        self.is_shut = False

    def opener(self, path: Path, busy_timeout_s: float) -> Callable[[bool], Any]:
        plain = disk.opener(path, busy_timeout_s)

        def open_it(may_create: bool) -> Any:
            if self.is_shut:
                raise sqlite3.OperationalError("unable to open database file")
            return Faulty(plain(may_create), self)

        return open_it


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Every connection opened from now on can be made to fail."""
    faults = Faults()
    monkeypatch.setattr(sqlite, "opener", faults.opener)
    return faults


async def test_a_commit_that_failed(path: Path, faults: Faults) -> None:
    """It is looked for with a new connection, not found, and refused; nothing came to be."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    await book.changes(0.0)
    before = connection_of(book)
    faults.commit = "before"
    with pytest.raises(LedgerIOError, match="disk I/O error"):
        await book.begin_send(sending(), ROOMY)
    assert connection_of_or_none(book) is not before  # not trusted again
    assert (await book.get("dog")).state == "queued"  # type: ignore[union-attr]  # it is there
    assert await keys(path) == ["dog"]
    assert (await book.changes(1.0)).changed == ()
    assert await book.begin_send(sending(), ROOMY)
    assert [taken.event for taken in await book.transitions("dog")] == ["submit", "send"]
    await book.close()


def connection_of_or_none(book: SqliteLedgerSession) -> Any:
    return book._file._connection


async def test_a_commit_that_only_seemed_to_fail(path: Path, faults: Faults) -> None:
    """It is found with a new connection, made to hold by one more commit, and answered as if nothing had been."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    before = connection_of(book)
    faults.commit = "after"
    permit = await book.begin_send(sending(), ROOMY)
    assert permit is not None
    assert permit.is_granted
    assert connection_of(book) is not before
    assert [taken.event for taken in await book.transitions("dog")] == ["submit", "send"]
    assert await book.apply(step("accept", task_id="t1"))
    assert (await book.changes(0.0)).changed == ()
    await book.close()


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_nobody_can_say_whether_it_came_to_be(path: Path, faults: Faults, fault: str) -> None:
    """The file cannot be opened again: all is refused until it can; what came to be after all is told in the news."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    await book.changes(0.0)
    faults.commit, faults.is_shut = fault, True
    with pytest.raises(LedgerIOError, match="may or may not have been committed"):
        await book.begin_send(sending(), ROOMY)
    for _ in range(2):
        with pytest.raises(LedgerIOError):
            await book.get("dog")
    faults.is_shut = False
    news = await book.changes(1.0)
    assert [(row.key, row.state) for row in news.changed] == ([("dog", "sending")] if fault == "after" else [])
    assert (await book.changes(2.0)).changed == ()
    await book.close()


async def test_the_commit_that_makes_it_hold_fails_too(path: Path, faults: Faults) -> None:
    """It was seen and perhaps not on the disk: refused, and told later if it is there."""
    book = await at(path).open(ACCOUNT)
    await book.insert(job())
    await book.changes(0.0)
    faults.commit, faults.then = "after", "before"
    with pytest.raises(LedgerIOError, match="may or may not have been committed"):
        await book.begin_send(sending(), ROOMY)
    faults.commit = faults.then = ""
    assert [row.state for row in (await book.changes(1.0)).changed] == ["sending"]
    await book.close()


async def test_a_whole_batch_fails_together(path: Path, faults: Faults) -> None:
    """Everybody in it hears of it, each with an error of their own, and the next batch goes through."""
    book = await SqliteLedger(path).open(ACCOUNT)
    faults.commit = "before"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(book, str(n))) for n in range(10)]
    failures = [task.result() for task in tasks if isinstance(task.result(), LedgerError)]
    assert failures
    assert len({id(failure) for failure in failures}) == len(failures)
    assert len(await book.jobs()) == 10 - len(failures)
    await book.close()


async def outcome(book: SqliteLedgerSession, key: str) -> object:
    try:
        return await book.insert(job(key))
    except LedgerError as exc:
        return exc


async def test_any_commit_may_fail(path: Path, faults: Faults) -> None:
    """Row 53: at random, before or after; what was answered is there, and what was refused is not."""
    rng = Random(53)
    book = await at(path).open(ACCOUNT)
    answered, refused = [], []
    for n in range(200):
        faults.commit = rng.choice(["", "before", "after"])
        said = await outcome(book, str(n))
        (refused if isinstance(said, LedgerError) else answered).append(str(n))
    faults.commit = ""
    assert [row.key for row in await book.jobs()] == answered
    assert len(refused) > 30
    await book.close()


# --- row 53: the power goes -------------------------------------------------------------------------------------


@pytest.mark.realtime
async def test_a_copy_at_any_moment_has_all_that_was_answered(path: Path) -> None:
    """Row 53: a writer is stopped wherever it is, and file and journal copied as they lie; none answered is missing."""
    copies: list[tuple[Path, int]] = []
    answered: list[tuple[str, ...]] = []
    with programs.start("acks", path) as process:
        try:
            unread = b""
            rng = Random(53)
            while len(copies) < 25:
                await asyncio.sleep(rng.uniform(0.005, 0.05))
                unread += stop_and_read(process)
                *lines, unread = unread.split(b"\n")
                answered += [tuple(json.loads(line)) for line in lines]
                if answered:
                    copies.append((copy(path, len(copies)), len(answered)))
                process.send_signal(signal.SIGCONT)
        finally:
            process.kill()
    missing = 0
    for where, count in copies:
        there = set(steps_in(where))
        missing += len(set(answered[:count]) - there)
    assert missing == 0
    assert len(answered) > 100


def stop_and_read(process: "subprocess.Popen[str]") -> bytes:
    """Stop it in its tracks, and take what it has said so far."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    said = b""
    try:
        while more := os.read(pipe, 65536):
            said += more
    except BlockingIOError:
        pass
    return said


def copy(path: Path, number: int) -> Path:
    where = path.parent / f"copy-{number}"
    where.mkdir()
    for suffix in ("", "-journal"):
        shutil.copyfile(f"{path}{suffix}", where / f"{path.name}{suffix}")
    return where / path.name


def steps_in(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT key, event FROM transition").fetchall()
