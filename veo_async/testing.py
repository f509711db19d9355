"""pytest fixtures for whoever writes against this library: a provider of your own, and hours in seconds.

Switch them on in a ``conftest.py``::

    pytest_plugins = ["veo_async.testing"]

and then::

    @pytest.mark.veo_simulator(rate=(5, 10.0), faults=[drop_after_accepting(on=1)])
    @pytest.mark.veo_virtual_time
    async def test_my_bot(veo_simulator):
        await my_bot.make("a dog")                # finds the simulator by VEO_BASE_URL and VEO_API_KEY
        assert_no_double_charge(veo_simulator)

``veo_simulator`` is a running `Simulator`, configured by the marker of the same name. When the test is over it looks
into the charge book by itself: a request that was paid for twice fails the test, unless the marker says
``double_charges=True``. ``veo_virtual_time`` lets the event loop's clock jump over all waiting, with real sockets and
all. Both need the extra ``test`` (pytest, pytest-asyncio, looptime).
"""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .simulator import Simulator

__all__ = ["assert_no_double_charge", "veo_simulator"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, so that strict runs accept them."""
    config.addinivalue_line("markers", "veo_simulator(**options): the options of the veo_simulator fixture")
    config.addinivalue_line("markers", "veo_virtual_time: let the event loop's clock jump over all waiting")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Virtual time begins where the real clock stands: a fixture's simulator must not see time run backwards."""
    for item in items:
        if item.get_closest_marker("veo_virtual_time"):
            item.add_marker(pytest.mark.looptime(start=time.monotonic))  # noqa: TID251  # the clock that loops use


@pytest_asyncio.fixture
async def veo_simulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    """A running simulator that clients find by the environment; in the end no request may have been paid twice."""
    marker = request.node.get_closest_marker("veo_simulator")
    options = dict(marker.kwargs) if marker else {}
    may_double = options.pop("double_charges", False)
    async with Simulator(**options) as sim:
        monkeypatch.setenv("VEO_BASE_URL", sim.url)
        monkeypatch.setenv("VEO_API_KEY", sim.api_key)
        yield sim
    if not may_double:
        assert_no_double_charge(sim)


def assert_no_double_charge(sim: Simulator) -> None:
    """Fail when the simulator's charge book shows one request paid for twice."""
    sim.assert_no_double_charge()
