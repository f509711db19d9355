"""How close a batch comes to the exact bound, the account's limit being as documented and its phase unknown.

The bound is that of a client that knows everything and has no network (`_common.lower_bound`), for the very durations
of the run. *made* is when the provider has ended the last task, which is what the gate is answerable for and what the
goal is stated for; *known* is when we hold the last clip, at the default budget of 5 looks a second. Beside us: a
semaphore of 20 around a creating call with exponential back-off, per job. Virtual time; sliding window of 20 per 10 s,
no cap, ``veo3_fast`` and ``veo3``.
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
from veo_async.simulator import MemoryTransport


@attrs.frozen
class Run:
    """What came of one batch, over the bound."""

    made: float
    known: float
    refusals: float  #: per hundred jobs


async def ours(jobs: int, model: str, seed: int) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    requests = [VideoRequest(f"A dog surfing, take {number}", model=model) for number in range(jobs)]
    async with VeoSession(sim.api_key, transport=Distant(sim, seed), max_in_flight=jobs, seed=seed) as veo:
        outcomes = [outcome async for outcome in veo.map(requests, buffersize=jobs)]
        known = asyncio.get_running_loop().time()
    assert sum(isinstance(outcome, Done) for outcome in outcomes) == jobs
    return _run(sim, jobs, known)


async def naive(jobs: int, model: str, seed: int) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    rng = Random(seed)
    sending = asyncio.Semaphore(20)

    async def one(number: int) -> None:
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
            group.create_task(one(number))
    return _run(sim, jobs, 0.0)


def _run(sim: MemoryTransport, jobs: int, known: float) -> Run:
    tasks = list(sim.tasks.values())
    bound = lower_bound(task.outcome.duration_s for task in tasks)
    made = max(task.completes_at for task in tasks) - sim._provider.started_at
    return Run(made / bound, known / bound, 100 * (sim.count("generate") - jobs) / jobs)


def compare(report: Report) -> None:
    for jobs, seeds in ((20, 1), (100, 2)) if report.is_quick else ((100, 8), (1000, 3)):
        for model in ("veo3_fast", "veo3"):
            runs = [in_virtual_time(ours(jobs, model, seed)) for seed in range(seeds)]
            others = [in_virtual_time(naive(jobs, model, seed)) for seed in range(min(seeds, 3))]
            made, theirs = mean(run.made for run in runs), mean(run.made for run in others)
            refused, their_refused = mean(run.refusals for run in runs), mean(run.refusals for run in others)
            what = f"{jobs:,} x {model}"
            report.add(
                f"{what}: made / bound", made, most=1.015, digits=4, beside=f"{theirs:.4f}  semaphore + back-off"
            )
            report.add(f"{what}: known / bound", mean(run.known for run in runs), digits=4)
            most = 1.2 if jobs >= 1000 else None
            report.add(f"{what}: refusals per 100", refused, most=most, digits=2, beside=f"{their_refused:.1f}")


if __name__ == "__main__":
    main("A batch against the exact bound, 20 per 10 s", compare)
