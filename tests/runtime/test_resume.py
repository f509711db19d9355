"""Several sessions on one ledger, one after another or concurrently.

Each test runs on a ledger in memory and on a real SQLite file, whose work runs inline so that virtual time works.
"""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.internals import engine_of
from veo_async import errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.engine import Recovered
from veo_async._runtime.job.outcome import Done, InDoubt, Refused
from veo_async.simulator import drop_after_accepting, rate_limited, tamper

from .ledgers import session_with_ledger
from .support import VirtualSession, memory, session_on

pytestmark = pytest.mark.veo_virtual_time


@pytest.mark.usefixtures("route")
async def test_later_session_resumes_the_jobs_of_an_earlier_one(ledger: Ledger) -> None:
    """Queued jobs are sent, running ones are polled, nothing is charged twice, and `recovered` has the counts."""
    sim = memory(limiter="none")
    async with session_with_ledger(sim, ledger, max_in_flight=2) as first:
        jobs = [await first.submit(f"Dog {i}", key=f"dog-{i}") for i in range(5)]
        await jobs[1].accepted()
    async with session_with_ledger(sim, ledger, max_in_flight=2) as second:
        assert second.ledger.recovered == Recovered(queued=3, running=2)
        resumed = second.jobs()
        await second.drain()
        assert {job.key: job.state for job in resumed} == {f"dog-{i}": JobState.READY for i in range(5)}
    assert len(sim.charges) == 5
    async with session_with_ledger(sim, ledger) as third:
        assert third.ledger.recovered == Recovered()
    sim.assert_no_double_charge()


@pytest.mark.usefixtures("route")
async def test_keys_of_an_earlier_run_attach_without_a_charge(ledger: Ledger) -> None:
    """The same list again returns every clip and sends no request."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as first:
        clips = [outcome.clip for outcome in await first.gather("A dog", "A cat") if isinstance(outcome, Done)]
    async with session_with_ledger(sim, ledger) as second:
        again = [outcome.clip for outcome in await second.gather("A dog", "A cat") if isinstance(outcome, Done)]
        assert [clip.urls for clip in again] == [clip.urls for clip in clips]
        assert again == clips
        assert [clip.record.raw for clip in again] == [clip.record.raw for clip in clips]
        other_take = await second.submit("A dog", take=2)
        assert (await other_take).task_id not in {clip.task_id for clip in clips}
    assert len(sim.requests_to()) == 3


@pytest.mark.usefixtures("route")
async def test_row_81_same_key_and_request_is_the_same_job_across_sessions(ledger: Ledger) -> None:
    """The second session follows the first one's job and gets the same clip."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as one, session_with_ledger(sim, ledger) as other:
        first, second = await one.submit("A dog", key="k"), await other.submit("A dog", key="k")
        assert (await first).task_id == (await second).task_id
        assert second.state is JobState.READY
    assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_row_82_same_key_with_another_request_is_rejected_across_sessions(ledger: Ledger) -> None:
    """In a concurrent session and in a later one."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as one, session_with_ledger(sim, ledger) as other:
        await one.generate("A dog", key="k")
        with pytest.raises(errors.KeyReused):
            await other.submit("A cat", key="k")
    async with session_with_ledger(sim, ledger) as later:
        with pytest.raises(errors.KeyReused) as caught:
            await later.submit("A cat", key="k")
        assert caught.value.job_key == "k"
    assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_key_of_a_refused_job_may_be_used_again_later(ledger: Ledger) -> None:
    """Nothing was charged; the timeline shows both attempts."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as first:
        assert isinstance(await (await first.submit("A dog [refuse]", key="k")).finished(), Refused)
    async with session_with_ledger(sim, ledger) as second:
        assert (await second.generate("A nicer dog", key="k")).urls
    ledger_session = await ledger.open(None)
    events = [step.event for step in await ledger_session.transitions("k")]
    assert events == ["submit", "send", "refuse", "submit", "send", "accept", "complete"]
    await ledger_session.close()


@pytest.mark.usefixtures("route")
async def test_job_in_doubt_is_recovered_by_a_later_session(ledger: Ledger) -> None:
    """It is reported again with its evidence, found without its key, and resolved."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger) as first:
        assert isinstance(await (await first.submit("A dog", key="k")).finished(), InDoubt)
    async with session_with_ledger(sim, ledger) as second:
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


@pytest.mark.usefixtures("route")
async def test_adopted_task_is_recovered_by_a_later_session(ledger: Ledger) -> None:
    """So is a task that is adopted by the id in an error."""
    sim = memory()
    async with session_on(sim) as elsewhere:
        task_id = await (await elsewhere.submit("A dog")).accepted()
    async with session_with_ledger(sim, ledger) as first:
        await first.ledger.adopt(task_id, key="mine")
        with pytest.raises(errors.KeyReused):
            await first.ledger.adopt(task_id, key="yours")
    async with session_with_ledger(sim, ledger) as second:
        assert second.ledger.recovered == Recovered(running=1)
        assert (await second.job("mine")).task_id == task_id
        assert (await (await second.ledger.adopt(task_id))).urls


@pytest.mark.usefixtures("route")
async def test_adopting_for_a_job_in_doubt_resolves_it(ledger: Ledger) -> None:
    """The user found the task in the provider's logs."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger) as veo:
        job = await veo.submit("A dog", key="k")
        await job.finished()
        adopted = await veo.ledger.adopt(sim.charges[0].task_id, key="k")
        assert adopted.key == "k"
        assert (await job).urls


