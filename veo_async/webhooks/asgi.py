"""The receiver as an ASGI application, to be mounted in any ASGI framework."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .receiver import KEPT_HEADERS, OK, Receiver

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def asgi_app(receiver: Receiver) -> AsgiApp:
    """Return an application that receives callbacks. Mount it anywhere: only the last part of the path matters."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _handle_http(receiver, scope, receive, send)
            case "lifespan":
                await _handle_lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})

    return app


async def _handle_http(receiver: Receiver, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    decoded = ((name.decode("latin-1").lower(), value) for name, value in scope["headers"])
    headers = {name: value.decode("latin-1") for name, value in decoded if name in KEPT_HEADERS}

    async def read(max_bytes: int) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > max_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    status = await receiver.respond(scope["method"], scope["path"], headers, read)
    response_headers = [(b"content-length", b"0")]
    if status != OK:  # the body may not have been read to its end
        response_headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": response_headers})
    await send({"type": "http.response.body", "body": b""})


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge startup and shutdown. There is nothing to do: the session is opened and closed elsewhere."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
