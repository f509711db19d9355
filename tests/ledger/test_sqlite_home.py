"""A ledger that was restored, copied or opened under a second name sends nothing until that is accepted."""

import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from veo_async.errors import LedgerError, LedgerIOError, LedgerRestored, LedgerUnusable
from veo_async.ledger import SqliteLedger
from veo_async.ledger.sqlite import mark as mark_module
from veo_async.ledger.sqlite.session import SqliteLedgerSession

from . import programs
from .support import ACCOUNT, ROOMY, Inline, job, sending, transition

KEYS = [f"row-{n}" for n in range(12)]
REQUEST = '{"prompt": "A dog", "model": "veo3_fast"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "ledger.db"


def at(path: Path, **options: Any) -> SqliteLedger:
    return SqliteLedger(path, executor=Inline(), **options)


async def submit(path: Path, keys: list[str] = KEYS) -> None:
    session = await at(path).open(ACCOUNT)
    for key in keys:
        await session.insert(job(key, request=REQUEST, price=60.0))
    await session.close()


async def pay(path: Path, keys: list[str], **options: Any) -> None:
    """Take over the jobs on the ledger, and send those with *keys* as far as a task id."""
    session = await at(path, **options).open(ACCOUNT)
    await session.changes(100.0)
    for key in keys:
        permit = await session.begin_send(sending(key), ROOMY)
        assert permit is not None
        assert permit.is_granted
        assert await session.apply(transition("accept", key, task_id=f"task-{key}"))
    await session.close()


async def finish(path: Path, keys: list[str]) -> None:
    session = await at(path).open(ACCOUNT)
    await session.changes(100.0)
    for key in keys:
        assert await session.apply(transition("complete", key))
    await session.close()


