"""A simulator on a socket, and the thin client on it."""

from collections.abc import AsyncIterator

import pytest

from veo_async import VeoApi
from veo_async.simulator import Simulator


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(speed=1000.0, duration_s=60.0) as simulator:
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[VeoApi]:
    async with VeoApi(sim.api_key, base_url=sim.url) as client:
        yield client
