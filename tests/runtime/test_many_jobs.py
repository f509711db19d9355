"""Row 84: thousands of jobs, a thousand waiters, and what they cost."""

import asyncio
import tracemalloc
from typing import Any

import pytest

from tests.internals import engine_of
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done

from .support import Clock, check_joints, world

pytestmark = pytest.mark.veo_virtual_time


async def test_row_84_ten_thousand_jobs_and_a_thousand_waiters() -> None:
    """All queued at once: sent in the order in which they came, every waiter is told, and nothing piles up."""
    quick = {"rate": (2000, 1.0), "max_in_flight": 5000, "polls_per_second": 2000.0, "poll_every": 30.0}
    async with world(limiter="none", session=quick, max_logged_requests=20_000) as (veo, sim):
        tracemalloc.start()
        jobs = [await veo.submit(f"Dog {i}", key=f"{i}") for i in range(10_000)]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size / 10_000 < 3072
        waiting = [asyncio.create_task(job.result()) for job in jobs[::10]]
        assert veo.statistics().jobs == {JobState.QUEUED: 10_000}
        for task in waiting[::2]:
            await asyncio.sleep(0)
            task.cancel()
        await veo.drain()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting[::2])
        assert all(task.result().urls for task in waiting[1::2])
        sent = [int(charge.body["prompt"].split()[1]) for charge in sim.charges]
        assert len(sent) == 10_000
        assert sent == sorted(sent)
        check_joints(veo)
        assert len(engine_of(veo).watcher._heap) < 100
        assert not engine_of(veo).scheduler._slotless


async def test_row_84_fair_order_among_many_tenants() -> None:
    """Fifty tenants with very different backlogs: after a while each has had its turn as often as any other."""
    async with world(session={"rate": (10, 1.0)}, limiter="none") as (veo, sim):
        for tenant in range(50):
            for i in range(10 + 10 * tenant):
                await veo.submit(f"{tenant} {i}", tenant=f"t{tenant}")
        await asyncio.sleep(40)
        turns = [0] * 50
        for charge in list(sim.charges)[:350]:
            turns[int(charge.body["prompt"].split()[0])] += 1
        assert max(turns) - min(turns) <= 2


async def test_three_hundred_jobs_within_the_documented_limit_take_hardly_longer_than_they_must() -> None:
    """20 per 10 s: no refusal, nobody lost, and the last creation is close to the exact bound."""
    async with world(session={"max_in_flight": 1000}, latency_s=0.08) as (veo, sim):
        clock = Clock()
        outcomes = await veo.gather(*[f"Dog {i}" for i in range(300)])
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert sum(not seen.fault for seen in sim.requests_to()) == 300
        bound = (300 / 20 - 1) * 10.0 + 60.0
        assert clock() < 1.05 * bound + 5.0
        assert veo.statistics().rate_limit.refusals <= 3


async def test_one_waiter_of_many_on_one_job_costs_nobody_else() -> None:
    """A thousand wait for the same job; every second one is cancelled; the others are woken once."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        waiting: list[asyncio.Task[Any]] = [asyncio.create_task(job.result()) for _ in range(1000)]
        await asyncio.sleep(1)
        assert len(engine_of(veo).registry.by_key[job.key]._waiters) == 1000
        for task in waiting[::2]:
            task.cancel()
        await asyncio.wait(waiting)
        assert sum(task.cancelled() for task in waiting) == 500
        assert {task.result().task_id for task in waiting[1::2]} == {job.task_id}
