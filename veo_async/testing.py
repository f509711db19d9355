"""pytest fixtures for tests of code that uses this library: a simulated provider and virtual time.

Enable them in a ``conftest.py``::

    pytest_plugins = ["veo_async.testing"]

and use them in a test::

    @pytest.mark.veo_simulator(rate=(5, 10.0), faults=[drop_after_accepting(on=1)])
    @pytest.mark.veo_virtual_time
    async def test_my_bot(veo_simulator):
        await my_bot.generate("a dog")            # finds the simulator by VEO_BASE_URL and VEO_API_KEY
        assert_no_double_charge(veo_simulator)

``veo_simulator`` is a running `Simulator` with the options of the marker. After the test, the fixture checks the charge
log and fails the test if any request was charged twice, unless the marker has ``double_charges=True``.
``veo_virtual_time`` makes the event loop skip all waiting, even with real sockets. Both need the extra ``test``
(pytest, pytest-asyncio, looptime).
"""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .simulator import Simulator

__all__ = ["assert_no_double_charge", "veo_simulator"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, so that ``--strict-markers`` accepts them."""
    config.addinivalue_line("markers", "veo_simulator(**options): the options of the veo_simulator fixture")
    config.addinivalue_line("markers", "veo_virtual_time: make the event loop skip all waiting")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start virtual time at the real clock's value, so that time never runs backwards for a fixture's simulator."""
    for item in items:
        if item.get_closest_marker("veo_virtual_time"):
            item.add_marker(pytest.mark.looptime(start=time.monotonic))  # noqa: TID251  # the clock that loops use


@pytest_asyncio.fixture
async def veo_simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    """Run a simulator that clients find by the environment, and check for double charges after the test."""
    marker = request.node.get_closest_marker("veo_simulator")
    options = dict(marker.kwargs) if marker else {}
    allows_double_charges = options.pop("double_charges", False)
    async with Simulator(**options) as sim:
        monkeypatch.setenv("VEO_BASE_URL", sim.url)
        monkeypatch.setenv("VEO_API_KEY", sim.api_key)
        yield sim
    if not allows_double_charges:
        assert_no_double_charge(sim)


def assert_no_double_charge(sim: Simulator) -> None:
    """Raise `AssertionError` if the simulator charged any request twice."""
    sim.assert_no_double_charge()
