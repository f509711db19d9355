"""The file itself: its settings, its mode, and the files that are refused and stay as they were."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from veo_async.errors import LedgerIOError, LedgerUnusable
from veo_async.ledger import SqliteLedger
from veo_async.ledger.sqlite import location as place
from veo_async.ledger.sqlite import opening as sqlite_file
from veo_async.ledger.sqlite import sql

from . import programs
from .support import ACCOUNT, ROOMY, Inline, job, sending


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def at(path: Path) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline(), busy_timeout_s=0.2)


async def refusal(path: Path) -> str:
    """What opening says; every file in the folder is the same before and after."""
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(LedgerUnusable) as caught:
        await at(path).open(ACCOUNT)
    assert {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    assert not Path(f"{path}.d").exists() or not list(Path(f"{path}.d").iterdir())
    assert caught.value.remedy in str(caught.value)
    return str(caught.value)


async def make(path: Path, jobs: int = 1) -> None:
    book = await at(path).open(ACCOUNT)
    for n in range(jobs):
        await book.insert(job(str(n)))
    await book.close()


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("safe_wal", "journal", "synchronous"), [((99,), "persist", 3), (sqlite3.sqlite_version_info, "wal", 2)]
)
async def test_the_settings_are_in_force(
    path: Path, monkeypatch: pytest.MonkeyPatch, safe_wal: tuple[int, ...], journal: str, synchronous: int
) -> None:
    """A rollback journal and EXTRA with a library that may lose a log, WAL and FULL with one that does not."""
    monkeypatch.setattr(sqlite_file, "MIN_SAFE_WAL", safe_wal)
    book = await SqliteLedger(path, executor=Inline()).open(ACCOUNT)
    connection = book._file._connection
    assert connection is not None
    wanted = {
        "journal_mode": journal,
        "synchronous": synchronous,
        "mmap_size": 0,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "application_id": 0x76656F4C,
        "user_version": 1,
    }
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    assert connection.isolation_level is None
    await book.close()


async def test_only_the_user_may_read_it(path: Path) -> None:
    """Prompts are private: file, journal, lock and their folder, from the start, whatever the umask allows."""
    umask = os.umask(0)
    try:
        book = await at(path).open(ACCOUNT)
        await book.insert(job())
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.rglob("*")}
    finally:
        os.umask(umask)
    assert modes.pop("ledger.db.d") == 0o700
    assert len(modes) == 3  # file, journal, lock
    assert set(modes.values()) == {0o600}
    await book.close()


async def test_closing_leaves_no_lock_behind(path: Path) -> None:
    """And opening removes what the killed left."""
    await make(path)
    folder = Path(f"{path}.d")
    assert list(folder.iterdir()) == []
    (folder / "0123456789abcdef.lock").touch()
    book = await at(path).open(ACCOUNT)
    assert [file.stem for file in folder.iterdir()] == [book.session_id]
    await book.close()


async def test_an_empty_file_is_a_new_ledger(path: Path) -> None:
    """As ``touch`` or ``mktemp`` make it."""
    path.touch()
    await make(path)
    book = await at(path).open(ACCOUNT)
    assert len(await book.jobs()) == 1
    await book.close()


async def test_two_names_are_one_ledger(path: Path) -> None:
    """A link leads to the same file and to the same locks, so that the living are seen alive."""
    link = path.parent / "link.db"
    one = await at(path).open(ACCOUNT)
    await one.insert(job())
    link.symlink_to(path)
    two = await at(link).open(ACCOUNT)
    assert (await two.changes(0.0)).taken_over == ()
    await two.close()
    await one.close()


async def test_a_name_with_odd_letters(tmp_path: Path) -> None:
    """SQLite is given an address, and a name must not end it early."""
    path = tmp_path / "100% mine? #1 ü.db"
    await make(path)
    assert path.exists()


# --- refusals ---------------------------------------------------------------------------------------------------


async def test_not_a_database(path: Path) -> None:
    """Row 65."""
    path.write_bytes(b"Dear diary, today I paid for 40 clips.\n" * 100)
    assert "not a SQLite database" in await refusal(path)


async def test_a_broken_header(path: Path) -> None:
    """Row 65: one byte is enough."""
    await make(path)
    content = bytearray(path.read_bytes())
    content[3] ^= 0xFF
    path.write_bytes(content)
    assert "not a SQLite database" in await refusal(path)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
async def test_cut_short(path: Path, share: float) -> None:
    """Row 65: a copy that was not finished."""
    await make(path, 100)
    os.truncate(path, int(path.stat().st_size * share))
    assert "damaged or truncated" in await refusal(path)


async def test_a_damaged_page(path: Path) -> None:
    """Row 65: somewhere in the middle."""
    await make(path, 200)
    content = bytearray(path.read_bytes())
    for start in range(3 * 4096, len(content), 4096):
        content[start : start + 200] = b"\xa5" * 200
    path.write_bytes(content)
    assert "damaged" in await refusal(path)


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("mark", ["", "PRAGMA application_id = 7", "PRAGMA user_version = 3"])
async def test_another_programs_database(path: Path, journal: str, mark: str) -> None:
    """Row 65: not even its log is put into the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
        other.execute("CREATE TABLE job (key TEXT)")
        if mark:
            other.execute(mark)
        other.execute("PRAGMA wal_checkpoint")
        other.execute("INSERT INTO job VALUES ('theirs')")
        assert "belongs to another program" in await refusal(path)


