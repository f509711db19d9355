"""``Retry-After``: accepted within bounds, ignored if invalid (reliability rows 3 to 5)."""

import pytest

from veo_async._wire import HttpResponse
from veo_async._wire.retry_after import MAX_RETRY_AFTER_S, retry_after_s

DATE = "Sat, 21 Nov 2026 12:00:00 GMT"
TEN_LATER = "Sat, 21 Nov 2026 12:00:10 GMT"
NOON = 1795262400.0  # DATE as epoch seconds


def delay_s(
    retry_after: str | None = None, *, date: str | None = None, received_at: float | None = None
) -> float | None:
    """Return the delay that a response with these headers requests."""
    headers = {"retry-after": retry_after, "date": date}
    sent = {name: value for name, value in headers.items() if value is not None}
    return retry_after_s(HttpResponse(status=429, headers=sent, body=b"", received_at=received_at))


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("007", 7.0), ("119", 119.0), ("120", 120.0)]
)
def test_whole_seconds_are_accepted(header: str, seconds: float) -> None:
    """Leading zeros and surrounding spaces do not matter."""
    assert delay_s(header) == seconds


@pytest.mark.parametrize("header", ["121", "1000000", "1" + "0" * 30, "9" * 5000])
def test_long_delays_are_cut_to_the_limit(header: str) -> None:
    """A mistaken header of eleven days does not stop an account for eleven days."""
    assert delay_s(header) == MAX_RETRY_AFTER_S == 120.0


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "-5",
        "+5",
        "1.5",
        "5, 7",
        "5;7",
        "inf",
        "nan",
        "Infinity",
        "1e3",
        "0x10",
        "soon",
        "٧",
        "²",
        "7 s",
        "7\x00",
    ],
)
@pytest.mark.parametrize("date", [None, DATE])
def test_invalid_header_is_ignored(header: str, date: str | None) -> None:
    """Only whole seconds and dates are accepted; without them our own rule decides."""
    assert delay_s(header, date=date, received_at=NOON) is None


def test_missing_header_gives_no_delay() -> None:
    """The server's ``Date`` alone requests nothing."""
    assert delay_s(None, date=DATE, received_at=NOON) is None


@pytest.mark.parametrize("received_at", [None, 0.0, NOON + 86_400])
def test_date_is_compared_with_the_servers_clock(received_at: float | None) -> None:
    """With a ``Date`` header only the server's clock counts; ours may be a day off."""
    assert delay_s(TEN_LATER, date=DATE, received_at=received_at) == 10.0


def test_date_without_server_time_uses_the_arrival() -> None:
    """Without a valid ``Date`` our time of arrival counts; without that, there is no delay."""
    assert delay_s(TEN_LATER, received_at=NOON) == 10.0
    assert delay_s(TEN_LATER, date="yesterday", received_at=NOON) == 10.0
    assert delay_s(TEN_LATER, received_at=0.0) == MAX_RETRY_AFTER_S
    assert delay_s(TEN_LATER) is None


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Sat, 21 Nov 2026 11:59:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 12:00:00 GMT", 120.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 120.0),
        ("Saturday, 21-Nov-26 12:00:10 GMT", 10.0),
        ("Sat Nov 21 12:00:10 2026", 10.0),
        ("Sat, 21 Nov 2026 14:00:10 +0200", 10.0),
        ("Sat, 21 Nov 2026 12:00:10 -0000", 10.0),
    ],
)
def test_every_http_date_format_is_read(until: str, seconds: float) -> None:
    """Past dates give 0, far dates the limit."""
    assert delay_s(until, date=DATE) == seconds


@pytest.mark.parametrize(
    "until",
    [
        "Sat, 21 Nov 99999 12:00:10 GMT",
        "Sat, 31 Feb 2026 12:00:10 GMT",
        "Sat, 21 Nov 2026 25:00:00 GMT",
        "Sat, 21 Nov 2026 12:00:10 +9999999999",
        "0, 0 0 0 0:0:0 0",
        ", , , ,",
    ],
)
def test_impossible_dates_are_ignored(until: str) -> None:
    """They give no delay and do not crash."""
    assert delay_s(until, date=DATE) is None
    assert delay_s(TEN_LATER, date=until) is None
