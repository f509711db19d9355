"""Fifty jobs at once while the account is limited for 6 s, and every 429 says ``Retry-After: 4``.

Once with 429 as the HTTP status and once as a code in the body; free after the 6 s, as the peers were measured
(measured for SDKs: 100 to 320 refusals, or fifty failures). With the documented 20 per 10 s after it, which is told but
not part of the goal, trying whether the account allows more adds two. Beside us: a bare aiohttp client that honours
the header, but per request. Real sockets, virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import attrs
from _common import Report, in_virtual_time, main

from veo_async._runtime.job.outcome import Done
from veo_async.session import VeoSession
from veo_async.simulator import Simulator
from veo_async.simulator.provider.limits import Limiter, NoLimit, SlidingWindow

JOBS = 50
CLOSED_S, RETRY_AFTER_S = 6.0, 4.0


@attrs.define
class ClosedAtFirst:
    """Refuses everybody for `CLOSED_S` after the first call, then leaves it to *then*."""

    then: Limiter
    refused: int = 0
    _opens_at: float | None = None

    def take(self, now: float) -> float:
        if self._opens_at is None:
            self._opens_at = now + CLOSED_S
        wait_s = RETRY_AFTER_S if now < self._opens_at else self.then.take(now)
        self.refused += wait_s > 0
        return wait_s


async def ours(sim: Simulator) -> int:
    async with VeoSession(sim.api_key, base_url=sim.url) as veo:
        outcomes = await veo.gather(*(f"A dog surfing, take {number}" for number in range(JOBS)))
    return sum(isinstance(outcome, Done) for outcome in outcomes)


async def naive(sim: Simulator) -> int:
    """Each request waits for itself, as long as the header says."""

    async def one(number: int) -> None:
        body = {"prompt": f"A dog surfing, take {number}", "model": "veo3_fast"}
        while True:
            async with http.post(f"{sim.url}/api/v1/veo/generate", json=body) as response:
                answer = await response.json()
                if answer["code"] == 200:
                    return
            await asyncio.sleep(float(response.headers["Retry-After"]))

    headers = {"Authorization": f"Bearer {sim.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.TaskGroup() as group:
        for number in range(JOBS):
            group.create_task(one(number))
    return JOBS


async def tried(client: Callable[[Simulator], Awaitable[int]], form: str, then: Limiter) -> tuple[int, int]:
    """How many were refused and how many accepted."""
    async with Simulator(rate_limit_style=form, retry_after="seconds", max_running=10**6) as sim:
        closed = ClosedAtFirst(then)
        sim.account()._creations = closed
        done = await client(sim)
    return closed.refused, done


def compare(report: Report) -> None:
    for form in ("http", "body"):
        for then, named in ((NoLimit, "free"), (lambda: SlidingWindow(20, 10.0), "20 per 10 s")):
            refused, done = in_virtual_time(tried(ours, form, then()), sockets=True)
            their_refused, their_done = in_virtual_time(tried(naive, form, then()), sockets=True)
            case = f"429 in {'HTTP' if form == 'http' else 'the body'}, then {named}"
            most = 5 if named == "free" else None
            report.add(f"refusals: {case}", refused, most=most, beside=f"{their_refused}  per-request retry")
            report.add("  clips", done, least=JOBS, beside=f"{their_done}")


if __name__ == "__main__":
    main(f"{JOBS} jobs on an account that is limited at first", compare)