@pytest.mark.usefixtures("route")
async def test_row_40_task_id_given_to_two_jobs_puts_the_second_in_doubt(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """The first job keeps the task; the second may have been charged, and its error names the first."""
    first_id: list[str] = []

    def always_the_same(response: Any) -> Any:
        first_id.append(response["data"]["taskId"])
        response["data"]["taskId"] = first_id[0]
        return response

    sim = memory(faults=[tamper(always_the_same, times=2, endpoint="generate")])
    async with session_with_ledger(sim, ledger) as veo:
        one, two = await veo.submit("A dog", key="one"), await veo.submit("A cat", key="two")
        assert (await one).task_id == first_id[0]
        outcome = await two.finished()
        assert isinstance(outcome, InDoubt)
        assert "'one'" in str(outcome.error)
        assert outcome.error.task_id == first_id[0]
        await two.resolve(first_id[1])
        assert (await two).task_id == first_id[1]
    assert any(record.levelname in ("WARNING", "ERROR") and "two" in record.getMessage() for record in caplog.records)


class LaterSession(VirtualSession):
    """A session whose wall clock differs from the others' by a few milliseconds."""

    def _wall_clock(self) -> float:
        return super()._wall_clock() + 0.01


@pytest.mark.usefixtures("route")
async def test_two_sessions_share_the_accounts_limit(ledger: Ledger) -> None:
    """Together they never exceed the limit within a window, and neither starves."""
    sim = memory(rate=(5, 10.0), duration_s=5.0)
    async with (
        session_with_ledger(sim, ledger, kind=VirtualSession, rate=(5, 10.0)) as one,
        session_with_ledger(sim, ledger, kind=LaterSession, rate=(5, 10.0)) as other,
        asyncio.TaskGroup() as group,
    ):
        for veo, name in ((one, "a"), (other, "b")):
            group.create_task(veo.gather(*(f"{name} {i}" for i in range(20))))
    assert len(sim.charges) == 40
    refusals = len(sim.requests_to()) - 40
    assert refusals <= 1
    spent = sim.requests_to()[-1].at - sim.requests_to()[0].at
    # A 429 that the count does not explain may pause both for a whole window; whether it occurs is a matter of 1 ms.
    assert spent <= (40 / 5 - 1) * 10.0 + refusals * 10.0 + 1.0


@pytest.mark.usefixtures("route")
async def test_429_of_one_session_pauses_the_others(ledger: Ledger) -> None:
    """All sessions share one pause, which only grows; none of them sends while it lasts."""
    sim = memory(faults=[rate_limited(on=1, retry_after=30)])
    # The sessions must agree about the end of the pause, which is on the ledger in wall-clock time.
    virtual = {"kind": VirtualSession}
    async with session_with_ledger(sim, ledger, **virtual) as one, session_with_ledger(sim, ledger, **virtual) as other:
        await one.submit("A dog")
        await asyncio.sleep(3.0)
        job = await other.submit("A cat")
        await job
        first, *later = sim.requests_to()
        assert min(seen.at for seen in later) >= first.at + 30.0


async def test_learned_limits_are_stored_for_the_next_session(ledger: Ledger) -> None:
    """The next session starts with the limit that the last one learned."""
    sim = memory(rate=(5, 10.0))
    async with session_with_ledger(sim, ledger) as first:
        await first.gather(*(f"Dog {i}" for i in range(30)))
        learned = first.account.knowledge()
    assert learned.limit <= 6
    async with session_with_ledger(sim, ledger) as second:
        assert second.account.knowledge().limit == learned.limit


async def test_learned_limits_are_stored_every_minute(ledger: Ledger) -> None:
    """A process that is killed loses at most the last minute."""
    sim = memory(rate=(5, 10.0))
    async with session_with_ledger(sim, ledger) as veo:
        await veo.gather(*(f"Dog {i}" for i in range(30)))
        await asyncio.sleep(61)
        ledger_session = await ledger.open(engine_of(veo).journal.account)
        assert json.loads(await ledger_session.knowledge() or "{}")["limit"] == veo.account.knowledge().limit
        await ledger_session.close()


@pytest.mark.usefixtures("route")
async def test_account_name_keeps_jobs_when_the_key_changes(ledger: Ledger) -> None:
    """Jobs belong to an account; sessions of another account neither recover nor find them."""
    sim = memory()
    async with session_with_ledger(sim, ledger, account="studio") as first:
        await (await first.submit("A dog", key="k")).accepted()
    async with session_with_ledger(sim, ledger, account="another") as outsider:
        assert outsider.ledger.recovered == Recovered()
        assert await outsider.ledger.find("k") is None
        with pytest.raises(errors.KeyReused, match="another account"):
            await outsider.submit("A dog", key="k")
    async with session_with_ledger(sim, ledger, account="studio") as second:
        assert second.ledger.recovered == Recovered(running=1)
        job = await second.ledger.find("k")
        assert job is not None
        assert (await job).urls


@pytest.mark.parametrize("days", [13, 15])
async def test_old_request_whose_clip_the_provider_has_deleted_offers_a_new_take(ledger: Ledger, days: int) -> None:
    """A dead link is useless: `submit`, `generate` and `map` say so, and `take=2` generates another one."""
    sim = memory()
    async with session_with_ledger(sim, ledger, kind=VirtualSession) as first:
        clip = await first.generate("A dog")
        assert clip.completed_at is not None
        assert clip.expires_at == clip.completed_at + timedelta(days=14)
        assert await first.generate("A dog") == clip
    await asyncio.sleep(days * 86_400)
    async with session_with_ledger(sim, ledger, kind=VirtualSession) as later:
        if days < 14:
            assert await later.generate("A dog") == clip
            return
        for call in (later.submit("A dog"), later.generate("A dog"), later.generate("A dog", validate=False)):
            with pytest.raises(errors.ClipExpired, match=r"generated on 20\d\d-.*take=2") as caught:
                await call
        assert caught.value.job_key == clip.key
        [outcome] = [outcome async for outcome in later.map(["A dog"])]
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.ClipExpired)
        assert await (await later.attach(clip.key)) == clip  # what is known of it stays available
        assert (await later.generate("A dog", take=2)).task_id != clip.task_id
    assert len(sim.charges) == 2


