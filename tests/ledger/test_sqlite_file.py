"""The SQLite file: its settings and mode, migrations, and files that are rejected and left unchanged."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from veo_async._ports import CallbackHint
from veo_async.errors import LedgerIOError, LedgerUnusable
from veo_async.ledger import SqliteLedger
from veo_async.ledger.sqlite import location, opening, sql

from . import programs
from .support import ACCOUNT, ROOMY, Inline, job, sending


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline(), busy_timeout_s=0.2)


async def rejection(path: Path) -> str:
    """Return the message of the error that opening raises; no file in the folder may change."""
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(LedgerUnusable) as caught:
        await at(path).open(ACCOUNT)
    assert {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    assert not list(Path(f"{path}.d").glob("*.lock"))
    assert caught.value.remedy in str(caught.value)
    return str(caught.value)


async def make(path: Path, jobs: int = 1) -> None:
    session = await at(path).open(ACCOUNT)
    for n in range(jobs):
        await session.insert(job(str(n)))
    await session.close()


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("safe_wal", "journal", "synchronous"), [((99,), "persist", 3), (sqlite3.sqlite_version_info, "wal", 2)]
)
async def test_connection_has_the_required_settings(
    path: Path, monkeypatch: pytest.MonkeyPatch, safe_wal: tuple[int, ...], journal: str, synchronous: int
) -> None:
    """A rollback journal and EXTRA with a SQLite that may lose the log, WAL and FULL with one that does not."""
    monkeypatch.setattr(opening, "MIN_SAFE_WAL", safe_wal)
    session = await SqliteLedger(path, executor=Inline()).open(ACCOUNT)
    connection = session._file._connection
    assert connection is not None
    expected = {
        "journal_mode": journal,
        "synchronous": synchronous,
        "mmap_size": 0,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "application_id": 0x76656F4C,
        "user_version": len(sql.MIGRATIONS),
    }
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected} == expected
    assert connection.isolation_level is None
    await session.close()


async def test_files_are_readable_by_their_user_only(path: Path) -> None:
    """Prompts are private, so this covers file, journal, lock and lock folder, with any umask."""
    umask = os.umask(0)
    try:
        session = await at(path).open(ACCOUNT)
        await session.insert(job())
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.rglob("*")}
    finally:
        os.umask(umask)
    assert modes.pop("ledger.db.d") == 0o700
    assert len(modes) == 4  # file, journal, lock, mark
    assert set(modes.values()) == {0o600}
    await session.close()


async def test_close_removes_the_lock_file(path: Path) -> None:
    """Opening removes the lock files of killed processes."""
    await make(path)
    folder = Path(f"{path}.d")
    assert [file.name for file in folder.iterdir()] == ["mark"]
    (folder / "0123456789abcdef.lock").touch()
    session = await at(path).open(ACCOUNT)
    assert [file.stem for file in folder.glob("*.lock")] == [session.session_id]
    await session.close()


async def test_empty_file_becomes_a_ledger(path: Path) -> None:
    """As ``touch`` and ``mktemp`` create it."""
    path.touch()
    await make(path)
    session = await at(path).open(ACCOUNT)
    assert len(await session.jobs()) == 1
    await session.close()


async def test_link_leads_to_the_same_ledger_and_locks(path: Path) -> None:
    """So sessions that use different names see each other alive."""
    link = path.parent / "link.db"
    one = await at(path).open(ACCOUNT)
    await one.insert(job())
    link.symlink_to(path)
    two = await at(link).open(ACCOUNT)
    assert (await two.changes(0.0)).taken_over == ()
    await two.close()
    await one.close()


async def test_file_name_may_have_special_characters(tmp_path: Path) -> None:
    """SQLite gets a URI, and no character of the name may end it early."""
    path = tmp_path / "100% mine? #1 ü.db"
    await make(path)
    assert path.exists()


# --- rejected files ---------------------------------------------------------------------------------------------


async def test_file_that_is_no_database_is_rejected(path: Path) -> None:
    """Row 65."""
    path.write_bytes(b"Dear diary, today I paid for 40 clips.\n" * 100)
    assert "not a SQLite database" in await rejection(path)


async def test_damaged_header_is_rejected(path: Path) -> None:
    """Row 65: one wrong byte is enough."""
    await make(path)
    content = bytearray(path.read_bytes())
    content[3] ^= 0xFF
    path.write_bytes(content)
    assert "not a SQLite database" in await rejection(path)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
async def test_truncated_file_is_rejected(path: Path, share: float) -> None:
    """Row 65: an incomplete copy."""
    await make(path, 100)
    os.truncate(path, int(path.stat().st_size * share))
    assert "damaged or truncated" in await rejection(path)


async def test_damaged_page_is_rejected(path: Path) -> None:
    """Row 65: pages in the middle of the file."""
    await make(path, 200)
    content = bytearray(path.read_bytes())
    for start in range(3 * 4096, len(content), 4096):
        content[start : start + 200] = b"\xa5" * 200
    path.write_bytes(content)
    assert "damaged" in await rejection(path)


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("mark", ["", "PRAGMA application_id = 7", "PRAGMA user_version = 3"])
async def test_database_of_another_program_is_rejected(path: Path, journal: str, mark: str) -> None:
    """Row 65: not even its log is merged into the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
        other.execute("CREATE TABLE job (key TEXT)")
        if mark:
            other.execute(mark)
        other.execute("PRAGMA wal_checkpoint")
        other.execute("INSERT INTO job VALUES ('theirs')")
        assert "belongs to another program" in await rejection(path)


