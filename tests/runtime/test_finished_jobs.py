"""A session on a ledger lets go of finished jobs that nothing refers to. What it answers does not change."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from tests.internals import engine_of, keys_in_memory
from veo_async import errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async.requests import UpgradeRequest
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport, drop_after_accepting, rate_limited
from veo_async.types import Done, Failed, InDoubt, Refused

from .ledgers import session_with_ledger
from .support import memory, world

pytestmark = pytest.mark.veo_virtual_time


async def forgotten(veo: VeoSession, request: str = "A dog", **options: Any) -> str:
    """Let a job finish and return its key; the session has let go of it."""
    key = (await finished_job(veo, request, **options)).key
    assert key not in keys_in_memory()
    return key


async def finished_job(veo: VeoSession, request: str, **options: Any) -> Any:
    """Return the handle of a finished job, after the tasks that worked on it have ended."""
    job = await veo.submit(request, **options)
    await job.finished()
    await asyncio.sleep(1.0)
    return job


async def test_finished_jobs_are_not_kept(ledger: Ledger) -> None:
    """However many finish, none is left in memory; the counts include them."""
    async with world(session={"ledger": ledger}) as (veo, _):
        requests = [f"Forgotten {i}" + " [refuse]" * (i == 0) for i in range(40)]
        async for outcome in veo.map(requests, key=lambda request: request.prompt):
            assert isinstance(outcome, Done | Refused)
        del outcome
        await asyncio.sleep(1.0)
        assert not {key for key in keys_in_memory() if key.startswith("Forgotten")}
        assert veo.jobs() == []
        assert veo.statistics().jobs == {JobState.READY: 39, JobState.REFUSED: 1}
        assert "jobs=40" in repr(veo)


async def test_unfinished_jobs_are_kept_in_their_order(ledger: Ledger) -> None:
    """Only the session refers to them; the finished one between them is gone."""
    async with world(session={"ledger": ledger}) as (veo, _):
        for prompt in ("One", "Two [refuse]", "Three"):
            await veo.submit(prompt, key=prompt)
        await asyncio.sleep(10.0)
        gc.collect()
        assert [job.key for job in veo.jobs()] == ["One", "Three"]
        assert [job.key for job in veo.jobs("running")] == ["One", "Three"]
        assert veo.statistics().jobs == {JobState.RUNNING: 2, JobState.REFUSED: 1}


async def test_without_a_ledger_finished_jobs_are_kept() -> None:
    """Nothing else knows the key, which prevents a second charge."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", key="k")
        assert "k" in keys_in_memory()
        assert [job.key for job in veo.jobs()] == ["k"]
        assert await veo.generate("A dog", key="k") == clip
        assert len(sim.charges) == 1


async def test_handle_works_after_its_job_has_finished(ledger: Ledger) -> None:
    """The session finds the job as long as there is a handle, and later on the ledger."""
    async with world(session={"ledger": ledger}) as (veo, _):
        job = await finished_job(veo, "A dog", key="k", metadata={"chat": 7})
        gc.collect()
        assert [known.key for known in veo.jobs()] == ["k"]
        assert await veo.job("k") == await job
        assert [type(event).__name__ async for event in job.events()] == ["Ready"]
        clip = await job
        del job
        gc.collect()
        with pytest.raises(errors.UsageError, match="attach"):
            veo.job("k")
        again = await veo.attach("k")
        assert (await again, again.state, again.metadata) == (clip, JobState.READY, {"chat": 7})
        assert veo.statistics().jobs == {JobState.READY: 1}


async def test_submitting_a_forgotten_job_again_charges_nothing(ledger: Ledger) -> None:
    """The same key with the same request is the same job, with or without a budget; another request is an error."""
    async with world(session={"ledger": ledger, "budget": 60}) as (veo, sim):
        key = await forgotten(veo, key="k")
        again = await veo.submit("A dog", key=key)
        assert (again.state, (await again).task_id) == (JobState.READY, sim.charges[0].task_id)
        del again
        with pytest.raises(errors.KeyReused):
            await veo.submit("A cat", key=key)
        with pytest.raises(errors.KeyReused):
            await veo.submit("A dog", key=key, tenant="anna")
        assert len(sim.charges) == 1
        assert veo.statistics().jobs == {JobState.READY: 1}


async def test_key_of_a_forgotten_refused_job_may_be_used_again(ledger: Ledger) -> None:
    """It was not charged, so a reworded request may use its key."""
    async with world(session={"ledger": ledger}) as (veo, sim):
        key = await forgotten(veo, "A dog [refuse]", key="k")
        assert (await veo.generate("A nicer dog", key=key)).urls
        assert veo.statistics().jobs == {JobState.READY: 1}
        assert len(sim.charges) == 1


