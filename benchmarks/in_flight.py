"""100, 1,000 and 10,000 running tasks: CPU per poll and per job, memory, connections, and the lag of the event loop.

Real sockets. The provider (`_provider.py`) has its own process and, on a machine with two cores, its own core; every
client runs in a fresh process, alternating. Tasks are adopted, because creating ten thousand at 20 per 10 s would take
an hour and a half. Every task is polled every few seconds, and a poll takes 50 ms.

*bare*: the least code for the same pace with aiohttp: a heap of due times, 128 workers, ``session.get``, ``json.loads``
of the bytes, one comparison. It stores and checks nothing, and any bad response ends it. *naive*: for every job a task
that sleeps and polls. CPU time is that of the client's process. Peak memory is counted from just before the jobs are
handed over. Ratios are medians over rounds, because single rounds differ by some percent.

CPU per poll is reported twice. *Running*: from when every task has been polled once until the first one finishes, which
is the cost of a poll. *In total*: all CPU time of the jobs, including adopting them and recording their results,
divided by the polls. The jobs are short (real ones take minutes), so that part is large.
"""

import argparse
import asyncio
import heapq
import json
import os
import random
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import aiohttp
import attrs
from _common import Report, main, quantile

_KEY = "any-key-is-accepted"
_HEADERS = {"Authorization": f"Bearer {_KEY}"}
_MAX_CONNECTIONS = 128


@attrs.frozen
class Size:
    """The number of tasks, how long they take, how often each is polled, and the number of rounds."""

    jobs: int
    low_s: float
    high_s: float
    every_s: float
    rounds: int


FULL = (Size(100, 3, 6, 0.1, 9), Size(1000, 5, 8, 1.0, 5), Size(10_000, 18, 25, 5.0, 3))
QUICK = (Size(100, 0.6, 0.9, 0.1, 1),)
#: The figures of a run, and the digits after the point.
_DIGITS = {"poll_us": 0, "cpu_us": 0, "kb_per_job": 1, "wall": 2, "lag_ms": 1, "max_open": 0}


# --- the clients, each in its own process -----------------------------------------------------------------------


async def ours(url: str, ids: list[str], every_s: float, route: Literal["veo", "jobs"] = "veo") -> None:
    from veo_async import VeoSession
    from veo_async.settings import Limits, Network  # the other clients must not pay for the import

    async with VeoSession(
        _KEY,
        base_url=url,
        max_in_flight=len(ids),
        limits=Limits(poll_every=every_s, polls_per_second=max(100.0, 3 * len(ids) / every_s)),
        network=Network(route=route),
    ) as veo:
        for task_id in ids:
            await veo.ledger.adopt(task_id)
        await veo.drain()
        assert all(job.outcome for job in veo.jobs())


async def bare(url: str, ids: list[str], every_s: float) -> None:
    loop = asyncio.get_running_loop()
    due = [(loop.time() + random.uniform(0.5, 1.5) * every_s, task_id) for task_id in ids]
    heapq.heapify(due)

    async def work(http: aiohttp.ClientSession) -> None:
        while due:
            at, task_id = heapq.heappop(due)
            if at > loop.time():
                await asyncio.sleep(at - loop.time())
            async with http.get(f"{url}/api/v1/veo/record-info?taskId={task_id}", headers=_HEADERS) as response:
                record = json.loads(await response.read())
            if record["data"]["successFlag"] == 0:
                heapq.heappush(due, (loop.time() + every_s, task_id))

    connector = aiohttp.TCPConnector(limit=_MAX_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
        for _ in range(_MAX_CONNECTIONS):
            group.create_task(work(http))


async def naive(url: str, ids: list[str], every_s: float) -> None:
    async def run_one(task_id: str) -> None:
        await asyncio.sleep(random.uniform(0.5, 1.5) * every_s)
        while True:
            async with http.get(f"{url}/api/v1/veo/record-info?taskId={task_id}", headers=_HEADERS) as response:
                if (await response.json())["data"]["successFlag"]:
                    return
            await asyncio.sleep(every_s)

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for task_id in ids:
            group.create_task(run_one(task_id))


CLIENTS: dict[str, Callable[[str, list[str], float], Awaitable[None]]] = {
    "ours": ours,
    "jobs": partial(ours, route="jobs"),
    "bare": bare,
    "naive": naive,
}


def run_client(name: str, url: str, size: Size) -> None:
    """Run one client in this process and print its figures."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lags: list[float] = []
    if name in {"ours", "jobs"}:
        import veo_async.session  # noqa: F401  # the import is not part of the cost of a job

    async def run() -> dict[str, float]:
        loop = asyncio.get_running_loop()
        ids = _ask(f"{url}/create?count={size.jobs}&low={size.low_s}&high={size.high_s}")
        probe = asyncio.create_task(_probe(lags))
        memory, cpu, started = _memory(), time.process_time(), loop.time()
        running = asyncio.create_task(_while_running(url, size))
        await CLIENTS[name](url, ids, size.every_s)
        cpu, wall = time.process_time() - cpu, loop.time() - started
        probe.cancel()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        counters = _ask(f"{url}/stats")
        return {
            "poll_us": await running,
            "cpu_us": 1e6 * cpu / counters["polls"],
            "kb_per_job": (peak - memory) / 1024 / size.jobs,
            "wall": wall / size.high_s,
            "lag_ms": 1000 * quantile(lags, 0.99),
            **counters,
        }

    print(json.dumps(asyncio.run(run())))


async def _while_running(url: str, size: Size) -> float:
    """Return the CPU microseconds per poll from when every task has been polled until the first one finishes."""
    await asyncio.sleep(1.6 * size.every_s)
    before, cpu = _ask(f"{url}/stats")["polls"], time.process_time()
    await asyncio.sleep(size.low_s - 1.6 * size.every_s - 0.1)
    cpu = time.process_time() - cpu
    return 1e6 * cpu / (_ask(f"{url}/stats")["polls"] - before)


async def _probe(lags: list[float]) -> None:
    """Measure how late the loop runs its timers, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.02
        await asyncio.sleep(0.02)
        lags.append(loop.time() - due)


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url) as response:  # noqa: S310  # our own server
        return json.load(response)


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


