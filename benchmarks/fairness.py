"""Somebody waits for single clips while a batch saturates the account: how long until theirs is on the way.

The batch of one tenant has more jobs than the account takes in the whole time; a person of another tenant asks for a
clip every few seconds, ``priority="interactive"``. Timed is the wait from `submit` until the request leaves, which is
all that anybody can share out; in the bare time a request takes to travel nobody can be unfair. Beside it: the same
person without a priority, and without a fair queue at all (one queue, first come first served). Virtual time, 20 per
10 s, sliding window.
"""

import asyncio
from random import Random

import attrs
from _common import Distant, Report, in_virtual_time, main, quantile

from veo_async._runtime.events import JobEvent, Sent
from veo_async._rules.fairness import Priority
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport


@attrs.frozen
class Run:
    """The person's waits, and how far the batch came."""

    waits: list[float]
    batch_per_s: float


async def both(seed: int, asked: int, *, tenant: str, priority: Priority) -> Run:
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
        for number in range(int(2.2 * 8 * asked) + 50):
            await veo.submit(f"A dog, take {number}", key=f"batch-{number}", tenant="batch")
        async with asyncio.TaskGroup() as group:
            for number in range(asked):
                await asyncio.sleep(rng.expovariate(1 / 8.0))
                group.create_task(wait_for(number))
                batch = sum(key.startswith("batch") for key in sent_at)
        return Run(waits, batch / loop.time())


def compare(report: Report) -> None:
    asked, seeds = (10, 2) if report.is_quick else (60, 5)

    def runs(tenant: str, priority: Priority) -> tuple[list[float], float]:
        found = [in_virtual_time(both(seed, asked, tenant=tenant, priority=priority)) for seed in range(seeds)]
        return [wait for run in found for wait in run.waits], sum(run.batch_per_s for run in found) / seeds

    ours, rate = runs("person", "interactive")
    plain, _ = runs("person", "batch")
    queued, queued_rate = runs("batch", "batch") if report.is_quick is None else ([0.0], 0.0)
    report.add("p95 wait, s", quantile(ours, 0.95), most=0.6, digits=2, beside=f"{quantile(plain, 0.95):.2f}  no priority")
    report.add("p50 wait, s", quantile(ours, 0.5), digits=2, beside=f"{quantile(plain, 0.5):.2f}")
    report.add("longest wait, s", max(ours), digits=2, beside=f"{max(plain):.2f}")
    report.add("the batch meanwhile, jobs per s", rate, digits=2)


if __name__ == "__main__":
    main("A person beside a batch that saturates the account", compare)