@pytest.mark.usefixtures("route")
async def test_expired_source_of_an_upgrade_that_exists_does_not_matter(ledger: Ledger) -> None:
    """Only the clip that the caller gets must still exist."""
    sim = memory()
    async with session_with_ledger(sim, ledger, kind=VirtualSession) as first:
        await first.generate("A dog", key="dog")
    await asyncio.sleep(10 * 86_400)
    async with session_with_ledger(sim, ledger, kind=VirtualSession) as second:
        upgraded = await second.generate("A dog", key="dog", then="1080p")
    await asyncio.sleep(10 * 86_400)
    async with session_with_ledger(sim, ledger, kind=VirtualSession) as third:
        assert await third.generate("A dog", key="dog", then="1080p") == upgraded
    assert len(sim.charges) == 2


@pytest.mark.usefixtures("route")
async def test_metadata_and_tenants_are_recovered(ledger: Ledger) -> None:
    """Metadata that cannot be stored is rejected before the job is."""
    sim = memory(rate=(1, 10.0))
    async with session_with_ledger(sim, ledger) as first:
        with pytest.raises(errors.InvalidRequest) as caught:
            await first.submit("A dog", metadata=object())
        assert caught.value.field == "metadata"
        assert first.jobs() == []
        await first.submit("A dog", metadata={"chat": 7}, tenant="anna", priority="interactive")
        await first.submit("A cat", metadata=["row", 8], tenant="bert")
    async with session_with_ledger(sim, ledger) as second:
        assert [job.metadata for job in second.jobs()] == [{"chat": 7}, ["row", 8]]
        await second.drain()


async def test_api_key_is_never_stored_on_a_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """Neither itself nor in anything that contains it."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger) as veo:
        await veo.gather("A dog", "A cat")
        ledger_session = await ledger.open(None)
        content = repr([(row, await ledger_session.transitions(row.key)) for row in await ledger_session.jobs()])
        await ledger_session.close()
    assert sim.api_key not in content
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert sim.api_key.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but quite long enough to be read" * 20, b"SQLite format 3\0" + b"x" * 200]
)
async def test_row_65_file_that_is_not_a_ledger_opens_no_session(tmp_path: Path, content: bytes) -> None:
    """The error comes before any request; the file is unchanged, and nothing is left open."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    sim = memory()
    with pytest.raises(errors.LedgerUnusable) as caught:
        async with session_on(sim, ledger=file):
            pass
    assert "notes.txt" in str(caught.value)
    assert file.read_bytes() == content
    assert sim.requests == ()


async def test_job_of_another_session_has_an_eta(ledger: Ledger) -> None:
    """This session does not poll its task, but it knows how long tasks of this kind take."""
    sim = memory()
    async with session_with_ledger(sim, ledger) as one, session_with_ledger(sim, ledger) as two:
        await (await one.submit("A dog", key="dog")).accepted()
        job = await two.ledger.find("dog")
        assert job is not None
        assert job.state is JobState.RUNNING
        assert job.eta is not None
        assert job.eta.p50 > 0
        assert (await job).urls
        assert job.eta is None
