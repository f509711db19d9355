"""Row 84: thousands of jobs and a thousand waiters, and their cost."""

import asyncio
import tracemalloc
from typing import Any

import pytest

from tests.internals import adopted_without_slot, planned_polls, waiter_count
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done

from .support import Clock, check_joints, world

pytestmark = pytest.mark.veo_virtual_time


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_row_84_many_jobs_are_sent_in_order_and_wake_every_waiter(count: int) -> None:
    """All are queued first; every tenth has a waiter, half of which are cancelled; memory stays bounded."""
    settings = {"rate": (2000, 1.0), "max_in_flight": 5000, "polls_per_second": 2000.0, "poll_every": 30.0}
    async with world(limiter="none", session=settings, max_logged_requests=2 * count) as (veo, sim):
        tracemalloc.start()
        jobs = [await veo.submit(f"Dog {i}", key=f"{i}") for i in range(count)]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size / count < 3072
        waiting = [asyncio.create_task(job.result()) for job in jobs[::10]]
        assert veo.statistics().jobs == {JobState.QUEUED: count}
        for task in waiting[::2]:
            await asyncio.sleep(0)
            task.cancel()
        await veo.drain()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting[::2])
        assert all(task.result().urls for task in waiting[1::2])
        sent = [int(charge.body["prompt"].split()[1]) for charge in sim.charges]
        assert len(sent) == count
        assert sent == sorted(sent)
        check_joints(veo)
        assert planned_polls(veo) < 100
        assert adopted_without_slot(veo) == 0


@pytest.mark.usefixtures("route")
async def test_row_84_many_tenants_are_served_in_fair_order() -> None:
    """Fifty tenants with different backlogs get the same number of turns."""
    async with world(session={"rate": (10, 1.0)}, limiter="none") as (veo, sim):
        for tenant in range(50):
            for i in range(10 + 2 * tenant):
                await veo.submit(f"{tenant} {i}", tenant=f"t{tenant}")
        await asyncio.sleep(40)
        turns = [0] * 50
        for charge in list(sim.charges)[:350]:
            turns[int(charge.body["prompt"].split()[0])] += 1
        assert max(turns) - min(turns) <= 2


async def test_batch_within_the_documented_limit_takes_little_longer_than_its_bound() -> None:
    """20 per 10 s: no job is lost, and the last request is sent close to the exact bound."""
    count = 120
    async with world(session={"max_in_flight": 1000}, latency_s=0.08) as (veo, sim):
        clock = Clock()
        outcomes = await veo.gather(*[f"Dog {i}" for i in range(count)])
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert sum(not seen.fault for seen in sim.requests_to()) == count
        bound = (count / 20 - 1) * 10.0 + 60.0
        assert clock() < 1.05 * bound + 5.0
        assert veo.statistics().rate_limit.refusals <= 3


async def test_cancelled_waiters_of_one_job_affect_no_other_waiter() -> None:
    """A thousand wait for the same job and every second one is cancelled; the others are woken once."""
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        waiting: list[asyncio.Task[Any]] = [asyncio.create_task(job.result()) for _ in range(1000)]
        await asyncio.sleep(1)
        assert waiter_count(job) == 1000
        for task in waiting[::2]:
            task.cancel()
        await asyncio.wait(waiting)
        assert sum(task.cancelled() for task in waiting) == 500
        assert {task.result().task_id for task in waiting[1::2]} == {job.task_id}
