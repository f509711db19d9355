"""Callbacks: the cost of receiving them, the effect of a flood of forged ones, and how soon a task's end is known.

*Receiving*: the same requests, two forged for each good one, go to ``veo.callbacks.aiohttp_routes()`` of a session with
hundreds of running tasks and a ledger file, and to a bare aiohttp handler that reads the body and returns 200. Both run
in this process, one after the other, over real sockets; the client has its own process. A good callback names a task
that is still running, so no job may change its state. A forged one has an unknown token, a modified token, a wrong
signature or an invalid body.

*Detection*: the time from a task's end until the session knows of it, in virtual time. 10 % of the callbacks are lost.
For comparison: polling alone with the same budget.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from _common import Distant, Report, in_virtual_time, main, quantile
from aiohttp import web

from veo_async._wire import VideoRequest, sign_callback
from veo_async.session import Job, VeoSession
from veo_async.settings import Callbacks, Network
from veo_async.simulator import MemoryTransport, lost_callback

_SECRET = "a-webhook-secret"
_CONNECTIONS = 16

# --- receiving --------------------------------------------------------------------------------------------------


async def receiving(report: Report) -> None:
    good, forged = (500, 1000) if report.is_quick else (5000, 10_000)
    rounds = 1 if report.is_quick else 3
    with tempfile.TemporaryDirectory() as folder:
        sim = MemoryTransport(seed=1, limiter="none", max_running=10**6, duration_s=1e6)
        veo = VeoSession(
            sim.api_key,
            ledger=Path(folder, "veo.db"),
            max_in_flight=1000,
            callbacks=Callbacks("http://127.0.0.1:1", secret=_SECRET),
            network=Network(transport=sim),
        )
        async with veo:
            jobs = [await veo.submit(f"A dog, take {number}") for number in range(200)]
            for job in jobs:
                await job.accepted()
            tokens = _tokens(sim)
            before, polls = Counter(job.state for job in veo.jobs()), veo.statistics().watcher.polls
            loop = asyncio.get_running_loop()
            started_at, runs = loop.time(), []
            for _ in range(rounds):
                callbacks = _callbacks(jobs, tokens, good, forged)
                bare = await _serve([web.post("/veo/cb/{token}", _bare)], callbacks)
                runs.append((bare, await _serve(veo.callbacks.aiohttp_routes(), callbacks)))
            elapsed_s, responses = loop.time() - started_at, veo.statistics().callback_responses
            changed = sum((before - Counter(job.state for job in veo.jobs())).values())
            polls = veo.statistics().watcher.polls - polls
    accepted = responses.get(200, 0)
    bare, ours = ({name: median(run[side][name] for run in runs) for name in ("per_s", "p99_ms")} for side in (0, 1))
    report.add("callbacks per second", ours["per_s"], compared_with=f"{bare['per_s']:,.0f} bare handler")
    ratio = ours["per_s"] / bare["per_s"]
    report.add("callbacks per second / bare", ratio, at_least=0.5, digits=2, compared_with="1.00", needs_full_size=True)
    report.add("p99 latency, ms", ours["p99_ms"], digits=1, compared_with=f"{bare['p99_ms']:.1f} bare handler")
    report.add("good callbacks accepted, percent", 100 * accepted / (good * rounds), at_least=100)
    report.add("forged callbacks accepted", max(0, accepted - good * rounds), at_most=0)
    report.add("jobs whose state changed", changed, at_most=0)
    report.add("polls per second", polls / elapsed_s, at_most=8.5, digits=1, compared_with="8  the budget")


async def _bare(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


def _tokens(sim: MemoryTransport) -> dict[str, str]:
    """Return the callback token of each task."""
    return {charge.task_id: charge.callback_url.rpartition("/")[2] for charge in sim.charges if charge.callback_url}


def _callbacks(
    jobs: list[Job], tokens: dict[str, str], good: int, forged: int
) -> list[tuple[str, dict[str, str], str]]:
    """Return path, headers and body of each callback, in the order in which they are sent."""
    rng, callbacks = Random(7), []
    for number in range(good + forged):
        job = jobs[number % len(jobs)]
        task_id = job.task_id or ""
        token = tokens[task_id]
        kind = number % 3 if number < 3 * min(good, forged // 2) else 0
        wrong = rng.choice(("token", "modified", "signature", "body"))
        if kind and wrong == "token":
            token = "a" * 26
        elif kind and wrong == "modified":
            modified = token[:-3] + "".join(rng.choice("abcdefgh") for _ in range(3))
            token = modified if modified != token else "b" * 26
        sent_at = int(time.time())  # noqa: TID251  # a signature contains the wall clock
        signature = sign_callback(task_id, sent_at, "another secret" if kind and wrong == "signature" else _SECRET)
        body = (
            "[]"
            if kind and wrong == "body"
            else json.dumps({"code": 400, "msg": "failed", "data": {"taskId": task_id}})
        )
        headers = {"X-Webhook-Timestamp": str(sent_at), "X-Webhook-Signature": signature}
        callbacks.append((f"/veo/cb/{token}", headers, body))
    return callbacks


async def _serve(routes: Any, callbacks: list[tuple[str, dict[str, str], str]]) -> dict[str, float]:
    """Send *callbacks* to *routes* from another process. Return its figures: `per_s` and `p99_ms`."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    client = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", str(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    output, _ = await client.communicate(json.dumps(callbacks).encode())
    await runner.cleanup()
    result: dict[str, float] = json.loads(output)
    return result


async def _send_all(port: int, callbacks: list[tuple[str, dict[str, str], str]]) -> dict[str, float]:
    """Send all callbacks on raw connections: a client library would cost more CPU than the servers."""
    pending, latencies = iter(callbacks), []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path, headers, body in pending:
            lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            sent_at = time.perf_counter()
            writer.write("\r\n".join([*lines, "", body]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - sent_at)
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    started_at = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(connection())
    elapsed_s = time.perf_counter() - started_at
    return {"per_s": len(callbacks) / elapsed_s, "p99_ms": 1000 * quantile(latencies, 0.99)}


# --- detection --------------------------------------------------------------------------------------------------


async def latencies(model: str, jobs: int, seed: int, *, has_callbacks: bool) -> list[float]:
    """Return the seconds from each task's end until the session knows of it."""
    sim = MemoryTransport(seed=seed, max_running=10**6, faults=[lost_callback(probability=0.1)])
    found: list[float] = []

    async def watch(job: Job) -> None:
        await job
        found.append(sim.now() - sim.tasks[job.task_id or ""].completes_at)

    async def deliver() -> None:
        while True:
            await asyncio.sleep(0.1)
            for callback in sim.due_callbacks():
                await veo.callbacks.hint(callback.url.rpartition("/")[2], callback.task_id)

    url = "https://me.example" if has_callbacks else None
    veo = VeoSession(
        sim.api_key, max_in_flight=jobs, callbacks=url, network=Network(transport=Distant(sim, seed), seed=seed)
    )
    async with veo:
        delivering = asyncio.create_task(deliver())
        async with asyncio.TaskGroup() as group:
            for number in range(jobs):
                group.create_task(watch(await veo.submit(VideoRequest(f"A dog, take {number}", model=model))))
        delivering.cancel()
    return found


def detection(report: Report) -> None:
    jobs, seeds = (60, 1) if report.is_quick else (300, 3)
    for model in ("veo3", "veo3_fast"):
        with_callbacks: list[float] = []
        polling: list[float] = []
        for seed in range(seeds):
            with_callbacks += in_virtual_time(latencies(model, jobs, seed, has_callbacks=True))
            polling += in_virtual_time(latencies(model, jobs, seed, has_callbacks=False))
        p95_s = quantile(polling, 0.95)
        report.add(
            f"{model}, 10 % lost: p50 until known, s",
            quantile(with_callbacks, 0.5),
            at_most=1.0,
            digits=2,
            compared_with=f"{quantile(polling, 0.5):.2f} polling alone",
        )
        report.add(
            f"{model}, 10 % lost: p95 / polling alone",
            quantile(with_callbacks, 0.95) / p95_s,
            at_most=1.0,
            digits=2,
            compared_with=f"1.00, {p95_s:.1f} s",
            needs_full_size=True,
        )


def measure(report: Report) -> None:
    asyncio.run(receiving(report))
    detection(report)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        print(json.dumps(asyncio.run(_send_all(int(sys.argv[2]), json.load(sys.stdin)))))
    else:
        main("Callbacks", measure)
