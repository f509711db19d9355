"""Pages, counts and pruning of many jobs, on every kind of ledger."""

import asyncio
from typing import Any

import attrs
import pytest

from veo_async._ports import Cursor, JobQuery, LedgerSession
from veo_async.ledger import JobRow, MemoryLedger, SqliteLedger, pages
from veo_async.ledger.sqlite import session as sqlite_session

from .conftest import Sessions
from .support import ROOMY, Inline, job, sending, transition

STATES = ("queued", "saved", "failed")


async def insert(session: LedgerSession, number: int, **columns: Any) -> None:
    """Insert a job that was submitted at the second *number*, in one of three states."""
    await session.insert(job(f"job-{number}", state=STATES[number % 3], submitted_at=float(number), **columns))


async def read(session: LedgerSession, query: JobQuery | None = None, limit: int | None = None) -> str:
    """Return the numbers of the jobs on all pages, with a bar between two pages."""
    found = [page async for page in pages(session, query or JobQuery(), limit)]
    return "|".join(" ".join(row.key.removeprefix("job-") for row in page) for page in found)


async def all_pages(session: LedgerSession, query: JobQuery, size: int) -> list[list[JobRow]]:
    found: list[list[JobRow]] = []
    place: Cursor | None = None
    while True:
        page = await session.page(query, place, size=size)
        found.append([*page.rows])
        if (place := page.next) is None:
            return found


async def test_pages_contain_each_job_once_in_the_order_of_time(sessions: Sessions) -> None:
    """Any page size gives the same jobs, and only the last page has no next one."""
    session = await sessions.open()
    for number in (3, 1, 4, 0, 2, 6, 5):
        await insert(session, number)
    expected = [f"job-{number}" for number in range(7)]
    for size in range(1, 9):
        found = await all_pages(session, JobQuery(), size)
        assert [row.key for page in found for row in page] == expected
        assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
        assert 1 <= len(found[-1]) <= size


async def test_jobs_of_the_same_moment_are_in_the_order_of_submission(sessions: Sessions) -> None:
    """Also across pages."""
    session = await sessions.open()
    names = [f"job-{number % 7}-{number}" for number in range(40)]
    for name in names:
        await session.insert(job(name))
    found = await all_pages(session, JobQuery(), 3)
    assert [row.key for page in found for row in page] == names


async def test_page_of_an_empty_ledger_is_empty(sessions: Sessions) -> None:
    """It has no next page, and there is nothing to count."""
    session = await sessions.open()
    page = await session.page(JobQuery())
    assert ([*page.rows], page.next) == ([], None)
    assert await session.before_newest(JobQuery(), 1) is None
    assert await session.counts(JobQuery()) == {}
    assert await read(session) == ""


@pytest.mark.parametrize(
    ("query", "limit", "numbers", "counts"),
    [
        (JobQuery(), None, "0 1 2 3 4 5 6 7 8", {"queued": 3, "saved": 3, "failed": 3}),
        (JobQuery(), 4, "5 6 7 8", {"queued": 3, "saved": 3, "failed": 3}),
        (JobQuery(), 9, "0 1 2 3 4 5 6 7 8", {"queued": 3, "saved": 3, "failed": 3}),
        (JobQuery(state="failed"), None, "2 5 8", {"failed": 3}),
        (JobQuery(state="failed"), 2, "5 8", {"failed": 3}),
        (JobQuery(state="running"), 2, "", {}),
        (JobQuery(since=6.0), None, "6 7 8", {"queued": 1, "saved": 1, "failed": 1}),
        (JobQuery(since=6.0, state="queued"), None, "6", {"queued": 1}),
        (JobQuery(since=4.0), 2, "7 8", {"queued": 1, "saved": 2, "failed": 2}),
        (JobQuery(since=9.0), 2, "", {}),
        (JobQuery(tenant="odd"), None, "1 3 5 7", {"queued": 1, "saved": 2, "failed": 1}),
        (JobQuery(tenant="odd", state="saved"), 1, "7", {"saved": 2}),
        (JobQuery(tenant="odd", since=4.0), 9, "5 7", {"saved": 1, "failed": 1}),
    ],
)
async def test_jobs_are_selected_by_state_tenant_time_and_number(
    query: JobQuery, limit: int | None, numbers: str, counts: dict[str, int], sessions: Sessions
) -> None:
    """All conditions count together, for pages and for counts; a limit means the newest."""
    session = await sessions.open()
    for number in range(9):
        await insert(session, number, tenant="odd" if number % 2 else "")
    assert await read(session, query, limit) == numbers
    assert await session.counts(query) == counts


async def test_pages_and_counts_contain_the_own_account_only(sessions: Sessions) -> None:
    """A session without an account has those of all accounts."""
    ours, other, inspector = await sessions.open(), await sessions.open("account-2"), await sessions.open(None)
    for number in range(4):
        await insert(ours, number)
    await insert(other, 4, account="account-2")
    assert await read(ours, limit=2) == "2 3"
    assert await read(other, limit=2) == "4"
    assert await read(inspector, limit=2) == "3 4"
    assert await other.counts(JobQuery()) == {"saved": 1}
    assert await inspector.counts(JobQuery(state="saved")) == {"saved": 2}


async def test_page_follows_its_place_although_the_job_there_was_deleted(sessions: Sessions) -> None:
    """And new jobs come at the end."""
    session = await sessions.open()
    for number in range(4):
        await insert(session, number, ended_at=1.0)
    first = await session.page(JobQuery(), size=2)
    assert await session.prune(2.0) == 2  # the saved and the failed one
    await insert(session, 9)
    assert [row.key for row in (await session.page(JobQuery(), first.next)).rows] == ["job-3", "job-9"]


