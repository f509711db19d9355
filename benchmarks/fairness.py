"""Somebody waits for single clips while a batch saturates the account: how long until theirs is on the way.

The batch of one tenant has more jobs than the account takes in the whole time; a person of another tenant asks for a
clip every 30 s on average, or every 8 s, ``priority="interactive"``, the first time while the batch's first burst
fills the window. Timed is the wait from `submit` until the request leaves: its travel is nobody's to share out. Beside
it: the same person without a priority, and first come first served, as a queue without tenants does. Virtual time,
20 per 10 s, sliding window.
"""

import asyncio
from collections.abc import Callable
from random import Random

import attrs
from _common import Distant, Report, in_virtual_time, main, quantile

from veo_async._rules.queue.fair_queue import Priority
from veo_async._runtime.job.events import JobEvent, Sent
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport

#: Seconds between two asks of the person, on average.
ASKS_EVERY_S = (30.0, 8.0)


@attrs.frozen
class Run:
    """The person's waits, and how far the batch came."""

    waits: list[float]
    batch_per_s: float


async def both(seed: int, asked: int, every_s: float, *, tenant: str, priority: Priority) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    rng = Random(seed)
    sent_at: dict[str, float] = {}
    loop = asyncio.get_running_loop()

    def note(event: JobEvent) -> None:
        if isinstance(event, Sent):
            sent_at.setdefault(event.key, loop.time())

    veo = VeoSession(sim.api_key, transport=Distant(sim, seed), max_in_flight=10**4, seed=seed, on_event=note)
    waits: list[float] = []

    async def wait_for(number: int) -> None:
        asked_at = loop.time()
        job = await veo.submit(f"A cat, take {number}", key=f"person-{number}", tenant=tenant, priority=priority)
        await job.accepted()
        waits.append(sent_at[job.key] - asked_at)

    async with veo:
        jobs = int(3 * every_s * asked) + 200
        for number in range(jobs):
            await veo.submit(f"A dog, take {number}", key=f"batch-{number}", tenant="batch")
        async with asyncio.TaskGroup() as group:
            for number in range(asked):
                await asyncio.sleep(rng.expovariate(1 / every_s))
                group.create_task(wait_for(number))
            ended_at, batch = loop.time(), sum(key.startswith("batch") for key in sent_at)
        assert batch < jobs, "the batch ran out"
        return Run(waits, batch / ended_at)


def compare(report: Report) -> None:
    for every_s in ASKS_EVERY_S:
        _compare(report, every_s)


def _compare(report: Report, every_s: float) -> None:
    asked, seeds = (12, 2) if report.is_quick else (60, 4)

    def runs(tenant: str, priority: Priority, seeds: int = seeds) -> tuple[list[float], float]:
        found = [in_virtual_time(both(seed, asked, every_s, tenant=tenant, priority=priority)) for seed in range(seeds)]
        return [wait for run in found for wait in run.waits], sum(run.batch_per_s for run in found) / seeds

    ours, rate = runs("person", "interactive")
    plain, _ = runs("person", "batch")
    queued, _ = runs("batch", "batch", 1)

    def beside(of: Callable[[list[float]], float]) -> str:
        return f"{of(plain):.2f} no priority, {of(queued):,.0f} one queue"

    def p(share: float) -> Callable[[list[float]], float]:
        return lambda waits: quantile(waits, share)

    what = f"a clip every {every_s:g} s"
    report.add(f"{what}: p95 wait, s", p(0.95)(ours), most=0.6, digits=2, beside=beside(p(0.95)), needs_full_size=True)
    report.add(f"{what}: p50 wait, s", p(0.5)(ours), digits=2, beside=beside(p(0.5)))
    report.add(f"{what}: longest wait, s", max(ours), digits=2, beside=beside(max))
    report.add(f"{what}: the batch meanwhile, jobs per s", rate, digits=2)


if __name__ == "__main__":
    main("A person beside a batch that saturates the account", compare)
