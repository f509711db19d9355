"""Run a batch of 500 clips through `veo_async.batch`: makespan, loop lag, and whether a saved file is ever incomplete.

The provider is the simulator in its own process. Both processes run on loops that are `SPEED` times as fast as real
time (see `fast_loop`); everything between them is real: sockets, a ledger file, downloads, fsync. One download in five
breaks off, or ends early and claims to be complete. The *makespan* is the time until the last row is recorded and its
file is complete under its final name, in the provider's seconds, divided by the exact bound of `_common.lower_bound`: a
client that knows everything, has no network latency, and needs no time for files. Every few milliseconds the benchmark
checks the MP4 boxes of every file under a final name. The lag of the loop is in real seconds.

A session on a ledger that stays open lets go of finished jobs: the memory that it keeps of each is counted by
`tracemalloc` between two rounds of jobs, of which the first fills all caches.

For comparison: the competent client (`_competent.py`), which downloads to a partial file, three times if that fails,
and renames it; and *naive*, the loop that most people write first: a semaphore around the creating request, fixed
polls, and a download straight to the final name.
"""

import asyncio
import gc
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from _common import LIMIT, WINDOW_S, Report, lower_bound, main, quantile
from _competent import Client, over_aiohttp

from veo_async import TaskState, VeoApi, VeoSession
from veo_async._api import transport
from veo_async._wire import KIE
from veo_async.batch.manifest import Manifest, read_manifest
from veo_async.batch.run import Batch
from veo_async.errors import VeoError
from veo_async.media import IncompleteVideo, check_complete
from veo_async.settings import Limits
from veo_async.simulator import Simulator, truncate, wrong_length
from veo_async.simulator.fast_loop import fast_loop

_KEY = "any-key-is-accepted"
#: Simulated seconds per real second. At higher speeds the processes have no idle CPU time, and the lag is meaningless.
SPEED, QUICK_SPEED = 10.0, 40.0
_FAULT_RATE = 0.1
_CHECK_EVERY_S = 0.005
#: A rate limit that does not decide how long a round of jobs takes.
_NO_LIMIT = (1_000, 1.0)


@attrs.frozen
class Run:
    """The result of one batch."""

    saved: int
    makespan: float  #: divided by the bound
    lag_ms: float
    incomplete: int  #: files that were incomplete under their final name at any moment
    downloads: int  #: downloads that were started
    duplicates: int  #: duplicate charges


# --- the provider, in its own process ---------------------------------------------------------------------------


