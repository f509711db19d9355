"""Sessions in real time, so that these tests also run in other event loops than asyncio's (``pytest --uvloop``)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.internals import crash_of
from tests.routes import fields_of
from tests.webhooks.support import session_with_callbacks
from veo_async import Done
from veo_async.ledger import SqliteLedger

from .ledgers import session_with_ledger
from .support import assert_at_rest, at_every_await, check_joints, memory, session_on

pytestmark = pytest.mark.realtime


@pytest.mark.usefixtures("route")
async def test_callbacks_in_one_turn_of_the_loop_are_all_acknowledged() -> None:
    """Each polls its task at once: the time of a poll is in the past when the timer is set."""
    async with session_with_callbacks(duration_s=60.0) as (veo, sim):
        jobs = [await veo.submit(f"Dog {number}") for number in range(4)]
        for job in jobs:
            await job.accepted()
        task_ids = {f"Dog {number}": job.task_id for number, job in enumerate(jobs)}
        requests = [json.loads(seen.content) for seen in sim.requests_to()]
        statuses: list[int] = []
        app = veo.callbacks.asgi()
        async with asyncio.TaskGroup() as group:
            for request in requests:
                body = json.dumps(
                    {"code": 200, "msg": "", "data": {"taskId": task_ids[fields_of(request)["prompt"]]}}
                ).encode()
                group.create_task(_call(app, request["callBackUrl"], body, statuses))
        assert statuses == [200] * 4
        assert crash_of(veo) is None


async def _call(app: Any, url: str, body: bytes, statuses: list[int]) -> None:
    """Send *body* to *url* without a socket in between, so that nothing waits."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    path = "/" + url.split("/", 3)[3]
    headers = [(b"content-length", b"%d" % len(body))]
    await app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)


async def test_many_short_sessions_finish_their_jobs() -> None:
    """Tasks that end at once are polled at times that have passed already."""
    for number in range(30):
        async with session_on(memory(duration_s=0.01, seed=number), poll_every=0.01) as veo:
            outcomes = await veo.gather(*(f"Dog {i}" for i in range(5)))
            assert [type(outcome) for outcome in outcomes] == [Done] * 5
        assert crash_of(veo) is None
        assert_at_rest(veo)


async def test_wait_can_be_cancelled_at_every_await(tmp_path: Path) -> None:
    """The job finishes nevertheless, and is charged once."""
    sim = memory(duration_s=0.05)
    number = 0
    async with session_with_ledger(sim, SqliteLedger(tmp_path / "veo.db"), poll_every=0.02) as veo:

        async def scenario() -> None:
            nonlocal number
            number += 1
            assert (await veo.generate(f"Dog {number}", key=f"dog-{number}")).urls

        async def afterwards() -> None:
            await veo.drain()
            check_joints(veo)

        assert await at_every_await(scenario, afterwards) >= 2
        assert {type(job.outcome) for job in veo.jobs()} == {Done}
    assert_at_rest(veo)
    sim.assert_no_double_charge()
