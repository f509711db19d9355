"""A hundred, a thousand and ten thousand tasks at once: what a look costs, what a job costs, how smooth the loop runs.

Real sockets; the provider (`_provider.py`) has a process and, where there are two, a core of its own; every contestant
runs in a fresh process, in turn. Tasks are adopted, because at 20 per 10 s ten thousand would take an hour and a half
to create. Every task is looked at every few seconds, by a look that takes 50 ms.

*bare*: the least that one can write with aiohttp at the same pace: a heap of due times, 128 workers, ``session.get``,
``json.loads`` of the bytes, one comparison. It keeps nothing, checks nothing, and any bad answer ends it. *naive*: a
task per job that sleeps and looks. CPU is the process's own; peak memory counts from before the jobs were handed over.
Ratios are medians over rounds: a single round's differ by some percent.

CPU per look is told twice. *While they run*: from when every task has been looked at until the first ends, which is
what a look costs. *All in all*: everything that was spent on the jobs, taking them in and writing their ends down
included, divided by the looks; in so short a life (real ones take minutes) that is a large part.
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
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import attrs
from _common import Report, main, quantile

_KEY = "a-key-that-nobody-minds"
_HEADERS = {"Authorization": f"Bearer {_KEY}"}
_MOST_CONNECTIONS = 128


@attrs.frozen
class Size:
    """How many tasks, how long they take, how often each is looked at, and how many rounds are run."""

    jobs: int
    low_s: float
    high_s: float
    every_s: float
    rounds: int


FULL = (Size(100, 3, 6, 0.1, 9), Size(1000, 5, 8, 1.0, 5), Size(10_000, 18, 25, 5.0, 3))
QUICK = (Size(100, 0.6, 0.9, 0.1, 1),)


#: How exactly each figure is told.
_DIGITS = {"look_us": 0, "cpu_us": 0, "kb_per_job": 1, "wall": 2, "lag_ms": 1, "most_open": 0}


# --- the contestants, each in a process of its own --------------------------------------------------------------


async def ours(url: str, ids: list[str], every_s: float) -> None:
    from veo_async.session import VeoSession  # the others must not pay for it

    async with VeoSession(
        _KEY,
        base_url=url,
        max_in_flight=len(ids),
        poll_every=every_s,
        polls_per_second=max(100.0, 3 * len(ids) / every_s),
    ) as veo:
        for task_id in ids:
            await veo.adopt(task_id)
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

    connector = aiohttp.TCPConnector(limit=_MOST_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
        for _ in range(_MOST_CONNECTIONS):
            group.create_task(work(http))


async def naive(url: str, ids: list[str], every_s: float) -> None:
    async def one(task_id: str) -> None:
        await asyncio.sleep(random.uniform(0.5, 1.5) * every_s)
        while True:
            async with http.get(f"{url}/api/v1/veo/record-info?taskId={task_id}", headers=_HEADERS) as response:
                if (await response.json())["data"]["successFlag"]:
                    return
            await asyncio.sleep(every_s)

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for task_id in ids:
            group.create_task(one(task_id))


CONTESTANTS: dict[str, Callable[[str, list[str], float], Awaitable[None]]] = {
    "ours": ours,
    "bare": bare,
    "naive": naive,
}


def contest(name: str, url: str, size: Size) -> None:
    """Run one contestant here and print what it took."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lags: list[float] = []
    if name == "ours":
        import veo_async.session  # noqa: F401  # not part of what a job costs

    async def run() -> dict[str, float]:
        loop = asyncio.get_running_loop()
        ids = _ask(f"{url}/make?count={size.jobs}&low={size.low_s}&high={size.high_s}")
        probe = asyncio.create_task(_probe(lags))
        memory, cpu, started = _memory(), time.process_time(), loop.time()
        running = asyncio.create_task(_while_they_run(url, size))
        await CONTESTANTS[name](url, ids, size.every_s)
        cpu, wall = time.process_time() - cpu, loop.time() - started
        probe.cancel()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        counted = _ask(f"{url}/stats")
        return {
            "look_us": await running,
            "cpu_us": 1e6 * cpu / counted["looks"],
            "kb_per_job": (peak - memory) / 1024 / size.jobs,
            "wall": wall / size.high_s,
            "lag_ms": 1000 * quantile(lags, 0.99),
            **counted,
        }

    print(json.dumps(asyncio.run(run())))


