"""Sends a `SimResponse` over a socket.

A plain response is sent by the web server. A response that a fault has altered is written to the connection byte by
byte, because an HTTP library does not let us announce a wrong length or stop in the middle; the connection is then
closed.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.provider.messages import PLAIN, SimResponse

#: A response with at least this many headers is written by hand, because the web server would reject it.
_MAX_PLAIN_HEADERS = 100
#: Bytes to write before checking the clock and the client again.
_CHUNK_BYTES = 64 * 1024


def build_response(response: SimResponse, clock: SimulatedClock) -> web.StreamResponse:
    """Return the web server's response that sends *response*."""
    if response.delivery == PLAIN and len(response.headers) < _MAX_PLAIN_HEADERS:
        return web.Response(status=response.status, headers=response.headers, body=response.body)
    return _RawResponse(response, clock)


class _RawResponse(web.StreamResponse):
    """A response whose bytes we write ourselves."""

    def __init__(self, response: SimResponse, clock: SimulatedClock) -> None:
        super().__init__(status=response.status)
        self._response = response
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
        await self._wait(self._response.delivery.delay_s)
        try:
            await self._write(transport)
        finally:
            _close(transport, reset=self._response.delivery.cut == "reset")

    async def _write(self, transport: asyncio.Transport) -> None:
        delivery = self._response.delivery
        if delivery.cut is not None and delivery.cut_at is None:
            return
        transport.write(_head(self._response))
        pause_s = delivery.drip_s
        for chunk in _chunks(self._response):
            if transport.is_closing():
                return
            transport.write(chunk)
            await self._wait(pause_s)
            # Polled, because the connection's own event belongs to the web server.
            while transport.get_write_buffer_size() > 4 * _CHUNK_BYTES and not transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def _wait(self, simulated_s: float) -> None:
        await asyncio.sleep(self._clock.in_loop_seconds(simulated_s))


def _head(response: SimResponse) -> bytes:
    """Return the status line and the headers."""
    phrase = HTTPStatus(response.status).phrase if response.status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in response.headers)]
    if response.delivery.repeat > 1:
        lines.append("Transfer-Encoding: chunked")
    else:
        lines.append(f"Content-Length: {len(response.body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")


def _chunks(response: SimResponse) -> Iterator[bytes]:
    """Return the body, split into the chunks to write."""
    delivery = response.delivery
    body = response.body if delivery.cut_at is None else response.body[: delivery.cut_at]
    if delivery.repeat > 1:
        yield from _repeated(body or b" ", delivery.repeat)
        return
    size = 1 if delivery.drip_s else _CHUNK_BYTES
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _repeated(body: bytes, times: float) -> Iterator[bytes]:
    """Return *body* repeated *times*, in the chunked transfer encoding, with many small chunks joined into one."""
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    joined = max(_CHUNK_BYTES // len(chunk), 1)
    while times > joined:
        yield chunk * joined
        times -= joined
    yield chunk * int(times) + b"0\r\n\r\n"


def _close(transport: asyncio.Transport, *, reset: bool) -> None:
    """Close the connection normally, or reset it."""
    if not reset:
        transport.close()
        return
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
