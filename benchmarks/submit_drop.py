"""The server reads the whole creating POST, makes the task, charges it, and closes the connection without an answer.

Who sends again pays again. Beside us: a bare aiohttp client with three tries, which is what the SDKs of the trade do
(measured for SDKs: 2 to 10 POSTs). Real sockets.
"""

import asyncio

import aiohttp
from _common import Report, main

from veo_async._runtime.job.outcome import InDoubt
from veo_async.errors import ResponseLost
from veo_async.session import VeoSession
from veo_async.simulator import Simulator, drop_after_accepting

JOBS = 5


async def ours(sim: Simulator) -> int:
    """How many jobs end in a typed doubt."""
    async with VeoSession(sim.api_key, base_url=sim.url) as veo:
        outcomes = await veo.gather(*(f"A dog surfing, take {number}" for number in range(JOBS)))
    return sum(isinstance(outcome, InDoubt) and isinstance(outcome.error, ResponseLost) for outcome in outcomes)


async def as_sdks_do(sim: Simulator) -> None:
    """Three tries, whatever the error."""
    headers = {"Authorization": f"Bearer {sim.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for number in range(JOBS):
            for _ in range(3):
                try:
                    body = {"prompt": f"A dog surfing, take {number}", "model": "veo3_fast"}
                    async with http.post(f"{sim.url}/api/v1/veo/generate", json=body) as response:
                        await response.json()
                        break
                except aiohttp.ClientError:
                    continue


async def compare(report: Report) -> None:
    async with Simulator(faults=[drop_after_accepting()], limiter="none") as sim:
        in_doubt = await ours(sim)
        posts, charges = len(sim.requests_to()), len(sim.charges)
    async with Simulator(faults=[drop_after_accepting()], limiter="none") as sim:
        await as_sdks_do(sim)
        their_posts, their_charges = len(sim.requests_to()), len(sim.charges)
    report.add("POSTs per job", posts / JOBS, most=1, digits=1, beside=f"{their_posts / JOBS:.1f}  aiohttp, 3 tries")
    report.add("charges per job", charges / JOBS, most=1, digits=1, beside=f"{their_charges / JOBS:.1f}")
    report.add("jobs that end in a typed doubt", in_doubt, least=JOBS, beside="0  raises ClientError")


if __name__ == "__main__":
    main("The answer to a paid request is lost", lambda report: asyncio.run(compare(report)))
