"""What the head of a response means for the bytes that we already have. Pure: no I/O.

The rest of a file is requested only if a `ResumeInfo` ties it to the beginning: a strong ETag, or the same
``Last-Modified`` and the same length. It is accepted only if its ``Content-Range`` begins where our bytes end and names
a file of the same length. In all other cases the download starts again at the first byte.
"""

import re
from collections.abc import Mapping
from typing import Any, Self

import attrs

from veo_async._wire.envelope import HttpResponse
from veo_async._wire.retry_after import retry_after_s

from .failures import Advice, AttemptFailed

#: Content types that a video may have. A missing type is accepted, because the MP4 boxes decide in the end.
_VIDEO_TYPES = frozenset({"video/mp4", "application/octet-stream", "binary/octet-stream", ""})
#: What servers return for an expired signed link.
_EXPIRED = frozenset({401, 403, 404, 410})
_TRANSIENT = frozenset({408, 425, 429})
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_UNSATISFIED_RANGE = re.compile(r"bytes \*/([0-9]{1,18})")


@attrs.frozen(kw_only=True)
class ResumeInfo:
    """What ties the rest of a file to its beginning."""

    #: A hash of the URL without its query.
    url_hash: str = ""
    #: Only a strong ETag: a weak one does not guarantee the same bytes.
    etag: str | None = None
    #: The ``Last-Modified`` header, as received.
    modified: str | None = None
    #: The length of the whole file.
    total: int | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self | None:
        """Return what a sidecar contains, or None if we did not write it."""
        url_hash, etag, modified, total = (values.get(name) for name in ("url_hash", "etag", "modified", "total"))
        if not isinstance(url_hash, str) or type(total) not in (int, type(None)):
            return None
        if not all(text is None or (isinstance(text, str) and text.isprintable()) for text in (etag, modified)):
            return None
        return cls(url_hash=url_hash, etag=etag, modified=modified, total=total)

    def validator(self, url_hash: str) -> str | None:
        """Return the ``If-Range`` value for requesting the rest from a URL, or None if nothing ties the two."""
        is_same_url = url_hash == self.url_hash
        if self.etag and (is_same_url or self.total is not None):
            return self.etag
        return self.modified if self.modified and self.total is not None and is_same_url else None


