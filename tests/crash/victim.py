"""A program that the crash tests kill: ``python -m tests.crash.victim OPTIONS``, with `Options` as a JSON object.

It opens a session on a ledger, submits its jobs, resumes the jobs that it finds there, and exits when every job is
finished or in doubt. A callback may still bind a job in doubt, so it waits a while for that before it exits. Its last
line of output is the state of every job.
"""

import asyncio
import json
import sys
from typing import Any

import attrs

from veo_async import VeoSession
from veo_async.events import JobState
from veo_async.settings import Limits, Network
from veo_async.types import RouteSetting

#: The states in which something will still happen by the session's own doing.
ACTIVE = frozenset({JobState.QUEUED, JobState.SENDING, JobState.RUNNING})


@attrs.frozen(kw_only=True)
class Options:
    """What the program is to do."""

    ledger: str
    url: str
    api_key: str
    public_url: str | None
    #: The keys of its jobs; each key is also the prompt.
    jobs: list[str]
    #: The route of its new requests.
    route: RouteSetting = "veo"
    rate: tuple[int, float] = (1000, 1.0)
    #: Seconds to wait without any change before it leaves jobs in doubt.
    quiet_s: float = 2.5

    def to_json(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Options":
        values = json.loads(text)
        return cls(**{**values, "rate": tuple(values["rate"])})


async def run(options: Options) -> dict[str, Any]:
    """Submit the jobs and wait for all jobs of the ledger's account. Return the state of each, by key."""
    async with VeoSession(
        options.api_key,
        base_url=options.url,
        ledger=options.ledger,
        callbacks=options.public_url,
        limits=Limits(rate=options.rate, explore=False, poll_every=0.1, polls_per_second=1000.0),
        network=Network(route=options.route),
    ) as veo:
        for name in options.jobs:
            await veo.submit(name, key=name)
        await _wait_until_quiet(veo, options.quiet_s)
        return {job.key: job.state async for job in veo.ledger.jobs()}


async def _wait_until_quiet(veo: VeoSession, quiet_s: float) -> None:
    """Wait until no job is active, and, while some are in doubt, until nothing has changed for *quiet_s* seconds."""
    loop = asyncio.get_running_loop()
    last: list[JobState] = []
    changed_at = loop.time()
    while True:
        states = [job.state for job in veo.jobs()]
        if states != last:
            last, changed_at = states, loop.time()
        is_active = not ACTIVE.isdisjoint(states)
        if not is_active and (JobState.IN_DOUBT not in states or loop.time() > changed_at + quiet_s):
            return
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Options.from_json(sys.argv[1])))))
