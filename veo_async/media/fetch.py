"""One attempt at one URL: ask, judge, write what comes.

It ends in peace when the answer has been read to its end, and in a `Setback` otherwise; either way whatever arrived is
in the part. Whether the file is whole is for its boxes to say, afterwards.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
import attrs
from yarl import URL

from .connections import PRIVATE_NETWORK, AddressBlocked
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
    """What every attempt needs."""

    http: aiohttp.ClientSession
    disk: DiskWriter
    allow_loopback: bool

    async def attempt(self, url: str, part: PartialFile, pace: SpeedMonitor) -> None:
        """Ask *url* for what *part* lacks, and write it there.

        Raises:
            Setback: it did not come, or not all of it.
            OSError: it could not be written.
        """
        pace.start_attempt()
        url_hash = stable_hash(without_query(url))
        headers = resume_headers(part.size, part.resume_info, url_hash)
        async with _translate_errors(), self._open(url, headers, pace) as response:
            head = ResponseHead(
                status=response.status, headers={name.lower(): text for name, text in response.headers.items()}
            )
            body = interpret_response(
                head,
                received=part.size,
                asked_range=bool(headers),
                pin=part.resume_info,
                url=url_hash,
                max_bytes=pace.bounds.max_bytes,
            )
            await self.disk.run(part.folder, part.start_at, body.start, body.pin)
            if not body.is_complete:
                needed = pace.bounds.free_space_factor * ((body.end or body.start) - body.start)
                await self.disk.run(part.folder, check_free_space, part.folder, needed)
                await self._receive(response, part, body, pace)

    @contextlib.asynccontextmanager
    async def _open(
        self, url: str, headers: Mapping[str, str], pace: SpeedMonitor
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of at most three redirects, each of which is looked at like the first address."""
        url = check_url(url, allow_loopback=self.allow_loopback)
        for _ in range(1 + MAX_REDIRECTS):
            response = await self._head(url, headers, pace)
            try:
                if response.status not in REDIRECT_STATUSES:
                    yield response
                    return
                url = redirect_url(url, response.headers.get("Location"), allow_loopback=self.allow_loopback)
            finally:
                response.close()
        raise AttemptFailed(f"its host redirects more than {MAX_REDIRECTS} times")

    async def _head(self, url: str, headers: Mapping[str, str], pace: SpeedMonitor) -> aiohttp.ClientResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(min(pace.bounds.headers_timeout_s, pace.left_s)):
            # A signature covers the URL as it is written: it must not be written anew.
            target = URL(url, encoded=url.isascii())
            response = await self.http.get(target, headers=headers, allow_redirects=False)
        try:
            pace.add_wait(loop.time() - began)
        except AttemptFailed:
            response.close()
            raise
        return response

    async def _receive(
        self, response: aiohttp.ClientResponse, part: PartialFile, body: BodyRange, pace: SpeedMonitor
    ) -> None:
        """Everything that comes, in chunks large enough to be worth a thread's while."""
        waiting = bytearray()
        try:
            while chunk := await _read_chunk(response.content, pace):
                waiting += chunk
                _check_length(part.size + len(waiting), body, pace.bounds.max_bytes)
                if len(waiting) >= CHUNK_BYTES:
                    full, waiting = waiting, bytearray()
                    await self.disk.run(part.folder, part.append, full)
        except (AttemptFailed, aiohttp.ClientError):
            # What came before the setback need not be asked for again. A cancellation waits for no disk.
            waiting += _read_ahead(response.content)
            _check_length(part.size + len(waiting), body, pace.bounds.max_bytes)
            await self.disk.run(part.folder, part.append, waiting)
            raise
        await self.disk.run(part.folder, part.append, waiting)
        if body.end is not None and part.size != body.end:
            raise AttemptFailed("the download broke off")


async def _read_chunk(content: aiohttp.StreamReader, pace: SpeedMonitor) -> bytes:
    """What has come, empty at the end; only the waiting for it is counted, not what is done with it."""
    loop = asyncio.get_running_loop()
    while True:
        began, chunk = loop.time(), None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pace.read_timeout_s()):
                chunk = await content.readany()
        pace.add_bytes(len(chunk or b""), loop.time() - began)
        if chunk is not None:
            return chunk


def _read_ahead(content: aiohttp.StreamReader) -> bytes:
    """What had come before the connection broke.

    The library shows only the break from then on. But a host that always breaks off after a little would never get us
    any further without it.
    """
    take = getattr(content, "_read_nowait", None)
    taken = take(-1) if take is not None else b""
    return taken if isinstance(taken, bytes) else b""


def _check_length(size: int, body: BodyRange, max_bytes: int) -> None:
    if size > max_bytes:
        raise too_large(max_bytes)
    if body.end is not None and size > body.end:
        raise AttemptFailed("its host sent more than it said", advice=Advice.RESTART)


@contextlib.asynccontextmanager
async def _translate_errors() -> AsyncIterator[None]:
    """The HTTP library's troubles as ours; its texts stay behind, for they may hold a signed URL."""
    try:
        yield
    except aiohttp.ClientConnectorError as exc:
        told = url_refused(PRIVATE_NETWORK) if isinstance(exc.os_error, AddressBlocked) else _interrupted(exc)
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        told = _interrupted(exc)
    else:
        return
    raise told


def _interrupted(exc: Exception) -> AttemptFailed:
    return AttemptFailed(f"the download broke off ({type(exc).__name__})")
