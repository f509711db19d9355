"""A batch of 500 clips through the real batch room: how long, how smooth, and whether a file is ever a broken one.

The provider is the simulator in a process of its own; both processes live in loops that are so many times as fast, see
`fast_loop`, and everything between them is real: sockets, a ledger file, downloads, fsync. One download in five breaks
off, or ends early and says that this was all. *makespan* is when the last row has been written down, its file whole
and under its name, in the provider's seconds, over the exact bound of `_common.lower_bound`: a client that knows
everything, has no network and needs no time for files. A look into the folder every few milliseconds takes every file
that has its name and walks through its boxes. The lag of the loop is in real seconds.

Beside it: the same list through a loop that most people write first, a semaphore around create, poll and fetch, which
writes whatever comes under the clip's own name.
"""

import asyncio
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from _common import LIMIT, WINDOW_S, Report, lower_bound, main, quantile

from veo_async import TaskState, VeoApi, VeoSession
from veo_async._wire import KIE
from veo_async.batch.manifest import Manifest, read_manifest
from veo_async.batch.run import Batch
from veo_async.errors import VeoError
from veo_async.media import IncompleteVideo, check_complete
from veo_async.simulator import Simulator, truncate, wrong_length
from veo_async.simulator.fast_loop import fast_loop

_KEY = "a-key-that-nobody-minds"
#: Simulated seconds in a real one: more, and the two processes have too much to do to be judged.
SPEED, QUICK_SPEED = 10.0, 40.0
_BREAKS = 0.1
_LOOK_S = 0.005


@attrs.frozen
class Run:
    """What came of one batch."""

    saved: int
    makespan: float  #: over the bound
    lag_ms: float
    broken: int  #: files that had their name and were not whole, at whatever moment
    tried: int  #: downloads that were begun
    twice: int


# --- the provider, in a process of its own ----------------------------------------------------------------------


