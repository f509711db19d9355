"""How close a batch comes to the exact bound, when the account's limit is as documented and its phase is unknown.

The bound is that of a client that knows everything and has no network latency (`_common.lower_bound`), for the same
durations. *known* is when a client knows its last clip; it is what a user waits for, and the goal is set for it.
*finished* is when the provider finishes the last task. All options are the defaults, except that every job may run at
the same time. Virtual time, sliding window of 20 per 10 s, no cap on running tasks, ``veo3_fast`` and ``veo3``.

The competent client (`_competent.py`) knows the limit and when to poll: first after 54 s and then every 5 s for
``veo3_fast``, after 96 s and every 10 s for ``veo3``. Its window is 2 % longer than documented, because a server that
counts when requests arrive would refuse some otherwise. A naive client is shown as well: for every job a task that
retries a 429 with exponential backoff, at most 20 of them at the same time, and polls every 10 s.

*Short tasks*: 500 jobs, created at up to 1,000 per second on an account that allows it, whose tasks take 20 s each. All
of them end at about the same time, so the poll budget decides when they are known. It has the default settings, and the
competent client keeps the same budget: ten polls per second at first, and more while polls are late. That client knows
that the tasks take 20 s, and polls first after 20 s and then every 5 s; the session assumes 54 to 118 s and learns.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from statistics import mean
from typing import Any

import attrs
from _common import Distant, Report, in_virtual_time, lower_bound, main, through
from _competent import Client, Send

from veo_async import TaskState, VeoApi
from veo_async._rules.polling.budget import PollBudget
from veo_async._runtime.job.outcome import Done
from veo_async._wire import VideoRequest
from veo_async.errors import RateLimited
from veo_async.session import VeoSession
from veo_async.settings import Limits, Network
from veo_async.simulator import MemoryTransport

#: When the competent client polls: first, and then how often, in seconds.
POLLS = {"veo3_fast": (54.0, 5.0), "veo3": (96.0, 10.0)}
#: How long the short tasks take, in seconds, and the rate limit under which their jobs are created.
SHORT_S = 20.0
SHORT_RATE = (1_000, 1.0)
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


@attrs.frozen
class ShortRun:
    """The result of one batch of short tasks: when the last clip was known, and the polls per job."""

    known_s: float
    polls: float


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


# --- short tasks ------------------------------------------------------------------------------------------------


async def short_ours(sim: MemoryTransport, jobs: int, seed: int) -> None:
    network = Network(transport=Distant(sim, seed), seed=seed)
    async with VeoSession(sim.api_key, max_in_flight=jobs, network=network, limits=Limits(rate=SHORT_RATE)) as veo:
        assert all([isinstance(outcome, Done) async for outcome in veo.map(prompts(jobs))])


async def short_competent(sim: MemoryTransport, jobs: int, seed: int) -> None:
    send = within(PollBudget(), through(Distant(sim, seed), sim.api_key))
    client = Client(send, limit=SHORT_RATE, max_running=jobs, first_s=SHORT_S, every_s=5.0)
    assert all(isinstance(clip, list) for clip in await client.run(prompts(jobs)))


def within(budget: PollBudget, send: Send) -> Send:
    """Return *send* with its polls in turn, each as soon as *budget* allows it."""
    turn = asyncio.Lock()
    loop_time = asyncio.get_running_loop().time

    async def send_within_budget(method: str, path: str, body: Any) -> Any:
        if method == "GET":
            due_at = loop_time()
            async with turn:
                await asyncio.sleep(budget.ready_at(loop_time()) - loop_time())
                budget.begin(loop_time(), late_s=loop_time() - due_at)
        return await send(method, path, body)

    return send_within_budget


def prompts(jobs: int) -> list[str]:
    return [f"A dog surfing, take {number}" for number in range(jobs)]


def measure_short(client: Callable[[MemoryTransport, int, int], Awaitable[None]], jobs: int, seed: int) -> ShortRun:
    sim = MemoryTransport(seed=seed, rate=SHORT_RATE, max_running=10**6, duration_s=SHORT_S)

    async def batch() -> float:
        await client(sim, jobs, seed)
        return asyncio.get_running_loop().time()

    return ShortRun(known_s=in_virtual_time(batch()), polls=sim.count("record-info") / jobs)


def _compare_short(report: Report, jobs: int, seeds: int) -> None:
    own, other = (
        [measure_short(client, jobs, seed) for seed in range(seeds)] for client in (short_ours, short_competent)
    )
    label = f"{jobs:,} tasks of {SHORT_S:.0f} s at once"
    ratio = mean(a.known_s / b.known_s for a, b in zip(own, other, strict=True))
    report.add(f"{label}: known / competent", ratio, at_most=1.2, digits=3, slack=1.25)
    for text, name in ("known, s", "known_s"), ("polls per job", "polls"):
        value, competent_value = (mean(getattr(run, name) for run in runs) for runs in (own, other))
        report.add(f"{label}: {text}", value, digits=1, compared_with=f"{competent_value:.1f} competent")


# --- the comparison ---------------------------------------------------------------------------------------------


def compare(report: Report) -> None:
    for jobs, seeds in ((20, 1), (100, 2)) if report.is_quick else ((100, 8), (1000, 3)):
        for model in POLLS:
            _compare(report, jobs, model, seeds)
    _compare_short(report, 500, 1 if report.is_quick else 3)


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
