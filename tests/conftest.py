"""What all tests share."""

import asyncio
import inspect
import os
from collections.abc import Callable, Mapping

import pytest

from veo_async.types import RouteName

pytest_plugins = ["pytester", "veo_async.testing"]


# Before every test, sync tests included, the virtual-time plugin asks for the current event loop. Where none was ever
# set, the default policy creates one that is never closed. Setting None explicitly prevents that.
asyncio.set_event_loop(None)


@pytest.fixture(params=["veo", "jobs"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RouteName:
    """Send on each route of the provider; for tests of what is the same on both."""
    monkeypatch.setenv("VEO_ROUTE", request.param)
    name: RouteName = request.param
    return name


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--uvloop``."""
    parser.addoption("--uvloop", action="store_true", help="run the async tests that need no virtual time in uvloop")


def pytest_xdist_auto_num_workers() -> int:
    """Use two workers per core, because most tests wait for a socket, a disk or a process half of the time."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """Use uvloop if asked to."""
    if config.getoption("--uvloop"):
        config.pluginmanager.register(_Uvloop())


class _Uvloop:
    """Runs every async test in uvloop, and leaves out the others: virtual time needs asyncio's own loop."""

    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        import uvloop  # it does not exist on Windows

        return {"uvloop": uvloop.new_event_loop}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        def runs_in_uvloop(item: pytest.Item) -> bool:
            function = getattr(item, "function", None)
            return inspect.iscoroutinefunction(function) and item.get_closest_marker("veo_virtual_time") is None

        left_out = [item for item in items if not runs_in_uvloop(item)]
        items[:] = [item for item in items if runs_in_uvloop(item)]
        config.hook.pytest_deselected(items=left_out)
