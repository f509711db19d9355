"""The public ledger in one SQLite file, and the ledger session that runs in an event loop.

A session passes its calls to `group_commit`, which runs them in batches on the session's own thread. There
`ledger_file` handles transactions, and `queries` and `change_reader` run the SQL.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from veo_async._base.checks import check_flag
from veo_async._ports import (
    PAGE_SIZE,
    AccountActivity,
    BudgetUse,
    Cursor,
    JobPage,
    JobQuery,
    JobRow,
    LedgerChanges,
    NewJob,
    RateClaim,
    SendPermit,
    Transition,
)
from veo_async.errors import LedgerError, LedgerRestored
from veo_async.ledger.rules import check_prune_after

from . import forks
from .group_commit import GroupCommit, LedgerCall
from .home import Home
from .ledger_file import LedgerFile, opener
from .location import resolve_location
from .mark import MarkFile
from .queries import Queries
from .session_lock import SessionLock

#: How many jobs `prune` deletes in one transaction. Other calls, of this session and of others, wait some milliseconds
#: for it, so that no request is sent late.
PRUNE_BATCH = 50


def _is_flag(_: Any, field: "attrs.Attribute[bool]", value: bool) -> None:
    check_flag(field.name, value)


def _as_path(path: str | PathLike[str]) -> Path:
    return Path(path)


@attrs.define(eq=False)
class SqliteLedger:
    """Jobs in a SQLite file, which survive crashes of sessions, processes and the machine.

    Args:
        path: the file; created if it does not exist, with a folder ``PATH.d`` next to it for the session locks
            and the mark (see `mark`).
        busy_timeout_s: how long to wait for another program's lock before raising `LedgerBusy`.
        allow_network_fs: open the file even on a network file system, where locks are unreliable; only safe if a single
            process uses it.
        executor: runs the disk work, instead of one thread for each session. The ledger never closes it. An executor
            that runs work immediately makes sessions deterministic.
        accept_restored: open a ledger that was restored from a backup or copied, and send its unsent jobs although they
            may have been paid for already. Give it once and not always: it also accepts the next accident.
        prune_after: open sessions delete an account's finished jobs this long after they ended, at least a day. None
            keeps them. A request whose job was deleted is charged again if it is submitted again.
    """

    path: Path = attrs.field(converter=_as_path)
    busy_timeout_s: float = attrs.field(default=30.0, kw_only=True)
    allow_network_fs: bool = attrs.field(default=False, kw_only=True)
    executor: Executor | None = attrs.field(default=None, kw_only=True)
    accept_restored: bool = attrs.field(default=False, kw_only=True, validator=_is_flag)
    prune_after: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_prune_after)

    async def open(self, account: str | None) -> "SqliteLedgerSession":
        """Open a session on the file.

        Raises:
            LedgerRestored: it was restored from a backup or copied; it is left unchanged. A session without an account
                opens such a ledger, and has the error as `SqliteLedgerSession.problem`.
            LedgerUnusable: the file is not a ledger, is damaged or of a newer version, or is on a network file system;
                it is left unchanged.
            LedgerBusy, LedgerIOError: the file cannot be opened now.
        """
        own = None
        executor = self.executor
        if executor is None:
            executor = own = ThreadPoolExecutor(1, thread_name_prefix="veo-ledger")
        opening = asyncio.get_running_loop().run_in_executor(executor, self._open_file, account)
        try:
            file = await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(lambda done: _discard(done, own))
            raise
        return SqliteLedgerSession(file, executor, own)

    def _open_file(self, account: str | None) -> LedgerFile:
        path = resolve_location(self.path, allow_network_fs=self.allow_network_fs)
        lock = SessionLock(Path(f"{path}.d"))
        home = Home(path, MarkFile(lock.folder), account is not None, self.accept_restored)
        file = LedgerFile(path, opener(path, self.busy_timeout_s), lock, Queries(lock, account), home)
        file.open()
        return file


def _discard(opening: "asyncio.Future[LedgerFile]", executor: ThreadPoolExecutor | None) -> None:
    """Close the file that *opening* has opened, if any: its caller failed or was cancelled, and will not close it."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
    if executor is not None:
        executor.shutdown(wait=True)  # its only work is done, so this takes no time


