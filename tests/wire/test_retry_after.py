"""``Retry-After``: believed within bounds, ignored where it is nonsense (reliability rows 3 to 5)."""

import pytest

from veo_async._wire import HttpResponse
from veo_async._wire.retry_after import MAX_RETRY_AFTER_S, retry_after_s

DATE = "Sat, 21 Nov 2026 12:00:00 GMT"
TEN_LATER = "Sat, 21 Nov 2026 12:00:10 GMT"
NOON = 1795262400.0  # DATE as epoch seconds


def wished(
    retry_after: str | None = None, *, date: str | None = None, received_at: float | None = None
) -> float | None:
    """What an answer with these headers wishes."""
    headers = {"retry-after": retry_after, "date": date}
    said = {name: value for name, value in headers.items() if value is not None}
    return retry_after_s(HttpResponse(status=429, headers=said, body=b"", received_at=received_at))


@pytest.mark.parametrize(
    ("written", "seconds"), [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("007", 7.0), ("119", 119.0), ("120", 120.0)]
)
def test_seconds(written: str, seconds: float) -> None:
    """Whole seconds are obeyed."""
    assert wished(written) == seconds


@pytest.mark.parametrize("written", ["121", "1000000", "1" + "0" * 30, "9" * 5000])
def test_seconds_beyond_the_bound(written: str) -> None:
    """A mistaken header of eleven days does not stop an account for eleven days."""
    assert wished(written) == MAX_RETRY_AFTER_S == 120.0


@pytest.mark.parametrize(
    "written",
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
def test_nonsense_is_ignored(written: str, date: str | None) -> None:
    """What is neither whole seconds nor a date says nothing: our own rule decides."""
    assert wished(written, date=date, received_at=NOON) is None


def test_no_header() -> None:
    """No wish, no answer, whatever the server's clock says."""
    assert wished(None, date=DATE, received_at=NOON) is None


@pytest.mark.parametrize("received_at", [None, 0.0, NOON + 86_400])
def test_date_against_the_servers_own_clock(received_at: float | None) -> None:
    """With a ``Date`` beside it the server's clock alone counts; ours may be a day off."""
    assert wished(TEN_LATER, date=DATE, received_at=received_at) == 10.0


def test_date_without_the_servers_clock() -> None:
    """Without ``Date``, or with a broken one, our time of arrival stands in; without either, nothing is known."""
    assert wished(TEN_LATER, received_at=NOON) == 10.0
    assert wished(TEN_LATER, date="yesterday", received_at=NOON) == 10.0
    assert wished(TEN_LATER, received_at=0.0) == MAX_RETRY_AFTER_S
    assert wished(TEN_LATER) is None


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
def test_dates(until: str, seconds: float) -> None:
    """The three forms of HTTP dates; the past is now, the far future the bound."""
    assert wished(until, date=DATE) == seconds


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
def test_dates_that_do_not_exist(until: str) -> None:
    """An impossible date is no wish and no crash."""
    assert wished(until, date=DATE) is None
    assert wished(TEN_LATER, date=until) is None
