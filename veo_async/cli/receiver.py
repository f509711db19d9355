"""Where the demo's callbacks arrive: the session's own routes, on loopback."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from veo_async import VeoSession

#: The sender waits for its answers; what has not come by then will be sent again.
_GRACE_S = 1.0


def free_socket() -> tuple[socket.socket, str]:
    """A socket on a free port, and its address: a session has to know the address before anything listens there."""
    bound = socket.create_server(("127.0.0.1", 0))
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def receiving(veo: VeoSession, bound: socket.socket) -> AsyncIterator[None]:
    """Take callbacks for *veo* for as long as the block lasts."""
    app = web.Application()
    app.add_routes(veo.aiohttp_routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        await web.SockSite(runner, bound).start()
        yield
    finally:
        await runner.cleanup()
