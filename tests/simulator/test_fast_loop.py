"""A compressed clock that a client and a simulator share."""

import asyncio
import time

from veo_async.simulator import Simulator
from veo_async.simulator.fast_loop import fast_loop


def test_waiting_takes_less_time_and_is_as_long_as_ever() -> None:
    """By the loop's own clock and by the simulator's; both go the same way."""

    async def wait() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        async with Simulator() as sim:
            began, theirs = loop.time(), sim.now()
            await asyncio.sleep(5.0)
            return loop.time() - began, sim.now() - theirs

    began = time.perf_counter()
    with asyncio.Runner(loop_factory=fast_loop(100.0)) as runner:
        ours, theirs = runner.run(wait())
    assert ours >= 5.0
    assert abs(theirs - ours) < 1.0
    assert ours / (time.perf_counter() - began) > 1.0
