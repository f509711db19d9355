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

from veo_async._ports import Claim, GateNews, JobRow, News, Permit, Step
from veo_async.errors import LedgerError

from . import forks
from . import location as place
from .group_commit import Call, Gathering
from .ledger_file import Disk, opener
from .queries import Pages
from .session_lock import Presence


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

    async def open(self, account: str | None) -> "SqliteBook":
        """Take hold of the file.

        Raises:
            LedgerUnusable: it is no ledger, damaged, of a newer version, or on a network; it was left untouched.
            LedgerBusy, LedgerFailed: it cannot be opened just now.
        """
        own = None
        executor = self.executor
        if executor is None:
            executor = own = ThreadPoolExecutor(1, thread_name_prefix="veo-ledger")
        opening = asyncio.get_running_loop().run_in_executor(executor, self._open_disk, account)
        try:
            disk = await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(lambda done: _give_up(done, own))
            raise
        return SqliteBook(disk, executor, own)

    def _open_disk(self, account: str | None) -> Disk:
        path = place.settled(self.path, allow_network_fs=self.allow_network_fs)
        presence = Presence(Path(f"{path}.d"))
        disk = Disk(path, opener(path, self.busy_timeout_s), presence, Pages(presence, account))
        disk.open()
        return disk


def _give_up(opening: "asyncio.Future[Disk]", executor: ThreadPoolExecutor | None) -> None:
    """The opener failed, or its caller was cancelled and nobody will ever close what was opened."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
    if executor is not None:
        executor.shutdown(wait=True)  # its only work is done, so this takes no time


@attrs.define(eq=False)
class SqliteBook:
    """One session's hold of the file."""

    _disk: Disk
    _executor: Executor = attrs.field(repr=False)
    #: The same, if it is ours to shut down.
    _own: ThreadPoolExecutor | None = attrs.field(repr=False)
    _calls: Gathering = attrs.field(init=False, repr=False)
    _is_forked: bool = attrs.field(default=False, init=False)
    _farewell: "asyncio.Future[None] | None" = attrs.field(default=None, init=False, repr=False)
    #: News that was found and that nobody has been given: its caller was cancelled.
    _untold: list[News] = attrs.field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._calls = Gathering(self._disk.run, self._executor)
        forks.watch(self)

    @property
    def instance(self) -> str:
        return self._disk.presence.instance

    @property
    def secret(self) -> bytes:
        return self._disk.secret

    @property
    def _pages(self) -> Pages:
        return self._disk.pages

    async def plan(self, row: JobRow, *, instead: JobRow | None = None) -> JobRow:
        planned: JobRow = await self._write("plan", lambda: self._pages.plan(row, instead))
        return planned

    async def record(self, step: Step, *, closed_until: float = 0.0) -> bool:
        is_taken: bool = await self._write(step.event, lambda: self._pages.record(step, closed_until))
        return is_taken

    async def send(self, step: Step, claim: Claim) -> Permit | None:
        permit: Permit | None = await self._write("send", lambda: self._pages.send(step, claim))
        return permit

    async def news(self, at: float) -> News:
        quiet: News | None = await self._read(self._pages.quiet_news)
        if quiet is None:
            await self._ask(Call("news", lambda: self._pages.news(at), on_answer=self._untold.append))
        else:
            self._untold.append(quiet)
        found = [*self._untold]
        self._untold.clear()
        return _together(found)

    async def hint(self, token: str, task_id: str, at: float) -> bool:
        is_known: bool = await self._write("hint", lambda: self._pages.hint(token, task_id, at))
        return is_known

    async def get(self, key: str) -> JobRow | None:
        row: JobRow | None = await self._read(lambda: self._pages.get(key))
        return row

    async def holder_of(self, task_id: str) -> JobRow | None:
        row: JobRow | None = await self._read(lambda: self._pages.holder_of(task_id))
        return row

    async def rows(self, states: Collection[str] | None = None) -> list[JobRow]:
        rows: list[JobRow] = await self._read(lambda: self._pages.rows(states))
        return rows

    async def steps(self, key: str) -> list[Step]:
        steps: list[Step] = await self._read(lambda: self._pages.steps(key))
        return steps

    async def knowledge(self) -> str | None:
        knowledge: str | None = await self._read(self._pages.knowledge)
        return knowledge

    async def keep_knowledge(self, knowledge: str) -> None:
        await self._write("knowledge", lambda: self._pages.keep_knowledge(knowledge))

    async def close(self) -> None:
        """What was called for before comes to be first; a cancelled close goes on by itself."""
        self._refuse_in_child()
        if self._farewell is None:
            ending = Call("close", self._disk.close, is_alone=True, on_answer=self._shut)
            self._farewell = self._calls.ask(ending)
        await asyncio.shield(self._farewell)

    def disown(self) -> None:
        """See `forks`."""
        self._is_forked = True
        self._disk.disown()

    # --- what stands behind them ---

    def _shut(self, _: None) -> None:
        forks.unwatch(self)
        if self._own is not None:
            self._own.shutdown(wait=True)  # its last work is done, so this takes no time

    def _write(self, name: str, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        return self._ask(Call(str(name), work))

    def _read(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        return self._ask(Call("read", work, is_write=False))

    def _ask(self, call: Call) -> "asyncio.Future[Any]":
        self._refuse_in_child()
        if self._farewell is not None:
            raise LedgerError(f"The book of {self._disk.path} was closed.")
        return self._calls.ask(call)

    def _refuse_in_child(self) -> None:
        if self._is_forked:
            raise LedgerError(f"{self._disk.path} was opened before a fork; open another session in the child.")


def _together(found: list[News]) -> News:
    """Several pieces of news as one, oldest first; what is told twice is told as it was last."""
    if len(found) == 1:
        return found[0]
    taken = {row.key: row for news in found for row in news.taken}
    changed = {row.key: row for news in found for row in news.changed}
    latest = {row.key: row for news in found for row in (*news.taken, *news.changed)}
    return News(
        taken=tuple(latest[key] for key in taken),
        changed=tuple(row for key, row in changed.items() if key not in taken),
        hints=tuple(hint for news in found for hint in news.hints),
        gate=GateNews(
            calls=tuple(call for news in found for call in news.gate.calls),
            closed_until=max((news.gate.closed_until for news in found), default=0.0),
        ),
    )
