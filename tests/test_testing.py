"""The fixtures that we give to others, used as others would."""

import asyncio
import os

import pytest

from veo_async import TaskState, VeoApi
from veo_async.simulator import Simulator
from veo_async.testing import assert_no_double_charge


async def test_fixture_is_a_provider_that_clients_find(veo_simulator: Simulator) -> None:
    """Address and key stand in the environment."""
    assert os.environ["VEO_BASE_URL"] == veo_simulator.url
    async with VeoApi() as api:
        assert (await api.credit()).balance > 0


@pytest.mark.veo_simulator(credits=59)
async def test_marker_sets_the_options(veo_simulator: Simulator) -> None:
    """Every option of the simulator can stand in the marker."""
    async with VeoApi() as api:
        with pytest.raises(Exception, match="insufficient"):
            await api.generate("A dog")


@pytest.mark.veo_virtual_time
@pytest.mark.veo_simulator(duration_s=3600.0)
async def test_an_hour_passes_in_a_moment(veo_simulator: Simulator) -> None:
    """Real sockets, virtual hours: the record is done exactly when it should be."""
    loop = asyncio.get_running_loop()
    async with VeoApi() as api:
        began = loop.time()
        task = await api.generate("A dog")
        while (await api.record_info(task.task_id)).state is TaskState.GENERATING:  # noqa: ASYNC110  # nobody tells us
            await asyncio.sleep(60)
        assert 3600 <= round(loop.time() - began, 3) < 3661


@pytest.mark.veo_simulator(double_charges=True)
async def test_double_charges_are_found(veo_simulator: Simulator) -> None:
    """Two creations of one request are one too many, and the fixture would have failed this test for it."""
    async with VeoApi() as api:
        await api.generate("A dog")
        assert_no_double_charge(veo_simulator)
        await api.generate("A cat")
        assert_no_double_charge(veo_simulator)
        await api.generate("A dog")
    with pytest.raises(AssertionError, match="charged more than once"):
        assert_no_double_charge(veo_simulator)


def test_fixture_fails_a_test_that_pays_twice(pytester: pytest.Pytester) -> None:
    """Nobody has to remember to ask."""
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
