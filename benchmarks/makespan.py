"""How close a batch comes to the exact bound, when the account's limit is as documented and its phase is unknown.

The bound is that of a client that knows everything and has no network latency (`_common.lower_bound`), for the same
durations. *known* is when a client knows its last clip; it is what a user waits for, and the goal is set for it.
*finished* is when the provider finishes the last task. All options are the defaults, except that every job may run at
the same time. Virtual time, sliding window of 20 per 10 s, no cap on running tasks, ``veo3_fast`` and ``veo3``.

The competent client (`_competent.py`) knows the limit and when to poll: first after 54 s and then every 5 s for
``veo3_fast``, after 96 s and every 10 s for ``veo3``. Its window is 2 % longer than documented, because a server that
counts when requests arrive would refuse some otherwise. A naive client is shown as well: for every job a task that
retries a 429 with exponential backoff, at most 20 of them at the same time, and polls every 10 s.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from statistics import mean

import attrs
from _common import Distant, Report, in_virtual_time, lower_bound, main, through
from _competent import Client

from veo_async import TaskState, VeoApi
from veo_async._runtime.job.outcome import Done
from veo_async._wire import VideoRequest
from veo_async.errors import RateLimited
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport

#: When the competent client polls: first, and then how often, in seconds.
POLLS = {"veo3_fast": (54.0, 5.0), "veo3": (96.0, 10.0)}
#: Runs a batch and returns how many clips it got.
RunBatch = Callable[[MemoryTransport, int, str, int], Awaitable[int]]


@attrs.frozen
class Run:
    """The result of one batch. Times are divided by the bound."""

    lost: int
    known: float
    finished: float
    rate_limited: float  #: 429 responses per 100 jobs
    polls: float  #: per job


async def ours(sim: MemoryTransport, jobs: int, model: str, seed: int) -> int:
    requests = [VideoRequest(f"A dog surfing, take {number}", model=model) for number in range(jobs)]
    network = Network(transport=Distant(sim, seed), seed=seed)
    async with VeoSession(sim.api_key, max_in_flight=jobs, network=network) as veo:
        return sum([isinstance(outcome, Done) async for outcome in veo.map(requests)])


async def competent(sim: MemoryTransport, jobs: int, model: str, seed: int) -> int:
    first_s, every_s = POLLS[model]
    send = through(Distant(sim, seed), sim.api_key)
    client = Client(send, limit=(20, 10.2), max_running=jobs, first_s=first_s, every_s=every_s)
    clips = await client.run((f"A dog surfing, take {number}" for number in range(jobs)), model)
    return sum(isinstance(clip, list) for clip in clips)


async def naive(sim: MemoryTransport, jobs: int, model: str, seed: int) -> int:
    rng = Random(seed)
    sending = asyncio.Semaphore(20)

    async def run_one(number: int) -> None:
        async with sending:
            task_id = await create(f"A dog surfing, take {number}")
        while (await api.record_info(task_id)).state is TaskState.GENERATING:  # noqa: ASYNC110  # this is polling
            await asyncio.sleep(10.0)

    async def create(prompt: str) -> str:
        pause_s = 1.0
        while True:
            try:
                return (await api.generate(prompt, model=model)).task_id
            except RateLimited:
                await asyncio.sleep(rng.uniform(0.5, 1.0) * pause_s)
                pause_s = min(30.0, 2 * pause_s)

    async with VeoApi(sim.api_key, transport=Distant(sim, seed)) as api, asyncio.TaskGroup() as group:
        for number in range(jobs):
            group.create_task(run_one(number))
    return jobs


def measure(client: RunBatch, jobs: int, model: str, seed: int) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    started_at = sim.now()

    async def batch() -> tuple[int, float]:
        done = await client(sim, jobs, model, seed)
        return done, asyncio.get_running_loop().time()

    done, known_at = in_virtual_time(batch())
    tasks = list(sim.tasks.values())
    bound = lower_bound(task.outcome.duration_s for task in tasks)
    return Run(
        lost=jobs - done,
        known=known_at / bound,
        finished=(max(task.completes_at for task in tasks) - started_at) / bound,
        rate_limited=100 * (sim.count("generate") - len(tasks)) / jobs,
        polls=sim.count("record-info") / jobs,
    )


def compare(report: Report) -> None:
    for jobs, seeds in ((20, 1), (100, 2)) if report.is_quick else ((100, 8), (1000, 3)):
        for model in POLLS:
            _compare(report, jobs, model, seeds)


def _compare(report: Report, jobs: int, model: str, seeds: int) -> None:
    runs, opponents, naives = (
        [measure(client, jobs, model, seed) for seed in range(seeds)] for client in (ours, competent, naive)
    )

    def add(text: str, name: str, digits: int, at_most: float | None = None, slack: float = 1.0) -> None:
        value, other, third = (mean(getattr(run, name) for run in side) for side in (runs, opponents, naives))
        compared_with = f"{other:.{digits}f} competent, {third:.{digits}f} naive"
        label = f"{jobs:,} x {model}: {text}"
        report.add(label, value, at_most=at_most, digits=digits, compared_with=compared_with, slack=slack)

    is_goal = jobs >= 1000 or report.is_quick
    add("jobs lost", "lost", 0, at_most=0)
    add("known / bound", "known", 4, at_most=1.015 if is_goal else None, slack=1.15)
    add("finished / bound", "finished", 4)
    add("429 responses per 100 jobs", "rate_limited", 2, at_most=1.2 if jobs >= 1000 else None)
    add("polls per job", "polls", 1)


if __name__ == "__main__":
    main("A batch against the exact bound, 20 per 10 s", compare)
