"""The simulator as an HTTP server, for clients in this process or in another.

::

    async with Simulator(speed=60, faults=[drop_after_accepting(on=1)]) as sim:
        async with VeoApi(sim.api_key, base_url=sim.url) as api:
            ...
        sim.assert_no_double_charge()

Code without ``await``, such as a notebook, writes ``with Simulator() as sim``, or ``sim.start()`` and ``sim.stop()``:
the server then runs in its own thread.

``sim.url`` is the base URL of the API, of uploads and of results. Simulated time is the event loop's time, accelerated
by ``speed``, so a loop with virtual time works too. The rate limit, task durations and fault delays use simulated time.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from anyio import AsyncContextManagerMixin

from veo_async._base.loop_thread import LoopThread
from veo_async.errors import UsageError
from veo_async.simulator.provider.messages import SimRequest

from .callback_sender import CallbackAttempt, CallbackSender
from .controls import SimulatorControls
from .delivery import build_response

#: The largest upload that is accepted.
_MAX_BODY_BYTES = 256 * 1024 * 1024
#: How long the server waits for open requests when it closes, in seconds of the event loop.
_SHUTDOWN_S = 0.05
#: Addresses that bind every interface, and the address at which a local client reaches them.
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # recognised, not bound


class Simulator(SimulatorControls, AsyncContextManagerMixin):
    """The simulator on a port of this machine. The options are the fields of `SimulatorSettings`."""

    _runner: web.ServerRunner | None = None
    _site: web.TCPSite | None = None
    _sender: CallbackSender | None = None
    _port = 0
    #: Where it runs for code without ``await``.
    _thread: LoopThread | None = None

    def start(self) -> Self:
        """Run it in its own thread until `stop`, or until the interpreter exits; return it."""
        if self._thread is None:
            self._thread = LoopThread(self, name="sim.loop")
        self._thread.open()
        return self

    def stop(self) -> None:
        """Stop what `start` started."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL of the API, of uploads and of results, without a trailing slash."""
        if not self._port:
            raise RuntimeError("the simulator has a URL only inside `async with` and after `start()`")
        host = self.settings.host
        return f"http://{_UNSPECIFIED.get(host, f'[{host}]' if ':' in host else host)}:{self._port}"

    @property
    def callbacks(self) -> tuple[CallbackAttempt, ...]:
        """Every attempt to send a callback, including those withheld because the receiver is on another machine."""
        return tuple(self._sender.attempts) if self._sender else ()

    async def go_offline(self) -> None:
        """Close all connections and refuse new ones until `go_online` is called."""
        if self._site is None or self._runner is None:
            return
        await self._site.stop()
        self._site = None
        for connection in list(self._runner.server.connections if self._runner.server else ()):
            connection.force_close()

    async def go_online(self) -> None:
        """Listen again, on the same port."""
        if self._site is None and self._runner is not None:
            await self._bind(self._runner)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        clock = self._start_clock(asyncio.get_running_loop().time)
        server = web.Server(self._serve, request_factory=_make_request, access_log=None)
        runner = self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        sender = self._sender = CallbackSender(self._provider, self.settings, clock)
        await runner.setup()
        try:
            await self._bind(runner)
            sending = asyncio.create_task(sender.run(), name="sim.callbacks")
            try:
                yield self
            finally:
                await _stop(sending)
        finally:
            await runner.cleanup()
            self._site = self._runner = None

    async def _bind(self, runner: web.ServerRunner) -> None:
        site = web.TCPSite(runner, self.settings.host, self._port or self.settings.port)
        try:
            await site.start()
        except OSError as error:
            remedy = "use another port, or 0 for any free one"
            raise UsageError(f"port={self.settings.port}: cannot listen ({error.strerror}); {remedy}") from error
        self._site = site
        self._port = runner.addresses[0][1]
        self._provider.files.base_url = self.url

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        clock = self._running_clock()
        call = self._provider.receive(await _read(request), clock.now())
        if call.delay_s:
            await asyncio.sleep(clock.in_loop_seconds(call.delay_s))
        response = self._provider.respond(call, clock.now())
        self._wake()
        return build_response(response, clock)

    def _wake(self) -> None:
        if self._sender is not None:
            self._sender.wake()


async def _read(request: web.BaseRequest) -> SimRequest:
    return SimRequest(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read() if request.can_read_body else b"",
    )


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    """Return a request as the web server creates it, but with a size limit that fits a video."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY_BYTES)


async def _stop(task: "asyncio.Task[None]") -> None:
    """Cancel *task*, wait for it, and raise its error if it failed."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
