"""A program to be killed: ``python -m tests.crash.victim REQUEST_COLUMNS``, a JSON object with the fields of `Order`.

It opens a session on a ledger, submits its jobs, goes on with whatever it finds there, and ends when every job has come
to an end. A job in doubt may still be bound by a callback: when nothing else is left to do it waits a while for that.
"""

import asyncio
import json
import sys
from typing import Any

import attrs

from veo_async import VeoSession
from veo_async._rules.lifecycle import JobState


@attrs.frozen(kw_only=True)
class Order:
    """What a victim is to do."""

    ledger: str
    url: str
    api_key: str
    public_url: str | None
    #: Names of its jobs; each is its prompt, too.
    jobs: list[str]
    rate: tuple[int, float] = (1000, 1.0)
    #: How long nothing may change while jobs are in doubt, before they are left so.
    patience_s: float = 2.5

    def as_json(self) -> str:
        return json.dumps(attrs.asdict(self))


async def live(order: Order) -> dict[str, Any]:
    """The whole life; what became of every job of the ledger's account."""
    async with VeoSession(
        order.api_key,
        base_url=order.url,
        ledger=order.ledger,
        public_url=order.public_url,
        rate=order.rate,
        explore=False,
        poll_every=0.1,
        polls_per_second=1000.0,
    ) as veo:
        for name in order.jobs:
            await veo.submit(name, key=name)
        await _quiet(veo, order.patience_s)
        return {job.key: job.state for job in veo.jobs()}


async def _quiet(veo: VeoSession, patience_s: float) -> None:
    loop = asyncio.get_running_loop()
    last: list[JobState] = []
    changed_at = loop.time()
    while True:
        states = [job.state for job in veo.jobs()]
        if states != last:
            last, changed_at = states, loop.time()
        is_at_rest = not {JobState.QUEUED, JobState.SENDING, JobState.RUNNING}.intersection(states)
        if is_at_rest and (JobState.IN_DOUBT not in states or loop.time() > changed_at + patience_s):
            return
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(live(Order(**{**given, "rate": tuple(given["rate"])})))))
