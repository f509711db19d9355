"""One download attempt: send the request, check the response, write the body.

An attempt ends normally when the body was read to its end, and with `AttemptFailed` otherwise. In both cases the
received bytes are in the partial file. Whether the file is complete is checked afterwards, by its MP4 boxes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
import attrs

from .connections import PRIVATE_NETWORK, AddressBlocked, FileConnections
from .disk_space import DiskWriter
from .failures import Advice, AttemptFailed
from .files import check_free_space
from .limits import SpeedMonitor
from .names import stable_hash
from .partial_file import CHUNK_BYTES, PartialFile
from .responses import BodyRange, ResponseHead, interpret_response, resume_headers, too_large
from .urls import MAX_REDIRECTS, REDIRECT_STATUSES, check_url, redirect_url, url_refused, without_query


@attrs.frozen(kw_only=True)
class Fetcher:
    """Makes single download attempts."""

    http: FileConnections
    disk: DiskWriter
    allow_loopback: bool

    async def attempt(self, url: str, partial: PartialFile, speed: SpeedMonitor) -> None:
        """Request the bytes that *partial* lacks, and write them to it.

        Raises:
            AttemptFailed: nothing was received, or not everything.
            OSError: the bytes could not be written.
        """
        speed.start_attempt()
        limits, url_hash = speed.limits, stable_hash(without_query(url))
        headers = resume_headers(partial.size, partial.resume_info, url_hash)
        async with _translate_errors(), self._open(url, headers, speed) as response:
            head = ResponseHead(
                status=response.status, headers={name.lower(): text for name, text in response.headers.items()}
            )
            body = interpret_response(
                head,
                received=partial.size,
                asked_range=bool(headers),
                resume_info=partial.resume_info,
                url_hash=url_hash,
                max_bytes=limits.max_bytes,
            )
            await self.disk.run(partial.folder, partial.start_at, body.start, body.resume_info)
            if not body.is_complete:
                needed = limits.free_space_factor * ((body.end or body.start) - body.start)
                await self.disk.run(partial.folder, check_free_space, partial.folder, needed)
                await self._receive(response, partial, body, speed)

    @contextlib.asynccontextmanager
    async def _open(
        self, url: str, headers: Mapping[str, str], speed: SpeedMonitor
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response after at most three redirects. Each target is checked like the first URL."""
        url = check_url(url, allow_loopback=self.allow_loopback)
        for _ in range(1 + MAX_REDIRECTS):
            response = await self._send(url, headers, speed)
            try:
                if response.status not in REDIRECT_STATUSES:
                    yield response
                    return
                url = redirect_url(url, response.headers.get("Location"), allow_loopback=self.allow_loopback)
            finally:
                response.close()
        raise AttemptFailed(f"the server redirected more than {MAX_REDIRECTS} times")

    async def _send(self, url: str, headers: Mapping[str, str], speed: SpeedMonitor) -> aiohttp.ClientResponse:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        async with asyncio.timeout(min(speed.limits.headers_timeout_s, speed.remaining_s)):
            response = await self.http.get(url, headers)
        try:
            speed.add_wait(loop.time() - started_at)
        except AttemptFailed:
            response.close()
            raise
        return response

    async def _receive(
        self, response: aiohttp.ClientResponse, partial: PartialFile, body: BodyRange, speed: SpeedMonitor
    ) -> None:
        """Write the body to *partial*, in chunks large enough to justify a call to a thread."""
        buffer = bytearray()
        try:
            while chunk := await _read_chunk(response.content, speed):
                buffer += chunk
                _check_length(partial.size + len(buffer), body, speed.limits.max_bytes)
                if len(buffer) >= CHUNK_BYTES:
                    full, buffer = buffer, bytearray()
                    await self.disk.run(partial.folder, partial.append, full)
        except (AttemptFailed, aiohttp.ClientError):
            # Keep what arrived before the failure, so that it is not requested again. A cancellation waits for no disk.
            buffer += _take_buffered(response.content)
            _check_length(partial.size + len(buffer), body, speed.limits.max_bytes)
            await self.disk.run(partial.folder, partial.append, buffer)
            raise
        await self.disk.run(partial.folder, partial.append, buffer)
        if body.end is not None and partial.size != body.end:
            raise AttemptFailed("the download was interrupted")


async def _read_chunk(content: aiohttp.StreamReader, speed: SpeedMonitor) -> bytes:
    """Return the next bytes, or none at the end of the body. Only the time spent waiting for them counts."""
    loop = asyncio.get_running_loop()
    while True:
        started_at, chunk = loop.time(), None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(speed.read_timeout_s()):
                chunk = await content.readany()
        speed.add_bytes(len(chunk or b""), loop.time() - started_at)
        if chunk is not None:
            return chunk


def _take_buffered(content: aiohttp.StreamReader) -> bytes:
    """Return the bytes that arrived before the connection broke.

    After a break, the public methods of aiohttp's reader only raise. Without these bytes, a download from a server that
    breaks every connection early would never make progress.
    """
    read_nowait = getattr(content, "_read_nowait", None)
    buffered = read_nowait(-1) if read_nowait is not None else b""
    return buffered if isinstance(buffered, bytes) else b""


def _check_length(size: int, body: BodyRange, max_bytes: int) -> None:
    if size > max_bytes:
        raise too_large(max_bytes)
    if body.end is not None and size > body.end:
        raise AttemptFailed("the server sent more data than announced", advice=Advice.RESTART)


@contextlib.asynccontextmanager
async def _translate_errors() -> AsyncIterator[None]:
    """Turn the errors of aiohttp into `AttemptFailed`, without their texts, which may contain a signed URL."""
    try:
        yield
    except AddressBlocked:
        error = url_refused(PRIVATE_NETWORK)
    except aiohttp.ClientHttpProxyError as exc:
        error = AttemptFailed(f"the proxy refused the connection (HTTP {exc.status})")
    except aiohttp.ClientConnectorError as exc:
        error = url_refused(PRIVATE_NETWORK) if isinstance(exc.os_error, AddressBlocked) else _interrupted(exc)
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        error = _interrupted(exc)
    else:
        return
    raise error


def _interrupted(exc: Exception) -> AttemptFailed:
    return AttemptFailed(f"the download was interrupted ({type(exc).__name__})")
