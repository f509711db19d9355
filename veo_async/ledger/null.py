"""No ledger at all: what a session writes to when its jobs need not outlive it.

The session holds its jobs itself, so nothing is kept here, not a byte for each job, and nothing ever waits. Every plan
is news, every step is taken, every call is granted.
"""

from collections.abc import Collection

import attrs

from veo_async._ports import Claim, GateNews, JobRow, News, Permit, Step

from .rules import new_instance, new_secret

_GRANTED = Permit(is_granted=True, gate=GateNews())
_NO_NEWS = News()


class NoLedger:
    """Opens books that keep nothing."""

    async def open(self, account: str | None) -> "NoBook":
        """A book of its own for each session, with a secret of its own: tokens are good as long as it lives."""
        return NoBook()


@attrs.define(eq=False)
class NoBook:
    """Says yes, and forgets."""

    instance: str = attrs.field(factory=new_instance)
    secret: bytes = attrs.field(factory=new_secret, repr=False)

    async def plan(self, row: JobRow, *, instead: JobRow | None = None) -> JobRow:
        return attrs.evolve(row, owner=self.instance)

    async def record(self, step: Step, *, closed_until: float = 0.0) -> bool:
        return True

    async def send(self, step: Step, claim: Claim) -> Permit | None:
        return _GRANTED

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
        return None

    async def close(self) -> None:
        return None
