"""The accelerated clock that a client and a simulator share."""

import asyncio
import time

from veo_async.simulator import Simulator
from veo_async.simulator.fast_loop import fast_loop


def test_fast_loop_shortens_real_waiting_only() -> None:
    """The loop's clock and the simulator's clock advance by the full time."""

    async def wait() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        async with Simulator() as sim:
            began, simulated = loop.time(), sim.now()
            await asyncio.sleep(5.0)
            return loop.time() - began, sim.now() - simulated

    began = time.perf_counter()
    with asyncio.Runner(loop_factory=fast_loop(100.0)) as runner:
        waited, simulated = runner.run(wait())
    assert waited >= 5.0
    assert abs(simulated - waited) < 1.0
    assert waited / (time.perf_counter() - began) > 1.0