def back_up(path: Path, target: Path) -> None:
    """Copy the ledger with SQLite's backup API, as the guide says."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


async def restored_ledger(path: Path) -> None:
    """Restore a backup that was made after the submission of 12 jobs; 8 of them were paid since."""
    await submit(path)
    back_up(path, path.with_name("backup.db"))
    await pay(path, KEYS[:8])
    os.replace(path.with_name("backup.db"), path)
    Path(f"{path}-journal").unlink(missing_ok=True)


def copied_ledger(path: Path) -> Path:
    """Copy the file and its folder to another place."""
    shutil.copytree(path.parent, path.parent.with_name("copy"))
    return path.parent.with_name("copy") / path.name


async def refusal(path: Path, **options: Any) -> LedgerRestored:
    before = path.read_bytes()
    with pytest.raises(LedgerRestored) as caught:
        await at(path, **options).open(ACCOUNT)
    assert path.read_bytes() == before
    assert not list(Path(f"{path}.d").glob("*.lock"))
    return caught.value


# --- restored ---------------------------------------------------------------------------------------------------


async def test_restored_ledger_refuses_to_open(path: Path) -> None:
    """The error says what is missing, what it could cost and what to do."""
    await restored_ledger(path)
    error = await refusal(path)
    assert "8 requests" in error.message
    assert "12 unsent jobs" in error.message
    assert "up to 720 credits" in error.message
    assert "SqliteLedger(path, accept_restored=True)" in error.remedy
    assert (error.missing_requests, error.unsent_jobs, error.unsent_credits) == (8, 12, 720.0)


async def test_restored_ledger_opens_when_accepted_and_then_as_always(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its unsent jobs are unsent, one warning is logged, and the option is needed once."""
    await restored_ledger(path)
    with caplog.at_level(logging.WARNING):
        await pay(path, KEYS[:2], accept_restored=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "8 requests" in caplog.text
    caplog.clear()
    await pay(path, KEYS[2:4])
    await pay(path, KEYS[4:5], accept_restored=True)
    assert not caplog.records


async def test_restored_ledger_without_unfinished_jobs_refuses_to_open(path: Path) -> None:
    """New jobs with the same keys would be paid for again."""
    await submit(path, [])
    back_up(path, path.with_name("backup.db"))
    await submit(path, ["a"])
    await pay(path, ["a"])
    os.replace(path.with_name("backup.db"), path)
    error = await refusal(path)
    assert "1 request" in error.message
    assert error.unsent_jobs == 0


async def test_older_backup_refuses_to_open_after_a_newer_one_was_accepted(path: Path) -> None:
    """The folder has another home by then, and still knows the requests."""
    await submit(path)
    back_up(path, path.with_name("first.db"))
    await restored_ledger_again(path)
    shutil.copyfile(path.with_name("first.db"), path)
    assert (await refusal(path)).missing_requests == 5


async def restored_ledger_again(path: Path) -> None:
    await pay(path, KEYS[:4])
    back_up(path, path.with_name("second.db"))
    await pay(path, KEYS[4:8])
    os.replace(path.with_name("second.db"), path)
    await pay(path, KEYS[4:5], accept_restored=True)


async def test_backup_from_after_the_last_request_opens(path: Path) -> None:
    """Nothing that was sent is missing in it."""
    await submit(path)
    await pay(path, KEYS[:8])
    back_up(path, path.with_name("backup.db"))
    os.replace(path.with_name("backup.db"), path)
    await pay(path, KEYS[8:])


async def test_permit_is_marked_before_it_is_handed_out(path: Path) -> None:
    """So a restored ledger is recognised even if the process died before the first byte was sent."""
    programs.run("life", path, kill_at="accept:before-commit")
    backup = path.with_name("backup.db")
    await submit(backup, ["dog"])
    os.replace(path, path.with_name("now.db"))
    back_up(path.with_name("now.db"), path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM sent_call")
        connection.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'sent_call'")
        connection.execute("UPDATE job SET state = 'queued'")
    assert (await refusal(path)).missing_requests == 1


async def test_process_killed_between_commit_and_mark_leaves_a_usable_ledger(path: Path) -> None:
    """The mark is behind, which does not mean that the ledger was restored."""
    programs.run("life", path, kill_at="send:after-commit")
    session = await at(path).open(ACCOUNT)
    assert [row.state for row in (await session.changes(200.0)).taken_over] == ["in_doubt"]
    await session.close()


@pytest.mark.parametrize("in_place", [True, False])
async def test_ledger_restored_while_it_is_open_sends_nothing_more(path: Path, in_place: bool) -> None:
    """Whether the file was replaced or overwritten; what was sent before is refused as well."""
    await submit(path)
    back_up(path, path.with_name("backup.db"))
    session = await at(path).open(ACCOUNT)
    await session.changes(0.0)
    assert await session.begin_send(sending(KEYS[0]), ROOMY)
    if in_place:
        shutil.copyfile(path.with_name("backup.db"), path)
    else:
        os.replace(path.with_name("backup.db"), path)
        with pytest.raises(LedgerIOError, match="moved or removed"):
            await session.begin_send(sending(KEYS[1]), ROOMY)
    await session.changes(1.0)
    for key in KEYS[:2]:
        with pytest.raises(LedgerRestored, match="1 request"):
            await session.begin_send(sending(key), ROOMY)
    await session.close()


# --- copied and moved -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_folder", [True, False])
async def test_copied_ledger_refuses_to_open_with_unsent_jobs(path: Path, has_folder: bool) -> None:
    """With or without its folder: the original could send the same jobs."""
    await submit(path)
    copy = copied_ledger(path)
    if not has_folder:
        shutil.rmtree(f"{copy}.d")
    error = await refusal(copy)
    assert "another place" in error.message
    assert "12 unsent jobs" in error.message
    await pay(copy, KEYS[:1], accept_restored=True)
    await pay(copy, KEYS[1:])
    await pay(path, KEYS)  # the original is not affected


async def test_both_parts_restored_from_a_backup_refuse_to_open(path: Path) -> None:
    """The mark recognises that it is a copy, even if the file system reuses its number."""
    await submit(path)
    copy = copied_ledger(path)
    await pay(path, KEYS[:8])
    shutil.rmtree(path.parent)
    shutil.copytree(copy.parent, path.parent)
    await refusal(path)


async def test_copied_ledger_without_unfinished_jobs_opens(path: Path) -> None:
    """There is nothing that could be paid for twice."""
    await submit(path, ["a"])
    await pay(path, ["a"])
    await finish(path, ["a"])
    copy = copied_ledger(path)
    await submit(copy, ["b"])
    await pay(copy, ["b"])


async def test_moved_folder_opens(path: Path) -> None:
    """On the same file system it is the original."""
    await submit(path)
    moved = path.parent.rename(path.parent.with_name("moved")) / path.name
    await pay(moved, KEYS[:4])
    moved.parent.rename(path.parent)
    await pay(path, KEYS[4:])


async def test_ledger_whose_folder_was_deleted_refuses_to_open(path: Path) -> None:
    """No session had it open and could make it again."""
    await submit(path)
    shutil.rmtree(f"{path}.d")
    await refusal(path)


async def test_new_ledger_in_the_folder_of_a_deleted_one_opens(path: Path) -> None:
    """It is another ledger, without jobs."""
    await submit(path)
    await pay(path, KEYS)
    path.unlink()
    Path(f"{path}-journal").unlink(missing_ok=True)
    await submit(path)
    await pay(path, KEYS)


async def test_restored_ledger_can_be_read_and_repaired(path: Path) -> None:
    """A session without an account reports the problem instead of raising it."""
    await restored_ledger(path)
    session = await at(path).open(None)
    assert len(await session.jobs()) == 12
    assert isinstance(session.problem, LedgerRestored)
    assert await session.apply(transition("abandon", KEYS[0]))
    await session.close()
    error = await refusal(path)
    assert (error.missing_requests, error.unsent_jobs) == (8, 11)


async def test_ledger_made_by_a_session_without_an_account_opens(path: Path) -> None:
    """It has no home before the first session that sends requests."""
    session = await at(path).open(None)
    await session.insert(job(KEYS[0], request=REQUEST, price=60.0))
    await session.close()
    await pay(path, KEYS[:1])


async def test_ledger_at_its_place_has_no_problem(path: Path) -> None:
    """Neither for reading nor for work."""
    await submit(path)
    for account in (None, ACCOUNT):
        session = await at(path).open(account)
        assert session.problem is None
        await session.close()


# --- the mark ---------------------------------------------------------------------------------------------------


async def test_torn_slot_of_the_mark_is_harmless(path: Path) -> None:
    """The other slot has the write before it."""
    await submit(path)
    await pay(path, KEYS[:3])
    mark = Path(f"{path}.d") / "mark"
    content = bytearray(mark.read_bytes())
    newest = 0 if b'"sent": 3' in content[: mark_module.SLOT_BYTES] else mark_module.SLOT_BYTES
    content[newest + 20 : newest + 40] = b"\0" * 20
    with mark.open("r+b") as file:
        file.write(content)
    await pay(path, KEYS[3:])


async def test_mark_that_cannot_be_written_prevents_the_request_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is still unsent, and everything else is recorded."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job("a"))
    await session.insert(job("b"))
    assert await session.begin_send(sending("a"), ROOMY)
    mark = Path(f"{path}.d") / "mark"
    mark.unlink()
    mark.mkdir()
    with pytest.raises(LedgerIOError, match="mark"):
        await session.begin_send(sending("b"), ROOMY)
    assert await session.apply(transition("accept", "a", task_id="t"))
    assert (await session.get("b")).state == "queued"  # type: ignore[union-attr]  # it exists
    mark.rmdir()
    assert await session.begin_send(sending("b"), ROOMY)
    await session.close()


async def test_failed_write_of_the_mark_prevents_the_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transition is on the ledger, as after an uncertain commit, and no permit is handed out."""
    session = await at(path).open(ACCOUNT)
    await session.insert(job())

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(mark_module.os, "fsync", fail)
        with pytest.raises(LedgerIOError, match="Input/output error"):
            await session.begin_send(sending(), ROOMY)
    assert await session.begin_send(sending(), ROOMY) is None
    assert await session.apply(transition("requeue"))
    assert await session.begin_send(sending(), ROOMY)
    await session.close()


# --- two names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [ACCOUNT, None])
async def test_second_name_of_an_open_ledger_is_refused(path: Path, account: str | None) -> None:
    """Two names have two sets of locks. The error names the path to use."""
    one = await at(path).open(ACCOUNT)
    await one.insert(job())
    link = path.parent.parent / "link.db"
    os.link(path, link)
    for accepts in (False, True):
        with pytest.raises(LedgerUnusable, match=f"Use {path}"):
            await at(link, accept_restored=accepts).open(account)
    assert await one.begin_send(sending(), ROOMY)
    await one.close()


async def test_session_stops_when_its_ledger_was_opened_at_another_place(path: Path) -> None:
    """As with a bind mount, where neither can see the other's locks."""
    one = await at(path).open(ACCOUNT)
    await one.insert(job())
    await one.changes(0.0)
    other = path.parent.parent / "mounted" / path.name
    other.parent.mkdir()
    os.link(path, other)
    with closing(sqlite3.connect(path)) as connection, connection:  # a path that the other place cannot see
        connection.execute("UPDATE meta SET value = ? WHERE name = 'home_path'", (b"/elsewhere/ledger.db",))
    await refusal(other)
    two = await at(other, accept_restored=True).open(ACCOUNT)
    assert [row.key for row in (await two.changes(1.0)).taken_over] == ["dog"]
    with pytest.raises(LedgerUnusable, match="another name"):
        await one.begin_send(sending(), ROOMY)
    with pytest.raises(LedgerUnusable, match=f"Use {other}"):
        await one.insert(job("cat"))
    with pytest.raises(LedgerUnusable):
        await one.changes(2.0)
    assert await two.begin_send(sending(), ROOMY)
    await two.close()
    await one.close()


# --- the folder of the locks is removed while a session is open ---------------------------------------------------


@pytest.fixture
async def session(path: Path) -> Any:
    session = await at(path).open(ACCOUNT)
    yield session
    await session.close()


def clean(path: Path) -> None:
    """Remove the folder of the locks, as a cleaner of temporary files does."""
    shutil.rmtree(f"{path}.d")


async def test_removed_folder_is_made_again(path: Path, session: SqliteLedgerSession) -> None:
    """New work is accepted, what was sent is recorded, and other sessions see this one alive."""
    await session.insert(job("a"))
    await session.insert(job("b"))
    assert await session.begin_send(sending("a"), ROOMY)
    clean(path)
    assert await session.apply(transition("accept", "a", task_id="t"))
    other = await at(path).open(ACCOUNT)
    assert (await other.changes(1.0)).taken_over == ()
    await other.close()
    clean(path)
    assert await session.begin_send(sending("b"), ROOMY)


async def test_removed_folder_is_made_again_by_an_idle_session(path: Path, session: SqliteLedgerSession) -> None:
    """It reads changes once a second, and then another session must not be able to take over its jobs."""
    await session.insert(job("a"))
    await session.changes(0.0)
    await session.changes(1.0)
    clean(path)
    await session.changes(2.0)
    other = await at(path).open(ACCOUNT)
    assert (await other.changes(3.0)).taken_over == ()
    await other.close()


async def test_jobs_taken_over_while_the_folder_was_gone_are_not_sent(path: Path, session: SqliteLedgerSession) -> None:
    """The folder is made again, and each job has one owner."""
    other = await at(path).open(ACCOUNT)
    await other.changes(0.0)
    await session.insert(job("a"))
    clean(path)
    assert [row.key for row in (await other.changes(1.0)).taken_over] == ["a"]
    assert await session.begin_send(sending("a"), ROOMY) is None
    assert await other.begin_send(sending("a"), ROOMY)
    await session.insert(job("b"))
    assert await session.begin_send(sending("b"), ROOMY)
    assert (await other.changes(2.0)).taken_over == ()
    await other.close()


async def test_removed_folder_is_not_made_again_for_a_ledger_of_others(path: Path) -> None:
    """Another session opened it and accepted that the jobs may be sent again."""
    one = await at(path).open(ACCOUNT)
    await one.insert(job())
    clean(path)
    two = await at(path, accept_restored=True).open(ACCOUNT)
    await two.changes(0.0)
    with pytest.raises(LedgerError, match="another name"):
        await one.begin_send(sending(), ROOMY)
    assert await two.begin_send(sending(), ROOMY)
    await two.close()
    await one.close()


async def test_folder_that_cannot_be_made_again_prevents_new_work_only(
    path: Path, session: SqliteLedgerSession
) -> None:
    """What was sent is recorded anyway."""
    await session.insert(job("a"))
    assert await session.begin_send(sending("a"), ROOMY)
    clean(path)
    Path(f"{path}.d").touch()
    with pytest.raises(LedgerIOError, match="lock file"):
        await session.insert(job("b"))
    assert await session.apply(transition("accept", "a", task_id="t"))
    Path(f"{path}.d").unlink()
    assert (await session.insert(job("b"))).owner == session.session_id
