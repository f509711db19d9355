"""300 jobs on an account with two limits: 20 creating requests per 10 s, and 100 running tasks.

With a cap, a finished clip that is detected late keeps its slot, so good polling means throughput. The bound is that of
a client that knows everything and has no network latency, for the durations of the run; all times are those when a
client knows its clip. Virtual time, log-normal durations (150 s, 0.35), 429 as HTTP status and in the body.

The opponent (`_competent.py`) knows the limits of the account and when to poll: first after 80 s, then every 6 s. Its
window is 2 % longer than documented, because a server that counts when requests arrive would refuse some otherwise. It
runs in the same rounds. A naive client is shown as well: a semaphore of 100, exponential backoff, and a poll every
10 s. CPU is that of client and simulator together.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from statistics import mean, median
from typing import Any

import attrs
from _common import Distant, Report, best_ends, in_virtual_time, main, through
from _competent import Client

from veo_async import TaskState, VeoApi
from veo_async._runtime.job.outcome import Done
from veo_async.errors import RateLimited
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport

CAP = 100
DURATIONS = {"veo3_fast": (150.0, 0.35)}
#: Runs a batch and calls the function each time it knows a clip; returns how many it has.
Run = Callable[[MemoryTransport, int, int, Callable[[], None]], Awaitable[int]]


@attrs.frozen
class Result:
    """The result of one batch."""

    done: int
    rate_limited: int
    makespan: float  #: divided by the bound
    completion: float  #: the mean, divided by that of the bound
    polls: float  #: per job
    cpu_s: float


async def ours(sim: MemoryTransport, jobs: int, seed: int, known: Callable[[], None]) -> int:
    done = 0
    async with VeoSession(sim.api_key, network=Network(transport=Distant(sim, seed), seed=seed)) as veo:
        async for outcome in veo.map(f"A dog surfing, take {number}" for number in range(jobs)):
            known()
            done += isinstance(outcome, Done)
    return done


async def competent(sim: MemoryTransport, jobs: int, seed: int, known: Callable[[], None]) -> int:
    def note(path: str, response: Any) -> None:
        if path.startswith("/api/v1/veo/record-info") and response["data"]["successFlag"]:
            known()

    send = through(Distant(sim, seed), sim.api_key, on_response=note)
    client = Client(send, limit=(20, 10.2), max_running=CAP, first_s=80.0, every_s=6.0)
    clips = await client.run(f"A dog surfing, take {number}" for number in range(jobs))
    return sum(isinstance(clip, list) for clip in clips)


async def naive(sim: MemoryTransport, jobs: int, seed: int, known: Callable[[], None]) -> int:
    rng = Random(seed)
    slots = asyncio.Semaphore(CAP)

    async def run_one(number: int) -> None:
        async with slots:
            task_id = await create(f"A dog surfing, take {number}")
            while (await api.record_info(task_id)).state is TaskState.GENERATING:  # noqa: ASYNC110  # this is polling
                await asyncio.sleep(10.0)
            known()

    async def create(prompt: str) -> str:
        pause_s = 1.0
        while True:
            try:
                return (await api.generate(prompt)).task_id
            except RateLimited:
                await asyncio.sleep(rng.uniform(0.5, 1.0) * pause_s)
                pause_s = min(30.0, 2 * pause_s)

    async with VeoApi(sim.api_key, transport=Distant(sim, seed)) as api, asyncio.TaskGroup() as group:
        for number in range(jobs):
            group.create_task(run_one(number))
    return jobs


def measure(run: Run, jobs: int, style: str, seed: int) -> Result:
    sim = MemoryTransport(seed=seed, max_running=CAP, rate_limit_style=style, durations=DURATIONS)
    known_at: list[float] = []

    async def batch() -> int:
        loop = asyncio.get_running_loop()
        return await run(sim, jobs, seed, lambda: known_at.append(loop.time()))

    cpu = time.process_time()
    done = in_virtual_time(batch())
    cpu = time.process_time() - cpu
    tasks = list(sim.tasks.values())
    bound = best_ends((task.outcome.duration_s for task in tasks), cap=CAP)
    return Result(
        done=done,
        rate_limited=sim.count("generate") - len(tasks),
        makespan=max(known_at) / max(bound),
        completion=mean(known_at) / mean(bound),
        polls=sim.count("record-info") / len(tasks),
        cpu_s=cpu,
    )


def compare(report: Report) -> None:
    jobs, seeds = (120, 1) if report.is_quick else (300, 5)
    for style in ("http", "body"):
        rounds = [[measure(run, jobs, style, seed) for run in (ours, competent, naive)] for seed in range(seeds)]
        _add_rows(report, "429 in HTTP" if style == "http" else "429 in the body", jobs, rounds)


def _add_rows(report: Report, case: str, jobs: int, rounds: list[list[Result]]) -> None:
    def text(name: str, digits: int) -> str:
        values = [mean(getattr(results[client], name) for results in rounds) for client in (1, 2)]
        return "{:,.{digits}f} competent, {:,.{digits}f} naive".format(*values, digits=digits)

    def add(label: str, name: str, digits: int, at_most: float | None = None) -> None:
        value = mean(getattr(results[0], name) for results in rounds)
        compared_with = text(name, digits)
        report.add(label, value, at_most=at_most, digits=digits, compared_with=compared_with, needs_full_size=True)

    def ratio(name: str) -> float:
        return median(getattr(results[0], name) / getattr(results[1], name) for results in rounds)

    report.add(f"{case}: jobs lost", jobs - min(results[0].done for results in rounds), at_most=0)
    add("  429 responses", "rate_limited", 1, at_most=mean(results[1].rate_limited for results in rounds))
    add("  makespan / bound", "makespan", 4, at_most=1.015)
    add("  mean completion / bound", "completion", 4)
    add("  polls per job", "polls", 1)
    add("  CPU, s", "cpu_s", 2)
    for label, name, at_most in (
        ("makespan", "makespan", 1.0),
        ("mean completion", "completion", 1.0),
        ("polls", "polls", 1.25),
        ("CPU", "cpu_s", 1.0),
    ):
        report.add(f"  {label} / competent", ratio(name), at_most=at_most, digits=3, needs_full_size=True)


if __name__ == "__main__":
    main("300 jobs, 20 per 10 s, at most 100 running", compare)
