"""The processes of `kill9`: ``python _kill9_processes.py ROLE OPTIONS``, with the options as a JSON object.

``provider``  the simulator; prints its URL and key, then its charges for every line on its standard input
``session``   our session on a ledger file, with all jobs; to be killed
``naive``     for comparison: a client that stores each task id it receives, and sends again what it has no id for

Each prints one line when it starts, and runs until it is killed or terminated (SIGTERM).
"""

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from typing import Any

import aiohttp

from veo_async.session import VeoSession
from veo_async.settings import Limits, Network
from veo_async.simulator import Simulator, drop_after_accepting, drop_before_accepting

#: Creating requests per second that the provider allows and the clients know of.
RATE = 100
#: Requests that the naive client sends in parallel.
PARALLEL = 16


def prompt_of(number: int) -> str:
    return f"Dog {number} rides a wave"


def print_json(value: Any) -> None:
    print(json.dumps(value), flush=True)


async def terminated() -> None:
    """Wait for SIGTERM."""
    received = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, received.set)
    await received.wait()


async def provider(options: dict[str, Any]) -> None:
    """Accept 5 % of the creating requests without a response, and drop 3 % of them unread."""
    seed = options["seed"]
    faults = [
        drop_after_accepting(probability=0.05, seed=seed),
        drop_before_accepting(probability=0.03, seed=seed + 1),
    ]
    settings = {"rate": (RATE, 1.0), "max_running": None, "duration_s": 0.5, "latency_s": 0.05}
    async with Simulator(faults=faults, seed=seed, callback_retry_s=(0.5,) * 20, **settings) as sim:
        print_json({"url": sim.url, "key": sim.api_key})
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            print_json(
                {
                    "charges": [[charge.body["prompt"], charge.task_id] for charge in sim.charges],
                    "charges_on_jobs": sum(sim.tasks[charge.task_id].route == "jobs" for charge in sim.charges),
                    "duplicates": sum(len(group) - 1 for group in sim.double_charges()),
                    "acknowledged": len({sent.post.task_id for sent in sim.callbacks if sent.was_acknowledged}),
                    "lost_responses": sum(triggered.fault.accepted for triggered in sim.triggered_faults),
                }
            )


async def session(options: dict[str, Any]) -> None:
    """Submit all jobs under the same keys, like a program that is restarted after each crash."""
    print_json("started")
    async with VeoSession(
        options["key"],
        base_url=options["url"],
        ledger=options["ledger"],
        max_in_flight=options["jobs"],
        callbacks=options["public_url"],
        limits=Limits(rate=(RATE, 1.0), explore=False, poll_every=0.5, polls_per_second=200.0),
        network=Network(route=options["route"]),
    ) as veo:
        for number in range(options["jobs"]):
            await veo.submit(prompt_of(number), key=f"job-{number}")
        await terminated()


async def naive(options: dict[str, Any]) -> None:
    """Store every task id in a file, and try each request three times, as most clients do."""
    print_json("started")
    database = sqlite3.connect(options["ledger"], isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS created (prompt TEXT PRIMARY KEY, task_id TEXT)")
    known = {prompt for (prompt,) in database.execute("SELECT prompt FROM created")}
    missing = [prompt for number in range(options["jobs"]) if (prompt := prompt_of(number)) not in known]
    slots = asyncio.Semaphore(PARALLEL)

    async def create(http: aiohttp.ClientSession, prompt: str) -> None:
        body = {"prompt": prompt, "model": "veo3_fast"}
        async with slots:
            for _ in range(3):
                with contextlib.suppress(aiohttp.ClientError, KeyError, TypeError):
                    async with http.post(f"{options['url']}/api/v1/veo/generate", json=body) as response:
                        if response.status == 429:
                            await asyncio.sleep(1.0)
                            continue
                        task_id = (await response.json())["data"]["taskId"]
                        database.execute("INSERT INTO created VALUES (?, ?)", (prompt, task_id))
                        return

    headers = {"Authorization": f"Bearer {options['key']}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.TaskGroup() as group:
        for prompt in missing:
            group.create_task(create(http, prompt))
    await terminated()


if __name__ == "__main__":
    roles = {"provider": provider, "session": session, "naive": naive}
    asyncio.run(roles[sys.argv[1]](json.loads(sys.argv[2])))
