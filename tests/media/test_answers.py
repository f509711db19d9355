"""Row 74, the rule itself: whatever a host says, bytes never come to lie where they do not belong."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async.media.failures import Advice, AttemptFailed
from veo_async.media.responses import BodyRange, ResponseHead, ResumeInfo, interpret_response, resume_headers

NUMBERS = st.sampled_from(["0", "1", "5", "9", "10", "11", "-1", "9" * 18, "9" * 30, "x", ""])
ETAGS = st.sampled_from(['"a"', '"b"', 'W/"a"', '""', "a", ""])
DATES = st.sampled_from(["", "Mon, 05 Jan 2026 10:00:00 GMT", "Tue, 06 Jan 2026 10:00:00 GMT"])
HEADS = st.builds(
    lambda status, length, first, last, total, etag, modified, kind: ResponseHead(
        status=status,
        headers={
            "content-length": length,
            "content-range": f"bytes {first}-{last}/{total}",
            "etag": etag,
            "last-modified": modified,
            "content-type": kind,
        },
    ),
    st.sampled_from([200, 204, 206, 302, 403, 416, 500]),
    *[NUMBERS] * 4,
    ETAGS,
    DATES,
    st.sampled_from(["video/mp4", "", "text/html", "application/octet-stream; x=y"]),
)
PINS = st.builds(
    ResumeInfo,
    url=st.sampled_from(["u", "v"]),
    etag=st.sampled_from(['"a"', None]),
    modified=DATES.map(lambda date: date or None),
    total=st.sampled_from([None, 10, 11]),
)


@given(HEADS, PINS, st.integers(0, 10))
def test_bytes_belong_at_the_beginning_or_at_our_end(head: ResponseHead, pin: ResumeInfo, have: int) -> None:
    """A rest only when it was asked for, begins at our end, and is of the same file."""
    ask = resume_headers(have, pin, "u")
    try:
        body = interpret_response(head, received=have, asked_range=bool(ask), pin=pin, url="u", max_bytes=1000)
    except AttemptFailed:
        return
    assert body.start in (0, have)
    assert body.end is None or body.start <= body.end <= 1000
    if body.start and not body.is_complete:
        assert head.status == 206
        assert ask
        assert pin.total in (None, body.pin.total)
        assert not pin.etag or head.header("etag") in (pin.etag, 'W/"a"', '""', "a", "")


@given(PINS, st.integers(0, 10))
def test_a_rest_is_asked_for_only_when_something_ties_it(pin: ResumeInfo, have: int) -> None:
    """Another address needs a strong ETag and a length; a date needs the same address and a length."""
    ask = resume_headers(have, pin, "u")
    assert set(ask) in (set(), {"Range", "If-Range"})
    if ask:
        assert have
        assert ask["Range"] == f"bytes={have}-"
        assert pin.etag or (pin.url == "u" and pin.total)
        assert pin.url == "u" or pin.total


def head(status: int, **headers: str) -> ResponseHead:
    return ResponseHead(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})


def judged(answer: ResponseHead, pin: ResumeInfo | None = None) -> BodyRange:
    pin = pin or ResumeInfo(url="u", etag='"a"', total=10)
    return interpret_response(answer, received=5, asked_range=True, pin=pin, url="u", max_bytes=100)


def test_a_good_rest_by_hand() -> None:
    """And what 416 says when nothing is missing."""
    body = judged(head(206, content_range="bytes 5-9/10", etag='"a"', content_length="5"))
    assert (body.start, body.end, body.is_complete) == (5, 10, False)
    body = judged(head(416, content_range="bytes */5"), ResumeInfo(url="u", etag='"a"'))
    assert (body.start, body.pin.total, body.is_complete) == (5, 5, True)


@pytest.mark.parametrize(
    ("answer", "then", "why"),
    [
        (head(206), Advice.RESTART, "without saying which"),
        (head(206, content_range="bytes 4-9/10"), Advice.RESTART, "another part"),
        (head(206, content_range="bytes 5-10/10"), Advice.RESTART, "another part"),
        (head(206, content_range="bytes 5-9/11"), Advice.RESTART, "length has changed"),
        (head(206, content_range="bytes 5-9/10", content_length="6"), Advice.RESTART, "contradicts itself"),
        (head(206, content_range="bytes 5-9/10", etag='"b"'), Advice.RESTART, "itself has changed"),
        (head(206, content_type="multipart/byteranges"), Advice.RENEW, "page"),
        (head(416, content_range="bytes */10"), Advice.RESTART, "rest"),
        (head(416), Advice.RESTART, "rest"),
        (head(410), Advice.RENEW, "expired"),
        (head(204), Advice.STOP, "refused"),
        (head(502), Advice.RESUME, "trouble"),
    ],
)
def test_bad_answers_by_hand(answer: ResponseHead, then: Advice, why: str) -> None:
    """Each with what helps."""
    with pytest.raises(AttemptFailed) as caught:
        judged(answer)
    assert caught.value.advice is then
    assert re.search(why, caught.value.reason)


def test_a_host_may_ask_for_patience() -> None:
    """``Retry-After`` is heard."""
    with pytest.raises(AttemptFailed) as caught:
        judged(head(503, retry_after="7"))
    assert caught.value.retry_after_s == 7.0
