"""The simulator without sockets: a `Transport` to pass to a client, for thousands of jobs in virtual time.

::

    transport = MemoryTransport(seed=3)
    async with VeoApi(transport.api_key, transport=transport) as api:
        ...

It has the same provider and the same faults as the HTTP server. Where a fault would affect the connection, it raises
the error that a real transport would raise. The host in a request's URL is ignored. Callbacks are not sent;
`MemoryTransport.due_callbacks` returns them.
"""

import asyncio
import zlib
from typing import Any
from urllib.parse import parse_qsl

from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost
from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.faults.faulty_provider import PendingCall
from veo_async.simulator.provider.callbacks import CallbackRequest
from veo_async.simulator.provider.messages import PLAIN, SimRequest, SimResponse
from veo_async.simulator.settings import SimulatorSettings

from .controls import SimulatorControls

#: The limits of a real client: the size of a body, and the number of headers that its HTTP library accepts.
_MAX_BODY_BYTES = 1024 * 1024
_MAX_HEADERS = 1000
_TOO_LARGE = f"the response is larger than {_MAX_BODY_BYTES} bytes"


class MemoryTransport(SimulatorControls):
    """A `Transport` that contains the simulator. The options are the fields of `SimulatorSettings`."""

    _in_memory = True

    def __init__(self, settings: SimulatorSettings | None = None, **options: Any) -> None:
        super().__init__(settings, **options)
        #: Set this to refuse every connection.
        self.is_offline = False
        self._closed = False
        self._provider.files.base_url = "https://simulator.invalid"

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the response to *request*, or raise the error that a real transport would raise."""
        if self._closed:
            raise ClientClosed("this transport is closed")
        clock = self._running_clock()
        if self.is_offline:
            raise NotSent("connection failed: offline")
        call = self._provider.receive(_to_sim_request(request), clock.now())
        await self._wait(clock, call.delay_s, request, 0.0)
        response = self._provider.respond(call, clock.now())
        if response.delivery == PLAIN:
            return _to_http_response(response)
        return await self._deliver(response, request, call)

    async def close(self) -> None:
        """Reject every further request."""
        self._closed = True

    def due_callbacks(self) -> list[CallbackRequest]:
        """Return the callbacks that have become due since the last call."""
        return self._provider.due_callbacks(self.now())

    async def _deliver(self, response: SimResponse, request: HttpRequest, call: PendingCall) -> HttpResponse:
        """Return *response* as its delivery says, or raise the error that this causes in a client."""
        delivery = response.delivery
        if delivery.unreachable:
            raise NotSent("connection failed: refused")
        clock = self._running_clock()
        delay_s = delivery.delay_s + delivery.drip_s * len(response.body)
        await self._wait(clock, delay_s, request, call.delay_s)
        if delivery.cut is not None:
            raise _lost(request, "the server closed the connection before the response was complete")
        if delivery.repeat * len(response.body) > _MAX_BODY_BYTES:
            raise MalformedResponse(_TOO_LARGE, bytes_sent=_size(request))
        return _to_http_response(response)

    async def _wait(self, clock: SimulatedClock, simulated_s: float, request: HttpRequest, waited_s: float) -> None:
        """Wait *simulated_s*, or raise when the request's timeout expires; *waited_s* of it has passed already."""
        left_s = request.timeout_s - clock.in_loop_seconds(waited_s)
        delay_s = clock.in_loop_seconds(simulated_s)
        await asyncio.sleep(min(delay_s, left_s))
        if delay_s > left_s:
            raise _lost(request, "timed out waiting for the response")

    def _running_clock(self) -> SimulatedClock:
        """Return the clock. It starts with the first request, because there is no running loop before."""
        return self._clock or self._start_clock(asyncio.get_running_loop().time)


def _to_sim_request(request: HttpRequest) -> SimRequest:
    url, _, query = request.url.partition("?")
    path = "/" + url.partition("://")[2].partition("/")[2]
    headers = {name.lower(): value for name, value in request.headers.items()}
    return SimRequest(
        method=request.method,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
        headers=headers,
        body=request.body or b"",
    )


def _to_http_response(response: SimResponse) -> HttpResponse:
    if len(response.headers) > _MAX_HEADERS:
        raise MalformedResponse("the response is not valid HTTP")
    headers: dict[str, str] = {}
    for name, value in response.headers:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    body = _decompress(response.body) if headers.get("content-encoding") == "gzip" else response.body
    if len(body) > _MAX_BODY_BYTES:
        raise MalformedResponse(_TOO_LARGE)
    return HttpResponse(status=response.status, headers=headers, body=body)


def _decompress(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(body, _MAX_BODY_BYTES + 1)
    except zlib.error:
        raise ResponseLost("the response was cut off or could not be decompressed") from None


def _lost(request: HttpRequest, message: str) -> ResponseLost:
    return ResponseLost(message, bytes_sent=_size(request))


def _size(request: HttpRequest) -> int | None:
    return None if request.body is None else len(request.body)
