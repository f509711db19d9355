"""Whatever a server sends, no bytes are written where they do not belong (row 74)."""

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
RESUME_INFOS = st.builds(
    ResumeInfo,
    url_hash=st.sampled_from(["u", "v"]),
    etag=st.sampled_from(['"a"', None]),
    modified=DATES.map(lambda date: date or None),
    total=st.sampled_from([None, 10, 11]),
)


@given(HEADS, RESUME_INFOS, st.integers(0, 10))
def test_body_starts_at_zero_or_at_our_end(head: ResponseHead, info: ResumeInfo, received: int) -> None:
    """A partial body is accepted only if it was requested, starts at our end and belongs to the same file."""
    headers = resume_headers(received, info, "u")
    try:
        body = interpret_response(
            head,
            received=received,
            asked_range=bool(headers),
            resume_info=info,
            url_hash="u",
            max_bytes=1000,
        )
    except AttemptFailed:
        return
    assert body.start in (0, received)
    assert body.end is None or body.start <= body.end <= 1000
    if body.start and not body.is_complete:
        assert head.status == 206
        assert headers
        assert info.total in (None, body.resume_info.total)
        assert not info.etag or head.header("etag") in (info.etag, 'W/"a"', '""', "a", "")


@given(RESUME_INFOS, st.integers(0, 10))
def test_rest_is_requested_only_with_a_validator(info: ResumeInfo, received: int) -> None:
    """From another URL, an ETag and a length are required; without an ETag, the same URL and a length."""
    headers = resume_headers(received, info, "u")
    assert set(headers) in (set(), {"Range", "If-Range"})
    if headers:
        assert received
        assert headers["Range"] == f"bytes={received}-"
        assert info.etag or (info.url_hash == "u" and info.total)
        assert info.url_hash == "u" or info.total


def head(status: int, **headers: str) -> ResponseHead:
    return ResponseHead(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})


def interpret(response: ResponseHead, info: ResumeInfo | None = None) -> BodyRange:
    """Interpret the response to a request for the rest after 5 bytes."""
    info = info or ResumeInfo(url_hash="u", etag='"a"', total=10)
    return interpret_response(response, received=5, asked_range=True, resume_info=info, url_hash="u", max_bytes=100)


def test_valid_partial_response_continues_the_file() -> None:
    """A 206 continues at our end, and a 416 shows that nothing is missing."""
    body = interpret(head(206, content_range="bytes 5-9/10", etag='"a"', content_length="5"))
    assert (body.start, body.end, body.is_complete) == (5, 10, False)
    body = interpret(head(416, content_range="bytes */5"), ResumeInfo(url_hash="u", etag='"a"'))
    assert (body.start, body.resume_info.total, body.is_complete) == (5, 5, True)


@pytest.mark.parametrize(
    ("response", "advice", "reason"),
    [
        (head(206), Advice.RESTART, "without Content-Range"),
        (head(206, content_range="bytes 4-9/10"), Advice.RESTART, "different range"),
        (head(206, content_range="bytes 5-10/10"), Advice.RESTART, "different range"),
        (head(206, content_range="bytes 5-9/11"), Advice.RESTART, "length has changed"),
        (head(206, content_range="bytes 5-9/10", content_length="6"), Advice.RESTART, "contradictory lengths"),
        (head(206, content_range="bytes 5-9/10", etag='"b"'), Advice.RESTART, "video has changed"),
        (head(206, content_type="multipart/byteranges"), Advice.RENEW, "multipart/byteranges instead of a video"),
        (head(416, content_range="bytes */10"), Advice.RESTART, "range request"),
        (head(416), Advice.RESTART, "range request"),
        (head(410), Advice.RENEW, "expired"),
        (head(204), Advice.STOP, "refused"),
        (head(502), Advice.RESUME, "temporary problem"),
    ],
)
def test_unusable_response_has_the_right_advice(response: ResponseHead, advice: Advice, reason: str) -> None:
    """Each unusable response raises an error that says what to do next."""
    with pytest.raises(AttemptFailed) as caught:
        interpret(response)
    assert caught.value.advice is advice
    assert re.search(reason, caught.value.reason)


def test_retry_after_is_read() -> None:
    """The error contains the delay of ``Retry-After``."""
    with pytest.raises(AttemptFailed) as caught:
        interpret(head(503, retry_after="7"))
    assert caught.value.retry_after_s == 7.0
