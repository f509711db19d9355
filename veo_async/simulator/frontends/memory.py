"""The simulator without sockets: a `Transport` to hand to a client, for thousands of jobs in virtual time.

::

    transport = MemoryTransport(seed=3)
    async with VeoApi(transport.api_key, transport=transport) as api:
        ...

The same provider stands behind it as behind the server, and the same faults strike; what they do to a connection is
told as the error that a real transport would raise. Whatever host a call names, it comes here. Nothing is posted:
callbacks that have fallen due are there for the taking, see `due_callbacks`.
"""

import asyncio
import zlib
from typing import Any
from urllib.parse import parse_qsl

from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost
from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.provider.callbacks import CallbackRequest
from veo_async.simulator.provider.messages import PLAIN, SimRequest, SimResponse
from veo_async.simulator.provider.provider import PendingCall
from veo_async.simulator.settings import SimulatorSettings

from .controls import SimulatorControls

#: What a client reads at most, and what an HTTP library takes for a head.
_MAX_BODY_BYTES = 1024 * 1024
_MAX_HEADERS = 1000


class MemoryTransport(SimulatorControls):
    """A `Transport` that leads nowhere but here; options are the fields of `SimulatorSettings`."""

    _can_be_unreachable = True

    def __init__(self, settings: SimulatorSettings | None = None, **options: Any) -> None:
        super().__init__(settings, **options)
        #: Set it to refuse every connection.
        self.is_offline = False
        self._closed = False
        self._provider.files.base_url = "https://simulator.invalid"

    async def send(self, call: HttpRequest) -> HttpResponse:
        """Answer *call*, or raise what a real transport would."""
        if self._closed:
            raise ClientClosed("this transport is closed")
        clock = self._running_clock()
        if self.is_offline:
            raise NotSent("the connection was not made: offline")
        pending = self._provider.receive(_request(call), clock.now())
        await self._wait(clock, pending.delay_s, call, 0.0)
        answer = self._provider.answer(pending, clock.now())
        if answer.delivery == PLAIN:
            return _received(answer)
        return await self._delivered(answer, call, pending)

    async def close(self) -> None:
        self._closed = True

    def due_callbacks(self) -> list[CallbackRequest]:
        """Callbacks that have fallen due since this was last asked."""
        return self._provider.due_callbacks(self.now())

    async def _delivered(self, answer: SimResponse, request: HttpRequest, call: PendingCall) -> HttpResponse:
        delivery = answer.delivery
        if delivery.unreachable:
            raise NotSent("the connection was not made: refused")
        clock = self._running_clock()
        span_s = delivery.delay_s + delivery.drip_s * len(answer.body)
        await self._wait(clock, span_s, request, call.delay_s)
        if delivery.cut is not None:
            raise _lost(request, "the server closed the connection without a whole answer")
        if delivery.repeat * len(answer.body) > _MAX_BODY_BYTES:
            raise MalformedResponse(f"the answer is larger than {_MAX_BODY_BYTES} bytes", bytes_sent=_size(request))
        return _received(answer)

    async def _wait(self, clock: SimulatedClock, simulated_s: float, call: HttpRequest, waited_s: float) -> None:
        """Let simulated seconds pass, or as many as the call has patience for."""
        left_s = call.timeout_s - clock.in_loop_seconds(waited_s)
        span_s = clock.in_loop_seconds(simulated_s)
        await asyncio.sleep(min(span_s, left_s))
        if span_s > left_s:
            raise _lost(call, "no whole answer came in time")

    def _running_clock(self) -> SimulatedClock:
        """The clock starts with the first call: before that there is no loop to live by."""
        return self._clock or self._start_clock(asyncio.get_running_loop().time)


def _request(call: HttpRequest) -> SimRequest:
    address, _, query = call.url.partition("?")
    path = "/" + address.partition("://")[2].partition("/")[2]
    headers = {name.lower(): value for name, value in call.headers.items()}
    return SimRequest(
        method=call.method,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
        headers=headers,
        body=call.body or b"",
    )


def _received(answer: SimResponse) -> HttpResponse:
    if len(answer.headers) > _MAX_HEADERS:
        raise MalformedResponse("what came back is not HTTP")
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    body = _decompress(answer.body) if headers.get("content-encoding") == "gzip" else answer.body
    if len(body) > _MAX_BODY_BYTES:
        raise MalformedResponse(f"the answer is larger than {_MAX_BODY_BYTES} bytes")
    return HttpResponse(status=answer.status, headers=headers, body=body)


def _decompress(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(body, _MAX_BODY_BYTES + 1)
    except zlib.error:
        raise ResponseLost("the answer broke off or could not be unpacked") from None


def _lost(call: HttpRequest, why: str) -> ResponseLost:
    return ResponseLost(why, bytes_sent=_size(call))


def _size(call: HttpRequest) -> int | None:
    return None if call.body is None else len(call.body)
