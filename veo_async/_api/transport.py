"""One HTTP request over aiohttp: how much was sent, what was received, within bounds.

**Exactly one request.** aiohttp automatically repeats a GET if a kept-alive connection turns out to be closed, and one
of the provider's GETs costs credits. Replacing that failure by an exception that aiohttp does not know prevents this.
Redirects are never followed: a 307 would send the body again.

**Its own response.** HTTP/1.1 does not number responses. Data that arrives on an idle connection, such as a second
response to an earlier request, would become the response to the next one. So a connection with unread data is closed
and the request is written to another one. A new connection for each paid request would cost two round trips and a TLS
handshake, and protect only against data that arrives later still.

**What was sent.** After `NotSent` a charged request may be sent again, so it is raised only if the request certainly
was not sent: writing the body had not started. The class of the exception does not show that
(``ClientConnectorError`` is a ``ClientOSError``), nor does ``UploadTracker.bytes_written`` alone: it is the last
confirmed count, which is 0 if the connection breaks before the first update. So the body records when writing starts,
in addition to the tracker's count. For a request without a body, only errors that the connector alone raises count as
not sent.

**Within bounds.** Never ``.read()`` or ``.json()``: one megabyte of gzip becomes one gigabyte of memory. Chunks are
read and decompressed as they arrive, up to `MAX_RESPONSE_BYTES`.

**No leaks.** aiohttp's exceptions contain the request with its Authorization header. This module lets none of them,
and nothing that refers to them, escape.
"""

import asyncio
import io
import platform
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from yarl import URL

from veo_async._base.kill_points import kill_point
from veo_async._ports import HttpRequest
from veo_async._version import PROJECT_URL, __version__
from veo_async._wire import HttpResponse
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost, TransportError

from .deadlines import Deadlines
from .routes import Routes

#: Real responses are a few kilobytes.
MAX_RESPONSE_BYTES = 1024 * 1024
#: A host that does not accept a connection within this time will not do so within a minute either.
_CONNECT_TIMEOUT_S = 10.0
#: aiohttp's own timer for a whole request costs a tenth of a poll: see `Deadlines`.
_NO_TIMER = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
#: How many connections with unread data are closed for one request.
_MAX_UNREAD = 10
#: One client never needs more connections, and more could get it blocked.
MAX_CONNECTIONS = 128
#: The only headers that are used. Copying all of them would take longer than reading the body.
_KEPT_HEADERS = ("retry-after", "date")

_CLOSED_BY_CALLER = "the HTTP session passed as http= was closed while it was in use"
_CLOSE_LATER = "Close it after everything that uses it; jobs on a ledger continue in the next session."

USER_AGENT = (
    f"veo-async/{__version__} (+{PROJECT_URL}) aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
)