async def test_interrupted_transaction_of_another_program_is_left_alone(path: Path) -> None:
    """Its journal is not rolled back."""
    programs.run("interrupted", path, expect_kill=True)
    assert Path(f"{path}-journal").stat().st_size > 0
    assert "belongs to another program" in await rejection(path)


async def test_newer_schema_is_rejected(path: Path) -> None:
    """Row 65: the file was written by a later version of this library."""
    await make(path)
    with closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {len(sql.MIGRATIONS) + 1}")
    assert "newer version" in await rejection(path)


async def test_folder_and_dangling_link_are_rejected(tmp_path: Path) -> None:
    """The messages say what is wrong, and nothing is created."""
    with pytest.raises(LedgerUnusable, match="is a folder"):
        await at(tmp_path).open(ACCOUNT)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "nowhere.db")
    assert "does not exist" in await rejection(link)
    assert not (tmp_path / "nowhere.db").exists()


async def test_missing_folder_is_rejected(tmp_path: Path) -> None:
    """It may not be mounted yet, so it is not created."""
    with pytest.raises(LedgerIOError, match=r"Folder .* does not exist"):
        await at(tmp_path / "no" / "ledger.db").open(ACCOUNT)
    assert list(tmp_path.iterdir()) == []


MOUNTS = """\
22 1 254:0 / / rw - ext4 /dev/root rw
23 22 0:20 / /srv rw - nfs4 server:/srv rw
24 23 254:1 / /srv/local rw shared:1 - xfs /dev/vdb rw
25 22 0:21 / /mnt/my\\040share rw - cifs //server/share rw
26 22 0:22 / /mnt/ssh rw - fuse.sshfs me@server: rw
27 22 0:23 / /over rw - ext4 /dev/vdc rw
28 22 0:24 / /over rw - 9p host rw
29 22 0:25 / /ntfs rw - fuseblk /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "is_network"),
    [
        ("/home/me", "ext4", False),
        ("/srv/x", "nfs4", True),
        ("/srv/local/x", "xfs", False),
        ("/srvx", "ext4", False),
        ("/mnt/my share/x", "cifs", True),
        ("/mnt/ssh", "fuse.sshfs", True),
        ("/over/x", "9p", True),
        ("/ntfs", "fuseblk", False),
    ],
)
def test_file_system_of_a_folder_is_that_of_its_deepest_mount(folder: str, kind: str, is_network: bool) -> None:
    """If two are mounted at the same place, the later one counts."""
    assert location.file_system_of(Path(folder), MOUNTS) == kind
    assert location.is_network(kind) is is_network


async def test_network_file_system_is_rejected_unless_allowed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 67: file locks are unreliable there."""
    monkeypatch.setattr(location, "mounts", lambda: f"23 22 0:20 / {path.parent} rw - nfs4 server:/srv rw\n")
    assert "network file system (nfs4)" in await rejection(path)
    assert not path.exists()
    session = await SqliteLedger(path, executor=Inline(), allow_network_fs=True).open(ACCOUNT)
    await session.close()


# --- migrations -------------------------------------------------------------------------------------------------


def make_older(path: Path, version: int) -> None:
    """Create a ledger with schema version *version*."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in sql.MIGRATIONS[:version]:
            connection.executescript(migration)
        if version:
            connection.execute(sql.SQL["save_meta"], {"name": "secret", "value": b"s" * 32})
            connection.execute(f"PRAGMA application_id = {opening.APPLICATION_ID}")
            connection.execute(
                "INSERT INTO job (key, account, state, kind, tenant, priority, attempts, submitted_at, submitted_seq)"
                " VALUES ('old', ?, 'queued', 'generate', '', 'batch', 0, 1.0, 1)",
                (ACCOUNT,),
            )
        connection.execute(f"PRAGMA user_version = {version}")


def add_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a later version of this library, with one more migration."""
    later = "ALTER TABLE job ADD COLUMN mood TEXT; -- a comment; with a semicolon\nCREATE TABLE mood (name TEXT);"
    monkeypatch.setattr(opening, "MIGRATIONS", (*sql.MIGRATIONS, later))


