"""50 jobs are submitted together while the account is rate limited for 6 s, and every 429 has ``Retry-After: 4``.

Once with 429 as HTTP status and once as a code in the body. After the 6 s there is no limit, as when SDKs were measured
(100 to 320 responses of 429, or 50 failed jobs). Two more rows have the documented limit of 20 per 10 s afterwards and
no goal: there, probing whether the account allows more adds up to two. For comparison: the competent client
(`_competent.py`), which pauses all requests after a 429, and a naive one that honours the header, but per request. Real
sockets, virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import attrs
from _common import Report, in_virtual_time, main
from _competent import Client, over_aiohttp

from veo_async._runtime.job.outcome import Done
from veo_async.session import VeoSession
from veo_async.simulator import Simulator
from veo_async.simulator.provider.limits import Limiter, NoLimit, SlidingWindow

JOBS = 50
CLOSED_S, RETRY_AFTER_S = 6.0, 4.0


@attrs.define
class ClosedAtFirst:
    """A limiter that rejects every request for `CLOSED_S` after the first one, and then applies the limiter *then*."""

    then: Limiter
    rejected: int = 0
    _opens_at: float | None = None

    def take(self, now: float) -> float:
        if self._opens_at is None:
            self._opens_at = now + CLOSED_S
        wait_s = RETRY_AFTER_S if now < self._opens_at else self.then.take(now)
        self.rejected += wait_s > 0
        return wait_s


async def ours(sim: Simulator) -> int:
    async with VeoSession(sim.api_key, base_url=sim.url) as veo:
        outcomes = await veo.gather(*(f"A dog surfing, take {number}" for number in range(JOBS)))
    return sum(isinstance(outcome, Done) for outcome in outcomes)


async def competent(sim: Simulator) -> int:
    http, send = over_aiohttp(sim.url, sim.api_key)
    async with http:
        client = Client(send, limit=(20, 10.2), max_running=JOBS, first_s=54.0, every_s=5.0)
        clips = await client.run(f"A dog surfing, take {number}" for number in range(JOBS))
    return sum(isinstance(clip, list) for clip in clips)


async def naive(sim: Simulator) -> int:
    """Each request waits on its own for as long as the header says."""

    async def run_one(number: int) -> None:
        body = {"prompt": f"A dog surfing, take {number}", "model": "veo3_fast"}
        while True:
            async with http.post(f"{sim.url}/api/v1/veo/generate", json=body) as response:
                body_received = await response.json()
                if body_received["code"] == 200:
                    return
            await asyncio.sleep(float(response.headers["Retry-After"]))

    headers = {"Authorization": f"Bearer {sim.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.TaskGroup() as group:
        for number in range(JOBS):
            group.create_task(run_one(number))
    return JOBS


async def run(client: Callable[[Simulator], Awaitable[int]], style: str, then: Limiter) -> tuple[int, int]:
    """Return how many requests were rejected, and how many jobs succeeded."""
    async with Simulator(rate_limit_style=style, retry_after="seconds", max_running=10**6) as sim:
        limiter = ClosedAtFirst(then)
        sim.account()._creations = limiter  # the simulator has no option for this limiter
        done = await client(sim)
    return limiter.rejected, done


def compare(report: Report) -> None:
    for style in ("http", "body"):
        for then, name in ((NoLimit, "no limit"), (lambda: SlidingWindow(20, 10.0), "20 per 10 s")):
            (rejected, done), *others = (
                in_virtual_time(run(client, style, then()), sockets=True) for client in (ours, competent, naive)
            )
            case = f"429 in {'HTTP' if style == 'http' else 'the body'}, then {name}"
            report.add(
                f"{case}: 429 responses",
                rejected,
                at_most=5 if name == "no limit" else None,
                compared_with="{} competent, {} naive".format(*(other[0] for other in others)),
            )
            clips = "{} competent, {} naive".format(*(other[1] for other in others))
            report.add("  clips", done, at_least=JOBS, compared_with=clips)


if __name__ == "__main__":
    main(f"{JOBS} jobs on an account that is rate limited at first", compare)
