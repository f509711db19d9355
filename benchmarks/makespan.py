"""How close a batch comes to the exact bound, when the account's limit is as documented and its phase is unknown.

The bound is that of a client that knows everything and has no network latency (`_common.lower_bound`), for the same
durations. *finished* is when the provider finishes the last task; the scheduler is responsible for it, and the goal is
set for it. *known* is when the session has the last clip, with the default poll budget. For comparison: a semaphore of
20 around a creating request with exponential backoff per job. Virtual time, sliding window of 20 per 10 s, no cap on
running tasks, ``veo3_fast`` and ``veo3``.
"""

import asyncio
from random import Random
from statistics import mean

import attrs
from _common import Distant, Report, in_virtual_time, lower_bound, main

from veo_async import VeoApi
from veo_async._runtime.job.outcome import Done
from veo_async._wire import VideoRequest
from veo_async.errors import RateLimited
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport


@attrs.frozen
class Run:
    """The result of one batch. Times are divided by the bound."""

    finished: float
    known: float
    rate_limited: float  #: 429 responses per 100 jobs


async def ours(jobs: int, model: str, seed: int) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    started_at = sim.now()
    requests = [VideoRequest(f"A dog surfing, take {number}", model=model) for number in range(jobs)]
    async with VeoSession(
        sim.api_key, max_in_flight=jobs, network=Network(transport=Distant(sim, seed), seed=seed)
    ) as veo:
        outcomes = [outcome async for outcome in veo.map(requests, buffersize=jobs)]
        known_at = asyncio.get_running_loop().time()
    assert sum(isinstance(outcome, Done) for outcome in outcomes) == jobs
    return _run(sim, jobs, started_at, known_at)


async def naive(jobs: int, model: str, seed: int) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    started_at = sim.now()
    rng = Random(seed)
    sending = asyncio.Semaphore(20)

    async def run_one(number: int) -> None:
        async with sending:
            pause_s = 1.0
            while True:
                try:
                    await api.generate(f"A dog surfing, take {number}", model=model)
                except RateLimited:
                    await asyncio.sleep(rng.uniform(0.5, 1.0) * pause_s)
                    pause_s = min(30.0, 2 * pause_s)
                else:
                    return

    async with VeoApi(sim.api_key, transport=Distant(sim, seed)) as api, asyncio.TaskGroup() as group:
        for number in range(jobs):
            group.create_task(run_one(number))
    return _run(sim, jobs, started_at, 0.0)


def _run(sim: MemoryTransport, jobs: int, started_at: float, known_at: float) -> Run:
    tasks = list(sim.tasks.values())
    bound = lower_bound(task.outcome.duration_s for task in tasks)
    finished_at = max(task.completes_at for task in tasks) - started_at
    return Run(
        finished=finished_at / bound,
        known=known_at / bound,
        rate_limited=100 * (sim.count("generate") - jobs) / jobs,
    )


def compare(report: Report) -> None:
    for jobs, seeds in ((20, 1), (100, 2)) if report.is_quick else ((100, 8), (1000, 3)):
        for model in ("veo3_fast", "veo3"):
            runs = [in_virtual_time(ours(jobs, model, seed)) for seed in range(seeds)]
            others = [in_virtual_time(naive(jobs, model, seed)) for seed in range(min(seeds, 3))]
            label = f"{jobs:,} x {model}"
            report.add(
                f"{label}: finished / bound",
                mean(run.finished for run in runs),
                at_most=1.015,
                digits=4,
                compared_with=f"{mean(run.finished for run in others):.4f}  semaphore + backoff",
            )
            report.add(f"{label}: known / bound", mean(run.known for run in runs), digits=4)
            report.add(
                f"{label}: 429 responses per 100 jobs",
                mean(run.rate_limited for run in runs),
                at_most=1.2 if jobs >= 1000 else None,
                digits=2,
                compared_with=f"{mean(run.rate_limited for run in others):.1f}",
            )


if __name__ == "__main__":
    main("A batch against the exact bound, 20 per 10 s", compare)