@attrs.frozen(kw_only=True)
class ResponseHead:
    """The status and headers of a response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]

    def header(self, name: str) -> str:
        return self.headers.get(name, "").strip()

    @property
    def length(self) -> int | None:
        text = self.header("content-length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@attrs.frozen(kw_only=True)
class BodyRange:
    """Where in the file the bytes of a response body belong."""

    #: The offset of the first byte: 0, or the number of bytes that we have.
    start: int
    #: One past the last announced byte, or None if no length was announced.
    end: int | None
    resume_info: ResumeInfo
    #: We already have the whole file, so the body need not be read.
    is_complete: bool = False


def resume_headers(received: int, resume_info: ResumeInfo, url_hash: str) -> dict[str, str]:
    """Return the headers that request the rest of the file, or none if all of it has to be requested."""
    validator = resume_info.validator(url_hash) if received else None
    return {"Range": f"bytes={received}-", "If-Range": validator} if validator else {}


def interpret_response(
    head: ResponseHead, *, received: int, asked_range: bool, resume_info: ResumeInfo, url_hash: str, max_bytes: int
) -> BodyRange:
    """Return where the bytes of a response belong.

    Args:
        received: the number of bytes that we have.
        asked_range: whether the rest was requested, rather than the whole file.
        resume_info: what our bytes are tied to.
        url_hash: the hash of the requested URL.

    Raises:
        AttemptFailed: the response cannot be used.
    """
    if head.status == 416 and asked_range:
        return _range_not_satisfiable(head, received=received, resume_info=resume_info)
    if head.status not in (200, 206):
        raise _error_for_status(head)
    _check_type(head)
    if head.status == 206 and asked_range:
        body = _partial(head, received=received, resume_info=resume_info, url_hash=url_hash)
    else:
        body = _whole(head, url_hash)
    if max(body.end or 0, body.resume_info.total or 0) > max_bytes:
        raise too_large(max_bytes)
    return body


def too_large(max_bytes: int) -> AttemptFailed:
    """Return the error for a video of more than *max_bytes*."""
    remedy = "If the clip really is that large, raise DownloadLimits.max_bytes."
    return AttemptFailed(f"the video is larger than {max_bytes} bytes", advice=Advice.DISCARD, remedy=remedy)


def _whole(head: ResponseHead, url_hash: str) -> BodyRange:
    if head.status == 206:
        raise _inconsistent("the server sent a partial response to a full request")
    return BodyRange(start=0, end=head.length, resume_info=_resume_info(head, url_hash, head.length))


def _partial(head: ResponseHead, *, received: int, resume_info: ResumeInfo, url_hash: str) -> BodyRange:
    match = _RANGE.fullmatch(head.header("content-range"))
    if match is None:
        raise _inconsistent("the server sent a partial response without Content-Range")
    first, last, total = (int(number) for number in match.groups())
    if first != received or not first <= last < total:
        raise _inconsistent("the server sent a different range than requested")
    if resume_info.total not in (None, total):
        raise _inconsistent("the video's length has changed")
    if head.length not in (None, last + 1 - first):
        raise _inconsistent("the server sent contradictory lengths")
    current = _resume_info(head, url_hash, total)
    has_new_etag = resume_info.etag and current.etag and resume_info.etag != current.etag
    if has_new_etag or (not resume_info.etag and resume_info.modified != current.modified):
        raise _inconsistent("the video has changed on the server")
    return BodyRange(start=first, end=last + 1, resume_info=attrs.evolve(resume_info, total=total, url_hash=url_hash))


def _range_not_satisfiable(head: ResponseHead, *, received: int, resume_info: ResumeInfo) -> BodyRange:
    """Interpret a 416: either we already have the whole file, or our bytes and the server's file do not match."""
    match = _UNSATISFIED_RANGE.fullmatch(head.header("content-range"))
    if match is not None and int(match[1]) == received and resume_info.total in (None, received):
        complete = attrs.evolve(resume_info, total=received)
        return BodyRange(start=received, end=received, resume_info=complete, is_complete=True)
    raise AttemptFailed("the server rejected the range request", advice=Advice.RESTART, status=416)


def _resume_info(head: ResponseHead, url_hash: str, total: int | None) -> ResumeInfo:
    etag = head.header("etag")
    is_strong = len(etag) > 2 and etag.startswith('"') and etag.endswith('"')
    return ResumeInfo(
        url_hash=url_hash,
        etag=etag if is_strong else None,
        modified=head.header("last-modified") or None,
        total=total,
    )


def _check_type(head: ResponseHead) -> None:
    """Reject web pages, error texts and compressed bodies before any byte is written."""
    kind = head.header("content-type").partition(";")[0].strip().lower()
    if kind not in _VIDEO_TYPES:
        raise AttemptFailed(f"received {kind[:60]} instead of a video", advice=Advice.RENEW, status=head.status)
    if head.header("content-encoding").lower() not in ("", "identity"):
        raise AttemptFailed("the server compressed the video unasked", advice=Advice.RESTART, status=head.status)


def _error_for_status(head: ResponseHead) -> AttemptFailed:
    status = head.status
    if status in _EXPIRED:
        return AttemptFailed(
            "the download link has expired or is invalid",
            advice=Advice.RENEW,
            status=status,
            remedy="Save again with fresh links (veo.save does this); the provider keeps the clip for some days.",
        )
    if status == 416:
        return AttemptFailed("the server rejected the request", advice=Advice.RESTART, status=status)
    if status >= 500 or status in _TRANSIENT:
        wait_s = retry_after_s(HttpResponse(status=status, headers=head.headers, body=b"")) or 0.0
        return AttemptFailed("the server has a temporary problem", status=status, retry_after_s=wait_s)
    return AttemptFailed("the server refused the download", advice=Advice.STOP, status=status)


def _inconsistent(reason: str) -> AttemptFailed:
    return AttemptFailed(reason, advice=Advice.RESTART, status=206)
