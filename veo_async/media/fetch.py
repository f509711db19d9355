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

from .connections import PRIVATE, AddressRefused
from .disk_space import Disk
from .failures import Setback, Then
from .files import check_room
from .limits import Pace
from .names import mark
from .partial_file import CHUNK_BYTES, Part
from .responses import Body, Head, judge, range_headers, too_large
from .urls import MOST_REDIRECTS, REDIRECTS, check_url, next_url, refused, without_query


@attrs.frozen(kw_only=True)
class Fetcher:
    """What every attempt needs."""

    pool: aiohttp.ClientSession
    disk: Disk
    allow_loopback: bool

    async def attempt(self, url: str, part: Part, pace: Pace) -> None:
        """Ask *url* for what *part* lacks, and write it there.

        Raises:
            Setback: it did not come, or not all of it.
            OSError: it could not be written.
        """
        pace.begin()
        hashed = mark(without_query(url))
        ask = range_headers(part.size, part.pin, hashed)
        async with _setbacks(), self._answer(url, ask, pace) as response:
            head = Head(status=response.status, headers={name.lower(): text for name, text in response.headers.items()})
            body = judge(
                head,
                have=part.size,
                asked_rest=bool(ask),
                pin=part.pin,
                url=hashed,
                max_bytes=pace.bounds.max_bytes,
            )
            await self.disk.work(part.folder, part.begin_at, body.start, body.pin)
            if not body.is_complete:
                needed = pace.bounds.room * ((body.end or body.start) - body.start)
                await self.disk.work(part.folder, check_room, part.folder, needed)
                await self._receive(response, part, body, pace)

    @contextlib.asynccontextmanager
    async def _answer(self, url: str, ask: Mapping[str, str], pace: Pace) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of at most three redirects, each of which is looked at like the first address."""
        url = check_url(url, allow_loopback=self.allow_loopback)
        for _ in range(1 + MOST_REDIRECTS):
            response = await self._head(url, ask, pace)
            try:
                if response.status not in REDIRECTS:
                    yield response
                    return
                url = next_url(url, response.headers.get("Location"), allow_loopback=self.allow_loopback)
            finally:
                response.close()
        raise Setback(f"its host redirects more than {MOST_REDIRECTS} times")

    async def _head(self, url: str, ask: Mapping[str, str], pace: Pace) -> aiohttp.ClientResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(min(pace.bounds.head_s, pace.left_s)):
            # A signature covers the URL as it is written: it must not be written anew.
            target = URL(url, encoded=url.isascii())
            response = await self.pool.get(target, headers=ask, allow_redirects=False)
        try:
            pace.spent(loop.time() - began)
        except Setback:
            response.close()
            raise
        return response

    async def _receive(self, response: aiohttp.ClientResponse, part: Part, body: Body, pace: Pace) -> None:
        """Everything that comes, in chunks large enough to be worth a thread's while."""
        waiting = bytearray()
        try:
            while piece := await _next_piece(response.content, pace):
                waiting += piece
                _check_length(part.size + len(waiting), body, pace.bounds.max_bytes)
                if len(waiting) >= CHUNK_BYTES:
                    chunk, waiting = waiting, bytearray()
                    await self.disk.work(part.folder, part.append, chunk)
        except (Setback, aiohttp.ClientError):
            # What came before the setback need not be asked for again. A cancellation waits for no disk.
            waiting += _read_ahead(response.content)
            _check_length(part.size + len(waiting), body, pace.bounds.max_bytes)
            await self.disk.work(part.folder, part.append, waiting)
            raise
        await self.disk.work(part.folder, part.append, waiting)
        if body.end is not None and part.size != body.end:
            raise Setback("the download broke off")


async def _next_piece(content: aiohttp.StreamReader, pace: Pace) -> bytes:
    """What has come, empty at the end; only the waiting for it is counted, not what is done with it."""
    loop = asyncio.get_running_loop()
    while True:
        began, piece = loop.time(), None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pace.patience()):
                piece = await content.readany()
        pace.arrived(len(piece or b""), loop.time() - began)
        if piece is not None:
            return piece


def _read_ahead(content: aiohttp.StreamReader) -> bytes:
    """What had come before the connection broke.

    The library shows only the break from then on. But a host that always breaks off after a little would never get us
    any further without it.
    """
    take = getattr(content, "_read_nowait", None)
    taken = take(-1) if take is not None else b""
    return taken if isinstance(taken, bytes) else b""


def _check_length(size: int, body: Body, max_bytes: int) -> None:
    if size > max_bytes:
        raise too_large(max_bytes)
    if body.end is not None and size > body.end:
        raise Setback("its host sent more than it said", then=Then.RESTART)


@contextlib.asynccontextmanager
async def _setbacks() -> AsyncIterator[None]:
    """The HTTP library's troubles as ours; its texts stay behind, for they may hold a signed URL."""
    try:
        yield
    except aiohttp.ClientConnectorError as exc:
        told = refused(PRIVATE) if isinstance(exc.os_error, AddressRefused) else _broke_off(exc)
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        told = _broke_off(exc)
    else:
        return
    raise told


def _broke_off(exc: Exception) -> Setback:
    return Setback(f"the download broke off ({type(exc).__name__})")
