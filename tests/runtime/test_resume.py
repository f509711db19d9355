"""Sessions that come after one another, or stand side by side, on one ledger.

Each test runs on a ledger in memory and on a real SQLite file whose work is done at once, so that virtual time holds.
"""

import asyncio
import json
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from tests.internals import engine_of
from veo_async import VeoSession, errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.engine import Recovered
from veo_async._runtime.job.outcome import Done, InDoubt, Refused
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import MemoryTransport, drop_after_accepting, rate_limited, tamper

from .support import VirtualSession, memory, session_on

pytestmark = pytest.mark.veo_virtual_time


class InlineExecutor(Executor):
    """Runs everything where it is asked for."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        return future


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())


def on(sim: MemoryTransport, ledger: Ledger, **options: Any) -> VeoSession:
    """A session on *ledger*; the provider survives each of them."""
    sim._closed = False
    return session_on(sim, ledger=ledger, **options)


async def test_a_later_session_goes_on_with_what_an_earlier_one_left(ledger: Ledger) -> None:
    """Queued jobs are sent, running ones are watched, nothing is paid twice, and the counts are told."""
    sim = memory(limiter="none")
    async with on(sim, ledger, max_in_flight=2) as first:
        jobs = [await first.submit(f"Dog {i}", key=f"dog-{i}") for i in range(5)]
        await jobs[1].accepted()
    async with on(sim, ledger, max_in_flight=2) as second:
        assert second.ledger.recovered == Recovered(queued=3, running=2)
        await second.drain()
        assert {job.key: job.state for job in second.jobs()} == {f"dog-{i}": JobState.READY for i in range(5)}
    assert len(sim.charges) == 5
    async with on(sim, ledger) as third:
        assert third.ledger.recovered == Recovered()
    sim.assert_no_double_charge()


async def test_the_keys_of_an_earlier_run_attach_instead_of_paying(ledger: Ledger) -> None:
    """The same list again: every clip is given, and not a request is sent."""
    sim = memory()
    async with on(sim, ledger) as first:
        clips = [outcome.clip for outcome in await first.gather("A dog", "A cat") if isinstance(outcome, Done)]
    async with on(sim, ledger) as second:
        again = [outcome.clip for outcome in await second.gather("A dog", "A cat") if isinstance(outcome, Done)]
        assert [clip.urls for clip in again] == [clip.urls for clip in clips]
        assert again == clips
        assert [clip.record.raw for clip in again] == [clip.record.raw for clip in clips]
        other_take = await second.submit("A dog", take=2)
        assert (await other_take).task_id not in {clip.task_id for clip in clips}
    assert len(sim.requests_to()) == 3


async def test_row_81_the_same_key_and_request_is_the_same_job_across_sessions(ledger: Ledger) -> None:
    """Side by side: whoever comes second follows, and gets the same clip."""
    sim = memory()
    async with on(sim, ledger) as one, on(sim, ledger) as other:
        first, second = await one.submit("A dog", key="k"), await other.submit("A dog", key="k")
        assert (await first).task_id == (await second).task_id
        assert second.state is JobState.READY
    assert len(sim.requests_to()) == 1


async def test_row_82_the_same_key_with_another_request_is_refused_across_sessions(ledger: Ledger) -> None:
    """In the same session, beside it and after it."""
    sim = memory()
    async with on(sim, ledger) as one, on(sim, ledger) as other:
        await one.generate("A dog", key="k")
        with pytest.raises(errors.KeyReused):
            await other.submit("A cat", key="k")
    async with on(sim, ledger) as later:
        with pytest.raises(errors.KeyReused) as caught:
            await later.submit("A cat", key="k")
        assert caught.value.job_key == "k"
    assert len(sim.requests_to()) == 1


async def test_a_key_whose_job_was_refused_may_be_used_again_later(ledger: Ledger) -> None:
    """Nothing was charged; the timeline shows both lives."""
    sim = memory()
    async with on(sim, ledger) as first:
        assert isinstance(await (await first.submit("A dog [refuse]", key="k")).finished(), Refused)
    async with on(sim, ledger) as second:
        assert (await second.generate("A nicer dog", key="k")).urls
    book = await ledger.open(None)
    events = [step.event for step in await book.transitions("k")]
    assert events == ["submit", "send", "refuse", "submit", "send", "accept", "complete"]
    await book.close()


async def test_a_doubt_outlives_its_session(ledger: Ledger) -> None:
    """It is told again with its evidence, found without its key, and resolved; the record proves the task."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with on(sim, ledger) as first:
        assert isinstance(await (await first.submit("A dog", key="k")).finished(), InDoubt)
    async with on(sim, ledger) as second:
        assert second.ledger.recovered == Recovered(in_doubt=1)
        [job] = await second.ledger.in_doubt()
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        assert isinstance(outcome.error, errors.ResponseLost)
        assert outcome.evidence is not None
        assert outcome.evidence.attempts == 1
        await job.resolve(sim.charges[0].task_id)
        assert (await job).urls
    assert len(sim.requests_to()) == 1


