"""The processes of `kill9`: ``python _victims.py ROLE ORDER``, where ORDER is a JSON object.

``provider``  the simulator; prints its address and key, then its charges for each line that it is sent
``session``   our session on a ledger file, with all the jobs; to be killed
``naive``     beside it: a client that writes down each task id it is told, and sends again what it has none for

Each says ``up`` when it begins, and runs until it is killed or asked to end (SIGTERM).
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
from veo_async.simulator import Simulator, drop_after_accepting, drop_before_accepting

#: Creations per second that provider and clients agree on.
RATE = 100
#: Requests under way at once, ours at most and theirs always.
PARALLEL = 16


def prompt_of(number: int) -> str:
    return f"Dog {number} rides a wave"


def say(told: Any) -> None:
    print(json.dumps(told), flush=True)


async def asked_to_end() -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await ending.wait()


async def provider(order: dict[str, Any]) -> None:
    """5 % of the creating requests are accepted without an answer, 3 % are dropped unread."""
    seed = order["seed"]
    faults = [
        drop_after_accepting(probability=0.05, seed=seed),
        drop_before_accepting(probability=0.03, seed=seed + 1),
    ]
    options = {"rate": (RATE, 1.0), "max_running": None, "duration_s": 0.5, "latency_s": 0.05}
    async with Simulator(faults=faults, seed=seed, callback_retry_s=(0.5,) * 20, **options) as sim:
        say({"url": sim.url, "key": sim.api_key})
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            told = {each.post.task_id for each in sim.callbacks if each.was_acknowledged}
            say(
                {
                    "charges": [[charge.body["prompt"], charge.task_id] for charge in sim.charges],
                    "extra": sum(len(group) - 1 for group in sim.double_charges()),
                    "told": sorted(told),
                    "unanswered": sum(fired.fault.accepted for fired in sim.triggered_faults),
                }
            )


async def session(order: dict[str, Any]) -> None:
    """What a program does that is started again after each crash: the same jobs under the same keys."""
    say("up")
    async with VeoSession(
        order["key"],
        base_url=order["url"],
        ledger=order["ledger"],
        public_url=order["public_url"],
        rate=(RATE, 1.0),
        explore=False,
        max_in_flight=order["jobs"],
        poll_every=0.5,
        polls_per_second=200.0,
    ) as veo:
        for number in range(order["jobs"]):
            await veo.submit(prompt_of(number), key=f"job-{number}")
        await asked_to_end()


async def naive(order: dict[str, Any]) -> None:
    """It keeps what it knows in a file as well, and retries three times, as most clients do."""
    say("up")
    kept = sqlite3.connect(order["ledger"], isolation_level=None)
    kept.execute("CREATE TABLE IF NOT EXISTS made (prompt TEXT PRIMARY KEY, task_id TEXT)")
    known = {prompt for (prompt,) in kept.execute("SELECT prompt FROM made")}
    wanted = [prompt for number in range(order["jobs"]) if (prompt := prompt_of(number)) not in known]
    places = asyncio.Semaphore(PARALLEL)

    async def create(http: aiohttp.ClientSession, prompt: str) -> None:
        body = {"prompt": prompt, "model": "veo3_fast"}
        async with places:
            for _ in range(3):
                with contextlib.suppress(aiohttp.ClientError, KeyError, TypeError):
                    async with http.post(f"{order['url']}/api/v1/veo/generate", json=body) as answer:
                        if answer.status == 429:
                            await asyncio.sleep(1.0)
                            continue
                        task_id = (await answer.json())["data"]["taskId"]
                        kept.execute("INSERT INTO made VALUES (?, ?)", (prompt, task_id))
                        return

    headers = {"Authorization": f"Bearer {order['key']}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.TaskGroup() as group:
        for prompt in wanted:
            group.create_task(create(http, prompt))
    await asked_to_end()


if __name__ == "__main__":
    roles = {"provider": provider, "session": session, "naive": naive}
    asyncio.run(roles[sys.argv[1]](json.loads(sys.argv[2])))
