"""The pytest fixtures for users, used as users do."""

import asyncio
import os

import pytest

from veo_async import TaskState, VeoApi
from veo_async.simulator import Simulator
from veo_async.testing import assert_no_double_charge


async def test_fixture_sets_url_and_key_in_the_environment(veo_simulator: Simulator) -> None:
    """A client without arguments finds the simulator."""
    assert os.environ["VEO_BASE_URL"] == veo_simulator.url
    async with VeoApi() as api:
        assert (await api.credit()).balance > 0


@pytest.mark.veo_simulator(credits=59)
async def test_marker_sets_simulator_options(veo_simulator: Simulator) -> None:
    """Every option of the simulator can be set with the marker."""
    async with VeoApi() as api:
        with pytest.raises(Exception, match="insufficient"):
            await api.generate("A dog")


@pytest.mark.veo_virtual_time
@pytest.mark.veo_simulator(duration_s=3600.0)
async def test_virtual_time_marker_skips_waiting(veo_simulator: Simulator) -> None:
    """An hour passes immediately, and the task finishes exactly on time."""
    loop = asyncio.get_running_loop()
    async with VeoApi() as api:
        began = loop.time()
        task = await api.generate("A dog")
        while (await api.record_info(task.task_id)).state is TaskState.GENERATING:  # noqa: ASYNC110  # the API only has polling
            await asyncio.sleep(60)
        assert 3600 <= round(loop.time() - began, 3) < 3661


@pytest.mark.veo_simulator(double_charges=True)
async def test_assert_no_double_charge_finds_equal_requests(veo_simulator: Simulator) -> None:
    """Two charges for the same request raise an error; different requests do not."""
    async with VeoApi() as api:
        await api.generate("A dog")
        assert_no_double_charge(veo_simulator)
        await api.generate("A cat")
        assert_no_double_charge(veo_simulator)
        await api.generate("A dog")
    with pytest.raises(AssertionError, match="charged more than once"):
        assert_no_double_charge(veo_simulator)


def test_fixture_fails_a_test_that_is_charged_twice(pytester: pytest.Pytester) -> None:
    """The test does not have to check for double charges."""
    pytester.makeconftest('pytest_plugins = ["veo_async.testing"]')
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        """
        from veo_async import VeoApi

        async def test_twice(veo_simulator):
            async with VeoApi() as api:
                await api.generate("A dog")
                await api.generate("A dog")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1, errors=1)
