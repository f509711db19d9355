"""The same receiver in the frameworks that people have: each in the lines that the README shows, on a real port."""

from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send
from starlette.applications import Starlette
from starlette.routing import Mount

from veo_async import VeoSession
from veo_async.simulator import Simulator

from .support import free_port, listening, served_asgi

pytestmark = pytest.mark.realtime


def in_fastapi(veo: VeoSession) -> Any:
    app = FastAPI()
    app.mount("/veo/cb", veo.callbacks.asgi())
    return app


def in_fastapi_with_a_lifespan(veo: VeoSession) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        yield {"veo": veo}

    app = FastAPI(lifespan=lifespan)
    app.mount("/veo/cb", veo.callbacks.asgi())
    return app


def in_starlette(veo: VeoSession) -> Any:
    return Starlette(routes=[Mount("/veo/cb", app=veo.callbacks.asgi())])


def in_litestar(veo: VeoSession) -> Any:
    receiver = veo.callbacks.asgi()

    @asgi("/veo/cb", is_mount=True, copy_scope=True)
    async def receive(scope: Scope, receive: Receive, send: Send) -> None:
        await receiver(scope, receive, send)  # type: ignore[arg-type]

    return Litestar([receive], logging_config=None)


def alone(veo: VeoSession) -> Any:
    return veo.callbacks.asgi()


@pytest.mark.parametrize("made", [in_fastapi, in_fastapi_with_a_lifespan, in_starlette, in_litestar, alone])
async def test_callbacks_end_the_waiting(made: Any) -> None:
    """Jobs end without a look by the clock, and what is not ours is turned away."""
    port = free_port()
    async with Simulator(duration_s=0.2) as sim, listening(sim, port) as veo, served_asgi(made(veo), port):
        assert (await veo.generate("A dog")).urls
        async with aiohttp.ClientSession() as http:
            stranger = f"http://127.0.0.1:{port}/veo/cb/{'a' * 26}"
            assert (await http.post(stranger, data=b"{}")).status == 404
            assert (await http.get(stranger)).status == 405
        assert veo.statistics().callback_responses == {200: 1, 404: 1, 405: 1}


async def test_a_websocket_is_closed() -> None:
    """Whatever else a server brings is declined in its own words."""
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        told.append(message)

    veo = VeoSession("sk-" + "a" * 20)
    await veo.callbacks.asgi()({"type": "websocket"}, receive, send)
    assert told == [{"type": "websocket.close", "code": 1000}]
    await veo.close()


async def test_a_body_in_pieces_and_one_that_is_given_up() -> None:
    """A server hands bodies over in pieces; too large ones are not collected, and a client may leave."""
    told: list[Any] = []
    veo = VeoSession("sk-" + "a" * 20)
    veo._receiver._is_ours = lambda _: True

    async def post(*messages: Any) -> int:
        queue = list(messages)

        async def receive() -> Any:
            return queue.pop(0)

        async def send(message: Any) -> None:
            told.append(message)

        scope = {"type": "http", "method": "POST", "path": "/veo/cb/t", "headers": []}
        await veo.callbacks.asgi()(scope, receive, send)
        status: int = told[-2]["status"]
        return status

    piece = {"type": "http.request", "body": b" " * 40_000, "more_body": True}
    assert await post(piece, piece, piece) == 413
    assert await post({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}) == 400
    await veo.close()
