"""One look at an image's URL, for whoever wants to know before a request is paid whether the provider could fetch it.

The provider follows no redirects, logs in nowhere, and wants the picture itself. All of that shows in the answer to one
GET of the first few bytes: status, type, size, and by the bytes themselves whether it is a picture. No HEAD before it:
signed URLs refuse one, many hosts answer it with another type or none, and it could only be believed where a GET says
the same.

Only what is certain counts. A host that does not answer, or answers with an error of its own, may well answer the
provider; that is no reason to refuse.
"""

import asyncio
import re
from collections.abc import Mapping

import aiohttp
from yarl import URL

from veo_async._wire.images import HEAD_BYTES, MAX_IMAGE_BYTES, content_problem, size_problem

from .connections import PRIVATE_NETWORK, AddressBlocked, open_http_session

#: (why it cannot work, what to do)
Problem = tuple[str, str]

_TIMEOUT_S = 10.0
_RANGE_HEADERS = {"Range": f"bytes=0-{HEAD_BYTES - 1}"}
_UPLOAD_REMEDY = "pass the file's path or its bytes, to have it uploaded"
_TOTAL = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,18})")


class ImageProbe:
    """Looks at URLs; nothing is opened before the first."""

    def __init__(self, *, allow_loopback: bool) -> None:
        self._allow_loopback = allow_loopback
        self._pool: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Nothing more is asked."""
        if self._pool is not None:
            await self._pool.close()

    async def find_problem(self, url: str) -> Problem | None:
        """Why the provider certainly cannot use *url*; None when it may be able to."""
        if self._pool is None:
            self._pool = open_http_session(allow_loopback=self._allow_loopback)
        try:
            target = URL(url, encoded=url.isascii())  # a signature covers it as it is written
            async with (
                asyncio.timeout(_TIMEOUT_S),
                self._pool.get(target, headers=_RANGE_HEADERS, allow_redirects=False) as answer,
            ):
                head = await _first_bytes(answer.content)
                answer.close()
        except aiohttp.ClientConnectorError as exc:
            return (PRIVATE_NETWORK, "give a public URL") if isinstance(exc.os_error, AddressBlocked) else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return image_problem(answer.status, {name.lower(): text for name, text in answer.headers.items()}, head)


async def _first_bytes(content: aiohttp.StreamReader) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (piece := await content.read(HEAD_BYTES - len(head))):
        head += piece
    return head


def image_problem(status: int, headers: Mapping[str, str], head: bytes) -> Problem | None:
    """What an answer tells of an image: its status, its headers in lower case, its first bytes."""
    if 300 <= status < 400:
        return f"redirects (HTTP {status})", "give the address at the end of the redirect"
    if status in (401, 403):
        return f"asks for a log-in (HTTP {status})", _UPLOAD_REMEDY
    if status in (404, 410):
        return f"is not there (HTTP {status})", _UPLOAD_REMEDY
    if status not in (200, 206):
        return None
    if "html" in headers.get("content-type", ""):
        return "is a web page, not an image", "give the address of the image itself"
    return content_problem(head) or size_problem(_size(status, headers))


def _size(status: int, headers: Mapping[str, str]) -> int:
    """How large the whole is; 0 when that is not told."""
    if status == 206:
        total = _TOTAL.fullmatch(headers.get("content-range", ""))
        return int(total[1]) if total else 0
    length = headers.get("content-length", "")
    return min(int(length), MAX_IMAGE_BYTES + 1) if length.isascii() and length.isdigit() and len(length) < 19 else 0
