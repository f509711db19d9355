"""One paid job for each kind of failed poll: how many jobs survive.

For comparison: the competent client (`_competent.py`), which polls again after any error, and a naive aiohttp loop
(``raise_for_status``, ``json``, ``successFlag``). No SDK that was measured survives all kinds. Real sockets, virtual
time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from _common import Report, in_virtual_time, main
from _competent import Client, over_aiohttp

from veo_async.session import VeoSession
from veo_async.settings import Limits
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

_POLL: Any = {"endpoint": "record-info"}
FAILURES: dict[str, Fault] = {
    "one HTTP 500": refuse(500, "Internal error", form="http", on=2, **_POLL),
    "one 500 in the body": refuse(500, "Internal error", form="body", on=2, **_POLL),
    "one 502 HTML": html_page(502, on=2, **_POLL),
    "eight 500s in a row": refuse(500, "Internal error", form="http", on=range(2, 10), **_POLL),
    "one dropped connection": drop_after_accepting(on=2, **_POLL),
    "one reset connection": reset_connection(on=2, **_POLL),
    "one 200 text/html": html_page(200, on=2, **_POLL),
    "one unknown flag": record_flag(7, on=2),
    "one unknown status word": record_flag("pondering", on=2),
    "one unknown code": unknown_code(599, on=2, **_POLL),
    "one truncated JSON": truncate(on=2, **_POLL),
    "one 429": refuse(429, "Too frequent", form="http", on=2, **_POLL),
}


async def ours(sim: Simulator) -> bool:
    async with VeoSession(sim.api_key, base_url=sim.url, limits=Limits(poll_every=10.0)) as veo:
        return bool((await veo.generate("A dog surfing")).urls)


async def competent(sim: Simulator) -> bool:
    http, send = over_aiohttp(sim.url, sim.api_key)
    async with http:
        (clip,) = await Client(send, max_running=1, first_s=10.0, every_s=10.0).run(["A dog surfing"])
    return isinstance(clip, list)


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


async def survives(client: Callable[[Simulator], Awaitable[bool]], failure: Fault) -> bool:
    async with Simulator(faults=[failure], duration_s=120.0) as sim:
        try:
            return await client(sim) and bool(sim.triggered_faults)
        except Exception:  # noqa: BLE001  # whatever the error is, the clip is lost
            return False


def compare(report: Report) -> None:
    total = [0, 0, 0]
    for label, failure in FAILURES.items():
        survived = [in_virtual_time(survives(run, failure), sockets=True) for run in (ours, competent, naive)]
        total = [before + now for before, now in zip(total, survived, strict=True)]
        others = f"{survived[1]:d} competent, {survived[2]:d} naive"
        report.add(f"jobs that survive: {label}", survived[0], at_least=1, compared_with=others)
    report.add("kinds that a job survives", total[0], compared_with=f"{total[1]} competent, {total[2]} naive")


if __name__ == "__main__":
    main("A poll fails", compare)
