"""The clients of `in_flight.py`. Each creates its tasks, polls them, and ends when it knows every clip.

*ours*, *ledger*: a `VeoSession`, without and with a ledger file. *competent*, *database*: `_competent.py`, without and
with its SQLite row per job. *naive*: for every job a task that creates, sleeps and polls, with aiohttp's defaults.

All of them poll a task at the same interval, and first after one interval. All read into kept buffers.
"""

import asyncio
import json
import os
import resource
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from _common import quantile
from _competent import Client, Database, over_aiohttp

KEY = "any-key-is-accepted"
RATE = (1000, 1.0)
LATENCY_S = 0.05
#: The least time between two ticks that measure the lag of the loop.
_TICK_S = 0.02


@attrs.frozen
class Size:
    """How many jobs, how long their tasks take, how often each is polled, and the number of rounds."""

    jobs: int
    low_s: float
    high_s: float
    every_s: float
    rounds: int

    @property
    def sending_s(self) -> float:
        """How long sending takes at `RATE`."""
        return (self.jobs - 1) // RATE[0] * RATE[1]


@attrs.frozen
class Provider:
    """Where `_provider.py` listens, and the file with the authority that it is trusted by."""

    tcp_port: int
    tls_port: int
    authority: str

    def address(self, *, tls: bool = False) -> tuple[str, ssl.SSLContext | None]:
        """Return its URL, and the context that trusts it."""
        if not tls:
            return f"http://127.0.0.1:{self.tcp_port}", None
        return f"https://127.0.0.1:{self.tls_port}", ssl.create_default_context(cafile=self.authority)

    def ask(self, path: str) -> Any:
        """Send a request of the benchmark itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.tcp_port}/{path}") as response:  # our own
            return json.load(response)

    def reset(self, low_s: float, high_s: float, latency_s: float) -> None:
        """Forget all tasks; later ones take U(low_s, high_s) seconds."""
        self.ask(f"reset?low={low_s}&high={high_s}&latency={latency_s}")


Run = Callable[[str, Size, Path], Awaitable[int]]


def prompts(jobs: int) -> Iterator[str]:
    return (f"A dog surfing at dusk, slow motion, take {number}" for number in range(jobs))


async def without_ledger(url: str, size: Size, folder: Path) -> int:
    return await _ours(url, size, None)


async def with_ledger(url: str, size: Size, folder: Path) -> int:
    return await _ours(url, size, folder / "ledger.db")


async def _ours(url: str, size: Size, ledger: Path | None) -> int:
    from veo_async import Done, VeoSession
    from veo_async.settings import Limits  # the other clients must not pay for the import

    async with VeoSession(
        KEY,
        base_url=url,
        ledger=ledger,
        max_in_flight=size.jobs,
        limits=Limits(rate=RATE, poll_every=size.every_s, polls_per_second=3 * size.jobs / size.every_s),
    ) as veo:
        outcomes = veo.map(prompts(size.jobs))
        clips = [outcome.clip.urls if isinstance(outcome, Done) else () async for outcome in outcomes]
    return sum(map(bool, clips))


async def competent(url: str, size: Size, folder: Path, database: Database | None = None) -> int:
    http, send = over_aiohttp(url, KEY)
    every_s, max_running = size.every_s, size.jobs
    client = Client(send, limit=RATE, max_running=max_running, first_s=every_s, every_s=every_s, database=database)
    async with http:
        return sum(isinstance(clip, list) for clip in await client.run(prompts(size.jobs)))


async def with_database(url: str, size: Size, folder: Path) -> int:
    database = Database(folder / "competent.db")
    try:
        return await competent(url, size, folder, database)
    finally:
        database.close()


async def naive(url: str, size: Size, folder: Path) -> int:
    async def run_one(prompt: str) -> list[str]:
        body = {"prompt": prompt, "model": "veo3_fast"}
        async with http.post(f"{url}/api/v1/veo/generate", json=body) as response:
            task_id = (await response.json())["data"]["taskId"]
        while True:
            await asyncio.sleep(size.every_s)
            async with http.get(f"{url}/api/v1/veo/record-info", params={"taskId": task_id}) as response:
                record = (await response.json())["data"]
            if record["successFlag"]:
                urls: list[str] = record["response"]["resultUrls"]
                return urls

    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_one(prompt)) for prompt in prompts(size.jobs)]
    return sum(bool(task.result()) for task in tasks)


CLIENTS: dict[str, Run] = {
    "ours": without_ledger,
    "competent": competent,
    "naive": naive,
    "ledger": with_ledger,
    "database": with_database,
}


def keep_read_buffers() -> None:
    """Let the allocator keep the memory that asyncio reads into, as `veo_async` does."""
    bytearray(512 * 1024)


def run_client(name: str, provider: Provider, size: Size) -> dict[str, float]:
    """Run one client in this process and return its figures."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    keep_read_buffers()
    if name in {"ours", "ledger"}:
        import veo_async.session  # noqa: F401  # the import is not part of the cost of a job

    async def run() -> dict[str, float]:
        loop = asyncio.get_running_loop()
        provider.reset(size.low_s, size.high_s, LATENCY_S)
        lags: list[float] = []
        ticking = asyncio.create_task(_tick(lags))
        with tempfile.TemporaryDirectory() as folder:
            memory, cpu, started_at = _memory(), time.process_time(), loop.time()
            done = await CLIENTS[name](provider.address()[0], size, Path(folder))
            cpu, elapsed_s = time.process_time() - cpu, loop.time() - started_at
        ticking.cancel()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        stats = provider.ask("stats")
        return {
            "lost": size.jobs - done,
            "extra_tasks": stats["tasks"] - size.jobs,
            "cpu_ms": 1000 * cpu / size.jobs,
            "polls": stats["polls"] / size.jobs,
            "wall": elapsed_s / (size.sending_s + stats["longest_s"]),
            "kb_per_job": (peak - memory) / 1024 / size.jobs,
            "lag_ms": 1000 * quantile(lags, 0.99),
            "connections": stats["max_open"],
        }

    return asyncio.run(run())


async def _tick(lags: list[float]) -> None:
    """Measure how late the loop runs its timers, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + _TICK_S
        await asyncio.sleep(_TICK_S)
        lags.append(loop.time() - due_at)


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
