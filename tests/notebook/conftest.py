"""A simulator and a kernel whose notebooks find it by the environment."""

from collections.abc import Iterator

import pytest

from veo_async.simulator import Simulator

from .kernels import Kernel, running_kernel

#: Run before the tests: what a first cell contains.
FIRST_CELL = """
import os
from veo_async import *
from veo_async.errors import *
from veo_async.settings import Limits
LIMITS = Limits(poll_every=0.05, rate=(1000, 1.0), polls_per_second=500.0)
"""


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(speed=100, duration_s=5.0, limiter="none") as sim:
        yield sim
    sim.assert_no_double_charge()


@pytest.fixture(scope="module")
def kernel(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for all tests of a module, because each takes seconds to start."""
    folder = tmp_path_factory.mktemp("notebook")
    with running_kernel(folder, VEO_API_KEY=sim.api_key, VEO_BASE_URL=sim.url) as kernel:
        kernel.check(FIRST_CELL)
        yield kernel