def provide(seed: int, speed: float, *, is_limited: bool) -> None:
    """Print the URL, serve until standard input ends, and print the counters."""

    async def serve() -> dict[str, Any]:
        faults = [
            truncate(endpoint="download", probability=_FAULT_RATE),
            wrong_length(probability=_FAULT_RATE / (1 - _FAULT_RATE)),
        ]
        options: dict[str, Any] = {"faults": faults} if is_limited else {"rate": _NO_LIMIT, "duration_s": 1.0}
        async with Simulator(api_key=_KEY, seed=seed, max_running=10**6, **options) as sim:
            print(sim.url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            return {
                "durations": [task.outcome.duration_s for task in sim.tasks.values()],
                "downloads": sim.count("download"),
                "duplicates": len(sim.double_charges()),
            }

    print(json.dumps(_run_fast(serve(), speed)))


# --- the clients, each in its own process -----------------------------------------------------------------------


async def ours(url: str, manifest: Manifest, folder: Path) -> float:
    loop = asyncio.get_running_loop()
    last = began = loop.time()

    def note(_: object) -> None:
        nonlocal last
        last = loop.time()

    async with VeoSession(_KEY, base_url=url, ledger=folder / "ledger.db", max_in_flight=len(manifest.rows)) as veo:
        await Batch(veo, manifest, folder, now=loop.time, on_result=note).run()
    return last - began


async def competent(url: str, manifest: Manifest, folder: Path) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    http, send = over_aiohttp(url, _KEY)
    client = Client(send, limit=(LIMIT, 1.02 * WINDOW_S), max_running=len(manifest.rows), first_s=54.0, every_s=5.0)

    async def run_one(key: str, prompt: str) -> None:
        (clip,) = await client.run([prompt])
        part = folder / f"{key}.part"
        for _ in range(3):
            if isinstance(clip, list) and await download(clip[0], part):
                part.rename(folder / f"{key}.mp4")
                return

    async def download(address: str, part: Path) -> bool:
        try:
            async with http.get(address) as response:
                with part.open("wb") as file:
                    async for chunk in response.content.iter_chunked(2**16):
                        file.write(chunk)
                    os.fsync(file.fileno())
        except aiohttp.ClientError:
            return False
        return True

    async with http, asyncio.TaskGroup() as group:
        for row in manifest.rows:
            group.create_task(run_one(row.key, row.request.prompt))
    return loop.time() - began


async def naive(url: str, manifest: Manifest, folder: Path) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    sending = asyncio.Semaphore(LIMIT)

    async def run_one(key: str, prompt: str) -> None:
        task_id = await create(prompt)
        while (record := await api.record_info(task_id)).state is not TaskState.SUCCEEDED:  # noqa: ASYNC110  # naive
            await asyncio.sleep(10)
        try:
            async with http.get(record.urls[0]) as response:
                with (folder / f"{key}.mp4").open("wb") as file:
                    async for chunk in response.content.iter_chunked(1024):
                        file.write(chunk)
        except aiohttp.ClientError:
            pass  # logged and forgotten

    async def create(prompt: str) -> str:
        async with sending:
            pause_s = 1.0
            while True:
                try:
                    return (await api.generate(prompt)).task_id
                except VeoError:
                    await asyncio.sleep(pause_s)
                    pause_s = min(30.0, 2 * pause_s)

    async with VeoApi(_KEY, base_url=url) as api, aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for row in manifest.rows:
            group.create_task(run_one(row.key, row.request.prompt))
    return loop.time() - began


CLIENTS: dict[str, Callable[[str, Manifest, Path], Coroutine[Any, Any, float]]] = {
    "ours": ours,
    "competent": competent,
    "naive": naive,
}


def run_client(name: str, url: str, jobs: int, folder: Path, speed: float) -> None:
    """Run one client in this process and print its figures."""
    text = "key,prompt\n" + "".join(f"row-{number},A dog surfing number {number}\n" for number in range(jobs))
    manifest = read_manifest(text.encode(), "csv", KIE)

    async def run() -> dict[str, float]:
        lags: list[float] = []
        probe = asyncio.create_task(_probe(lags, speed))
        elapsed_s = await CLIENTS[name](url, manifest, folder)
        probe.cancel()
        return {"elapsed_s": elapsed_s, "lag_ms": 1000 * quantile(lags, 0.99)}

    print(json.dumps(_run_fast(run(), speed)))


def run_session(url: str, jobs: int, folder: Path) -> None:
    """Let a session finish two rounds of jobs in this process, and print what it keeps of each job of the second."""

    async def run() -> dict[str, float]:
        limits, size = Limits(rate=_NO_LIMIT, poll_every=0.5, polls_per_second=1_000), 0
        async with VeoSession(_KEY, base_url=url, ledger=folder / "open.db", max_in_flight=jobs, limits=limits) as veo:
            for name in ("first", "second"):
                before = size
                async for _ in veo.map([f"A dog in the {name} round, number {number}" for number in range(jobs)]):
                    pass
                await asyncio.sleep(0.5)  # the tasks that worked on the last job end
                transport._parse_url.cache_clear()  # it holds 512 URLs, however many jobs there are
                gc.collect()
                size, _ = tracemalloc.get_traced_memory()
        return {"kb_per_job": (size - before) / 1024 / jobs}

    tracemalloc.start()
    print(json.dumps(asyncio.run(run())))


async def _probe(lags: list[float], speed: float) -> None:
    """Measure how late the loop runs its timers, in real seconds."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.02 * speed)
        lags.append(time.perf_counter() - began - 0.02)


def _run_fast(work: Coroutine[Any, Any, dict[str, Any]], speed: float) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=fast_loop(speed)) as runner:
        return runner.run(work)


# --- the comparison ---------------------------------------------------------------------------------------------


class FileChecker:
    """Checks every file under its final name, once per version of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[tuple[str, int]] = set()
        self.incomplete: set[str] = set()

    def check(self) -> None:
        for path in self._folder.glob("*.mp4"):
            version = path.name, path.stat().st_mtime_ns
            if version not in self._seen:
                self._seen.add(version)
                with path.open("rb") as file:
                    try:
                        check_complete(file)
                    except IncompleteVideo:
                        self.incomplete.add(path.name)

    def complete(self) -> int:
        """Return the number of files that were never incomplete."""
        return len({name for name, _ in self._seen} - self.incomplete)


def measure(name: str, jobs: int, speed: float) -> Run:
    folder = Path(tempfile.mkdtemp(prefix="veo-batch-"))
    provider = _start("--provider", str(speed), "limited")
    try:
        assert provider.stdout is not None
        url = provider.stdout.readline().strip()
        files = FileChecker(folder)
        client = _start("--client", name, url, str(jobs), str(folder), str(speed))
        while client.poll() is None:
            files.check()
            time.sleep(_CHECK_EVERY_S)
        files.check()
        output, _ = client.communicate()
        assert client.returncode == 0, output
        figures = json.loads(output)
        counters = json.loads(provider.communicate()[0])
    finally:
        provider.kill()
        provider.wait()
        shutil.rmtree(folder, ignore_errors=True)
    bound = lower_bound(counters["durations"], limit=LIMIT, window_s=WINDOW_S, cap=math.inf)
    return Run(
        saved=files.complete(),
        makespan=figures["elapsed_s"] / bound,
        lag_ms=figures["lag_ms"],
        incomplete=len(files.incomplete),
        downloads=counters["downloads"],
        duplicates=counters["duplicates"],
    )


def measure_memory(jobs: int) -> float:
    """Return the KB that an open session keeps of a finished job."""
    provider = _start("--provider", "1", "unlimited")
    try:
        assert provider.stdout is not None
        url = provider.stdout.readline().strip()
        with tempfile.TemporaryDirectory(prefix="veo-batch-") as folder:
            output, _ = _start("--session", url, str(jobs), folder).communicate()
        return float(json.loads(output)["kb_per_job"])
    finally:
        provider.kill()
        provider.wait()


def _start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


def compare(report: Report) -> None:
    jobs, speed = (40, QUICK_SPEED) if report.is_quick else (500, SPEED)
    runs = [measure(name, jobs, speed) for name in CLIENTS]
    for text, name, digits, goal in (
        ("saved and complete", "saved", 0, {"at_least": jobs}),
        ("makespan / bound, with downloads", "makespan", 4, {"at_most": 1.05, "slack": 1.2}),
        ("loop lag p99, ms", "lag_ms", 1, {"at_most": 20.0, "needs_full_size": True}),
        ("incomplete files under their final name", "incomplete", 0, {"at_most": 0.0}),
        ("duplicate charges", "duplicates", 0, {"at_most": 0.0}),
        ("downloads started", "downloads", 0, {}),
    ):
        own, *others = (getattr(run, name) for run in runs)
        compared_with = "{:,.{digits}f} competent, {:,.{digits}f} naive".format(*others, digits=digits)
        options: dict[str, Any] = goal
        report.add(f"{jobs:,} clips: {text}", own, digits=digits, compared_with=compared_with, **options)
    kept = 300 if report.is_quick else 500
    report.add(f"{kept:,} jobs on a ledger: KB kept per finished job", measure_memory(kept), at_most=0.5, digits=2)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--provider"]:
        provide(1, float(sys.argv[2]), is_limited=sys.argv[3] == "limited")
    elif sys.argv[1:2] == ["--session"]:
        run_session(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1:2] == ["--client"]:
        run_client(sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]), float(sys.argv[6]))
    else:
        main("A batch from list to files, 20 requests per 10 s, one download in five fails", compare)
