"""Callbacks: what receiving them costs, what a flood of forged ones can do, and how soon an end is known.

*Receiving*: the same posts, two forged for each good one, to ``veo.aiohttp_routes()`` of a session with hundreds of
running tasks and a ledger file, and to a bare aiohttp handler that reads the body and answers 200. Both are served from
this process in turn, over real sockets; who posts is a process of its own. A good post names a task that runs on, so
nothing may change its state; a forged one has an unknown token, a token that was tampered with, a bad signature or no
body worth the name.

*Detection*: how long after its end a task is known to have ended, in virtual time, with callbacks of which one in ten
is lost, beside looks alone at the same budget.
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
from veo_async.simulator import MemoryTransport, lost_callback

_KEY = "a-webhook-key"
_CONNECTIONS = 16

# --- receiving --------------------------------------------------------------------------------------------------


async def receiving(report: Report) -> None:
    good, forged = (500, 1000) if report.is_quick else (5000, 10_000)
    rounds = 1 if report.is_quick else 3
    with tempfile.TemporaryDirectory() as folder:
        sim = MemoryTransport(seed=1, limiter="none", max_running=10**6, duration_s=1e6)
        veo = VeoSession(
            sim.api_key,
            transport=sim,
            ledger=Path(folder, "veo.db"),
            public_url="http://127.0.0.1:1",
            webhook_secret=_KEY,
            max_in_flight=1000,
        )
        async with veo:
            jobs = [await veo.submit(f"A dog, take {number}") for number in range(200)]
            for job in jobs:
                await job.accepted()
            before, looks = Counter(job.state for job in veo.jobs()), veo.statistics().watcher.polls
            loop = asyncio.get_running_loop()
            began, runs = loop.time(), []
            for _ in range(rounds):
                posts = _posts(jobs, good, forged)
                bare = await _served([web.post("/veo/cb/{token}", _bare)], posts)
                runs.append((bare, await _served(veo.aiohttp_routes(), posts)))
            took, answers = loop.time() - began, veo.statistics().callback_responses
            changed = sum((before - Counter(job.state for job in veo.jobs())).values())
            looks = veo.statistics().watcher.polls - looks
    bare, ours = ({name: median(run[side][name] for run in runs) for name in ("per_s", "p99_ms")} for side in (0, 1))
    report.add("callbacks per second", ours["per_s"], beside=f"{bare['per_s']:,.0f} bare handler")
    report.add(
        "the same / bare", ours["per_s"] / bare["per_s"], least=0.5, digits=2, beside="1.00", needs_full_size=True
    )
    report.add("p99 latency, ms", ours["p99_ms"], digits=1, beside=f"{bare['p99_ms']:.1f} bare handler")
    report.add("good ones answered with 200, of 100", 100 * answers.get(200, 0) / (good * rounds), least=100)
    report.add("forged ones answered with 200", max(0, answers.get(200, 0) - good * rounds), most=0)
    report.add("jobs whose state has changed", changed, most=0)
    report.add("looks per second that they brought about", looks / took, most=8.5, digits=1, beside="8 is the budget")


async def _bare(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


def _posts(jobs: list[Job], good: int, forged: int) -> list[tuple[str, dict[str, str], str]]:
    """Path, headers and body of each, in the order in which they are posted."""
    rng, posts = Random(7), []
    for number in range(good + forged):
        job = jobs[number % len(jobs)]
        token, task_id = job._job.token or "", job.task_id or ""
        kind = number % 3 if number < 3 * min(good, forged // 2) else 0
        wrong = rng.choice(("token", "tampered", "signature", "body"))
        if kind and wrong == "token":
            token = "a" * 26
        elif kind and wrong == "tampered":
            token = token[:-3] + "".join(rng.choice("abcdefgh") for _ in range(3)) if token else token
            token = token if token != job._job.token else "b" * 26
        stamp = int(time.time())  # noqa: TID251
        signature = sign_callback(task_id, stamp, "another key" if kind and wrong == "signature" else _KEY)
        body = (
            "[]"
            if kind and wrong == "body"
            else json.dumps({"code": 400, "msg": "failed", "data": {"taskId": task_id}})
        )
        headers = {"X-Webhook-Timestamp": str(stamp), "X-Webhook-Signature": signature}
        posts.append((f"/veo/cb/{token}", headers, body))
    return posts


async def _served(routes: Any, posts: list[tuple[str, dict[str, str], str]]) -> dict[str, float]:
    """Posted to *routes*: how many a second, and how long one takes."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    poster = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--post", str(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    told, _ = await poster.communicate(json.dumps(posts).encode())
    await runner.cleanup()
    result: dict[str, float] = json.loads(told)
    return result


async def _post_all(port: int, posts: list[tuple[str, dict[str, str], str]]) -> dict[str, float]:
    """The other process: raw connections, because a client library would cost more than the servers."""
    waiting, latencies = iter(posts), []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path, headers, body in waiting:
            lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            began = time.perf_counter()
            writer.write("\r\n".join([*lines, "", body]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - began)
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(connection())
    took = time.perf_counter() - began
    return {"per_s": len(posts) / took, "p99_ms": 1000 * quantile(latencies, 0.99)}


# --- detection --------------------------------------------------------------------------------------------------


async def latencies(model: str, jobs: int, seed: int, *, has_callbacks: bool) -> list[float]:
    """Seconds from each task's end until it is known."""
    sim = MemoryTransport(seed=seed, max_running=10**6, faults=[lost_callback(probability=0.1)])
    found: list[float] = []

    async def watch(job: Job) -> None:
        await job
        found.append(sim.now() - sim.tasks[job.task_id or ""].completes_at)

    async def deliver() -> None:
        while True:
            await asyncio.sleep(0.1)
            for post in sim.due_callbacks():
                await veo.hint(post.url.rpartition("/")[2], post.task_id)

    url = "https://me.example" if has_callbacks else None
    veo = VeoSession(sim.api_key, transport=Distant(sim, seed), max_in_flight=jobs, seed=seed, public_url=url)
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
        told, looked = ([], [])
        for seed in range(seeds):
            told += in_virtual_time(latencies(model, jobs, seed, has_callbacks=True))
            looked += in_virtual_time(latencies(model, jobs, seed, has_callbacks=False))
        p95 = quantile(looked, 0.95)
        report.add(
            f"{model}, one in ten lost: p50 until known, s",
            quantile(told, 0.5),
            most=1.0,
            digits=2,
            beside=f"{quantile(looked, 0.5):.2f} looks alone",
        )
        report.add(
            f"{model}, one in ten lost: p95 / that of looks alone",
            quantile(told, 0.95) / p95,
            most=1.0,
            digits=2,
            beside=f"1.00, {p95:.1f} s",
            needs_full_size=True,
        )


def measure(report: Report) -> None:
    asyncio.run(receiving(report))
    detection(report)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--post"]:
        print(json.dumps(asyncio.run(_post_all(int(sys.argv[2]), json.load(sys.stdin)))))
    else:
        main("Callbacks", measure)