@pytest.mark.parametrize("version", range(len(sql.MIGRATIONS) + 1))
async def test_older_schema_is_migrated_with_its_jobs(
    path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This version also reads a row with one more column at its end."""
    make_older(path, version)
    add_migration(monkeypatch)
    session = await at(path).open(ACCOUNT)
    assert [row.key for row in await session.jobs()] == (["old"] if version else [])
    await session.insert(job("new"))
    await session.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(sql.MIGRATIONS) + 1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_callbacks_of_a_ledger_of_the_first_schema_are_kept(path: Path) -> None:
    """Tokens and hints are in smaller tables now; a token still leads to its job, and the references are intact."""
    make_older(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE job SET state = 'in_doubt', token = 'token'")
        connection.execute("INSERT INTO attempt (token, key, number, sent_at) VALUES ('token', 'old', 1, 2.0)")
        connection.execute("INSERT INTO hint (token, task_id, at) VALUES ('token', 'task', 3.0)")
        connection.commit()
    session = await at(path).open(ACCOUNT)
    hint = CallbackHint(key="old", token="token", task_id="task")
    assert (await session.changes(4.0)).hints == (hint,)
    assert await session.add_hint("token", "task", 5.0) is True
    assert (await session.changes(6.0)).hints == (hint,)
    assert await session.add_hint("other", "task", 7.0) is False
    await session.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_task_on_a_ledger_of_the_first_schema_counts_as_created_on_the_veo_route(path: Path) -> None:
    """Acceptance 7: there was no other route; what the provider charged is not known."""
    make_older(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE job SET state = 'running', task_id = 'task', attempts = 1, sent_at = 2.0")
        connection.commit()
    session = await at(path).open(ACCOUNT)
    [row] = await session.jobs()
    await session.close()
    assert (row.task_id, row.state, row.route, row.credits_consumed) == ("task", "running", "veo", None)


async def test_failed_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All statements take effect, or none."""
    await make(path)
    before = path.read_bytes()
    monkeypatch.setattr(opening, "MIGRATIONS", (*sql.MIGRATIONS, "CREATE TABLE a (b); CREATE TABLE a (b);"))
    with pytest.raises(LedgerIOError, match="already exists"):
        await at(path).open(ACCOUNT)
    assert path.read_bytes() == before


async def test_concurrent_opens_create_one_ledger(path: Path) -> None:
    """All sessions get the same secret."""
    sessions = await asyncio.gather(*(SqliteLedger(path).open(ACCOUNT) for _ in range(8)))  # noqa: TID251  # the test awaits all of them
    assert len({session.secret for session in sessions}) == 1
    for session in sessions:
        await session.close()


async def test_cancelled_open_leaves_nothing_open(path: Path) -> None:
    """At whatever moment it is cancelled; the fixture counts threads and files."""
    for turns in range(4):
        open_task = asyncio.create_task(SqliteLedger(path).open(ACCOUNT))
        for _ in range(turns):
            await asyncio.sleep(0)
        open_task.cancel()
        await asyncio.wait([open_task])
        if not open_task.cancelled():
            await open_task.result().close()
    for _ in range(1000):
        if not any(thread.name.startswith("veo-ledger") for thread in threading.enumerate()):
            break
        await asyncio.sleep(0.01)
    assert not list(Path(f"{path}.d").glob("*.lock"))


async def test_given_executor_is_not_closed(path: Path) -> None:
    """It still runs work after the session is closed."""
    with ThreadPoolExecutor(1) as executor:
        session = await SqliteLedger(path, executor=executor).open(ACCOUNT)
        await session.close()
        assert executor.submit(int, "7").result() == 7


# --- kill -9 ----------------------------------------------------------------------------------------------------


async def test_transaction_of_a_killed_process_is_rolled_back(path: Path) -> None:
    """A process killed while writing leaves a file that needs its journal; the next open applies it."""
    await make(path, 200)
    programs.run("torn", path, expect_kill=True)
    assert Path(f"{path}-journal").read_bytes()[:8] == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"  # marks a journal
    session = await at(path).open(ACCOUNT)
    assert len(await session.jobs()) == 200
    assert {row.tenant for row in await session.jobs()} == {""}
    assert await session.begin_send(sending("0"), ROOMY)
    await session.close()


def test_installed_package_has_the_sql_files(tmp_path: Path) -> None:
    """Without them the ledger cannot run."""
    root = Path(__file__).parents[2]
    expected = {path.name for path in (root / "veo_async/ledger/sqlite/sql").glob("*.sql")}
    listing = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlib.resources import files\n"
            "print(*(file.name for file in files('veo_async.ledger.sqlite.sql').iterdir()))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert expected <= set(listing.stdout.split())
    assert len(sql.MIGRATIONS) == len(expected) - 1
