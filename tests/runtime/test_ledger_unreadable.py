"""A ledger that stands in the way at the wrong moment: the session goes on, and nothing is paid twice."""

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


class TroubledBook(MemoryLedgerSession):
    """Its first intent comes to be though it is told to have failed, and the look at what became of it fails, too."""

    is_unsure = cannot_tell = True

    async def send(self, step: Transition, claim: RateClaim) -> SendPermit | None:
        permit = await super().begin_send(step, claim)
        if self.is_unsure:
            self.is_unsure = False
            raise LedgerIOError("nobody knows what was written")
        return permit

    async def get(self, key: str) -> JobRow | None:
        if self.cannot_tell:
            self.cannot_tell = False
            raise LedgerIOError("the file cannot be read")
        return await super().get(key)


@attrs.define(eq=False)
class TroubledLedger(MemoryLedger):
    """Opens such books."""

    async def open(self, account: str | None) -> Any:
        book = TroubledBook(self, account)
        self.alive.add(book.session_id)
        return book


async def test_a_ledger_that_cannot_be_read_for_a_moment_does_not_end_the_session() -> None:
    """The job that seemed to be somebody else's is led back and sent once, and so are the others."""
    sim, ledger = memory(), TroubledLedger()
    async with session_on(sim, ledger=ledger) as veo:
        jobs = [await veo.submit(f"Dog {n}", key=f"dog-{n}") for n in range(5)]
        for job in jobs:
            assert (await job).urls
        assert {job.state for job in veo.jobs()} == {JobState.READY}
    assert len(sim.requests_to()) == 5
    sim.assert_no_double_charge()
