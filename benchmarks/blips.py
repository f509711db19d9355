"""One paid job for each kind of bad status read; how many come home.

Beside us: a plain aiohttp loop (``raise_for_status``, ``json``, ``successFlag``), which is what most people write; of
the SDKs measured no one survives all of them. Real sockets, virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
from _common import Report, in_virtual_time, main

from veo_async.session import VeoSession
from veo_async.simulator import (
    Fault,
    Simulator,
    drop_after_accepting,
    html_page,
    record_flag,
    refuse,
    reset_connection,
    truncate,
    unknown_code,
)

_LOOK = {"endpoint": "record-info"}
BLIPS: dict[str, Fault] = {
    "one HTTP 500": refuse(500, "Internal error", form="http", on=2, **_LOOK),
    "one 500 in the body": refuse(500, "Internal error", form="body", on=2, **_LOOK),
    "one 502 HTML": html_page(502, on=2, **_LOOK),
    "eight 500s in a row": refuse(500, "Internal error", form="http", on=range(2, 10), **_LOOK),
    "one dropped connection": drop_after_accepting(on=2, **_LOOK),
    "one reset connection": reset_connection(on=2, **_LOOK),
    "one 200 text/html": html_page(200, on=2, **_LOOK),
    "one unknown flag": record_flag(7, on=2),
    "one unknown word for it": record_flag("pondering", on=2),
    "one unknown code": unknown_code(599, on=2, **_LOOK),
    "one truncated JSON": truncate(on=2, **_LOOK),
    "one 429": refuse(429, "Too frequent", form="http", on=2, **_LOOK),
}


async def ours(sim: Simulator) -> bool:
    async with VeoSession(sim.api_key, base_url=sim.url, poll_every=10.0) as veo:
        return bool((await veo.generate("A dog surfing")).urls)


async def naive(sim: Simulator) -> bool:
    headers = {"Authorization": f"Bearer {sim.api_key}"}
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as http:
        body = {"prompt": "A dog surfing", "model": "veo3_fast"}
        async with http.post(f"{sim.url}/api/v1/veo/generate", json=body) as response:
            task_id = (await response.json())["data"]["taskId"]
        while True:
            await asyncio.sleep(10.0)
            async with http.get(f"{sim.url}/api/v1/veo/record-info", params={"taskId": task_id}) as response:
                record = (await response.json())["data"]
            if record["successFlag"]:
                return bool(record["response"]["resultUrls"])


async def survives(client: Callable[[Simulator], Awaitable[bool]], blip: Fault) -> bool:
    async with Simulator(faults=[blip], duration_s=120.0) as sim:
        try:
            return await client(sim) and bool(sim.triggered_faults)
        except Exception:  # noqa: BLE001  # whatever it is, the clip is lost
            return False


def compare(report: Report) -> None:
    theirs = 0
    for what, blip in BLIPS.items():
        survived = in_virtual_time(survives(ours, blip), sockets=True)
        they_did = in_virtual_time(survives(naive, blip), sockets=True)
        theirs += they_did
        report.add(f"jobs saved: {what}", survived, least=1, beside="1" if they_did else "0")
    report.add("kinds of blip survived by a plain aiohttp loop", theirs)


if __name__ == "__main__":
    main("A status read goes wrong", compare)
