"""Checks whether the provider can download an image from its URL, before a request is charged.

The provider does not follow redirects, cannot log in, and needs the image itself. One GET of the first few bytes shows
all of this: the status, the type, the size, and whether the bytes are an image. No HEAD request is sent first: signed
URLs reject it, and many servers respond to it with another type or none.

Only certain problems are reported. If the server does not respond or returns a 5xx status, the provider may still
succeed later.
"""

import asyncio
import re
from collections.abc import Mapping

import aiohttp

from veo_async._api.routes import Routes
from veo_async._wire.images import HEAD_BYTES, MAX_IMAGE_BYTES, content_problem, size_problem

from .connections import AddressBlocked, FileConnections

#: (what is wrong with the URL, what to do about it)
Problem = tuple[str, str]

_TIMEOUT_S = 10.0
_RANGE_HEADERS = {"Range": f"bytes=0-{HEAD_BYTES - 1}"}
_PRIVATE_NETWORK = ("points to a private network, which the provider cannot reach", "pass a public URL")
_UPLOAD_REMEDY = "pass the file's path or its bytes, so that it is uploaded"
_TOTAL = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,18})")


class ImageProbe:
    """Checks the URLs of images. It opens no connection before the first check."""

    def __init__(self, *, allow_loopback: bool, routes: Routes | None = None) -> None:
        self._http = FileConnections(allow_loopback=allow_loopback, routes=routes)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def find_problem(self, url: str) -> Problem | None:
        """Return why the provider cannot use *url*, or None if it may be able to."""
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._http.get(url, _RANGE_HEADERS) as response:
                head = await _read_head(response.content)
                response.close()
        except AddressBlocked:
            return _PRIVATE_NETWORK
        except aiohttp.ClientConnectorError as exc:
            return _PRIVATE_NETWORK if isinstance(exc.os_error, AddressBlocked) else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return image_problem(response.status, {name.lower(): text for name, text in response.headers.items()}, head)


async def _read_head(content: aiohttp.StreamReader) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (chunk := await content.read(HEAD_BYTES - len(head))):
        head += chunk
    return head


def image_problem(status: int, headers: Mapping[str, str], head: bytes) -> Problem | None:
    """Return what a response shows to be wrong with an image, or None.

    Args:
        headers: the response headers, with lower-case names.
        head: the first bytes of the body.
    """
    if 300 <= status < 400:
        return f"redirects (HTTP {status})", "use the final URL of the redirect"
    if status in (401, 403):
        return f"requires a login (HTTP {status})", _UPLOAD_REMEDY
    if status in (404, 410):
        return f"does not exist (HTTP {status})", _UPLOAD_REMEDY
    if status not in (200, 206):
        return None
    if "html" in headers.get("content-type", ""):
        return "is a web page, not an image", "use the URL of the image itself"
    return content_problem(head) or size_problem(_total_size(status, headers))


def _total_size(status: int, headers: Mapping[str, str]) -> int:
    """Return the size of the whole image, or 0 if the headers do not contain it."""
    if status == 206:
        total = _TOTAL.fullmatch(headers.get("content-range", ""))
        return int(total[1]) if total else 0
    length = headers.get("content-length", "")
    return min(int(length), MAX_IMAGE_BYTES + 1) if length.isascii() and length.isdigit() and len(length) < 19 else 0