class AiohttpTransport:
    """A `Transport` on one `aiohttp.ClientSession`, the caller's or our own."""

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        routes: Routes | None = None,
    ) -> None:
        self._external = session
        self._owned: aiohttp.ClientSession | None = None
        self._routes = routes or Routes(trust_env=False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._deadlines = Deadlines()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """See `Transport.send`."""
        session = self._session()
        for _ in range(_MAX_UNREAD):
            try:
                return await self._send(session, request)
            except _UnreadData:
                continue  # nothing was written; aiohttp has closed that connection
        raise NotSent(f"{_host(request.url)} sends data before it is asked")

    async def _send(self, session: aiohttp.ClientSession, request: HttpRequest) -> HttpResponse:
        headers = request.headers
        middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = ()
        if self._external is not None:
            middlewares = (_send_once,)
            if (key := headers.get("Authorization")) is not None:
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
                middlewares = (_send_once, _set_key(key))
        body = None if request.body is None else _TrackedBody(io.BytesIO(request.body))
        tracker = None if body is None else aiohttp.UploadTracker()
        try:
            url = _parse_url(request.url)
            with self._deadlines.limit(request.timeout_s):
                response = await session.request(
                    request.method,
                    url,
                    headers=headers,
                    data=body,
                    timeout=_NO_TIMER,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=True,
                    proxy=self._routes.proxy_for(url),
                    ssl=self._routes.context or True,
                    middlewares=middlewares,
                    upload_tracker=tracker,
                )
                return await _read_response(response)
        except asyncio.CancelledError as exc:  # aiohttp cancels those that wait for a connection when it is closed
            task = asyncio.current_task()
            if (task is not None and task.cancelling()) or (closed := self._closed_error(exc, body)) is None:
                raise
            failure: TransportError | ClientClosed = closed
        except (aiohttp.ClientError, _AttemptFailed, OSError, TimeoutError, ValueError) as exc:
            failure = self._closed_error(_cause(exc), body) or _translate(_cause(exc), request.url, body, tracker)
        # Raised outside the handler, so that aiohttp's exception does not become the context of this one.
        raise failure

    async def close(self) -> None:
        """See `Transport.close`."""
        self._closed = True
        self._deadlines.close()
        if self._owned is not None:
            await self._owned.close()

    def _closed_error(self, exc: BaseException, body: "_TrackedBody | None") -> ClientClosed | None:
        """Return the error of a request that was not sent because the caller closed his session."""
        if self._external is None or not self._external.closed:
            return None
        has_no_connection = type(exc) in (asyncio.CancelledError, aiohttp.ClientConnectionError)
        is_unsent = _never_sent(exc, body) or (body is None and has_no_connection)
        return ClientClosed(_CLOSED_BY_CALLER, remedy=_CLOSE_LATER) if is_unsent else None

    def _session(self) -> aiohttp.ClientSession:
        """Return the aiohttp session. It is created on first use, for the event loop that is running then."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise ClientClosed("this client is closed")
        if self._loop is None:
            self._loop = loop
            _keep_read_buffers()
        if self._loop is not loop:
            raise ClientClosed("this client belongs to another event loop")
        if self._external is not None:
            if self._external.closed:
                raise ClientClosed(_CLOSED_BY_CALLER, remedy=_CLOSE_LATER)
            return self._external
        if self._owned is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
            cookies = aiohttp.DummyCookieJar()
            self._owned = aiohttp.ClientSession(
                connector=connector, cookie_jar=cookies, request_class=_Request, response_class=_Response
            )
        return self._owned


def _keep_read_buffers() -> None:
    """Make the allocator keep the memory that asyncio reads into.

    asyncio allocates 256 KB for every read. glibc maps and unmaps such a block each time, which is a tenth of the cost
    of a request, until the process has freed one block of that size. This allocates and frees one; it does no harm with
    other allocators.
    """
    bytearray(512 * 1024)


@lru_cache(maxsize=512)
def _parse_url(url: str) -> URL:
    """Return *url* for aiohttp. It is cached, because a task is polled many times, and aiohttp takes a URL apart.

    The part before the query is cached, too, because the first polls of all tasks differ only in the query.
    """
    address, _, query = url.partition("?")
    try:
        scheme, authority, path = _parts(address)
    except ValueError:
        raise aiohttp.InvalidURL(address) from None
    return URL.build(scheme=scheme, authority=authority, path=path, query_string=query, encoded=True)


@lru_cache(maxsize=32)
def _parts(address: str) -> tuple[str, str, str]:
    url = URL(address)
    return url.scheme, url.raw_authority, url.raw_path


class _AttemptFailed(Exception):
    """A failure that is not an aiohttp error, so that aiohttp does not retry."""


def _cause(exc: BaseException) -> BaseException:
    return exc.__cause__ if isinstance(exc, _AttemptFailed) and exc.__cause__ else exc


class _UnreadData(Exception):
    """The connection holds data that belongs to an earlier request."""


def _check_unread(connection: Connection) -> None:
    if connection.protocol is None or connection.protocol.should_close:
        raise _UnreadData


class _Request(aiohttp.ClientRequest):
    """A request of the transport's session, which checks the connection between getting it and writing to it."""

    # Not a coroutine itself: each layer of them makes a poll longer.
    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, conn: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        _check_unread(conn)
        return super().send(conn)


class _Response(aiohttp.ClientResponse):
    """A response to the transport's session, whose failure causes no retry."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
            raise _AttemptFailed from exc


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Do what `_Request` and `_Response` do, for a request of the caller's session; it takes a twentieth of a poll."""
    write = request.send

    async def send(connection: Connection) -> aiohttp.ClientResponse:
        _check_unread(connection)
        return await write(connection)

    request.send = send  # type: ignore[method-assign,assignment]  # of this request only
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _AttemptFailed from exc
    finally:
        del request.send  # `send` refers to the request: reference counting could not free it and its response


def _set_key(authorization: str) -> aiohttp.ClientMiddlewareType:
    """Set the API key last: a session with ``trust_env=True`` takes a password for the host from ``~/.netrc``."""

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = authorization
        return await handler(request)

    return send


class _TrackedBody(aiohttp.BytesIOPayload):
    """A body that records whether writing it has started."""

    started = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.started = True
        await super().write_with_length(writer, content_length)
        kill_point("post:sent")


async def _read_response(response: aiohttp.ClientResponse) -> HttpResponse:
    content, body = response.content, bytearray()
    try:
        while not content.at_eof():  # usually it arrived with the headers, so one read is enough
            body += await content.readany()
            if len(body) > MAX_RESPONSE_BYTES:
                raise _TooLarge
    except BaseException:
        response.close()
        raise
    # At the end of the body aiohttp has released the connection, so there is nothing to close.
    headers = {name: ", ".join(values) for name in _KEPT_HEADERS if (values := response.headers.getall(name, None))}
    return HttpResponse(status=response.status, headers=headers, body=bytes(body))


class _TooLarge(ValueError):
    """The response is larger than the limit."""


def _translate(
    exc: BaseException, url: str, body: _TrackedBody | None, tracker: aiohttp.UploadTracker | None
) -> TransportError:
    """Return our error for aiohttp's. The message is ours, because aiohttp's can contain the whole URL."""
    message = _describe(exc, _host(url))
    if _never_sent(exc, body):
        return NotSent(message)
    if isinstance(exc, _TooLarge | aiohttp.ClientResponseError):
        return MalformedResponse(message, bytes_sent=_bytes_sent(body, tracker))
    return ResponseLost(message, bytes_sent=_bytes_sent(body, tracker))


_ONLY_FROM_CONNECTING = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)


