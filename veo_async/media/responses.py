"""What the head of an answer means for the bytes we have. Pure: words in, a `BodyRange` or a `Setback` out.

A rest is asked for only when something ties it to the beginning (a `ResumeInfo`): a strong ETag, or the same
``Last-Modified`` and the same length. And it is believed only if it says that it begins where ours ends and belongs to
a file of the same length; everything else begins again at the first byte.
"""

import re
from collections.abc import Mapping

import attrs

from veo_async._wire.envelope import HttpResponse
from veo_async._wire.retry_after import retry_after_s

from .failures import Advice, AttemptFailed

#: What a film may call itself. No type at all is no lie; the boxes of the file have the last word anyway.
TYPES = frozenset({"video/mp4", "application/octet-stream", "binary/octet-stream", ""})
#: Signed links that are too old answer with one of these.
_EXPIRED = frozenset({401, 403, 404, 410})
_TRANSIENT = frozenset({408, 425, 429})
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_UNSATISFIED_RANGE = re.compile(r"bytes \*/([0-9]{1,18})")


@attrs.frozen(kw_only=True)
class ResumeInfo:
    """What ties a rest to its beginning."""

    #: A hash of the address without its query.
    url: str = ""
    #: Only a strong one: a weak ETag does not promise the same bytes.
    etag: str | None = None
    modified: str | None = None
    #: The length of the whole file.
    total: int | None = None

    def validator(self, url: str) -> str | None:
        """What to put into ``If-Range`` when the rest is asked of *url* (hashed); None when nothing ties it."""
        is_same = url == self.url
        if self.etag and (is_same or self.total is not None):
            return self.etag
        return self.modified if self.modified and self.total is not None and is_same else None


@attrs.frozen(kw_only=True)
class ResponseHead:
    """Status and headers of an answer; names in lower case."""

    status: int
    headers: Mapping[str, str]

    def header(self, name: str) -> str:
        return self.headers.get(name, "").strip()

    @property
    def length(self) -> int | None:
        written = self.header("content-length")
        return int(written) if written.isascii() and written.isdigit() and len(written) < 19 else None


@attrs.frozen(kw_only=True)
class BodyRange:
    """Where the bytes that follow belong."""

    start: int
    #: One past the last byte that was promised; None when nothing was.
    end: int | None
    pin: ResumeInfo
    #: Nothing is missing and nothing needs to be read.
    is_complete: bool = False


def resume_headers(received: int, pin: ResumeInfo, url: str) -> dict[str, str]:
    """Ask for the rest, if we have a beginning that can be continued; otherwise for everything."""
    validator = pin.validator(url) if received else None
    return {"Range": f"bytes={received}-", "If-Range": validator} if validator else {}


def interpret_response(
    head: ResponseHead, *, received: int, asked_range: bool, pin: ResumeInfo, url: str, max_bytes: int
) -> BodyRange:
    """What the answer brings, where we hold *received* bytes and asked for what follows them, or for everything.

    Raises:
        Setback: it brings nothing that could be used.
    """
    if head.status == 416 and asked_range:
        return _range_not_satisfiable(head, received=received, pin=pin)
    if head.status not in (200, 206):
        raise _error_for_status(head)
    _check_kind(head)
    body = (
        _partial(head, received=received, pin=pin, url=url) if head.status == 206 and asked_range else _whole(head, url)
    )
    if max(body.end or 0, body.pin.total or 0) > max_bytes:
        raise too_large(max_bytes)
    return body


def too_large(max_bytes: int) -> AttemptFailed:
    """More than a clip can have."""
    remedy = "No clip is that large; if this one is, save it with a larger Bounds.max_bytes."
    return AttemptFailed(f"the video is larger than {max_bytes} bytes", advice=Advice.DISCARD, remedy=remedy)


def _whole(head: ResponseHead, url: str) -> BodyRange:
    if head.status == 206:
        raise AttemptFailed("its host sent a part where all was asked for", advice=Advice.RESTART, status=206)
    return BodyRange(start=0, end=head.length, pin=_pin(head, url, head.length))


def _partial(head: ResponseHead, *, received: int, pin: ResumeInfo, url: str) -> BodyRange:
    said = _RANGE.fullmatch(head.header("content-range"))
    if said is None:
        raise _inconsistent("its host sent a part without saying which")
    first, last, total = (int(number) for number in said.groups())
    if first != received or not first <= last < total:
        raise _inconsistent("its host sent another part than was asked for")
    if pin.total not in (None, total):
        raise _inconsistent("the video's length has changed")
    if head.length not in (None, last + 1 - first):
        raise _inconsistent("its host contradicts itself about the length")
    now = _pin(head, url, total)
    if (pin.etag and now.etag and pin.etag != now.etag) or (not pin.etag and pin.modified != now.modified):
        raise _inconsistent("the video itself has changed")
    return BodyRange(start=first, end=last + 1, pin=attrs.evolve(pin, total=total, url=url))


def _range_not_satisfiable(head: ResponseHead, *, received: int, pin: ResumeInfo) -> BodyRange:
    """416: either we had everything already, or somebody is wrong about the length."""
    said = _UNSATISFIED_RANGE.fullmatch(head.header("content-range"))
    if said is not None and int(said[1]) == received and pin.total in (None, received):
        return BodyRange(start=received, end=received, pin=attrs.evolve(pin, total=received), is_complete=True)
    raise AttemptFailed("its host refused to send the rest", advice=Advice.RESTART, status=416)


def _pin(head: ResponseHead, url: str, total: int | None) -> ResumeInfo:
    etag = head.header("etag")
    is_strong = len(etag) > 2 and etag.startswith('"') and etag.endswith('"')
    return ResumeInfo(
        url=url, etag=etag if is_strong else None, modified=head.header("last-modified") or None, total=total
    )


def _check_kind(head: ResponseHead) -> None:
    """Pages for people are told from films before a byte of them is written."""
    kind = head.header("content-type").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise AttemptFailed(f"a page came instead of a video ({kind[:60]})", advice=Advice.RENEW, status=head.status)
    if head.header("content-encoding").lower() not in ("", "identity"):
        raise AttemptFailed("the video came packed, which was not asked for", advice=Advice.RESTART, status=head.status)


def _error_for_status(head: ResponseHead) -> AttemptFailed:
    status = head.status
    if status in _EXPIRED:
        return AttemptFailed(
            "the video's link has expired or leads to nothing",
            advice=Advice.RENEW,
            status=status,
            remedy="Ask for the clip's links again and save it with those; the provider keeps it for some days.",
        )
    if status == 416:
        return AttemptFailed("its host refused to send it", advice=Advice.RESTART, status=status)
    if status >= 500 or status in _TRANSIENT:
        wait_s = retry_after_s(HttpResponse(status=status, headers=head.headers, body=b"")) or 0.0
        return AttemptFailed("its host is in trouble", status=status, retry_after_s=wait_s)
    return AttemptFailed("its host refused it", advice=Advice.STOP, status=status)


def _inconsistent(why: str) -> AttemptFailed:
    return AttemptFailed(why, advice=Advice.RESTART, status=206)