async def _while_they_run(url: str, size: Size) -> float:
    """Microseconds per look from when every task has been looked at until the first ends."""
    await asyncio.sleep(1.6 * size.every_s)
    before, cpu = _ask(f"{url}/stats")["looks"], time.process_time()
    await asyncio.sleep(size.low_s - 1.6 * size.every_s - 0.1)
    cpu = time.process_time() - cpu
    return 1e6 * cpu / (_ask(f"{url}/stats")["looks"] - before)


async def _probe(lags: list[float]) -> None:
    """How late the loop comes to what is due."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.02
        await asyncio.sleep(0.02)
        lags.append(loop.time() - due)


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:  # noqa: S310  # our own server
        return json.load(answer)


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


# --- the comparison ---------------------------------------------------------------------------------------------


def compare(report: Report) -> None:
    here = Path(__file__)
    server = subprocess.Popen([sys.executable, here.with_name("_provider.py")], stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for size in QUICK if report.is_quick else FULL:
            _compare(report, url, size)
    finally:
        server.kill()
        server.wait()


def _compare(report: Report, url: str, size: Size) -> None:
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for number in range(size.rounds):
        order = list(CONTESTANTS) if number == 0 else ["bare", "ours"] if number % 2 else ["ours", "bare"]
        for name in order:
            rounds[name].append(_in_a_process(name, url, size))

    def middle(name: str, figure: str) -> float:
        return median(one[figure] for one in rounds[name])

    def ratio(figure: str) -> float:
        return median(a[figure] / b[figure] for a, b in zip(rounds["ours"], rounds["bare"], strict=True))

    beside = {
        figure: f"{middle('bare', figure):,.{digits}f} bare, {middle('naive', figure):,.{digits}f} naive"
        for figure, digits in (
            ("look_us", 0),
            ("cpu_us", 0),
            ("kb_per_job", 1),
            ("wall", 2),
            ("lag_ms", 1),
            ("most_open", 0),
        )
    }
    what = f"{size.jobs:,} in flight"
    judged = {"needs_full_size": True}
    report.add(
        f"{what}: CPU per look while they run / bare",
        ratio("look_us"),
        most=1.0,
        digits=2,
        beside="1.00 bare",
        **judged,
    )
    report.add(f"{what}: the same, us", middle("ours", "look_us"), beside=beside["look_us"])
    report.add(f"{what}: all in all / bare", ratio("cpu_us"), digits=2, beside="1.00 bare")
    report.add(f"{what}: the same, us", middle("ours", "cpu_us"), beside=beside["cpu_us"])
    report.add(
        f"{what}: loop lag p99, ms", middle("ours", "lag_ms"), most=20, digits=1, beside=beside["lag_ms"], **judged
    )
    is_large = size.jobs >= 10_000
    report.add(
        f"{what}: KB per job",
        middle("ours", "kb_per_job"),
        most=3 if is_large else None,
        digits=1,
        beside=beside["kb_per_job"],
    )
    report.add(f"{what}: connections", middle("ours", "most_open"), most=128, beside=beside["most_open"])
    report.add(
        f"{what}: wall / longest job",
        middle("ours", "wall"),
        most=1.35 if is_large else None,
        digits=2,
        beside=beside["wall"],
    )


def _in_a_process(name: str, url: str, size: Size) -> dict[str, float]:
    command = [sys.executable, __file__, "--contest", name, url, json.dumps(attrs.astuple(size))]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603  # ourselves
    result: dict[str, float] = json.loads(told.stdout)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--contest", nargs=3)
    if chosen := parser.parse_known_args()[0].contest:
        contest(chosen[0], chosen[1], Size(*json.loads(chosen[2])))
    else:
        main("Many tasks in flight", compare)
