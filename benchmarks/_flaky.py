"""A ledger in memory with injected faults: slow, full, or out of reach for a while, and sessions that die in a call.

A call may be delayed. It may fail without writing. It may fail although it wrote; then the next `changes` of the
session report the job as changed, as `_ports.LedgerSession` demands. And its session may be killed before or after the
write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import Enum
from typing import Any, Protocol, TypeVar

import attrs

from veo_async._ports import BudgetUse, JobRow, LedgerChanges, NewJob, RateClaim, SendPermit, Transition
from veo_async.errors import LedgerBusy, LedgerIOError
from veo_async.ledger.memory import MemoryLedger, MemoryLedgerSession

T = TypeVar("T")


class CallOutcome(Enum):
    """How one call of the ledger ends."""

    SUCCEEDS = "succeeds"
    #: Nothing is written, and the call raises an error.
    FAILS = "fails"
    #: It is written, and the call raises an error anyway.
    FAILS_AFTER_COMMIT = "fails-after-commit"
    #: The session is killed, and nothing is written.
    KILLED_BEFORE_COMMIT = "killed-before-commit"
    #: The session is killed after the write.
    KILLED_AFTER_COMMIT = "killed-after-commit"


class FaultSource(Protocol):
    """Decides how the ledger calls of one session end."""

    def draw(self, *, is_write: bool) -> tuple[float, CallOutcome]:
        """Return the delay of the next call in seconds, and how it ends."""
        ...

    def on_killed(self) -> None:
        """Kill the session; called during one of its calls."""
        ...


@attrs.define(eq=False)
class FlakyLedger:
    """A ledger as one session sees it."""

    inner: MemoryLedger
    faults: FaultSource
    session: "FlakyLedgerSession | None" = None

    async def open(self, account: str | None) -> "FlakyLedgerSession":
        delay_s, outcome = self.faults.draw(is_write=False)
        await asyncio.sleep(delay_s)
        if outcome is not CallOutcome.SUCCEEDS:
            raise LedgerBusy("the file is locked (injected)")
        self.session = FlakyLedgerSession(await self.inner.open(account), self.inner, self.faults)
        return self.session


@attrs.define(eq=False)
class FlakyLedgerSession:
    """A ledger session with injected faults."""

    inner: MemoryLedgerSession
    _ledger: MemoryLedger
    _faults: FaultSource
    #: Calls take effect in the order in which they were made.
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    #: Jobs whose write was reported as failed and took place.
    _unsure: dict[str, None] = attrs.field(factory=dict, init=False)

    @property
    def session_id(self) -> str:
        return self.inner.session_id

    @property
    def secret(self) -> bytes:
        return self.inner.secret

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None, budget_limit: float | None = None) -> JobRow:
        return await self._call(
            lambda: self.inner.insert(row, replaces=replaces, budget_limit=budget_limit), key=row.key
        )

    async def insert_all(self, jobs: Sequence[NewJob], *, budget_limit: float | None = None) -> list[JobRow]:
        return await self._call(lambda: self.inner.insert_all(jobs, budget_limit=budget_limit), key=jobs[0].row.key)

    async def budget_use(self, name: str) -> BudgetUse:
        return await self._call(lambda: self.inner.budget_use(name))

    async def apply(
        self, transition: Transition, *, closed_until: float = 0.0, budget_limit: float | None = None
    ) -> bool:
        return await self._call(
            lambda: self.inner.apply(transition, closed_until=closed_until, budget_limit=budget_limit),
            key=transition.key,
        )

    async def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        return await self._call(lambda: self.inner.begin_send(transition, claim), key=transition.key)

    async def changes(self, at: float) -> LedgerChanges:
        changes = await self._call(lambda: self.inner.changes(at))
        reported = {row.key for row in (*changes.taken_over, *changes.changed)}
        unsure = tuple(self._ledger.jobs[key] for key in self._unsure if key not in reported)
        self._unsure.clear()
        return attrs.evolve(changes, changed=(*changes.changed, *unsure)) if unsure else changes

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
        async with self._lock:
            await self.inner.close()

    async def _call(self, work: Callable[[], Awaitable[T]], *, key: str | None = None) -> T:
        async with self._lock:
            delay_s, outcome = self._faults.draw(is_write=key is not None)
            if delay_s:
                await asyncio.sleep(delay_s)
            if outcome is CallOutcome.FAILS:
                raise LedgerIOError("the disk is full (injected)")
            if outcome is CallOutcome.KILLED_BEFORE_COMMIT:
                await self._kill()
            before = len(self._ledger.timeline)
            result = await work()
            if outcome is CallOutcome.KILLED_AFTER_COMMIT:
                await self._kill()
            if outcome is CallOutcome.FAILS_AFTER_COMMIT and key is not None:
                if len(self._ledger.timeline) > before:
                    self._unsure[key] = None
                raise LedgerIOError("the disk failed; the write may or may not have taken place (injected)")
        return result

    async def _kill(self) -> Any:
        """Kill the session and never return to its code."""
        self._faults.on_killed()
        await asyncio.get_running_loop().create_future()
