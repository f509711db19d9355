"""The CPU time of one poll of a running task: clients take turns, in slices, in one process.

All clients use one event loop, one server, as many connections, aiohttp's own parser and the same kept read buffers, so
what differs is the code around the request. Each has 128 workers that poll as fast as they can while its valve is open.

*veo*, *jobs*: a `VeoSession` with tasks that it created, on each route: everything that a poll costs. *bare*: aiohttp's
``session.get`` and ``json.loads`` of the bytes, and nothing else.
"""

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Literal

import aiohttp
from _in_flight_clients import KEY, RATE, Provider, keep_read_buffers, prompts

from veo_async import VeoSession
from veo_async._api.routes import Routes
from veo_async._api.transport import AiohttpTransport
from veo_async._ports import HttpRequest, Transport
from veo_async._wire import HttpResponse
from veo_async.settings import Limits, Network

_CONNECTIONS = 128
_TASKS = 256


class Valve:
    """Lets requests pass while it is open, and counts them."""

    def __init__(self) -> None:
        self.passed = 0
        self._in_flight = 0
        self._is_open, self._is_empty = asyncio.Event(), asyncio.Event()

    async def enter(self) -> None:
        if not self._is_open.is_set():
            await self._is_open.wait()
        self.passed += 1
        self._in_flight += 1

    def leave(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and not self._is_open.is_set():
            self._is_empty.set()

    def open(self) -> None:
        self._is_empty.clear()
        self._is_open.set()

    async def close(self) -> None:
        """Let no more requests pass, and wait for those in flight."""
        self._is_open.clear()
        if self._in_flight:
            await self._is_empty.wait()

    async def cpu_us(self, slice_s: float) -> float:
        """Open for a slice and return the CPU microseconds per request."""
        before, cpu = self.passed, time.process_time()
        self.open()
        await asyncio.sleep(slice_s)
        await self.close()
        return 1e6 * (time.process_time() - cpu) / (self.passed - before)


class ThroughValve:
    """A transport whose polls pass a valve."""

    def __init__(self, inner: Transport, valve: Valve) -> None:
        self._inner, self._valve = inner, valve

    async def send(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            return await self._inner.send(request)
        await self._valve.enter()
        try:
            return await self._inner.send(request)
        finally:
            self._valve.leave()

    async def close(self) -> None:
        await self._inner.close()


@asynccontextmanager
async def _session(provider: Provider, tls: bool, route: Literal["veo", "jobs"]) -> AsyncIterator[Valve]:
    url, context = provider.address(tls=tls)
    valve = Valve()
    transport = ThroughValve(AiohttpTransport(None, Routes(context=context)), valve)
    # Every task is overdue at any time, and the budget delays no poll.
    limits = Limits(rate=RATE, poll_every=0.001, polls_per_second=1e6)
    async with VeoSession(
        KEY, base_url=url, max_in_flight=_TASKS, limits=limits, network=Network(transport=transport, route=route)
    ) as veo:
        for job in [await veo.submit(prompt) for prompt in prompts(_TASKS)]:
            await job.accepted()
        yield valve


@asynccontextmanager
async def _bare(provider: Provider, tls: bool) -> AsyncIterator[Valve]:
    url, context = provider.address(tls=tls)
    valve = Valve()
    headers = {"Authorization": f"Bearer {KEY}"}

    async def work(task_ids: list[str]) -> None:
        for task_id in itertools.cycle(task_ids):
            await valve.enter()
            async with http.get(f"{url}/api/v1/veo/record-info?taskId={task_id}", headers=headers) as response:
                record = json.loads(await response.read())
            assert record["data"]["successFlag"] == 0
            valve.leave()

    connector = aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=context or True)
    task_ids = [f"{number:032x}" for number in range(_TASKS)]
    async with aiohttp.ClientSession(connector=connector) as http:
        workers = [asyncio.create_task(work(task_ids[number::_CONNECTIONS])) for number in range(_CONNECTIONS)]
        try:
            yield valve
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)


def poll_slices(provider: Provider, *, tls: bool, rounds: int, slice_s: float) -> dict[str, list[float]]:
    """Return the CPU microseconds per poll of each client, in each round."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    keep_read_buffers()
    starts: dict[str, Callable[[], AbstractAsyncContextManager[Valve]]] = {
        "veo": lambda: _session(provider, tls, "veo"),
        "bare": lambda: _bare(provider, tls),
        "jobs": lambda: _session(provider, tls, "jobs"),
    }

    async def run() -> dict[str, list[float]]:
        provider.reset(1e6, 1e6, 0.0)
        async with AsyncExitStack() as stack:
            valves = {name: await stack.enter_async_context(start()) for name, start in starts.items()}
            found: dict[str, list[float]] = {name: [] for name in valves}
            for number in range(-3, rounds):  # the first three open the connections
                for name, valve in valves.items() if number % 2 else reversed(valves.items()):
                    cpu_us = await valve.cpu_us(slice_s)
                    if number >= 0:
                        found[name].append(cpu_us)
            for valve in valves.values():
                valve.open()  # the sessions may send while they close
        return found

    return asyncio.run(run())
