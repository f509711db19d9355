"""No ledger: what a session writes to that was given none.

The session itself holds its jobs, nobody will ever open them again, and nobody else is on them; so nothing is kept
here, and nothing is waited for.
"""

import secrets
from collections.abc import Collection

from veo_async._ports import Book, Claim, GateNews, JobRow, News, Permit, Step

_ALONE = Permit(is_granted=True, gate=GateNews())
_NO_NEWS = News()


class NoLedger:
    """Keeps nothing."""

    async def open(self, account: str | None) -> Book:
        return _EmptyBook()


class _EmptyBook:
    """Agrees to everything."""

    instance = "alone"

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(16)

    async def plan(self, row: JobRow, *, instead: JobRow | None = None) -> JobRow:
        return row

    async def record(self, step: Step, *, closed_until: float = 0.0) -> bool:
        return True

    async def send(self, step: Step, claim: Claim) -> Permit | None:
        return _ALONE

    async def news(self, at: float) -> News:
        return _NO_NEWS

    async def hint(self, token: str, task_id: str, at: float) -> bool:
        return False

    async def get(self, key: str) -> JobRow | None:
        return None

    async def holder_of(self, task_id: str) -> JobRow | None:
        return None

    async def rows(self, states: Collection[str] | None = None) -> list[JobRow]:
        return []

    async def steps(self, key: str) -> list[Step]:
        return []

    async def knowledge(self) -> str | None:
        return None

    async def keep_knowledge(self, knowledge: str) -> None:
        pass

    async def close(self) -> None:
        pass
