"""A user waits for single clips while a batch saturates the account: how long until each of those requests is sent.

The batch belongs to one tenant and has more jobs than the account can take during the run. A user of another tenant
submits a clip every 30 s on average, or every 8 s, with ``priority="interactive"``; the first one while the first burst
of the batch fills the window. Measured is the time from `submit` until the request is sent; the network is not
included. Virtual time, 20 per 10 s, sliding window.

For comparison: two competent clients (`_competent.py`) that divide the window, 18 for the batch and 2 for the user, so
that a part of it stays unused; the same user without priority; and *one queue*, first come, first served.
"""

import asyncio
from collections.abc import Callable
from random import Random
from statistics import mean
from typing import Any

import attrs
from _common import Distant, Report, in_virtual_time, main, quantile, through
from _competent import Client

from veo_async._rules.queue.fair_queue import Priority
from veo_async._runtime.job.events import JobEvent, Sent
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport

#: How the two competent clients divide the window.
BATCH_LIMIT, USER_LIMIT = (18, 10.2), (2, 10.2)
#: Average seconds between two requests of the user.
REQUEST_EVERY_S = (30.0, 8.0)


@attrs.frozen
class Run:
    """The user's waits in seconds, and the throughput of the batch."""

    waits: list[float]
    batch_per_s: float


async def run(seed: int, requests: int, every_s: float, *, tenant: str, priority: Priority) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    rng = Random(seed)
    sent_at: dict[str, float] = {}
    loop = asyncio.get_running_loop()

    def note(event: JobEvent) -> None:
        if isinstance(event, Sent):
            sent_at.setdefault(event.key, loop.time())

    veo = VeoSession(
        sim.api_key, max_in_flight=10**4, on_event=note, network=Network(transport=Distant(sim, seed), seed=seed)
    )
    waits: list[float] = []

    async def wait_for(number: int) -> None:
        submitted_at = loop.time()
        job = await veo.submit(f"A cat, take {number}", key=f"user-{number}", tenant=tenant, priority=priority)
        await job.accepted()
        waits.append(sent_at[job.key] - submitted_at)

    async with veo:
        jobs = int(3 * every_s * requests) + 200
        for number in range(jobs):
            await veo.submit(f"A dog, take {number}", key=f"batch-{number}", tenant="batch")
        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                await asyncio.sleep(rng.expovariate(1 / every_s))
                group.create_task(wait_for(number))
            elapsed_s, batch = loop.time(), sum(key.startswith("batch") for key in sent_at)
        assert batch < jobs, "the batch ran out"
        return Run(waits, batch / elapsed_s)


async def divided(seed: int, requests: int, every_s: float) -> Run:
    """Give the batch and the user a competent client each."""
    sim = MemoryTransport(seed=seed, max_running=10**6)
    rng, loop = Random(seed), asyncio.get_running_loop()
    network = through(Distant(sim, seed), sim.api_key)
    sent_at: dict[str, float] = {}

    async def send(method: str, path: str, body: Any) -> Any:
        if body is not None:
            sent_at[body["prompt"]] = loop.time()
        return await network(method, path, body)

    jobs = int(3 * every_s * requests) + 200
    batch, user = (
        Client(send, limit=limit, max_running=jobs, first_s=54.0, every_s=5.0) for limit in (BATCH_LIMIT, USER_LIMIT)
    )
    waits: list[float] = []

    async def wait_for(prompt: str) -> None:
        submitted_at = loop.time()
        await user.run([prompt])
        waits.append(sent_at[prompt] - submitted_at)

    running = asyncio.create_task(batch.run(f"A dog, take {number}" for number in range(jobs)))
    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            await asyncio.sleep(rng.expovariate(1 / every_s))
            group.create_task(wait_for(f"A cat, take {number}"))
        elapsed_s, count = loop.time(), sum("dog" in prompt for prompt in sent_at)
    running.cancel()
    await asyncio.wait([running])
    return Run(waits, count / elapsed_s)


def compare(report: Report) -> None:
    for every_s in REQUEST_EVERY_S:
        _compare(report, every_s)


def _compare(report: Report, every_s: float) -> None:
    requests, seeds = (12, 2) if report.is_quick else (60, 4)

    def runs(tenant: str, priority: Priority, seeds: int = seeds) -> tuple[list[float], float]:
        options: Any = {"tenant": tenant, "priority": priority}
        return _together([in_virtual_time(run(seed, requests, every_s, **options)) for seed in range(seeds)])

    ours, rate = runs("user", "interactive")
    competent, competent_rate = _together([in_virtual_time(divided(seed, requests, every_s)) for seed in range(seeds)])
    plain, _ = runs("user", "batch")
    queued, _ = runs("batch", "batch", 1)

    def add(text: str, figure: Callable[[list[float]], float], **goal: Any) -> None:
        others = f"{figure(competent):.2f} competent, {figure(plain):.2f} no priority, {figure(queued):,.0f} one queue"
        report.add(f"{label}: {text}", figure(ours), digits=2, compared_with=others, **goal)

    label = f"a clip every {every_s:g} s"
    add("p95 wait, s", lambda waits: quantile(waits, 0.95), at_most=0.6, slack=1.5)
    add("p50 wait, s", lambda waits: quantile(waits, 0.5))
    add("longest wait, s", max)
    report.add(
        f"{label}: throughput of the batch, jobs per s",
        rate,
        at_least=competent_rate,
        digits=2,
        compared_with=f"{competent_rate:.2f} competent",
        slack=1.2,
    )


def _together(found: list[Run]) -> tuple[list[float], float]:
    """Return the waits of all runs, and the mean throughput of the batch."""
    return [wait for result in found for wait in result.waits], mean(result.batch_per_s for result in found)


if __name__ == "__main__":
    main("A user and a batch that saturates the account", compare)
