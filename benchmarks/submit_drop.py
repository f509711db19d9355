"""The provider reads the creating POST, creates and charges the task, and closes the connection without a response.

Sending the request again pays twice. For comparison: a bare aiohttp client that tries three times, like common SDKs
(measured: 2 to 10 POSTs). Real sockets.
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
    """Return how many jobs end in doubt, with the error that says why."""
    async with VeoSession(sim.api_key, base_url=sim.url) as veo:
        outcomes = await veo.gather(*(f"A dog surfing, take {number}" for number in range(JOBS)))
    return sum(isinstance(outcome, InDoubt) and isinstance(outcome.error, ResponseLost) for outcome in outcomes)


async def like_sdks(sim: Simulator) -> None:
    """Try each request three times, whatever the error."""
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
        await like_sdks(sim)
        sdk_posts, sdk_charges = len(sim.requests_to()), len(sim.charges)
    sdk_text = f"{sdk_posts / JOBS:.1f}  aiohttp, 3 tries"
    report.add("POSTs per job", posts / JOBS, at_most=1, digits=1, compared_with=sdk_text)
    report.add("charges per job", charges / JOBS, at_most=1, digits=1, compared_with=f"{sdk_charges / JOBS:.1f}")
    report.add("jobs reported as in doubt", in_doubt, at_least=JOBS, compared_with="0  raises ClientError")


if __name__ == "__main__":
    main("The response to a paid request is lost", lambda report: asyncio.run(compare(report)))