async def test_budget_counts_forgotten_jobs(ledger: Ledger) -> None:
    """A finished clip stays paid, and a refused one does not count."""
    async with world(session={"ledger": ledger, "budget": 60}) as (veo, sim):
        await forgotten(veo, "A cat [refuse]")
        await forgotten(veo, "A dog")
        spent = veo.statistics().credits
        assert (spent.estimated, spent.reserved, spent.jobs_without_price) == (60, 60, 0)
        with pytest.raises(errors.BudgetExceeded):
            await veo.submit("A cow")
        assert len(sim.charges) == 1


async def test_follow_ups_of_a_forgotten_job_find_it(ledger: Ledger) -> None:
    """By its key, by its task and by its clip; an upgrade is charged once."""
    async with world(session={"ledger": ledger}) as (veo, sim):
        key = await forgotten(veo, key="k")
        extended = await veo.extend(key, "It swims ashore")
        assert [item.key for item in extended.history] == [key, extended.key]
        upgraded = await veo.upgrade(sim.charges[0].task_id, "4k")
        assert await veo.generate(UpgradeRequest(after_key=key, to="4k"), key=upgraded.key) == upgraded
        assert await veo.upgrade(extended, "4k") != upgraded
        other = await veo.submit(UpgradeRequest(after_key=key, to="4k"), key="again")
        assert isinstance((await other.finished()).error, errors.KeyReused)
        assert len(sim.charges) == 4


async def test_unsaved_clip_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    """The ledger does not have the error with which saving ended: a provider in memory serves no files."""
    async with world(session={"ledger": ledger}) as (veo, _):
        job = await veo.submit("A dog", key="k", save_to=tmp_path / "dog.mp4")
        outcome = await job.finished()
        assert isinstance(outcome, Failed)
        assert outcome.clip is not None
        del job
        gc.collect()
        assert veo.job("k").outcome == outcome
        assert veo.statistics().jobs == {JobState.READY: 1}


async def test_job_in_doubt_is_kept_until_it_is_resolved(ledger: Ledger) -> None:
    """Its outcome is not final."""
    async with world(session={"ledger": ledger}, faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await veo.submit("A dog", key="k")
        assert isinstance(await job.finished(), InDoubt)
        del job
        gc.collect()
        assert [known.key for known in veo.jobs()] == ["k"]
        await veo.job("k").resolve(sim.charges[0].task_id)
        assert (await veo.job("k")).urls
        await asyncio.sleep(1.0)
        assert "k" not in keys_in_memory()


async def test_forgotten_job_is_found_although_the_queue_is_full(ledger: Ledger) -> None:
    """It needs no place in the queue."""
    async with world(session={"ledger": ledger, "max_in_flight": 1, "max_queued": 1}) as (veo, _):
        key = await forgotten(veo, key="k")
        for prompt in ("A cat", "A cow"):
            await veo.submit(prompt)
            await asyncio.sleep(5.0)
        with pytest.raises(errors.QueueFull):
            await veo.submit("A bird")
        assert (await veo.generate("A dog", key=key)).urls


async def test_forgotten_job_is_found_although_the_key_was_rejected(ledger: Ledger) -> None:
    """It needs no request."""
    async with world(session={"ledger": ledger}) as (veo, sim):
        key = await forgotten(veo, key="k")
        sim.revoke_key(sim.api_key)
        await (await veo.submit("A cat")).finished()
        with pytest.raises(errors.Unauthorized):
            await veo.submit("A bird")
        assert (await veo.generate("A dog", key=key)).urls


async def test_job_that_was_sent_again_is_not_kept(ledger: Ledger) -> None:
    """The queue remembers the place of a job only until it is accepted."""
    async with world(session={"ledger": ledger}, faults=[rate_limited(on={1, 2})], latency_s=1.0) as (veo, sim):
        await forgotten(veo)
        assert len(sim.charges) == 1


async def test_job_of_another_session_is_not_kept_after_it_has_finished(ledger: Ledger) -> None:
    """This session follows it only until then."""
    sim: MemoryTransport = memory()
    async with session_with_ledger(sim, ledger) as first, session_with_ledger(sim, ledger) as second:
        await first.submit("A dog", key="k")
        await second.attach("k")
        gc.collect()
        assert [job.key for job in second.jobs()] == ["k"]
        await asyncio.sleep(120.0)
        assert "k" not in keys_in_memory()
        assert len(engine_of(second).registry.by_key) == 0
        assert (await (await second.attach("k"))).urls
