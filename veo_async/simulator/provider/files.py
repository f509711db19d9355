"""The download host: serves results and uploads until their URLs expire.

It behaves like a well-configured CDN: ``ETag``, ``Last-Modified``, ``Accept-Ranges``, one range as 206, ``If-Range``,
``If-None-Match``, 416 beyond the end, 403 for an expired URL and 404 for an unknown one.
"""

import re
from collections.abc import Mapping
from typing import Protocol

import attrs

from .http_headers import http_date
from .messages import FILES_PREFIX, SimRequest, SimResponse

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Content(Protocol):
    """Bytes with a content type and an ETag. A clip reads its bytes on first use."""

    @property
    def content_type(self) -> str: ...
    @property
    def etag(self) -> str: ...
    @property
    def data(self) -> bytes: ...


@attrs.frozen(kw_only=True)
class HostedFile:
    """The file at one URL, and until when the URL works. Times are simulated epoch seconds."""

    content: Content
    modified_at: float
    expires_at: float


class FileHost:
    """All URLs that were issued, and the files they serve."""

    def __init__(self, base_url: str = "") -> None:
        #: Without a trailing slash. The HTTP server sets it once it listens.
        self.base_url = base_url
        self._files: dict[str, HostedFile] = {}

    def put(self, name: str, content: Content, *, now: float, ttl_s: float) -> str:
        """Serve *content* under *name* for *ttl_s* seconds and return its URL. An existing name is overwritten."""
        path = FILES_PREFIX + name
        self._files[path] = HostedFile(content=content, modified_at=now, expires_at=now + ttl_s)
        return self.base_url + path

    def find(self, url: str) -> HostedFile | None:
        """Return the file at *url*, expired or not."""
        return self._files.get(url.removeprefix(self.base_url))

    def is_own_url(self, url: str) -> bool:
        """Whether *url* belongs to this host, even if no file exists there."""
        return url.startswith(self.base_url + FILES_PREFIX)

    def respond(self, request: SimRequest, now: float) -> SimResponse:
        """Return the response to a download request."""
        file = self._files.get(request.path)
        if file is None:
            return SimResponse(status=404, headers=(("Content-Type", "text/plain"),), body=b"not found\n")
        if request.method not in ("GET", "HEAD"):
            return SimResponse(status=405, headers=(("Allow", "GET, HEAD"),))
        return expired_response() if now >= file.expires_at else serve(file, request.headers)


def expired_response() -> SimResponse:
    """Return the response for an expired URL."""
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Expired</Message></Error>'
    return SimResponse(status=403, headers=(("Content-Type", "application/xml"),), body=body)


def serve(file: HostedFile, headers: Mapping[str, str]) -> SimResponse:
    """Return the whole file, the requested range, or 304 if the client already has this version."""
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
    """Return the first and last byte of the requested range, or None for the whole file."""
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or headers.get("if-range", content.etag) not in (content.etag, modified):
        return None
    first, last = match.groups()
    size = len(content.data)
    if first:
        return int(first), min(int(last), size - 1) if last else size - 1
    return (max(size - int(last), 0), size - 1) if last else None
