"""Sessions that receive callbacks over real sockets, through any web framework."""

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

#: A poll interval that effectively turns polling off, so that results only arrive through callbacks.
NEVER_S = 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds. The timeout of the test limits the wait."""
    while not condition():  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0.01)


@asynccontextmanager
async def served(routes: list[web.RouteDef], port: int) -> AsyncIterator[None]:
    """Serve *routes* on *port* with ``aiohttp.web``."""
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
    """Serve an ASGI application on *port* with uvicorn."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", ws="none"))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        await serving


def callback_session(sim: Simulator, port: int, **options: Any) -> VeoSession:
    """Return a session that receives callbacks on *port* and effectively does not poll."""
    settings: dict[str, Any] = {"poll_every": NEVER_S, "public_url": f"http://127.0.0.1:{port}", **options}
    return VeoSession(sim.api_key, **session_arguments(**session_arguments(base_url=sim.url, **settings)))


@asynccontextmanager
async def session_with_callbacks(
    *, session: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[VeoSession, Simulator]]:
    """Open a simulator, and a session that receives its callbacks through ``aiohttp.web``."""
    port = free_port()
    async with (
        Simulator(**{"duration_s": 0.3, "callback_retry_s": (0.2, 0.2, 0.2), **options}) as sim,
        callback_session(sim, port, **(session or {})) as veo,
        served(veo.callbacks.aiohttp_routes(), port),
    ):
        yield veo, sim