@attrs.define(eq=False)
class SqliteLedgerSession:
    """An open session of a `SqliteLedger`."""

    _file: LedgerFile
    _executor: Executor = attrs.field(repr=False)
    #: The executor again, if this session has to close it.
    _own: ThreadPoolExecutor | None = attrs.field(repr=False)
    _calls: GroupCommit = attrs.field(init=False, repr=False)
    _is_forked: bool = attrs.field(default=False, init=False)
    _closing: "asyncio.Future[None] | None" = attrs.field(default=None, init=False, repr=False)
    #: Changes that were read for a caller that was then cancelled; the next caller gets them.
    _undelivered: list[LedgerChanges] = attrs.field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._calls = GroupCommit(self._file.run, self._executor)
        forks.register(self)

    @property
    def session_id(self) -> str:
        return self._file.session_lock.session_id

    @property
    def secret(self) -> bytes:
        return self._file.secret

    @property
    def problem(self) -> LedgerRestored | None:
        """Why a session that sends requests would not open this ledger; None if it would."""
        return self._file.home.problem

    @property
    def _queries(self) -> Queries:
        return self._file.queries

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None, budget_limit: float | None = None) -> JobRow:
        [stored] = await self.insert_all([NewJob(row=row, replaces=replaces)], budget_limit=budget_limit)
        return stored

    async def insert_all(self, jobs: Sequence[NewJob], *, budget_limit: float | None = None) -> list[JobRow]:
        stored: list[JobRow] = await self._write("submit", lambda: self._queries.insert_all(jobs, budget_limit))
        return stored

    async def budget_use(self, name: str) -> BudgetUse:
        use: BudgetUse = await self._read(lambda: self._queries.budget_use(name))
        return use

    async def apply(
        self, transition: Transition, *, closed_until: float = 0.0, budget_limit: float | None = None
    ) -> bool:
        work = self._write(transition.event, lambda: self._queries.apply(transition, closed_until, budget_limit))
        is_applied: bool = await work
        return is_applied

    async def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        permit: SendPermit | None = await self._write("send", lambda: self._queries.begin_send(transition, claim))
        return permit

    async def changes(self, at: float) -> LedgerChanges:
        reader = self._queries.changes
        quiet: LedgerChanges | None = await self._read(reader.read_if_quiet)
        if quiet is None:
            await self._submit(LedgerCall("changes", lambda: reader.read(at), on_result=self._undelivered.append))
        else:
            self._undelivered.append(quiet)
        found = [*self._undelivered]
        self._undelivered.clear()
        return _merge(found)

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        has_attempt: bool = await self._write("hint", lambda: self._queries.add_hint(token, task_id, at))
        return has_attempt

    async def get(self, key: str) -> JobRow | None:
        row: JobRow | None = await self._read(lambda: self._queries.get(key))
        return row

    async def job_of_task(self, task_id: str) -> JobRow | None:
        row: JobRow | None = await self._read(lambda: self._queries.job_of_task(task_id))
        return row

    async def follow_ups(self, sources: Collection[str]) -> list[JobRow]:
        rows: list[JobRow] = await self._read(lambda: self._queries.follow_ups(sources))
        return rows

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        jobs: list[JobRow] = await self._read(lambda: self._queries.jobs(states))
        return jobs

    async def page(self, query: JobQuery, after: Cursor | None = None, *, size: int = PAGE_SIZE) -> JobPage:
        page: JobPage = await self._read(lambda: self._queries.page(query, after, size))
        return page

    async def before_newest(self, query: JobQuery, count: int) -> Cursor | None:
        place: Cursor | None = await self._read(lambda: self._queries.before_newest(query, count))
        return place

    async def counts(self, query: JobQuery) -> dict[str, int]:
        counts: dict[str, int] = await self._read(lambda: self._queries.counts(query))
        return counts

    async def transitions(self, key: str) -> list[Transition]:
        transitions: list[Transition] = await self._read(lambda: self._queries.transitions(key))
        return transitions

    async def prune(self, before: float) -> int:
        loop, total = asyncio.get_running_loop(), 0
        while True:
            started_at = loop.time()
            count: int = await self._write("prune", lambda: self._queries.prune(before, PRUNE_BATCH))
            total += count
            if count < PRUNE_BATCH:
                return total
            # Half of the time is for other sessions, which ask for the lock again and again.
            await asyncio.sleep(loop.time() - started_at)

    async def prunable(self, before: float) -> int:
        count: int = await self._read(lambda: self._queries.prunable(before))
        return count

    async def free_bytes(self) -> int:
        """Return how much of the file is free for new jobs."""
        size: int = await self._read(self._queries.free_bytes)
        return size

    async def vacuum(self) -> None:
        """Rewrite the file without its free space. Other sessions wait for that.

        Raises:
            LedgerBusy: another session writes all the time; nothing was changed.
            LedgerIOError: the disk has not enough space for a second copy; nothing was changed.
        """
        await self._submit(LedgerCall("vacuum", self._file.vacuum, is_exclusive=True))

    async def knowledge(self) -> str | None:
        knowledge: str | None = await self._read(self._queries.knowledge)
        return knowledge

    async def save_knowledge(self, knowledge: str) -> None:
        await self._write("knowledge", lambda: self._queries.save_knowledge(knowledge))

    async def close(self) -> None:
        """Finish all earlier calls, then close the file. Cancelling this does not stop it."""
        self._check_not_forked()
        if self._closing is None:
            ending = LedgerCall("close", self._file.close, is_exclusive=True, on_result=self._on_closed)
            self._closing = self._calls.submit(ending)
        await asyncio.shield(self._closing)

    def detach_after_fork(self) -> None:
        """Reject all further calls in a forked child; see `forks`."""
        self._is_forked = True
        self._file.detach_after_fork()

    # --- internals ---

    def _on_closed(self, _: None) -> None:
        forks.unregister(self)
        if self._own is not None:
            self._own.shutdown(wait=True)  # its last work is done, so this takes no time

    def _write(self, name: str, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        return self._submit(LedgerCall(str(name), work))

    def _read(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        return self._submit(LedgerCall("read", work, is_write=False))

    def _submit(self, call: LedgerCall) -> "asyncio.Future[Any]":
        self._check_not_forked()
        if self._closing is not None:
            raise LedgerError(f"{self._file.path} was closed by this session.")
        return self._calls.submit(call)

    def _check_not_forked(self) -> None:
        if self._is_forked:
            raise LedgerError(f"{self._file.path} was opened before a fork; open another session in the child.")


def _merge(found: list[LedgerChanges]) -> LedgerChanges:
    """Merge several changes, oldest first; of a job that occurs twice, keep the latest row."""
    if len(found) == 1:
        return found[0]
    taken = {row.key: row for changes in found for row in changes.taken_over}
    changed = {row.key: row for changes in found for row in changes.changed}
    latest = {row.key: row for changes in found for row in (*changes.taken_over, *changes.changed)}
    return LedgerChanges(
        taken_over=tuple(latest[key] for key in taken),
        changed=tuple(row for key, row in changed.items() if key not in taken),
        hints=tuple(hint for changes in found for hint in changes.hints),
        gate=AccountActivity(
            calls=tuple(call for changes in found for call in changes.gate.calls),
            closed_until=max((changes.gate.closed_until for changes in found), default=0.0),
        ),
    )
