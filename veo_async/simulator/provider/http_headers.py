"""HTTP dates and the ``Retry-After`` header."""

from datetime import UTC, datetime
from email.utils import format_datetime


def http_date(epoch: float) -> str:
    """Return *epoch* seconds in the date format of HTTP headers."""
    return format_datetime(datetime.fromtimestamp(int(epoch), UTC), usegmt=True)


def retry_after_headers(
    retry_after: float | str | tuple[str, ...] | None, form: str, wall_time: float
) -> list[tuple[str, str]]:
    """Return the headers that announce *retry_after*.

    Args:
        retry_after: Seconds, written as *form* says; a string is sent as it is, a tuple as one header per string.
        form: ``seconds``, or ``date`` for an HTTP date, which comes with the ``Date`` header that it relates to.
        wall_time: Epoch seconds of the wall clock.
    """
    if retry_after is None:
        return []
    if isinstance(retry_after, str | tuple):
        texts = (retry_after,) if isinstance(retry_after, str) else retry_after
        return [("Retry-After", text) for text in texts]
    if form == "seconds":
        is_whole = retry_after == int(retry_after)
        return [("Retry-After", str(int(retry_after)) if is_whole else str(retry_after))]
    return [("Date", http_date(wall_time)), ("Retry-After", http_date(wall_time + retry_after))]
