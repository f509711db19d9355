"""The ledger of a session whose jobs need not outlive it: accepts every write and stores nothing.

The session keeps its jobs itself, so this ledger uses no memory per job and never suspends.
"""

from collections.abc import Collection, Sequence

import attrs

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

from .rules import new_secret, new_session_id

_GRANTED = SendPermit(is_granted=True, gate=AccountActivity())
_NO_CHANGES = LedgerChanges()


class NullLedger:
    """A ledger that stores nothing."""

    async def open(self, account: str | None) -> "NullLedgerSession":
        """Open a session with a new secret; the tokens it signs are valid until it closes."""
        return NullLedgerSession()


@attrs.define(eq=False, repr=False)
class NullLedgerSession:
    """A ledger session that accepts every write and stores nothing."""

    session_id: str = attrs.field(factory=new_session_id)
    secret: bytes = attrs.field(factory=new_secret, repr=False)

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None, budget_limit: float | None = None) -> JobRow:
        return attrs.evolve(row, owner=self.session_id)

    async def insert_all(self, jobs: Sequence[NewJob], *, budget_limit: float | None = None) -> list[JobRow]:
        return [attrs.evolve(job.row, owner=self.session_id) for job in jobs]

    async def budget_use(self, name: str) -> BudgetUse:
        return BudgetUse()

    async def apply(
        self, transition: Transition, *, closed_until: float = 0.0, budget_limit: float | None = None
    ) -> bool:
        return True

    async def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        return _GRANTED

    async def changes(self, at: float) -> LedgerChanges:
        return _NO_CHANGES

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        return False

    async def get(self, key: str) -> JobRow | None:
        return None

    async def job_of_task(self, task_id: str) -> JobRow | None:
        return None

    async def follow_ups(self, sources: Collection[str]) -> list[JobRow]:
        return []

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        return []

    async def page(self, query: JobQuery, after: Cursor | None = None, *, size: int = PAGE_SIZE) -> JobPage:
        return JobPage((), None)

    async def before_newest(self, query: JobQuery, count: int) -> Cursor | None:
        return None

    async def counts(self, query: JobQuery) -> dict[str, int]:
        return {}

    async def transitions(self, key: str) -> list[Transition]:
        return []

    async def prune(self, before: float) -> int:
        return 0

    async def prunable(self, before: float) -> int:
        return 0

    async def knowledge(self) -> str | None:
        return None

    async def save_knowledge(self, knowledge: str) -> None:
        return None

    async def close(self) -> None:
        return None