async def test_an_adopted_task_outlives_its_session(ledger: Ledger) -> None:
    """Also one that is adopted by the task id that an error named."""
    sim = memory()
    async with session_on(sim) as elsewhere:
        task_id = await (await elsewhere.submit("A dog")).accepted()
    async with on(sim, ledger) as first:
        await first.ledger.adopt(task_id, key="mine")
        with pytest.raises(errors.KeyReused):
            await first.ledger.adopt(task_id, key="yours")
    async with on(sim, ledger) as second:
        assert second.ledger.recovered == Recovered(running=1)
        assert (await second.job("mine")).task_id == task_id
        assert (await (await second.ledger.adopt(task_id))).urls


async def test_adopting_for_a_job_in_doubt_resolves_it(ledger: Ledger) -> None:
    """The task that a person found in the provider's own pages."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with on(sim, ledger) as veo:
        job = await veo.submit("A dog", key="k")
        await job.finished()
        adopted = await veo.ledger.adopt(sim.charges[0].task_id, key="k")
        assert adopted.key == "k"
        assert (await job).urls


async def test_row_40_one_task_id_for_two_jobs_puts_the_second_in_doubt(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """The first keeps it; the second was perhaps paid for, and says whose task it was told."""
    first_id: list[str] = []

    def always_the_same(answer: Any) -> Any:
        first_id.append(answer["data"]["taskId"])
        answer["data"]["taskId"] = first_id[0]
        return answer

    sim = memory(faults=[tamper(always_the_same, times=2, endpoint="generate")])
    async with on(sim, ledger) as veo:
        one, two = await veo.submit("A dog", key="one"), await veo.submit("A cat", key="two")
        assert (await one).task_id == first_id[0]
        outcome = await two.finished()
        assert isinstance(outcome, InDoubt)
        assert "'one'" in str(outcome.error)
        assert outcome.error.task_id == first_id[0]
        await two.resolve(first_id[1])
        assert (await two).task_id == first_id[1]
    assert any(record.levelname in ("WARNING", "ERROR") and "two" in record.getMessage() for record in caplog.records)


async def test_two_sessions_share_the_accounts_limit(ledger: Ledger) -> None:
    """Together they never have more than the limit in a window, and neither is starved."""
    sim = memory(rate=(5, 10.0), duration_s=5.0)
    async with (
        on(sim, ledger, rate=(5, 10.0)) as one,
        on(sim, ledger, rate=(5, 10.0)) as other,
        asyncio.TaskGroup() as group,
    ):
        for veo, name in ((one, "a"), (other, "b")):
            group.create_task(veo.gather(*(f"{name} {i}" for i in range(20))))
    assert len(sim.charges) == 40
    refusals = len(sim.requests_to()) - 40
    assert refusals <= 1
    spent = sim.requests_to()[-1].at - sim.requests_to()[0].at
    # A refusal that no count explains may close the gate for a whole window, and it depends on a millisecond.
    assert spent <= (40 / 5 - 1) * 10.0 + refusals * 10.0 + 1.0


async def test_a_429_of_one_session_closes_the_gate_of_the_other(ledger: Ledger) -> None:
    """One shared closure that only grows: until it ends no session sends a request."""
    sim = memory(faults=[rate_limited(on=1, retry_after=30)])
    # The sessions must agree about the end of the closure, which is on the ledger in wall-clock time.
    async with on(sim, ledger, kind=VirtualSession) as one, on(sim, ledger, kind=VirtualSession) as other:
        await one.submit("A dog")
        await asyncio.sleep(3.0)
        job = await other.submit("A cat")
        await job
        first, *later = sim.requests_to()
        assert min(seen.at for seen in later) >= first.at + 30.0


async def test_what_was_learned_of_the_account_is_kept(ledger: Ledger) -> None:
    """The next session begins with the limit that the last one found."""
    sim = memory(rate=(5, 10.0))
    async with on(sim, ledger) as first:
        await first.gather(*(f"Dog {i}" for i in range(30)))
        learned = first.account.knowledge()
    assert learned.limit <= 6
    async with on(sim, ledger) as second:
        assert second.account.knowledge().limit == learned.limit


async def test_what_was_learned_is_kept_while_the_session_lives(ledger: Ledger) -> None:
    """A process that is killed loses the last minute of it."""
    sim = memory(rate=(5, 10.0))
    async with on(sim, ledger) as veo:
        await veo.gather(*(f"Dog {i}" for i in range(30)))
        await asyncio.sleep(61)
        book = await ledger.open(engine_of(veo).journal.account)
        assert json.loads(await book.knowledge() or "{}")["limit"] == veo.account.knowledge().limit
        await book.close()


async def test_a_key_that_changes_needs_a_name_for_the_account(ledger: Ledger) -> None:
    """Jobs are the account's. Without a name that is the key's hash, and another key is another account."""
    sim = memory()
    async with on(sim, ledger, account="studio") as first:
        await (await first.submit("A dog", key="k")).accepted()
    async with on(sim, ledger, account="somebody else") as stranger:
        assert stranger.ledger.recovered == Recovered()
        assert await stranger.find("k") is None
        with pytest.raises(errors.KeyReused, match="another account"):
            await stranger.submit("A dog", key="k")
    async with on(sim, ledger, account="studio") as second:
        assert second.ledger.recovered == Recovered(running=1)
        job = await second.ledger.find("k")
        assert job is not None
        assert (await job).urls


async def test_metadata_and_tenants_come_back(ledger: Ledger) -> None:
    """What could not be written down is refused before anything is."""
    sim = memory(rate=(1, 10.0))
    async with on(sim, ledger) as first:
        with pytest.raises(errors.InvalidRequest) as caught:
            await first.submit("A dog", metadata=object())
        assert caught.value.field == "metadata"
        assert first.jobs() == []
        await first.submit("A dog", metadata={"chat": 7}, tenant="anna", priority="interactive")
        await first.submit("A cat", metadata=["row", 8], tenant="bert")
    async with on(sim, ledger) as second:
        assert [job.metadata for job in second.jobs()] == [{"chat": 7}, ["row", 8]]
        await second.drain()


async def test_the_secret_is_on_no_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """Neither the key nor anything that holds it."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with on(sim, ledger) as veo:
        await veo.gather("A dog", "A cat")
        book = await ledger.open(None)
        told = repr([(row, await book.transitions(row.key)) for row in await book.jobs()])
        await book.close()
    assert sim.api_key not in told
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert sim.api_key.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but quite long enough to look at" * 20, b"SQLite format 3\0" + b"x" * 200]
)
async def test_row_65_a_file_that_is_no_ledger_opens_no_session(tmp_path: Path, content: bytes) -> None:
    """Before anything is asked of the provider; the file stays as it was, and nothing is left open."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    sim = memory()
    with pytest.raises(errors.LedgerUnusable) as caught:
        async with session_on(sim, ledger=file):
            pass
    assert "notes.txt" in str(caught.value)
    assert file.read_bytes() == content
    assert sim.requests == ()


async def test_a_job_that_another_session_drives_has_an_eta(ledger: Ledger) -> None:
    """Nobody looks at its task here; what its kind takes is known all the same."""
    sim = memory()
    async with on(sim, ledger) as one, on(sim, ledger) as two:
        await (await one.submit("A dog", key="dog")).accepted()
        job = await two.ledger.find("dog")
        assert job is not None
        assert job.state is JobState.RUNNING
        assert job.eta is not None
        assert job.eta.p50 > 0
        assert (await job).urls
        assert job.eta is None
