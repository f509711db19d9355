"""A ledger in memory whose disk is slow, full or gone at times, and whose users die: all of it drawn by a seed.

A call may wait; may fail with nothing written; may fail although it was written, after which the job is told as
changed in the next news, as `_ports.Book` has it; and its session may die in it, before the writing or after.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any, Protocol, TypeVar

import attrs

from veo_async._ports import JobRow, LedgerChanges, RateClaim, SendPermit, Transition
from veo_async.errors import LedgerBusy, LedgerError, LedgerIOError
from veo_async.ledger.memory import MemoryLedger, MemoryLedgerSession

T = TypeVar("T")


class Fate(Enum):
    """What becomes of one call."""

    WELL = "well"
    #: Nothing is written, and the caller is told so.
    REFUSED = "refused"
    #: It is written, and the caller is told that it failed.
    UNSURE = "unsure"
    #: The session dies, and nothing is written.
    DIES_BEFORE = "dies-before"
    #: The session dies, and it is written.
    DIES_AFTER = "dies-after"


class Holder(Protocol):
    """Whoever holds a book."""

    def draw(self, *, is_write: bool) -> tuple[float, Fate]:
        """For how long the next call waits, and what becomes of it."""
        ...

    def die(self) -> None:
        """It is killed in the midst of a call."""
        ...


@attrs.define(eq=False)
class FlakyLedger:
    """The ledger as one holder sees it."""

    inner: MemoryLedger
    holder: Holder
    book: "FlakyBook | None" = None

    async def open(self, account: str | None) -> "FlakyBook":
        wait_s, fate = self.holder.draw(is_write=False)
        await asyncio.sleep(wait_s)
        if fate is not Fate.WELL:
            raise LedgerBusy("the file is locked, it is said")
        self.book = FlakyBook(await self.inner.open(account), self.inner, self.holder)
        return self.book


@attrs.define(eq=False)
class FlakyBook:
    """One session's hold of it."""

    inner: MemoryLedgerSession
    _ledger: MemoryLedger
    _holder: Holder
    #: Calls take effect in the order in which they were made.
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    #: Jobs whose writing was told to have failed, and had not.
    _unsure: dict[str, None] = attrs.field(factory=dict, init=False)

    @property
    def session_id(self) -> str:
        return self.inner.session_id

    @property
    def secret(self) -> bytes:
        return self.inner.secret

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None) -> JobRow:
        return await self._call(lambda: self.inner.insert(row, replaces=replaces), key=row.key)

    async def apply(self, transition: Transition, *, closed_until: float = 0.0) -> bool:
        return await self._call(lambda: self.inner.apply(transition, closed_until=closed_until), key=transition.key)

    async def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        return await self._call(lambda: self.inner.begin_send(transition, claim), key=transition.key)

    async def changes(self, at: float) -> LedgerChanges:
        news = await self._call(lambda: self.inner.changes(at))
        told = {row.key for row in (*news.taken_over, *news.changed)}
        late = tuple(self._ledger.jobs[key] for key in self._unsure if key not in told)
        self._unsure.clear()
        return attrs.evolve(news, changed=(*news.changed, *late)) if late else news

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        return await self._call(lambda: self.inner.add_hint(token, task_id, at))

    async def get(self, key: str) -> JobRow | None:
        return await self._call(lambda: self.inner.get(key))

    async def job_of_task(self, task_id: str) -> JobRow | None:
        return await self._call(lambda: self.inner.job_of_task(task_id))

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        return await self._call(lambda: self.inner.jobs(states))

    async def transitions(self, key: str) -> list[Transition]:
        return await self._call(lambda: self.inner.transitions(key))

    async def prune(self, before: float) -> int:
        return await self._call(lambda: self.inner.prune(before))

    async def knowledge(self) -> str | None:
        return await self._call(self.inner.knowledge)

    async def save_knowledge(self, knowledge: str) -> None:
        await self._call(lambda: self.inner.save_knowledge(knowledge))

    async def close(self) -> None:
        async with self._turn:
            await self.inner.close()

    async def _call(self, work: Callable[[], Awaitable[T]], *, key: str | None = None) -> T:
        async with self._turn:
            wait_s, fate = self._holder.draw(is_write=key is not None)
            if wait_s:
                await asyncio.sleep(wait_s)
            if fate is Fate.REFUSED:
                raise LedgerIOError("the disk is full, it is said")
            if fate is Fate.DIES_BEFORE:
                await self._die()
            before = len(self._ledger.timeline)
            answer = await work()
            if fate is Fate.DIES_AFTER:
                await self._die()
            if fate is Fate.UNSURE and key is not None:
                if len(self._ledger.timeline) > before:
                    self._unsure[key] = None
                raise LedgerIOError("the disk failed, and nobody knows what was written")
        return answer

    async def _die(self) -> Any:
        self._holder.die()
        await asyncio.get_running_loop().create_future()


__all__ = ["Fate", "FlakyBook", "FlakyLedger", "LedgerError"]
