"""300 jobs on an account with two limits: 20 creating requests per 10 s, and 100 running tasks.

With a cap, a finished clip that is detected late keeps its slot, so good polling means throughput. The bound is that of
a client that knows everything and has no network latency, for the durations of the run; ours is measured until the
session has the last clip. For comparison: the thin client as a careful user would drive it, with a semaphore of 100,
exponential backoff and a poll every 10 s. (Measured for common SDKs: 1.03 to 1.06, with 420 to 1,160 responses of 429;
without a wrapper they lose 200 to 280 of the 300 jobs.) Virtual time, log-normal durations (150 s, 0.35), 429 as HTTP
status and in the body.

The polls per second are the default, 8. With 5, a finished clip is detected six seconds late, and the goal is missed by
half a percent.
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
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport

CAP = 100
DURATIONS = {"veo3_fast": (150.0, 0.35)}
#: The figures of a run: label, goal, and digits after the point.
_FIGURES = {
    "rate_limited": ("429 responses", 3, 1),
    "makespan": ("makespan / bound", 1.02, 4),
    "polls": ("polls per job", None, 1),
}


@attrs.frozen
class Run:
    """The result of one batch."""

    done: int
    rate_limited: int
    makespan: float  #: divided by the bound
    polls: float  #: per job


def simulator(style: str, seed: int) -> MemoryTransport:
    return MemoryTransport(seed=seed, max_running=CAP, rate_limit_style=style, durations=DURATIONS)


async def ours(jobs: int, style: str, seed: int) -> Run:
    sim = simulator(style, seed)
    async with VeoSession(sim.api_key, network=Network(transport=Distant(sim, seed), seed=seed)) as veo:
        outcomes = await veo.gather(*(f"A dog surfing, take {number}" for number in range(jobs)))
        known_at = asyncio.get_running_loop().time()
    return _run(sim, sum(isinstance(outcome, Done) for outcome in outcomes), known_at)


async def naive(jobs: int, style: str, seed: int) -> Run:
    sim = simulator(style, seed)
    rng = Random(seed)
    slots = asyncio.Semaphore(CAP)

    async def run_one(number: int) -> None:
        async with slots:
            task_id = await create(f"A dog surfing, take {number}")
            while (await api.record_info(task_id)).state is TaskState.GENERATING:  # noqa: ASYNC110  # this is polling
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
                group.create_task(run_one(number))
        return _run(sim, jobs, asyncio.get_running_loop().time())


def _run(sim: MemoryTransport, done: int, known_at: float) -> Run:
    tasks = list(sim.tasks.values())
    bound = lower_bound((task.outcome.duration_s for task in tasks), cap=CAP)
    return Run(
        done=done,
        rate_limited=sim.count("generate") - len(tasks),
        makespan=known_at / bound,
        polls=sim.count("record-info") / len(tasks),
    )


def compare(report: Report) -> None:
    jobs, seeds = (120, 1) if report.is_quick else (300, 5)
    for style in ("http", "body"):
        runs = [in_virtual_time(ours(jobs, style, seed)) for seed in range(seeds)]
        others = [in_virtual_time(naive(jobs, style, seed)) for seed in range(seeds)]
        case = "429 in HTTP" if style == "http" else "429 in the body"
        lost = jobs - min(run.done for run in runs)
        report.add(f"{case}: jobs lost", lost, at_most=0, compared_with="0  semaphore + backoff")
        for name, (label, at_most, digits) in _FIGURES.items():
            report.add(
                f"{case}: {label}",
                mean(getattr(run, name) for run in runs),
                at_most=at_most,
                digits=digits,
                compared_with=f"{mean(getattr(run, name) for run in others):,.{digits}f}",
                needs_full_size=True,
            )


if __name__ == "__main__":
    main("300 jobs, 20 per 10 s, at most 100 running", compare)
