"""A session whose callbacks come in over real sockets, through whichever framework."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiohttp import web

from tests.sessions import session_arguments
from veo_async import VeoSession
from veo_async.simulator import Simulator

#: Looks are as good as never: what is known in time is known by callbacks.
NEVER_S = 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds; the test's own time-out is the bound."""
    while not condition():  # noqa: ASYNC110  # it is about things that know no events
        await asyncio.sleep(0.01)


@asynccontextmanager
async def served(routes: list[web.RouteDef], port: int) -> AsyncIterator[None]:
    """*routes* on *port*, as ``aiohttp.web`` serves them."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, lingering_time=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def served_asgi(app: Any, port: int) -> AsyncIterator[None]:
    """An ASGI application on *port*, as uvicorn serves it."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", ws="none"))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        await serving


def listening(sim: Simulator, port: int, **options: Any) -> VeoSession:
    """A session that hears callbacks on *port* and hardly looks by itself."""
    told: dict[str, Any] = {"poll_every": NEVER_S, "public_url": f"http://127.0.0.1:{port}", **options}
    return VeoSession(sim.api_key, **session_arguments(**session_arguments(base_url=sim.url, **told)))


@asynccontextmanager
async def heard(
    *, session: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[VeoSession, Simulator]]:
    """A simulator, and a session that hears its callbacks through ``aiohttp.web``."""
    port = free_port()
    async with (
        Simulator(**{"duration_s": 0.3, "callback_retry_s": (0.2, 0.2, 0.2), **options}) as sim,
        listening(sim, port, **(session or {})) as veo,
        served(veo.callbacks.aiohttp_routes(), port),
    ):
        yield veo, sim
