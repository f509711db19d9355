"""What the head of an answer means for the bytes we have. Pure: words in, a `Body` or a `Setback` out.

A rest is asked for only when something ties it to the beginning (a `Pin`): a strong ETag, or the same
``Last-Modified`` and the same length. And it is believed only if it says that it begins where ours ends and belongs to
a file of the same length; everything else begins again at the first byte.
"""

import re
from collections.abc import Mapping

import attrs

from veo_async._wire.envelope import HttpAnswer
from veo_async._wire.retry_after import wait_wished

from .failures import Setback, Then

#: What a film may call itself. No type at all is no lie; the boxes of the file have the last word anyway.
TYPES = frozenset({"video/mp4", "application/octet-stream", "binary/octet-stream", ""})
#: Signed links that are too old answer with one of these.
_EXPIRED = frozenset({401, 403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_BEYOND = re.compile(r"bytes \*/([0-9]{1,18})")


@attrs.frozen(kw_only=True)
class Pin:
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
class Head:
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
class Body:
    """Where the bytes that follow belong."""

    start: int
    #: One past the last byte that was promised; None when nothing was.
    end: int | None
    pin: Pin
    #: Nothing is missing and nothing needs to be read.
    is_complete: bool = False


def range_headers(have: int, pin: Pin, url: str) -> dict[str, str]:
    """Ask for the rest, if we have a beginning that can be continued; otherwise for everything."""
    validator = pin.validator(url) if have else None
    return {"Range": f"bytes={have}-", "If-Range": validator} if validator else {}


def judge(head: Head, *, have: int, asked_rest: bool, pin: Pin, url: str, max_bytes: int) -> Body:
    """What the answer brings, where we hold *have* bytes and asked for what follows them, or for everything.

    Raises:
        Setback: it brings nothing that could be used.
    """
    if head.status == 416 and asked_rest:
        return _beyond(head, have=have, pin=pin)
    if head.status not in (200, 206):
        raise _refusal(head)
    _check_kind(head)
    body = _rest(head, have=have, pin=pin, url=url) if head.status == 206 and asked_rest else _whole(head, url)
    if max(body.end or 0, body.pin.total or 0) > max_bytes:
        raise too_large(max_bytes)
    return body


def too_large(max_bytes: int) -> Setback:
    """More than a clip can have."""
    remedy = "No clip is that large; if this one is, save it with a larger Bounds.max_bytes."
    return Setback(f"the video is larger than {max_bytes} bytes", then=Then.DISCARD, remedy=remedy)


def _whole(head: Head, url: str) -> Body:
    if head.status == 206:
        raise Setback("its host sent a part where all was asked for", then=Then.RESTART, status=206)
    return Body(start=0, end=head.length, pin=_pin(head, url, head.length))


def _rest(head: Head, *, have: int, pin: Pin, url: str) -> Body:
    said = _RANGE.fullmatch(head.header("content-range"))
    if said is None:
        raise _lie("its host sent a part without saying which")
    first, last, total = (int(number) for number in said.groups())
    if first != have or not first <= last < total:
        raise _lie("its host sent another part than was asked for")
    if pin.total not in (None, total):
        raise _lie("the video's length has changed")
    if head.length not in (None, last + 1 - first):
        raise _lie("its host contradicts itself about the length")
    now = _pin(head, url, total)
    if (pin.etag and now.etag and pin.etag != now.etag) or (not pin.etag and pin.modified != now.modified):
        raise _lie("the video itself has changed")
    return Body(start=first, end=last + 1, pin=attrs.evolve(pin, total=total, url=url))


def _beyond(head: Head, *, have: int, pin: Pin) -> Body:
    """416: either we had everything already, or somebody is wrong about the length."""
    said = _BEYOND.fullmatch(head.header("content-range"))
    if said is not None and int(said[1]) == have and pin.total in (None, have):
        return Body(start=have, end=have, pin=attrs.evolve(pin, total=have), is_complete=True)
    raise Setback("its host refused to send the rest", then=Then.RESTART, status=416)


def _pin(head: Head, url: str, total: int | None) -> Pin:
    etag = head.header("etag")
    is_strong = len(etag) > 2 and etag.startswith('"') and etag.endswith('"')
    return Pin(url=url, etag=etag if is_strong else None, modified=head.header("last-modified") or None, total=total)


def _check_kind(head: Head) -> None:
    """Pages for people are told from films before a byte of them is written."""
    kind = head.header("content-type").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise Setback(f"a page came instead of a video ({kind[:60]})", then=Then.RENEW, status=head.status)
    if head.header("content-encoding").lower() not in ("", "identity"):
        raise Setback("the video came packed, which was not asked for", then=Then.RESTART, status=head.status)


def _refusal(head: Head) -> Setback:
    status = head.status
    if status in _EXPIRED:
        return Setback(
            "the video's link has expired or leads to nothing",
            then=Then.RENEW,
            status=status,
            remedy="Ask for the clip's links again and save it with those; the provider keeps it for some days.",
        )
    if status == 416:
        return Setback("its host refused to send it", then=Then.RESTART, status=status)
    if status >= 500 or status in _PASSING:
        wait_s = wait_wished(HttpAnswer(status=status, headers=head.headers, body=b"")) or 0.0
        return Setback("its host is in trouble", status=status, wait_s=wait_s)
    return Setback("its host refused it", then=Then.STOP, status=status)


def _lie(why: str) -> Setback:
    return Setback(why, then=Then.RESTART, status=206)
