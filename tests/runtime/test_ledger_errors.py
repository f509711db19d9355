"""A ledger that fails: no request is sent without it, and no task is lost because of it."""

import asyncio
import logging
from typing import Any

import pytest

from veo_async import errors
from veo_async._ports import LedgerSession
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, InDoubt
from veo_async.ledger import MemoryLedger
from veo_async.simulator import drop_after_accepting, rate_limited

from .ledgers import session_with_ledger
from .support import Clock, memory

pytestmark = pytest.mark.veo_virtual_time


class FaultyLedger:
    """A ledger that fails while `error` is set, before the write or after it."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.error: errors.LedgerError | None = None
        #: The steps that fail; None for all writes.
        self.events: set[str] | None = None
        #: Whether the failing write is carried out nevertheless.
        self.is_written = False
        self.failed = 0

    async def open(self, account: str | None) -> Any:
        return FaultySession(self, await self.ledger.open(account))


class FaultySession:
    def __init__(self, faulty: FaultyLedger, session: LedgerSession) -> None:
        self._faulty, self._session = faulty, session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def insert(self, *args: Any, **kwargs: Any) -> Any:
        return await self._or_fail("submit", self._session.insert, *args, **kwargs)

    async def apply(self, step: Any, **kwargs: Any) -> Any:
        return await self._or_fail(str(step.event), self._session.apply, step, **kwargs)

    async def begin_send(self, step: Any, claim: Any) -> Any:
        return await self._or_fail("send", self._session.begin_send, step, claim)

    async def changes(self, at: float) -> Any:
        return await self._or_fail("changes", self._session.changes, at)

    async def _or_fail(self, event: str, write: Any, *args: Any, **kwargs: Any) -> Any:
        faulty = self._faulty
        if faulty.error is None or (faulty.events is not None and event not in faulty.events):
            return await write(*args, **kwargs)
        faulty.failed += 1
        if faulty.is_written:
            await write(*args, **kwargs)
        raise type(faulty.error)(*faulty.error.args)


@pytest.mark.usefixtures("route")
async def test_row_64_job_that_cannot_be_stored_is_not_queued() -> None:
    """`submit` raises the ledger's error; nothing is queued or sent, and the same key works later."""
    ledger, sim = FaultyLedger(), memory()
    async with session_with_ledger(sim, ledger) as veo:
        ledger.error = errors.LedgerBusy("locked for 30 s")
        with pytest.raises(errors.LedgerBusy):
            await veo.submit("A dog", key="k")
        assert veo.jobs() == []
        assert sim.requests_to() == ()
        ledger.error = None
        assert (await veo.generate("A dog", key="k")).urls
    assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("error", [errors.LedgerBusy("locked"), errors.LedgerIOError("disk full")])
async def test_rows_64_and_66_no_request_is_sent_before_its_intent_is_stored(error: errors.LedgerError) -> None:
    """Sending pauses with a reason; when the ledger works again it resumes, and no job has failed."""
    ledger, sim = FaultyLedger(), memory()
    ledger.events = {"send"}
    async with session_with_ledger(sim, ledger) as veo:
        ledger.error = error
        jobs = [await veo.submit(f"Dog {i}") for i in range(10)]
        await asyncio.sleep(300)
        assert veo.statistics().pause_reason == "ledger-unavailable"
        assert sim.requests_to() == ()
        assert {job.state for job in jobs} == {JobState.QUEUED}
        assert ledger.failed < 30
        ledger.error = None
        outcomes = [await job.finished() for job in jobs]
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert veo.statistics().pause_reason is None
    assert len(sim.requests_to()) == 10


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("is_written", [False, True])
async def test_row_66_response_that_cannot_be_stored_is_not_reported_and_not_lost(is_written: bool) -> None:
    """The task runs; its id is reported once it is stored. Until then nothing new is sent."""
    ledger, sim = FaultyLedger(), memory(limiter="none")
    ledger.events, ledger.is_written = {"accept"}, is_written
    async with session_with_ledger(sim, ledger) as veo:
        ledger.error = errors.LedgerIOError("disk full")
        first = await veo.submit("A dog", key="first")
        await asyncio.sleep(100)
        assert first.task_id is None
        second = await veo.submit("A cat", key="second")
        await asyncio.sleep(5)
        assert len(sim.requests_to()) <= 2
        ledger.error = None
        assert (await first).task_id == sim.charges[0].task_id
        assert (await second).urls
    sim.assert_no_double_charge()
    assert len(sim.charges) == 2
    assert {row.state for row in ledger.ledger.jobs.values()} == {"ready"}


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("is_written", [False, True])
async def test_row_66_job_whose_intent_failed_is_sent_once(is_written: bool) -> None:
    """Nothing was sent, so the job returns to its queue, whether the intent was stored or not."""
    ledger, sim = FaultyLedger(), memory()
    ledger.events, ledger.is_written = {"send"}, is_written
    async with session_with_ledger(sim, ledger) as veo:
        ledger.error = errors.LedgerIOError("I/O error")
        job = await veo.submit("A dog", key="k")
        await asyncio.sleep(0.5)
        ledger.error = None
        assert (await job).urls
    assert len(sim.requests_to()) == len(sim.charges) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("event", ["requeue", "refuse", "lose", "complete"])
