"""A ledger that does not answer: nothing leaves without it, and nothing that was made is lost for it."""

import asyncio
import logging
from typing import Any

import pytest

from veo_async import VeoSession, errors
from veo_async._ports import LedgerSession
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, InDoubt
from veo_async.ledger import MemoryLedger
from veo_async.simulator import MemoryTransport, drop_after_accepting, rate_limited

from .support import Clock, memory, session_on

pytestmark = pytest.mark.veo_virtual_time


class Troubled:
    """A ledger whose books fail while `error` is set: before writing, or although it was written."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.error: errors.LedgerError | None = None
        #: Only these steps fail; None: all writing.
        self.events: set[str] | None = None
        self.is_written = False
        self.failed = 0

    async def open(self, account: str | None) -> Any:
        return TroubledBook(self, await self.ledger.open(account))


class TroubledBook:
    def __init__(self, troubled: Troubled, book: LedgerSession) -> None:
        self._troubled, self._book = troubled, book

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    async def insert(self, *args: Any, **kwargs: Any) -> Any:
        return await self._or_fail("submit", self._book.insert, *args, **kwargs)

    async def apply(self, step: Any, **kwargs: Any) -> Any:
        return await self._or_fail(str(step.event), self._book.apply, step, **kwargs)

    async def begin_send(self, step: Any, claim: Any) -> Any:
        return await self._or_fail("send", self._book.begin_send, step, claim)

    async def changes(self, at: float) -> Any:
        return await self._or_fail("news", self._book.changes, at)

    async def _or_fail(self, event: str, write: Any, *args: Any, **kwargs: Any) -> Any:
        trouble = self._troubled
        if trouble.error is None or (trouble.events is not None and event not in trouble.events):
            return await write(*args, **kwargs)
        trouble.failed += 1
        if trouble.is_written:
            await write(*args, **kwargs)
        raise type(trouble.error)(*trouble.error.args)


def on(sim: MemoryTransport, ledger: Any, **options: Any) -> VeoSession:
    sim._closed = False
    return session_on(sim, ledger=ledger, **options)


async def test_row_64_a_job_that_cannot_be_written_down_is_not_taken_in() -> None:
    """The error says so at once; nothing is queued, nothing is sent, and the same key works later."""
    ledger, sim = Troubled(), memory()
    async with on(sim, ledger) as veo:
        ledger.error = errors.LedgerBusy("locked for 30 s")
        with pytest.raises(errors.LedgerBusy):
            await veo.submit("A dog", key="k")
        assert veo.jobs() == []
        assert sim.requests_to() == ()
        ledger.error = None
        assert (await veo.generate("A dog", key="k")).urls
    assert len(sim.requests_to()) == 1


@pytest.mark.parametrize("error", [errors.LedgerBusy("locked"), errors.LedgerIOError("disk full")])
async def test_rows_64_and_66_nothing_leaves_that_is_not_written_down_first(error: errors.LedgerError) -> None:
    """Creation pauses and says why; when the disk is back it goes on, and no job has failed."""
    ledger, sim = Troubled(), memory()
    ledger.events = {"send"}
    async with on(sim, ledger) as veo:
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


@pytest.mark.parametrize("is_written", [False, True])
async def test_row_66_an_answer_that_cannot_be_written_down_is_not_told_and_not_lost(is_written: bool) -> None:
    """The task runs; whoever waits is told once it is on the disk. Meanwhile nothing new is begun."""
    ledger, sim = Troubled(), memory(limiter="none")
    ledger.events, ledger.is_written = {"accept"}, is_written
    async with on(sim, ledger) as veo:
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


@pytest.mark.parametrize("is_written", [False, True])
async def test_row_66_an_intent_that_failed_and_is_there_all_the_same_is_sent_once(is_written: bool) -> None:
    """Not a byte left, so the job goes back to its queue, whatever the disk has made of it."""
    ledger, sim = Troubled(), memory()
    ledger.events, ledger.is_written = {"send"}, is_written
    async with on(sim, ledger) as veo:
        ledger.error = errors.LedgerIOError("I/O error")
        job = await veo.submit("A dog", key="k")
        await asyncio.sleep(0.5)
        ledger.error = None
        assert (await job).urls
    assert len(sim.requests_to()) == len(sim.charges) == 1


@pytest.mark.parametrize("event", ["requeue", "refuse", "lose", "complete"])
@pytest.mark.parametrize("is_written", [False, True])
async def test_row_66_whatever_happens_is_insisted_upon(event: str, is_written: bool) -> None:
    """A 429, a refusal, a doubt and an end: each is on the ledger in the end, and told once it is."""
    faults = {"requeue": [rate_limited(on=1)], "lose": [drop_after_accepting(on=1)]}.get(event, [])
    ledger, sim = Troubled(), memory(faults=faults)
    ledger.events, ledger.is_written = {event}, is_written
    async with on(sim, ledger) as veo:
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


async def test_a_session_that_ends_before_the_disk_is_back_says_which_task_it_could_not_write(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The end waits some seconds and no longer; the id stands in the error and in the log, and can be adopted."""
    ledger, sim = Troubled(), memory()
    ledger.events = {"accept"}
    clock = Clock()
    with caplog.at_level(logging.CRITICAL, "veo_async"):
        async with on(sim, ledger) as veo:
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
    async with on(sim, ledger) as later:
        assert later.ledger.recovered.in_doubt == 1
        assert isinstance(await later.job("k").finished(), InDoubt)
        assert (await (await later.ledger.adopt(task_id, key="k"))).urls
    assert len(sim.requests_to()) == 1


async def test_news_that_cannot_be_read_are_asked_for_again() -> None:
    """A ledger that is locked for a while loses nobody."""
    ledger, sim = Troubled(), memory()
    ledger.events = {"news"}
    async with on(sim, ledger) as one, on(sim, ledger) as other:
        job = await one.submit("A dog", key="k")
        followed = await other.submit("A dog", key="k")
        ledger.error = errors.LedgerBusy("locked")
        await job
        await asyncio.sleep(3)
        assert ledger.failed >= 4
        assert followed.outcome is None
        ledger.error = None
        assert (await followed).urls


async def test_row_54_a_stalled_loop_loses_no_job_and_no_ledger() -> None:
    """Half a minute of somebody's blocking code: the owner lives as long as its process does, so nobody takes over."""
    ledger, sim = MemoryLedger(), memory(latency_s=0.5)
    async with on(sim, ledger) as one, on(sim, ledger) as other:
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
    """Time passes and nothing runs, as under ``time.sleep``."""
    moved: Any = loop
    moved._LoopTimeEventLoop__now += round(seconds * moved._LoopTimeEventLoop__resolution_reciprocal)
