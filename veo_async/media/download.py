"""One download: to a temporary name beside the target, checked, flushed, and only then renamed.

The API key never comes here: downloads have a connection pool of their own, without headers of ours.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import aiohttp
import attrs

from veo_async._blocking import blocking
from veo_async.errors import DownloadFailed

from .mp4 import NotWhole, check_whole

_CHUNK_BYTES = 256 * 1024
#: No clip comes near; a body without an end must stop somewhere.
_MAX_BYTES = 2 * 1024**3
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)


@attrs.frozen(kw_only=True)
class Saved:
    """A file that is whole and on disk."""

    path: Path
    size: int
    sha256: str


class Downloads:
    """Fetches results, at most *at_once* of them side by side."""

    def __init__(self, *, at_once: int = 4) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def save(self, url: str, path: Path) -> Saved:
        """Fetch *url* into *path*, which appears only when it is whole.

        Raises:
            DownloadFailed: it could not be fetched, is no complete MP4, or could not be written.
        """
        async with self._slots:
            try:
                return await self._save(url, path)
            except (aiohttp.ClientError, TimeoutError) as exc:
                problem = f"the download broke off ({type(exc).__name__})"
            except NotWhole as exc:
                problem = f"what was sent is not a whole video: {exc}"
            except OSError as exc:
                problem = f"the file could not be written: {exc.strerror}"
        raise DownloadFailed(problem)

    async def _save(self, url: str, path: Path) -> Saved:
        await blocking(path.parent.mkdir, parents=True, exist_ok=True)
        async with _temporary_beside(path) as part:
            digest, size = await self._fetch(url, part)
            await blocking(_settle, part, path)
        return Saved(path=path, size=size, sha256=digest)

    async def _fetch(self, url: str, part: BinaryIO) -> tuple[str, int]:
        if self._session is None:
            raise DownloadFailed("open Downloads with `async with` first")
        digest, size = hashlib.sha256(), 0
        async with self._session.get(url, headers={"Accept-Encoding": "identity"}, allow_redirects=False) as response:
            if response.status != 200:
                raise DownloadFailed("the video's host refused it", http_status=response.status)
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                size += len(chunk)
                if size > _MAX_BYTES:
                    raise DownloadFailed(f"the video is larger than {_MAX_BYTES} bytes")
                await blocking(_append, part, digest, chunk)
        return digest.hexdigest(), size


@contextlib.asynccontextmanager
async def _temporary_beside(path: Path) -> AsyncIterator[BinaryIO]:
    """A new file next to *path*, gone afterwards unless it was renamed."""
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part = await blocking(open, name, "x+b")  # "x" neither overwrites nor follows a link
    try:
        yield part
    finally:
        await blocking(_discard, part, name)


def _append(part: BinaryIO, digest: "hashlib._Hash", chunk: bytes) -> None:
    digest.update(chunk)
    part.write(chunk)


def _settle(part: BinaryIO, path: Path) -> None:
    """Check, flush to the disk, rename, and flush the folder that holds the new name."""
    check_whole(part)
    part.flush()
    os.fsync(part.fileno())
    os.replace(part.name, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _discard(part: BinaryIO, name: Path) -> None:
    part.close()
    name.unlink(missing_ok=True)