def _never_sent(exc: BaseException, body: _TrackedBody | None) -> bool:
    if body is not None:
        return not body.started
    return isinstance(exc, _ONLY_FROM_CONNECTING)


def _bytes_sent(body: _TrackedBody | None, tracker: aiohttp.UploadTracker | None) -> int | None:
    """Return how many bytes were sent. If writing started but nothing is confirmed, all of them may have been."""
    if body is None or tracker is None:
        return None
    return tracker.bytes_written or body.size


def _host(url: str) -> str:
    """Return host and port of *url*, for messages; the rest can contain secrets."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


def _describe(exc: BaseException, host: str) -> str:
    match exc:
        case _TooLarge():
            return f"the response is larger than {MAX_RESPONSE_BYTES} bytes"
        case aiohttp.ClientConnectorDNSError():
            return f"could not resolve the host name {exc.host!r}"
        case aiohttp.ClientConnectorCertificateError():
            return f"the TLS certificate of {host} is not trusted"
        case aiohttp.ClientConnectorSSLError():
            return f"the TLS handshake with {host} failed"
        case aiohttp.ClientProxyConnectionError():
            return f"could not connect to the proxy: {_os_error_text(exc)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused the connection (HTTP {exc.status})"
        case aiohttp.ClientConnectorError():
            return f"could not connect to {exc.host}:{exc.port}: {_os_error_text(exc)}"
        case aiohttp.ConnectionTimeoutError():
            return f"connecting to {host} timed out"
        case TimeoutError():
            return f"timed out waiting for the response of {host}"
        case aiohttp.ServerDisconnectedError():
            return f"{host} closed the connection without responding"
        case aiohttp.ClientPayloadError():
            return "the response was cut off or could not be decompressed"
        case aiohttp.ClientResponseError():
            return "the response is not valid HTTP"
        case _:
            return f"the connection to {host} broke: {_os_error_text(exc)}"


def _os_error_text(exc: Any) -> str:
    """Return the operating system's message, which contains no URL."""
    return str(getattr(exc, "strerror", None) or type(exc).__name__)
