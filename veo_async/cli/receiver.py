"""Receives the demo's callbacks: the session's own routes, on loopback."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from veo_async import VeoSession

#: How long an open callback may take at shutdown. The provider repeats a callback that gets no response.
_SHUTDOWN_TIMEOUT_S = 1.0


def free_socket() -> tuple[socket.socket, str]:
    """Return a socket bound to a free port, and its URL: a session needs the URL before a server listens on it."""
    bound = socket.create_server(("127.0.0.1", 0))
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def receiving(veo: VeoSession, bound: socket.socket) -> AsyncIterator[None]:
    """Receive callbacks for *veo* for as long as the block lasts."""
    app = web.Application()
    app.add_routes(veo.callbacks.aiohttp_routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        await web.SockSite(runner, bound).start()
        yield
    finally:
        await runner.cleanup()