async def test_jobs_submitted_while_pages_are_read_do_not_exceed_the_limit(sessions: Sessions) -> None:
    """The newest jobs are those at the beginning."""

    class Growing:
        """Gets another job as soon as the reader knows where to begin."""

        async def before_newest(self, query: JobQuery, count: int) -> Cursor | None:
            place = await session.before_newest(query, count)
            await insert(session, 3)
            return place

        def __getattr__(self, name: str) -> Any:
            return getattr(session, name)

    session = await sessions.open()
    for number in range(3):
        await insert(session, number)
    assert await read(Growing(), limit=2) == "1 2"  # type: ignore[arg-type]  # it delegates the other methods
    assert await read(session) == "0 1 2 3"


# --- the outcome ------------------------------------------------------------------------------------------------


async def test_outcome_is_stored_once_on_the_job(sessions: Sessions) -> None:
    """The history keeps the other columns that a transition has changed."""
    session = await sessions.open()
    await session.insert(job())
    await session.begin_send(sending(), ROOMY)
    await session.apply(transition("accept", task_id="t1"))
    await session.apply(transition("fail", ended_at=110.0, outcome='{"error": {}}'))
    row = await session.get("dog")
    assert row is not None
    assert row.outcome == '{"error": {}}'
    history = await session.transitions("dog")
    assert [item.changes.get("task_id") for item in history] == [None, None, "t1", None]
    assert history[-1].changes == {"ended_at": 110.0}


# --- pruning ----------------------------------------------------------------------------------------------------


async def finished(session: LedgerSession, key: str, **columns: Any) -> None:
    await session.insert(job(key, **({"state": "saved", "ended_at": 110.0} | columns)))


async def test_prunable_jobs_are_those_that_prune_deletes(sessions: Sessions) -> None:
    """Counting them changes nothing."""
    session, inspector = await sessions.open(), await sessions.open(None)
    await finished(session, "old")
    await finished(session, "new", ended_at=120.0)
    await session.insert(job("queued"))
    await finished(await sessions.open("account-2"), "other", account="account-2")
    assert await session.prunable(115.0) == 1
    assert await inspector.prunable(115.0) == 2
    assert await session.prune(115.0) == 1
    assert await session.prunable(115.0) == 0
    assert await session.get("new") is not None


@pytest.mark.parametrize("source", ["dog", "task-dog"])
async def test_clip_from_which_an_unfinished_job_continues_is_kept(source: str, sessions: Sessions) -> None:
    """The follow-up names it by key or by task. Once it has finished, both are deleted."""
    session = await sessions.open()
    await finished(session, "dog", task_id="task-dog")
    await finished(session, "cat", task_id="task-cat")
    await session.insert(job("dog.4k", source=source, kind="upgrade"))
    await finished(session, "cat.4k", source="cat", kind="upgrade")
    assert await session.prunable(200.0) == 2
    assert await session.prune(200.0) == 2
    assert [row.key for row in await session.jobs()] == ["dog", "dog.4k"]
    await session.apply(transition("abandon", "dog.4k", ended_at=150.0))
    assert await session.prune(200.0) == 2


async def jobs_left(session: LedgerSession, pruning: asyncio.Task[int]) -> set[int]:
    """Count the jobs again and again until *pruning* is done; return every number seen."""
    found = set()
    while not pruning.done():
        found.add(len(await session.jobs()))
        await asyncio.sleep(0)
    return found


async def test_many_jobs_are_pruned_in_several_transactions(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other calls take effect in between. Other sessions see the jobs after one of the transactions."""
    monkeypatch.setattr(sqlite_session, "PRUNE_BATCH", 3)
    session, other = await sessions.open(), await sessions.open()
    for number in range(10):
        await finished(session, f"job-{number}")
    pruning = asyncio.create_task(session.prune(200.0))
    async with asyncio.TaskGroup() as group:
        own, others = (group.create_task(jobs_left(reader, pruning)) for reader in (session, other))
    assert pruning.result() == 10
    assert await other.jobs() == []
    assert own.result() | others.result() <= {10, 7, 4, 1, 0}
    if not isinstance(sessions.ledger, MemoryLedger):
        assert {7, 4, 1} & own.result()


async def test_cancelled_prune_leaves_a_ledger_that_can_be_pruned_again(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was deleted stays deleted, with its history."""
    monkeypatch.setattr(sqlite_session, "PRUNE_BATCH", 2)
    session = await sessions.open()
    for number in range(9):
        await finished(session, f"job-{number}")
    pruning = asyncio.create_task(session.prune(200.0))
    await asyncio.sleep(0)
    pruning.cancel()
    await asyncio.wait([pruning])
    left = await session.jobs()
    for number in range(9):
        is_left = f"job-{number}" in {row.key for row in left}
        assert bool(await session.transitions(f"job-{number}")) == is_left
    assert await session.prune(200.0) == len(left)


async def test_vacuum_makes_the_file_smaller(tmp_path: Any) -> None:
    """Without it the space is free for new jobs. The other session continues, and nothing is lost."""
    path = tmp_path / "veo.db"
    ledger = SqliteLedger(path, executor=Inline())
    session, other = await ledger.open("account-1"), await ledger.open("account-1")
    for number in range(300):
        await finished(session, f"job-{number}", request="x" * 2000)
    await session.insert(job("open"))
    full = path.stat().st_size
    assert await session.prune(200.0) == 300
    assert path.stat().st_size == full
    assert await session.free_bytes() > full // 2
    await session.vacuum()
    assert path.stat().st_size < full // 4
    assert sum(file.stat().st_size for file in tmp_path.iterdir() if file.is_file()) < full
    assert [row.key for row in await other.jobs()] == ["open"]
    row = await other.insert(attrs.evolve(job("new"), submitted_at=300.0))
    assert await session.get("new") == row
    await session.close()
    await other.close()
