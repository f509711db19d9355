"""The receiver in popular web frameworks, mounted as in the README and served on a real port."""

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

from .support import callback_session, free_port, served_asgi

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


def without_framework(veo: VeoSession) -> Any:
    return veo.callbacks.asgi()


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    "make_app", [in_fastapi, in_fastapi_with_a_lifespan, in_starlette, in_litestar, without_framework]
)
async def test_callbacks_finish_jobs(make_app: Any) -> None:
    """Jobs finish without polling, and other requests are rejected."""
    port = free_port()
    async with Simulator(duration_s=0.2) as sim, callback_session(sim, port) as veo, served_asgi(make_app(veo), port):
        assert (await veo.generate("A dog")).urls
        async with aiohttp.ClientSession() as http:
            unknown = f"http://127.0.0.1:{port}/veo/cb/{'a' * 26}"
            assert (await http.post(unknown, data=b"{}")).status == 404
            assert (await http.get(unknown)).status == 405
        assert veo.statistics().callback_responses == {200: 1, 404: 1, 405: 1}


async def test_websocket_is_closed() -> None:
    """A connection that is not HTTP is declined as ASGI prescribes."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    veo = VeoSession("sk-" + "a" * 20)
    await veo.callbacks.asgi()({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
    await veo.close()


async def test_body_in_chunks_is_limited_and_may_be_incomplete() -> None:
    """Chunks beyond the size limit are rejected, and a client that disconnects gets a 400."""
    sent: list[Any] = []
    veo = VeoSession("sk-" + "a" * 20)
    veo.callbacks._receiver._is_valid_token = lambda _: True

    async def post(*messages: Any) -> int:
        queue = list(messages)

        async def receive() -> Any:
            return queue.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/veo/cb/t", "headers": []}
        await veo.callbacks.asgi()(scope, receive, send)
        status: int = sent[-2]["status"]
        return status

    chunk = {"type": "http.request", "body": b" " * 40_000, "more_body": True}
    assert await post(chunk, chunk, chunk) == 413
    assert await post({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}) == 400
    await veo.close()
