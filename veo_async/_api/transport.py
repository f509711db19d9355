"""One HTTP attempt over aiohttp: what had left us, what came back, within bounds.

**Exactly one.** aiohttp repeats a GET by itself when a kept connection turns out dead, and one of the provider's
GETs costs credits. A middleware that turns the failure into ours, inside aiohttp's loop, takes the occasion away.
Redirects are never followed: a 307 would send the body a second time.

**What had left.** `NotSent` is a promise, on which a paid request may be sent again, so it is given only where it
can be kept: the writing of the body had not begun. The exception's class does not tell (``ClientConnectorError`` is
a ``ClientOSError``), and ``UploadTracker.bytes_written`` alone does not either: it keeps the last number confirmed,
which is 0 when a connection breaks before the first look. Hence a body that notes when it is first asked for, with
the tracker's number beside it. A request without a body has no such witness; there only the errors that nothing but
the connector raises count as not sent.

**Within bounds.** Never ``.read()`` or ``.json()``: one megabyte of gzip becomes one gigabyte of memory. Chunks are
taken as they come, decompressed, up to `MAX_RESPONSE_BYTES`.

**No traces.** aiohttp's exceptions carry the request with its Authorization header; none of them, and nothing that
refers to them, leaves this module.
"""

import asyncio
import io
import platform
import ssl
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from veo_async._base.kill_points import kill_point
from veo_async._ports import HttpRequest
from veo_async._version import __version__
from veo_async._wire import HttpResponse
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost, TransportError

#: The largest honest answer is some kilobytes.
MAX_RESPONSE_BYTES = 1024 * 1024
#: A host that does not take a connection within this time will not take it in a minute either.
_CONNECT_TIMEOUT_S = 10.0
#: One client never needs more at once, and a provider would wonder.
MAX_CONNECTIONS = 128
#: All that is ever asked of an answer's headers; to copy every one of them costs more than to read the answer.
_KEPT_HEADERS = ("retry-after", "date")

USER_AGENT = f"veo-async/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"


class AiohttpTransport:
    """A `Transport` on one `aiohttp.ClientSession`, the caller's or our own."""

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._external = session
        self._owned: aiohttp.ClientSession | None = None
        self._proxy = proxy
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def send(self, call: HttpRequest) -> HttpResponse:
        session = self._session()
        body = None if call.body is None else _TrackedBody(io.BytesIO(call.body))
        tracker = None if body is None else aiohttp.UploadTracker()
        try:
            async with session.request(
                call.method,
                _parsed(call.url),
                headers=call.headers,
                data=body,
                timeout=_timeout(call.timeout_s),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                proxy=self._proxy,
                ssl=self._ssl,
                middlewares=(_disable_retry,),
                upload_tracker=tracker,
            ) as response:
                return await _read_response(response)
        except (aiohttp.ClientError, _AttemptFailed, OSError, TimeoutError, ValueError) as exc:
            failure = _translate(_cause(exc), body, tracker)
        # Raised out here, so that aiohttp's exception is not even the context of ours.
        raise failure

    async def close(self) -> None:
        self._closed = True
        if self._owned is not None:
            await self._owned.close()

    def _session(self) -> aiohttp.ClientSession:
        """The session, made on first use: it belongs to the loop that runs then."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise ClientClosed("this client is closed")
        if self._loop is None:
            self._loop = loop
            _keep_read_buffers()
        if self._loop is not loop:
            raise ClientClosed("this client belongs to another event loop")
        if self._external is not None:
            return self._external
        if self._owned is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
            self._owned = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._owned


def _keep_read_buffers() -> None:
    """Have the allocator keep the memory that asyncio reads into.

    That is 256 KB for every read, however little comes. To glibc it is a large piece: mapped, faulted in and unmapped
    anew each time, a tenth of what an attempt costs, until one as large was once freed. Here is one; other allocators
    do not mind.
    """
    bytearray(512 * 1024)


@lru_cache(maxsize=8)
def _timeout(total_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_TIMEOUT_S)


def _parsed(url: str) -> URL:
    """*url* for aiohttp; of an address that is looked at again and again only the query is new."""
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
    """Not an aiohttp error, so that aiohttp does not try again."""


def _cause(exc: BaseException) -> BaseException:
    return exc.__cause__ if isinstance(exc, _AttemptFailed) and exc.__cause__ else exc


async def _disable_retry(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _AttemptFailed from exc


class _TrackedBody(aiohttp.BytesIOPayload):
    """A body that knows whether anyone has begun to write it."""

    started = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.started = True
        await super().write_with_length(writer, content_length)
        kill_point("post:sent")


async def _read_response(response: aiohttp.ClientResponse) -> HttpResponse:
    content, body = response.content, bytearray()
    while not content.at_eof():  # mostly it came with the headers, and once is enough
        body += await content.readany()
        if len(body) > MAX_RESPONSE_BYTES:
            response.close()
            raise _TooLarge
    headers = {name: ", ".join(values) for name in _KEPT_HEADERS if (values := response.headers.getall(name, None))}
    return HttpResponse(status=response.status, headers=headers, body=bytes(body))


class _TooLarge(ValueError):
    """The answer passed the bound."""


def _translate(exc: BaseException, body: _TrackedBody | None, tracker: aiohttp.UploadTracker | None) -> TransportError:
    """Our error for aiohttp's, with words of our own: its texts may hold the whole URL."""
    why = _describe(exc)
    if _never_sent(exc, body):
        return NotSent(why)
    if isinstance(exc, _TooLarge | aiohttp.ClientResponseError):
        return MalformedResponse(why, bytes_sent=_bytes_sent(body, tracker))
    return ResponseLost(why, bytes_sent=_bytes_sent(body, tracker))


def _never_sent(exc: BaseException, body: _TrackedBody | None) -> bool:
    if body is not None:
        return not body.started
    only_from_connecting = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
    return isinstance(exc, only_from_connecting)


def _bytes_sent(body: _TrackedBody | None, tracker: aiohttp.UploadTracker | None) -> int | None:
    """What is known to have left; where writing began and the tracker saw nothing, all of it may have."""
    if body is None or tracker is None:
        return None
    return tracker.bytes_written or body.size


def _describe(exc: BaseException) -> str:
    match exc:
        case _TooLarge():
            return f"the answer is larger than {MAX_RESPONSE_BYTES} bytes"
        case aiohttp.ClientConnectorDNSError():
            return "the host name could not be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return "the server's certificate is not to be trusted"
        case aiohttp.ClientConnectorSSLError():
            return "no secure connection could be made"
        case aiohttp.ClientConnectorError() | aiohttp.ClientProxyConnectionError():
            return f"the connection was not made: {_os_error_text(exc)}"
        case aiohttp.ConnectionTimeoutError():
            return "the connection was not made in time"
        case TimeoutError():
            return "no whole answer came in time"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the answer broke off or could not be unpacked"
        case aiohttp.ClientResponseError():
            return "what came back is not HTTP"
        case _:
            return f"the connection broke: {_os_error_text(exc)}"


def _os_error_text(exc: Any) -> str:
    """The operating system's words, which name no address."""
    return str(getattr(exc, "strerror", None) or type(exc).__name__)