def provide(seed: int, speed: float) -> None:
    """Say where it is; serve until standard input ends; tell what happened."""

    async def serve() -> dict[str, Any]:
        faults = [
            truncate(endpoint="download", probability=_BREAKS),
            wrong_length(probability=_BREAKS / (1 - _BREAKS)),
        ]
        async with Simulator(api_key=_KEY, seed=seed, max_running=10**6, faults=faults) as sim:
            print(sim.url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            return {
                "durations": [task.outcome.duration_s for task in sim.tasks.values()],
                "tried": sim.count("download"),
                "twice": len(sim.double_charges()),
            }

    print(json.dumps(_run_fast(serve(), speed)))


# --- the contestants, each in a process of its own --------------------------------------------------------------


async def ours(url: str, rows: Manifest, folder: Path) -> float:
    loop = asyncio.get_running_loop()
    last = began = loop.time()

    def note(_: object) -> None:
        nonlocal last
        last = loop.time()

    async with VeoSession(_KEY, base_url=url, ledger=folder / "ledger.db", max_in_flight=len(rows.rows)) as veo:
        await Batch(veo, rows, folder, now=loop.time, on_result=note).run()
    return last - began


async def naive(url: str, rows: Manifest, folder: Path) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    sending = asyncio.Semaphore(LIMIT)

    async def one(key: str, prompt: str) -> None:
        task_id = await created(prompt)
        while (record := await api.record_info(task_id)).state is not TaskState.SUCCEEDED:  # noqa: ASYNC110  # naive
            await asyncio.sleep(10)
        try:
            async with http.get(record.urls[0]) as answer:
                with (folder / f"{key}.mp4").open("wb") as file:
                    async for chunk in answer.content.iter_chunked(1024):
                        file.write(chunk)
        except aiohttp.ClientError:
            pass  # logged and forgotten

    async def created(prompt: str) -> str:
        async with sending:
            pause_s = 1.0
            while True:
                try:
                    return (await api.generate(prompt)).task_id
                except VeoError:
                    await asyncio.sleep(pause_s)
                    pause_s = min(30.0, 2 * pause_s)

    async with VeoApi(_KEY, base_url=url) as api, aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for row in rows.rows:
            group.create_task(one(row.key, row.request.prompt))
    return loop.time() - began


CONTESTANTS: dict[str, Callable[[str, Manifest, Path], Coroutine[Any, Any, float]]] = {"ours": ours, "naive": naive}


def contest(name: str, url: str, jobs: int, folder: Path, speed: float) -> None:
    """Run one contestant here and print what it took."""
    text = "key,prompt\n" + "".join(f"row-{number},A dog surfing number {number}\n" for number in range(jobs))
    rows = read_manifest(text.encode(), "csv", KIE)

    async def run() -> dict[str, float]:
        lags: list[float] = []
        probe = asyncio.create_task(_probe(lags, speed))
        took = await CONTESTANTS[name](url, rows, folder)
        probe.cancel()
        return {"took": took, "lag_ms": 1000 * quantile(lags, 0.99)}

    print(json.dumps(_run_fast(run(), speed)))


async def _probe(lags: list[float], speed: float) -> None:
    """How late the loop comes to what is due, in real seconds."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.02 * speed)
        lags.append(time.perf_counter() - began - 0.02)


def _run_fast(work: Coroutine[Any, Any, dict[str, Any]], speed: float) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=fast_loop(speed)) as runner:
        return runner.run(work)


# --- the comparison ---------------------------------------------------------------------------------------------


class Walk:
    """Takes every film that has its name, once for each version of it, and walks through its boxes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[tuple[str, int]] = set()
        self.broken: set[str] = set()

    def look(self) -> None:
        for film in self._folder.glob("*.mp4"):
            about = film.stat()
            if (film.name, about.st_mtime_ns) not in self._seen:
                self._seen.add((film.name, about.st_mtime_ns))
                with film.open("rb") as file:
                    try:
                        check_complete(file)
                    except IncompleteVideo:
                        self.broken.add(film.name)

    def whole(self) -> int:
        return len({name for name, _ in self._seen} - self.broken)


def race(name: str, jobs: int, speed: float) -> Run:
    folder = Path(tempfile.mkdtemp(prefix="veo-batch-"))
    provider = _started("--provider", "1", str(speed))
    try:
        assert provider.stdout is not None
        url = provider.stdout.readline().strip()
        walk = Walk(folder)
        client = _started("--contest", name, url, str(jobs), str(folder), str(speed))
        while client.poll() is None:
            walk.look()
            time.sleep(_LOOK_S)
        walk.look()
        told, _ = client.communicate()
        assert client.returncode == 0, told
        ours = json.loads(told)
        theirs = json.loads(provider.communicate()[0])
    finally:
        provider.kill()
        provider.wait()
        shutil.rmtree(folder, ignore_errors=True)
    bound = lower_bound(theirs["durations"], limit=LIMIT, window_s=WINDOW_S, cap=math.inf)
    return Run(
        saved=walk.whole(),
        makespan=ours["took"] / bound,
        lag_ms=ours["lag_ms"],
        broken=len(walk.broken),
        tried=theirs["tried"],
        twice=theirs["twice"],
    )


def _started(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


def compare(report: Report) -> None:
    jobs, speed = (40, QUICK_SPEED) if report.is_quick else (500, SPEED)
    ours_run, naive_run = race("ours", jobs, speed), race("naive", jobs, speed)
    what = f"{jobs:,} clips"
    report.add(f"{what}: saved, whole", ours_run.saved, least=jobs, beside=f"{naive_run.saved} naive")
    report.add(
        f"{what}: makespan / bound, files and all",
        ours_run.makespan,
        most=1.05,
        digits=4,
        beside=f"{naive_run.makespan:.4f} naive",
        needs_full_size=True,
    )
    report.add(
        f"{what}: loop lag p99, ms",
        ours_run.lag_ms,
        most=20,
        digits=1,
        beside=f"{naive_run.lag_ms:.1f} naive",
        needs_full_size=True,
    )
    report.add(f"{what}: files with their name that are broken", ours_run.broken, most=0, beside=f"{naive_run.broken}")
    report.add(f"{what}: charged twice", ours_run.twice, most=0, beside=f"{naive_run.twice}")
    report.add(f"{what}: downloads begun", ours_run.tried, beside=f"{naive_run.tried}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--provider"]:
        provide(int(sys.argv[2]), float(sys.argv[3]))
    elif sys.argv[1:2] == ["--contest"]:
        contest(sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]), float(sys.argv[6]))
    else:
        main("A batch from its list to its files, 20 per 10 s, one download in five broken", compare)
