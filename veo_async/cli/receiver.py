"""Where the demo's callbacks arrive: one path on loopback, and all that it does is to give the session a hint."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from veo_async import VeoSession
from veo_async._wire import parse_callback
from veo_async.errors import MalformedResponse

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
    app.add_routes([web.post("/veo/cb/{token}", _handler(veo))])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        await web.SockSite(runner, bound).start()
        yield
    finally:
        await runner.cleanup()


def _handler(veo: VeoSession) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            told = parse_callback(await request.read())
        except MalformedResponse:
            return web.Response(status=400)
        is_ours = await veo.hint(request.match_info["token"], told.task_id)
        return web.Response(status=200 if is_ours else 404)

    return handle
