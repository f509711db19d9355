"""``Retry-After``: how long the server asks us to wait, believed within bounds."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .envelope import HttpResponse

#: Longer wishes are cut: a mistaken header of eleven days must not stop an account.
MAX_RETRY_AFTER_S = 120.0


def retry_after_s(answer: HttpResponse) -> float | None:
    """Seconds from the answer's arrival, between 0 and `MAX_RETRY_AFTER_S`; None when nothing sensible was asked.

    A date is taken relative to the server's own ``Date`` header, so that our clock's error does not count; only
    without that header does our time of arrival stand in.
    """
    header = answer.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return min(float(header), MAX_RETRY_AFTER_S)  # float() takes any number of digits
    until = _http_date(header)
    sent_at = server_time(answer)
    now = sent_at.timestamp() if sent_at else answer.received_at
    if until is None or now is None:
        return None
    return min(max(until.timestamp() - now, 0.0), MAX_RETRY_AFTER_S)


def server_time(answer: HttpResponse) -> datetime | None:
    """What the server's clock showed, by its ``Date`` header; None when it did not say."""
    return _http_date(answer.headers.get("date", ""))


def _http_date(written: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(written)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read
