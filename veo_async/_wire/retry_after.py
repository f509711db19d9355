"""``Retry-After``: how long the server asks us to wait, within bounds."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .envelope import HttpResponse

#: Longer delays are cut to this: a mistaken header of eleven days must not stop an account.
MAX_RETRY_AFTER_S = 120.0


def retry_after_s(response: HttpResponse) -> float | None:
    """Return the requested delay in seconds from the response's arrival, between 0 and `MAX_RETRY_AFTER_S`.

    None if there is no valid header. A date is compared with the server's own ``Date`` header, so that an error of our
    clock does not matter; without that header it is compared with our time of arrival.
    """
    header = response.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return min(float(header), MAX_RETRY_AFTER_S)  # float() accepts any number of digits
    until = _http_date(header)
    sent_at = server_time(response)
    now = sent_at.timestamp() if sent_at else response.received_at
    if until is None or now is None:
        return None
    return min(max(until.timestamp() - now, 0.0), MAX_RETRY_AFTER_S)


def server_time(response: HttpResponse) -> datetime | None:
    """Return the server's time from the ``Date`` header, or None without one."""
    return _http_date(response.headers.get("date", ""))


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
