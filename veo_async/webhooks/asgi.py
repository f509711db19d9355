"""The receiver as a plain ASGI application, to be mounted in any framework that speaks ASGI."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .receiver import KEPT_HEADERS, OK, Receiver

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def asgi_app(receiver: Receiver) -> AsgiApp:
    """An application that answers callbacks, wherever it is mounted: only the last part of the path counts."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _answer(receiver, scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})

    return app


async def _answer(receiver: Receiver, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    told = ((name.decode("latin-1").lower(), value) for name, value in scope["headers"])
    headers = {name: value.decode("latin-1") for name, value in told if name in KEPT_HEADERS}

    async def read(most: int) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > most:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    status = await receiver.respond(scope["method"], scope["path"], headers, read)
    said = [(b"content-length", b"0")] if status == OK else [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    """Nothing has to be begun or ended here: the session has its own block."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
