"""The download host: addresses that lead to bytes, for a while.

Answers as a decent CDN does: ``ETag``, ``Last-Modified``, ``Accept-Ranges``, one range as 206, ``If-Range``,
``If-None-Match``, 416 beyond the end, 403 when the address has expired, 404 when there is nothing.
"""

import re
from collections.abc import Mapping
from typing import Protocol

import attrs

from veo_async.simulator.faults.damage import expired_response, http_date

from .messages import FILES_PREFIX, SimRequest, SimResponse

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Content(Protocol):
    """Bytes with a type and a validator; a clip's are read when they are first wanted."""

    @property
    def content_type(self) -> str: ...
    @property
    def etag(self) -> str: ...
    @property
    def data(self) -> bytes: ...


@attrs.frozen(kw_only=True)
class HostedFile:
    """One address."""

    content: Content
    modified_at: float
    expires_at: float


class FileHost:
    """Every address that was given out, and what lies behind it."""

    def __init__(self, base_url: str = "") -> None:
        #: Where this host is reached, without a trailing slash; known once a server listens.
        self.base_url = base_url
        self._files: dict[str, HostedFile] = {}

    def put(self, name: str, content: Content, *, now: float, ttl_s: float) -> str:
        """Serve *content* under *name*; its address. The same name overwrites."""
        path = FILES_PREFIX + name
        self._files[path] = HostedFile(content=content, modified_at=now, expires_at=now + ttl_s)
        return self.base_url + path

    def find(self, url: str) -> HostedFile | None:
        """What *url* leads to, expired or not."""
        return self._files.get(url.removeprefix(self.base_url))

    def is_own_url(self, url: str) -> bool:
        """Whether *url* is an address of this host, whatever lies behind it."""
        return url.startswith(self.base_url + FILES_PREFIX)

    def answer(self, request: SimRequest, now: float) -> SimResponse:
        file = self._files.get(request.path)
        if file is None:
            return SimResponse(status=404, headers=(("Content-Type", "text/plain"),), body=b"not found\n")
        if request.method not in ("GET", "HEAD"):
            return SimResponse(status=405, headers=(("Allow", "GET, HEAD"),))
        return expired_response() if now >= file.expires_at else serve(file, request.headers)


def serve(file: HostedFile, headers: Mapping[str, str]) -> SimResponse:
    """The file, the range that was asked of it, or that nothing has changed."""
    content = file.content
    modified = http_date(file.modified_at)
    common = (("Accept-Ranges", "bytes"), ("ETag", content.etag), ("Last-Modified", modified))
    if headers.get("if-none-match", "") in (content.etag, "*"):
        return SimResponse(status=304, headers=common)
    typed = (("Content-Type", content.content_type), *common)
    span = _span(headers, content, modified)
    if span is None:
        return SimResponse(headers=typed, body=content.data)
    start, end = span
    size = len(content.data)
    if start >= size or end < start:
        return SimResponse(status=416, headers=(*common, ("Content-Range", f"bytes */{size}")))
    ranged = ("Content-Range", f"bytes {start}-{end}/{size}")
    return SimResponse(status=206, headers=(*typed, ranged), body=content.data[start : end + 1])


def _span(headers: Mapping[str, str], content: Content, modified: str) -> tuple[int, int] | None:
    """First and last byte that were asked for; None when the whole file is to be sent."""
    asked = _RANGE.fullmatch(headers.get("range", "").strip())
    if asked is None or headers.get("if-range", content.etag) not in (content.etag, modified):
        return None
    first, last = asked.groups()
    size = len(content.data)
    if first:
        return int(first), min(int(last), size - 1) if last else size - 1
    return (max(size - int(last), 0), size - 1) if last else None
