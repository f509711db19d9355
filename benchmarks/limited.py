"""Three hundred jobs on an account with both limits: 20 creations per 10 s, and 100 tasks running at once.

Under a cap a clip that is seen late keeps its slot, so looking well is throughput. The bound is that of a client that
knows everything and has no network, for the durations of the run; ours is timed until we hold the last clip. Beside
us: the thin client as a careful user would drive it, with a semaphore of 100, exponential back-off and a look every
10 s (measured for SDKs in general: 1.03 to 1.06 with 420 to 1,160 refusals; unwrapped SDKs lose 200 to 280
of the 300). Virtual time, log-normal durations (150 s, 0.35), 429 as the HTTP status and in the body.

Looks are the default number a second. With 5 of them an end is found six seconds late, and this goal is missed by half
a percent (`pollbudget` tells why the default is 8).
"""

import asyncio
from random import Random
from statistics import mean

import attrs
from _common import Distant, Report, in_virtual_time, lower_bound, main

from veo_async import TaskState, VeoApi
from veo_async._runtime.job.outcome import Done
from veo_async.errors import RateLimited
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport

CAP = 100
DURATIONS = {"veo3_fast": (150.0, 0.35)}
_SAID = {"refusals": "refusals", "makespan": "makespan / bound", "looks": "looks per job"}


@attrs.frozen
class Run:
    """What came of one batch."""

    done: int
    refusals: int
    makespan: float  #: over the bound
    looks: float  #: per job


def simulator(form: str, seed: int) -> MemoryTransport:
    return MemoryTransport(seed=seed, max_running=CAP, rate_limit_style=form, durations=DURATIONS)


async def ours(jobs: int, form: str, seed: int) -> Run:
    sim = simulator(form, seed)
    async with VeoSession(sim.api_key, transport=Distant(sim, seed), seed=seed) as veo:
        outcomes = await veo.gather(*(f"A dog surfing, take {number}" for number in range(jobs)))
        known = asyncio.get_running_loop().time()
    return _run(sim, sum(isinstance(outcome, Done) for outcome in outcomes), known)


async def naive(jobs: int, form: str, seed: int) -> Run:
    sim = simulator(form, seed)
    rng = Random(seed)
    slots = asyncio.Semaphore(CAP)

    async def one(number: int) -> None:
        async with slots:
            task_id = await create(f"A dog surfing, take {number}")
            while (await api.record_info(task_id)).state is TaskState.GENERATING:  # noqa: ASYNC110  # that is polling
                await asyncio.sleep(10.0)

    async def create(prompt: str) -> str:
        pause_s = 1.0
        while True:
            try:
                return (await api.generate(prompt)).task_id
            except RateLimited:
                await asyncio.sleep(rng.uniform(0.5, 1.0) * pause_s)
                pause_s = min(30.0, 2 * pause_s)

    async with VeoApi(sim.api_key, transport=Distant(sim, seed)) as api:
        async with asyncio.TaskGroup() as group:
            for number in range(jobs):
                group.create_task(one(number))
        return _run(sim, jobs, asyncio.get_running_loop().time())


def _run(sim: MemoryTransport, done: int, known: float) -> Run:
    tasks = list(sim.tasks.values())
    bound = lower_bound((task.outcome.duration_s for task in tasks), cap=CAP)
    return Run(done, sim.count("generate") - len(tasks), known / bound, sim.count("record-info") / len(tasks))


def compare(report: Report) -> None:
    jobs, seeds = (120, 1) if report.is_quick else (300, 5)
    for form in ("http", "body"):
        runs = [in_virtual_time(ours(jobs, form, seed)) for seed in range(seeds)]
        others = [in_virtual_time(naive(jobs, form, seed)) for seed in range(seeds)]
        what = "429 in HTTP" if form == "http" else "429 in the body"

        lost = jobs - min(run.done for run in runs)
        report.add(f"{what}: jobs lost", lost, most=0, beside="0  semaphore + back-off")
        for name, most, digits in (("refusals", 3, 1), ("makespan", 1.02, 4), ("looks", None, 1)):
            figure, theirs = (mean(getattr(run, name) for run in batch) for batch in (runs, others))
            beside = f"{theirs:,.{digits}f}"
            report.add(f"{what}: {_SAID[name]}", figure, most=most, digits=digits, beside=beside, needs_full_size=True)


if __name__ == "__main__":
    main("300 jobs, 20 per 10 s, at most 100 running", compare)
