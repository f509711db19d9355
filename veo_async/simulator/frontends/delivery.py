"""Bringing an answer to a client over a socket, well or badly.

A good answer goes the way of the web server. A bad one is written to the connection by hand, because no honest
library lets one announce a wrong length or break off in mid-byte; afterwards the connection is closed.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from http import HTTPStatus
from math import inf

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.provider.messages import PLAIN, SimResponse

#: More headers than this, and the web server's own checks would get in the way.
_PLAIN_HEADERS = 100
#: How much is written between two looks at the clock and the client.
_PIECE = 64 * 1024


def build_response(answer: SimResponse, clock: SimulatedClock) -> web.StreamResponse:
    """The response that brings *answer*."""
    if answer.delivery == PLAIN and len(answer.headers) < _PLAIN_HEADERS:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
    return _RawResponse(answer, clock)


class _RawResponse(web.StreamResponse):
    """An answer whose bytes we write ourselves."""

    def __init__(self, answer: SimResponse, clock: SimulatedClock) -> None:
        super().__init__(status=answer.status)
        self._answer = answer
        self._clock = clock
        self._request: web.BaseRequest | None = None
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._request = request
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        transport = None if self._request is None else self._request.transport
        if not isinstance(transport, asyncio.Transport):
            return
        await self._wait(self._answer.delivery.delay_s)
        try:
            await self._write(transport)
        finally:
            _end(transport, reset=self._answer.delivery.cut == "reset")

    async def _write(self, transport: asyncio.Transport) -> None:
        delivery = self._answer.delivery
        if delivery.cut is not None and delivery.cut_at is None:
            return
        transport.write(_head(self._answer))
        pause_s = delivery.drip_s
        for piece in _pieces(self._answer):
            if transport.is_closing():
                return
            transport.write(piece)
            await self._wait(pause_s)
            # Asked again and again, because the connection's own event belongs to the web server.
            while transport.get_write_buffer_size() > 4 * _PIECE and not transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def _wait(self, simulated_s: float) -> None:
        await asyncio.sleep(self._clock.in_loop_seconds(simulated_s))


def _head(answer: SimResponse) -> bytes:
    reason = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers)]
    if answer.delivery.repeat > 1:
        lines.append("Transfer-Encoding: chunked")
    else:
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")


def _pieces(answer: SimResponse) -> Iterator[bytes]:
    """The body, in the pieces that are written at once."""
    delivery = answer.delivery
    body = answer.body if delivery.cut_at is None else answer.body[: delivery.cut_at]
    if delivery.repeat > 1:
        yield from _chunks(body or b" ", delivery.repeat)
        return
    size = 1 if delivery.drip_s else _PIECE
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _chunks(body: bytes, times: float) -> Iterator[bytes]:
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    sent = 0
    while sent < times or times == inf:
        yield chunk
        sent += 1
    yield b"0\r\n\r\n"


def _end(transport: asyncio.Transport, *, reset: bool) -> None:
    """Close in good order, or with a reset."""
    if not reset:
        transport.close()
        return
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
