"""A ledger in one SQLite file, for all processes of one machine.

Three storeys: the book here, which lives in an event loop; `gathering`, which brings calls to the disk in batches; and
`disk` with `pages`, which run in the book's own thread and speak SQL. `sqlite_file` opens the file or refuses it,
`presence` shows who is alive, `forks` guards against children.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from veo_async._ports import AccountActivity, JobRow, LedgerChanges, RateClaim, SendPermit, Transition
from veo_async.errors import LedgerError

from . import forks
from . import location as place
from .group_commit import GroupCommit, LedgerCall
from .ledger_file import LedgerFile, opener
from .queries import Queries
from .session_lock import SessionLock


def _as_path(path: str | PathLike[str]) -> Path:
    return Path(path)


@attrs.define(eq=False)
class SqliteLedger:
    """Jobs in a file, safe against whatever dies.

    Args:
        path: the file; made if there is none, with a folder ``PATH.d`` beside it for the locks.
        busy_timeout_s: how long to wait for another program that has it locked, before `LedgerBusy`.
        allow_network_fs: open it even where locks are not to be relied on; for one process only.
        executor: runs the work on the disk instead of a thread of each book's own; it is not shut down. One that runs
            everything at once makes books deterministic.
    """

    path: Path = attrs.field(converter=_as_path)
    busy_timeout_s: float = attrs.field(default=30.0, kw_only=True)
    allow_network_fs: bool = attrs.field(default=False, kw_only=True)
    executor: Executor | None = attrs.field(default=None, kw_only=True)

    async def open(self, account: str | None) -> "SqliteLedgerSession":
        """Take hold of the file.

        Raises:
            LedgerUnusable: it is no ledger, damaged, of a newer version, or on a network; it was left untouched.
            LedgerBusy, LedgerIOError: it cannot be opened just now.
        """
        own = None
        executor = self.executor
        if executor is None:
            executor = own = ThreadPoolExecutor(1, thread_name_prefix="veo-ledger")
        opening = asyncio.get_running_loop().run_in_executor(executor, self._open_file, account)
        try:
            disk = await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(lambda done: _give_up(done, own))
            raise
        return SqliteLedgerSession(disk, executor, own)

    def _open_file(self, account: str | None) -> LedgerFile:
        path = place.resolve_location(self.path, allow_network_fs=self.allow_network_fs)
        presence = SessionLock(Path(f"{path}.d"))
        disk = LedgerFile(path, opener(path, self.busy_timeout_s), presence, Queries(presence, account))
        disk.open()
        return disk


def _give_up(opening: "asyncio.Future[LedgerFile]", executor: ThreadPoolExecutor | None) -> None:
    """The opener failed, or its caller was cancelled and nobody will ever close what was opened."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
    if executor is not None:
        executor.shutdown(wait=True)  # its only work is done, so this takes no time


@attrs.define(eq=False)
class SqliteLedgerSession:
    """One session's hold of the file."""

    _file: LedgerFile
    _executor: Executor = attrs.field(repr=False)
    #: The same, if it is ours to shut down.
    _own: ThreadPoolExecutor | None = attrs.field(repr=False)
    _calls: GroupCommit = attrs.field(init=False, repr=False)
    _is_forked: bool = attrs.field(default=False, init=False)
    _closing: "asyncio.Future[None] | None" = attrs.field(default=None, init=False, repr=False)
    #: News that was found and that nobody has been given: its caller was cancelled.
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
    def _queries(self) -> Queries:
        return self._file.queries

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None) -> JobRow:
        planned: JobRow = await self._write("submit", lambda: self._queries.insert(row, replaces))
        return planned

    async def apply(self, step: Transition, *, closed_until: float = 0.0) -> bool:
        is_taken: bool = await self._write(step.event, lambda: self._queries.apply(step, closed_until))
        return is_taken

    async def begin_send(self, step: Transition, claim: RateClaim) -> SendPermit | None:
        permit: SendPermit | None = await self._write("send", lambda: self._queries.begin_send(step, claim))
        return permit

    async def changes(self, at: float) -> LedgerChanges:
        quiet: LedgerChanges | None = await self._read(self._queries.changes_if_quiet)
        if quiet is None:
            await self._submit(
                LedgerCall("changes", lambda: self._queries.changes(at), on_result=self._undelivered.append)
            )
        else:
            self._undelivered.append(quiet)
        found = [*self._undelivered]
        self._undelivered.clear()
        return _merge(found)

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        is_known: bool = await self._write("hint", lambda: self._queries.add_hint(token, task_id, at))
        return is_known

    async def get(self, key: str) -> JobRow | None:
        row: JobRow | None = await self._read(lambda: self._queries.get(key))
        return row

    async def job_of_task(self, task_id: str) -> JobRow | None:
        row: JobRow | None = await self._read(lambda: self._queries.job_of_task(task_id))
        return row

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        jobs: list[JobRow] = await self._read(lambda: self._queries.jobs(states))
        return jobs

    async def transitions(self, key: str) -> list[Transition]:
        transitions: list[Transition] = await self._read(lambda: self._queries.transitions(key))
        return transitions

    async def prune(self, before: float) -> int:
        count: int = await self._write("prune", lambda: self._queries.prune(before))
        return count

    async def knowledge(self) -> str | None:
        knowledge: str | None = await self._read(self._queries.knowledge)
        return knowledge

    async def save_knowledge(self, knowledge: str) -> None:
        await self._write("knowledge", lambda: self._queries.save_knowledge(knowledge))

    async def close(self) -> None:
        """What was called for before comes to be first; a cancelled close goes on by itself."""
        self._check_not_forked()
        if self._closing is None:
            ending = LedgerCall("close", self._file.close, is_exclusive=True, on_result=self._on_closed)
            self._closing = self._calls.submit(ending)
        await asyncio.shield(self._closing)

    def detach_after_fork(self) -> None:
        """See `forks`."""
        self._is_forked = True
        self._file.detach_after_fork()

    # --- what stands behind them ---

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
            raise LedgerError(f"The book of {self._file.path} was closed.")
        return self._calls.submit(call)

    def _check_not_forked(self) -> None:
        if self._is_forked:
            raise LedgerError(f"{self._file.path} was opened before a fork; open another session in the child.")


def _merge(found: list[LedgerChanges]) -> LedgerChanges:
    """Several pieces of news as one, oldest first; what is told twice is told as it was last."""
    if len(found) == 1:
        return found[0]
    taken = {row.key: row for changes in found for row in changes.taken_over}
    changed = {row.key: row for changes in found for row in changes.changed}
    latest = {row.key: row for changes in found for row in (*changes.taken_over, *changes.changed)}
    return LedgerChanges(
        taken_over=tuple(latest[key] for key in taken),
        changed=tuple(row for key, row in changed.items() if key not in taken),
        hints=tuple(add_hint for changes in found for add_hint in changes.hints),
        gate=AccountActivity(
            calls=tuple(call for changes in found for call in changes.gate.calls),
            closed_until=max((changes.gate.closed_until for changes in found), default=0.0),
        ),
    )
