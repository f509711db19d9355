"""The provider reads the creating POST, creates and charges the task, and closes the connection without a response.

Sending the request again pays twice. For comparison: the competent client (`_competent.py`), which does not send it
again but reports nothing that helps to find the task, and an aiohttp client that tries three times, like common SDKs
(measured: 2 to 10 POSTs). Real sockets.
"""

import asyncio

import aiohttp
from _common import Report, main
from _competent import Client, over_aiohttp

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


async def competent(sim: Simulator) -> int:
    """Return 0: its jobs end with an aiohttp error, whether or not the request was sent."""
    http, send = over_aiohttp(sim.url, sim.api_key)
    async with http:
        client = Client(send, max_running=JOBS, first_s=10.0, every_s=10.0)
        clips = await client.run(f"A dog surfing, take {number}" for number in range(JOBS))
    assert all(isinstance(clip, aiohttp.ClientError) for clip in clips)
    return 0


async def like_sdks(sim: Simulator) -> int:
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
    return 0


async def compare(report: Report) -> None:
    found = []
    for client in (ours, competent, like_sdks):
        async with Simulator(faults=[drop_after_accepting()], limiter="none") as sim:
            in_doubt = await client(sim)
            found.append((len(sim.requests_to()) / JOBS, len(sim.charges) / JOBS, in_doubt))
    for number, (text, goal) in enumerate(
        (
            ("POSTs per job", {"at_most": 1.0}),
            ("charges per job", {"at_most": 1.0}),
            ("jobs reported as in doubt", {"at_least": JOBS}),
        )
    ):
        own, other, third = (values[number] for values in found)
        report.add(text, own, digits=1, compared_with=f"{other:.1f} competent, {third:.1f} three tries", **goal)


if __name__ == "__main__":
    main("The response to a paid request is lost", lambda report: asyncio.run(compare(report)))
