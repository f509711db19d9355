"""A ledger that fails twice in a row: when an intent is stored, and when its outcome is read."""

from typing import Any

import attrs
import pytest

from veo_async._ports import JobRow, RateClaim, SendPermit, Transition
from veo_async._rules.lifecycle import JobState
from veo_async.errors import LedgerIOError
from veo_async.ledger import MemoryLedger
from veo_async.ledger.memory import MemoryLedgerSession

from .support import memory, session_on

pytestmark = pytest.mark.veo_virtual_time


class FaultySession(MemoryLedgerSession):
    """Stores its first intent but raises, and then fails to read which of the two happened."""

    is_begin_send_faulty = is_get_faulty = True

    async def begin_send(self, step: Transition, claim: RateClaim) -> SendPermit | None:
        permit = await super().begin_send(step, claim)
        if self.is_begin_send_faulty:
            self.is_begin_send_faulty = False
            raise LedgerIOError("the outcome of the write is unknown")
        return permit

    async def get(self, key: str) -> JobRow | None:
        if self.is_get_faulty and not self.is_begin_send_faulty:
            self.is_get_faulty = False
            raise LedgerIOError("the file cannot be read")
        return await super().get(key)


@attrs.define(eq=False)
class FaultyLedger(MemoryLedger):
    """Opens sessions that fail twice."""

    sessions: list[FaultySession] = attrs.field(factory=list)

    async def open(self, account: str | None) -> Any:
        session = FaultySession(self, account)
        self.sessions.append(session)
        self.alive.add(session.session_id)
        return session


async def test_ledger_that_cannot_be_read_for_a_moment_does_not_crash_the_session() -> None:
    """The job whose owner is unknown for a moment is requeued and sent once, and so are the others."""
    sim, ledger = memory(), FaultyLedger()
    async with session_on(sim, ledger=ledger) as veo:
        jobs = [await veo.submit(f"Dog {n}", key=f"dog-{n}") for n in range(5)]
        for job in jobs:
            assert (await job).urls
        assert {job.state for job in veo.jobs()} == {JobState.READY}
    [session] = ledger.sessions
    assert not session.is_begin_send_faulty, "the failure of the write was not injected"
    assert not session.is_get_faulty, "the failure of the read was not injected"
    assert len(sim.requests_to()) == 5
    sim.assert_no_double_charge()