@pytest.mark.parametrize("is_written", [False, True])
async def test_row_66_failed_write_is_retried_until_it_succeeds(event: str, is_written: bool) -> None:
    """A 429, a refusal, a lost response and a success: each is reported once it is stored."""
    faults = {"requeue": [rate_limited(on=1)], "lose": [drop_after_accepting(on=1)]}.get(event, [])
    ledger, sim = FaultyLedger(), memory(faults=faults)
    ledger.events, ledger.is_written = {event}, is_written
    async with session_with_ledger(sim, ledger) as veo:
        ledger.error = errors.LedgerIOError("I/O error")
        job = await veo.submit("A dog [refuse]" if event == "refuse" else "A dog", key="k")
        waiting = asyncio.create_task(job.finished())
        await asyncio.sleep(200)
        assert not waiting.done()
        assert ledger.failed > 1
        ledger.error = None
        outcome = await waiting
        assert type(outcome).__name__ == {"refuse": "Refused", "lose": "InDoubt"}.get(event, "Done")
        [row] = ledger.ledger.jobs.values()
        assert row.state == {"refuse": "refused", "lose": "in_doubt"}.get(event, "ready")
    assert len(sim.charges) <= 1


@pytest.mark.usefixtures("route")
async def test_session_closed_with_an_unstored_task_reports_its_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Closing waits a few seconds only; the id is in the error and in the log, and can be adopted."""
    ledger, sim = FaultyLedger(), memory()
    ledger.events = {"accept"}
    clock = Clock()
    with caplog.at_level(logging.CRITICAL, "veo_async"):
        async with session_with_ledger(sim, ledger) as veo:
            ledger.error = errors.LedgerIOError("disk full")
            job = await veo.submit("A dog", key="k")
            await asyncio.sleep(10)
    assert clock() < 60
    with pytest.raises(errors.SessionClosed) as caught:
        await job
    task_id = sim.charges[0].task_id
    assert caught.value.task_id == task_id
    assert any(task_id in record.getMessage() for record in caplog.records)
    ledger.error = None
    async with session_with_ledger(sim, ledger) as later:
        assert later.ledger.recovered.in_doubt == 1
        assert isinstance(await later.job("k").finished(), InDoubt)
        assert (await (await later.ledger.adopt(task_id, key="k"))).urls
    assert len(sim.requests_to()) == 1


async def test_failure_of_an_action_whose_caller_was_cancelled_is_not_an_unhandled_exception() -> None:
    """The ledger fails until the session is closed, and the action has no caller any more."""
    ledger, sim = FaultyLedger(), memory()
    ledger.events = {"abandon"}
    async with session_with_ledger(sim, ledger) as veo:
        job = await veo.submit("A dog")
        await job.accepted()
        ledger.error = errors.LedgerIOError("disk full")
        abandoning = asyncio.create_task(job.abandon())
        await asyncio.sleep(1)
        abandoning.cancel()
        await asyncio.wait([abandoning])
    assert ledger.failed > 1
    assert abandoning.cancelled()


async def test_changes_that_cannot_be_read_are_read_again() -> None:
    """A ledger that is locked for a while loses no change."""
    ledger, sim = FaultyLedger(), memory()
    ledger.events = {"changes"}
    async with session_with_ledger(sim, ledger) as one, session_with_ledger(sim, ledger) as other:
        job = await one.submit("A dog", key="k")
        followed = await other.submit("A dog", key="k")
        ledger.error = errors.LedgerBusy("locked")
        await job
        await asyncio.sleep(3)
        assert ledger.failed >= 4
        assert followed.outcome is None
        ledger.error = None
        assert (await followed).urls


@pytest.mark.usefixtures("route")
async def test_row_54_stalled_loop_keeps_its_jobs() -> None:
    """Blocking code stops the loop for half a minute; the process is alive, so no other session takes over its jobs."""
    ledger, sim = MemoryLedger(), memory(latency_s=0.5)
    async with session_with_ledger(sim, ledger) as one, session_with_ledger(sim, ledger) as other:
        jobs = [await one.submit(f"Dog {i}") for i in range(5)]
        await jobs[0].accepted()
        loop = asyncio.get_running_loop()
        before = loop.time()
        stall(loop, 30.0)
        await asyncio.sleep(0)
        assert loop.time() - before >= 30.0
        outcomes = [await job.finished() for job in jobs]
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert other.jobs() == []
    sim.assert_no_double_charge()


def stall(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Let time pass while nothing runs, as ``time.sleep`` does."""
    moved: Any = loop
    moved._LoopTimeEventLoop__now += round(seconds * moved._LoopTimeEventLoop__resolution_reciprocal)