async def test_another_programs_interrupted_transaction(path: Path) -> None:
    """Its journal is not ours to play back."""
    programs.run("interrupted", path, expect_kill=True)
    assert Path(f"{path}-journal").stat().st_size > 0
    assert "belongs to another program" in await refusal(path)


async def test_a_newer_form(path: Path) -> None:
    """Rows 65: written by a later version of this library."""
    await make(path)
    with closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {len(sql.MIGRATIONS) + 1}")
    assert "newer version" in await refusal(path)


async def test_a_folder_and_a_dangling_link(tmp_path: Path) -> None:
    """Said plainly."""
    with pytest.raises(LedgerUnusable, match="is a folder"):
        await at(tmp_path).open(ACCOUNT)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "nowhere.db")
    assert "does not exist" in await refusal(link)
    assert not (tmp_path / "nowhere.db").exists()


async def test_no_folder(tmp_path: Path) -> None:
    """It may not be mounted yet, so it is not made."""
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
def test_file_systems_are_known_by_their_mounts(folder: str, kind: str, is_network: bool) -> None:
    """The deepest mount counts, and of two at one place the later."""
    assert place.file_system_of(Path(folder), MOUNTS) == kind
    assert place.is_network(kind) is is_network


async def test_a_network_is_refused_unless_insisted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 67: locks do not hold there."""
    monkeypatch.setattr(place, "mounts", lambda: f"23 22 0:20 / {path.parent} rw - nfs4 server:/srv rw\n")
    assert "network file system (nfs4)" in await refusal(path)
    assert not path.exists()
    book = await SqliteLedger(path, executor=Inline(), allow_network_fs=True).open(ACCOUNT)
    await book.close()


# --- versions ---------------------------------------------------------------------------------------------------


def make_older(path: Path, version: int) -> None:
    """A ledger as version *version* of the form left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in sql.MIGRATIONS[:version]:
            connection.executescript(migration)
        if version:
            connection.execute(sql.SQL["save_secret"], {"secret": b"s" * 32})
            connection.execute(f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}")
            connection.execute(
                "INSERT INTO job (key, account, state, kind, tenant, priority, attempts, submitted_at, submitted_seq)"
                " VALUES ('old', ?, 'queued', 'generate', '', 'batch', 0, 1.0, 1)",
                (ACCOUNT,),
            )
        connection.execute(f"PRAGMA user_version = {version}")


def a_later_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the next version were here."""
    later = "ALTER TABLE job ADD COLUMN mood TEXT; -- a comment; with a semicolon\nCREATE TABLE mood (name TEXT);"
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sql.MIGRATIONS, later))


@pytest.mark.parametrize("version", range(len(sql.MIGRATIONS) + 1))
async def test_every_older_form_is_brought_up_to_date(
    path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its jobs, and this version reads a row that has a column more at its end."""
    make_older(path, version)
    a_later_form(monkeypatch)
    book = await at(path).open(ACCOUNT)
    assert [row.key for row in await book.jobs()] == (["old"] if version else [])
    await book.insert(job("new"))
    await book.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(sql.MIGRATIONS) + 1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or none."""
    await make(path)
    before = path.read_bytes()
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sql.MIGRATIONS, "CREATE TABLE a (b); CREATE TABLE a (b);"))
    with pytest.raises(LedgerIOError, match="already exists"):
        await at(path).open(ACCOUNT)
    assert path.read_bytes() == before


async def test_many_make_it_at_once(path: Path) -> None:
    """Of several that open a new ledger together one makes it, and all have the same."""
    books = await asyncio.gather(*(SqliteLedger(path).open(ACCOUNT) for _ in range(8)))  # noqa: TID251  # no owner needed
    assert len({book.secret for book in books}) == 1
    for book in books:
        await book.close()


async def test_an_open_that_is_cancelled_leaves_nothing_open(path: Path) -> None:
    """Whenever it is cancelled; the fixture counts threads and files."""
    for turns in range(4):
        opening = asyncio.create_task(SqliteLedger(path).open(ACCOUNT))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            await opening.result().close()
    for _ in range(200):
        if not list(Path(f"{path}.d").glob("*.lock")):
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_someone_elses_executor_is_left_running(path: Path) -> None:
    """What was handed in is not shut down."""
    with ThreadPoolExecutor(1) as executor:
        book = await SqliteLedger(path, executor=executor).open(ACCOUNT)
        await book.close()
        assert executor.submit(int, "7").result() == 7


# --- kill -9 ----------------------------------------------------------------------------------------------------


async def test_a_hot_journal_is_played_back(path: Path) -> None:
    """A process that dies in the middle of writing leaves the file to be mended, which any later opening does."""
    await make(path, 200)
    programs.run("torn", path, expect_kill=True)
    assert Path(f"{path}-journal").read_bytes()[:8] == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"  # SQLite's mark
    book = await at(path).open(ACCOUNT)
    assert len(await book.jobs()) == 200
    assert {row.tenant for row in await book.jobs()} == {""}
    assert await book.begin_send(sending("0"), ROOMY)
    await book.close()


def test_the_wheel_has_the_sql(tmp_path: Path) -> None:
    """What is not shipped cannot be read."""
    root = Path(__file__).parents[2]
    wanted = {path.name for path in (root / "veo_async/ledger/sqlite/sql").glob("*.sql")}
    listing = subprocess.run(
        [
            sys.executable,
            "-c",
            "import importlib.resources as r; print(*(f.name for f in r.files('veo_async.ledger.sqlite.sql').iterdir()))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert wanted <= set(listing.stdout.split())
    assert len(sql.MIGRATIONS) == len(wanted) - 1
