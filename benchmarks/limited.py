"""300 jobs on an account with two limits: 20 creating requests per 10 s, and 100 running tasks.

With a cap, a finished clip that is detected late keeps its slot, so good polling means throughput. The bound is that of
a client that knows everything and has no network latency, for the durations of the run; all times are those when a
client knows its clip. Virtual time, log-normal durations (150 s, 0.35), 429 as HTTP status and in the body.

The opponent (`_competent.py`) knows the limits of the account and when to poll: first after 80 s, then every 6 s. Its
window is 2 % longer than documented, because a server that counts when requests arrive would refuse some otherwise. It
runs in the same rounds. A naive client is shown as well: a semaphore of 100, exponential backoff, and a poll every
10 s.

CPU is that of the client's process, over sockets: client and simulator are processes of their own, on loops that are
`SPEED` times as fast as real time, and the two clients take turns. It includes opening and closing.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from random import Random
from statistics import mean, median, quantiles
from typing import Any

import attrs
from _common import Distant, Report, best_ends, in_virtual_time, main, through
from _competent import Client, over_aiohttp

from veo_async import TaskState, VeoApi
from veo_async._runtime.job.outcome import Done
from veo_async.errors import RateLimited
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport, Simulator
from veo_async.simulator.fast_loop import fast_loop

CAP = 100
#: Simulated seconds per real second where CPU is measured.
SPEED = 60.0
_KEY = "any-key-is-accepted"
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

    done = in_virtual_time(batch())
    tasks = list(sim.tasks.values())
    bound = best_ends((task.outcome.duration_s for task in tasks), cap=CAP)
    return Result(
        done=done,
        rate_limited=sim.count("generate") - len(tasks),
        makespan=max(known_at) / max(bound),
        completion=mean(known_at) / mean(bound),
        polls=sim.count("record-info") / len(tasks),
    )


# --- CPU over sockets -------------------------------------------------------------------------------------------


def measure_cpu(jobs: int, rounds: int) -> list[dict[str, float]]:
    """Return the CPU seconds of each client, for each of *rounds* rounds."""
    return [{name: _cpu_of(name, jobs, seed) for name in ("ours", "competent")} for seed in range(rounds)]


def _cpu_of(name: str, jobs: int, seed: int) -> float:
    provider = _start("--provider", str(seed))
    try:
        assert provider.stdout is not None
        url = provider.stdout.readline().strip()
        output, _ = _start("--client", name, url, str(jobs)).communicate()
        return float(output)
    finally:
        provider.kill()
        provider.wait()


def _start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ourselves


async def provide(seed: int) -> None:
    """Print the URL, and serve until standard input ends."""
    async with Simulator(api_key=_KEY, seed=seed, max_running=CAP, durations=DURATIONS) as sim:
        print(sim.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def run_client(name: str, url: str, jobs: int) -> None:
    """Run one client in this process, and print its CPU seconds."""
    prompts = [f"A dog surfing, take {number}" for number in range(jobs)]
    before = time.process_time()
    if name == "ours":
        async with VeoSession(_KEY, base_url=url) as veo:
            clips = [isinstance(outcome, Done) async for outcome in veo.map(prompts)]
    else:
        http, send = over_aiohttp(url, _KEY)
        client = Client(send, limit=(20, 10.2), max_running=CAP, first_s=80.0, every_s=6.0)
        async with http:
            clips = [isinstance(clip, list) for clip in await client.run(prompts)]
    cpu_s = time.process_time() - before
    assert sum(clips) == jobs
    print(cpu_s)


# --- the comparison ---------------------------------------------------------------------------------------------


def compare(report: Report) -> None:
    jobs, seeds = (120, 1) if report.is_quick else (300, 5)
    for style in ("http", "body"):
        rounds = [[measure(run, jobs, style, seed) for run in (ours, competent, naive)] for seed in range(seeds)]
        _add_rows(report, "429 in HTTP" if style == "http" else "429 in the body", jobs, rounds)
    found = measure_cpu(jobs, 2 if report.is_quick else 5)
    ratios = [cpu_s["ours"] / cpu_s["competent"] for cpu_s in found]
    spread = f"1.00; quartiles {quantiles(ratios)[0]:.2f} to {quantiles(ratios)[2]:.2f}"
    report.add("over sockets: CPU / competent", median(ratios), at_most=1.0, slack=3.0, digits=2, compared_with=spread)
    own, other = (median(cpu_s[name] for cpu_s in found) for name in ("ours", "competent"))
    report.add("  CPU per job, ms", 1000 * own / jobs, compared_with=f"{1000 * other / jobs:.1f} competent", digits=1)


def _add_rows(report: Report, case: str, jobs: int, rounds: list[list[Result]]) -> None:
    def text(name: str, digits: int) -> str:
        values = [mean(getattr(results[client], name) for results in rounds) for client in (1, 2)]
        return "{:,.{digits}f} competent, {:,.{digits}f} naive".format(*values, digits=digits)

    def add(label: str, name: str, digits: int, at_most: float | None = None) -> None:
        value = mean(getattr(results[0], name) for results in rounds)
        report.add(label, value, at_most=at_most, slack=1.15, digits=digits, compared_with=text(name, digits))

    def ratio(name: str) -> float:
        return median(getattr(results[0], name) / getattr(results[1], name) for results in rounds)

    report.add(f"{case}: jobs lost", jobs - min(results[0].done for results in rounds), at_most=0)
    add("  429 responses", "rate_limited", 1, at_most=mean(results[1].rate_limited for results in rounds))
    add("  makespan / bound", "makespan", 4, at_most=1.015)
    add("  mean completion / bound", "completion", 4)
    add("  polls per job", "polls", 1)
    for label, name, at_most, slack in (
        ("makespan", "makespan", 1.0, 1.15),
        ("mean completion", "completion", 1.0, 1.15),
        ("polls", "polls", 1.25, 1.3),
    ):
        report.add(f"  {label} / competent", ratio(name), at_most=at_most, slack=slack, digits=3)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--provider"]:
        with asyncio.Runner(loop_factory=fast_loop(SPEED)) as runner:
            runner.run(provide(int(sys.argv[2])))
    elif sys.argv[1:2] == ["--client"]:
        with asyncio.Runner(loop_factory=fast_loop(SPEED)) as runner:
            runner.run(run_client(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        main("300 jobs, 20 per 10 s, at most 100 running", compare)