# --- the comparison ---------------------------------------------------------------------------------------------


def compare(report: Report) -> None:
    program = Path(__file__).with_name("_provider.py")
    server = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for size in QUICK if report.is_quick else FULL:
            _compare(report, url, size)
    finally:
        server.kill()
        server.wait()


def _compare(report: Report, url: str, size: Size) -> None:
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    for number in range(size.rounds):
        order = list(CLIENTS) if number == 0 else ["bare", "ours", "jobs"] if number % 2 else ["jobs", "ours", "bare"]
        for name in order:
            rounds[name].append(_in_own_process(name, url, size))

    def value(name: str, figure: str) -> float:
        return median(result[figure] for result in rounds[name])

    def ratio(figure: str, client: str = "ours", base: str = "bare") -> float:
        return median(a[figure] / b[figure] for a, b in zip(rounds[client], rounds[base], strict=True))

    def add(text: str, figure: str, *, at_most: float | None = None, needs_full_size: bool = False) -> None:
        digits = _DIGITS[figure]
        report.add(
            f"{size.jobs:,} in flight: {text}",
            value("ours", figure),
            at_most=at_most,
            digits=digits,
            compared_with=f"{value('bare', figure):,.{digits}f} bare, {value('naive', figure):,.{digits}f} naive",
            needs_full_size=needs_full_size,
        )

    def add_ratio(text: str, figure: str, *, at_most: float | None = None) -> None:
        label = f"{size.jobs:,} in flight: {text} / bare"
        report.add(label, ratio(figure), at_most=at_most, digits=2, compared_with="1.00 bare", needs_full_size=True)

    is_large = size.jobs >= 10_000
    add_ratio("CPU per poll while running", "poll_us", at_most=1.0)
    add("CPU per poll while running, us", "poll_us")
    report.add(
        f"{size.jobs:,} in flight: CPU per poll on the route jobs / veo",
        ratio("poll_us", "jobs", "ours"),
        at_most=1.1,
        digits=2,
        compared_with=f"{value('jobs', 'poll_us'):,.0f} us on jobs",
        needs_full_size=True,
    )
    add_ratio("CPU per poll in total", "cpu_us")
    add("CPU per poll in total, us", "cpu_us")
    add("loop lag p99, ms", "lag_ms", at_most=20, needs_full_size=True)
    add("KB per job", "kb_per_job", at_most=3 if is_large else None)
    add("connections", "max_open", at_most=128)
    add("wall / longest job", "wall", at_most=1.35 if is_large else None)


def _in_own_process(name: str, url: str, size: Size) -> dict[str, float]:
    command = [sys.executable, __file__, "--client", name, url, json.dumps(attrs.astuple(size))]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603  # ourselves
    result: dict[str, float] = json.loads(process.stdout)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--client", nargs=3)
    if chosen := parser.parse_known_args()[0].client:
        run_client(chosen[0], chosen[1], Size(*json.loads(chosen[2])))
    else:
        main("Many tasks in flight", compare)
