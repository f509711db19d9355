"""Trouble on order: which call goes wrong, and how.

A fault names a call by its endpoint and its place in the row of calls to that endpoint, counted from 1 since the
fault was put in: ``on=1``, ``on={2, 5}``, ``on=range(10, 20)``, ``after=3`` (spare the first three), ``times=2`` (at
most twice), or by chance: ``probability=0.1, seed=7``. Without any of these it strikes every time. Several may be
combined; of the faults that want the same call the first in the list gets it::

    faults=[drop_after_accepting(on=1), rate_limited(times=3, retry_after=4, form="body"), lost_callback(on=2)]

``endpoint`` is a name of `_wire` (``generate``, ``record-info``, …), ``*`` for all of these, ``download`` for files,
``callback`` for what the provider posts. ``accepted`` says whether the account sees the call before things go wrong:
that is the difference between a lost request and a lost answer, and it is real money.
"""

from collections.abc import Callable
from typing import Any, Literal, Unpack

from veo_async.simulator.provider.messages import CALLBACK, DOWNLOAD

from .plan import Fault, When

# --- refusals ---------------------------------------------------------------------------------------------------

_RATE_MESSAGE = "Your call frequency is too high. Please try again later."


def refuse(
    code: int,
    message: str = "",
    *,
    form: Literal["body", "http"] = "body",
    accepted: bool = False,
    retry_after: float | str | tuple[str, ...] | None = None,
    retry_after_as: Literal["seconds", "date"] = "seconds",
    **where: Unpack[When],
) -> Fault:
    """An answer that says no, in the body or as an HTTP status; with ``accepted=True`` it lies, the task exists."""
    return Fault(
        kind="refuse",
        code=code,
        message=message,
        form=form,
        accepted=accepted,
        retry_after=retry_after,
        retry_after_as=retry_after_as,
        **where,
    )


def rate_limited(
    *,
    retry_after: float | str | tuple[str, ...] | None = None,
    retry_after_as: Literal["seconds", "date"] = "seconds",
    form: Literal["body", "http"] = "http",
    **where: Unpack[When],
) -> Fault:
    """A 429. *retry_after* in seconds (written as such or as a date), or the header's text as it stands."""
    return refuse(429, _RATE_MESSAGE, form=form, retry_after=retry_after, retry_after_as=retry_after_as, **where)


def unknown_code(code: int = 599, *, form: Literal["body", "http"] = "body", **where: Unpack[When]) -> Fault:
    """A code that nobody documented."""
    return refuse(code, "Something new", form=form, **where)


def html_page(status: int = 200, *, variant: str = "", accepted: bool = True, **where: Unpack[When]) -> Fault:
    """A page for people where JSON, or a film, belongs."""
    return Fault(kind="html", code=status, variant=variant, accepted=accepted, **where)


def blocked_1010(**where: Unpack[When]) -> Fault:
    """The gate in front of the API dislikes the client: HTTP 403 with ``error code: 1010``."""
    return html_page(403, variant="1010", accepted=False, **where)


def redirect(status: int = 302, location: str = "https://elsewhere.invalid/", **where: Unpack[When]) -> Fault:
    """Somewhere else, it says."""
    return Fault(kind="redirect", code=status, location=location, accepted=False, **where)


# --- connections ------------------------------------------------------------------------------------------------


def delay(seconds: float, *, before: bool = True, **where: Unpack[When]) -> Fault:
    """The answer takes *seconds* longer; the account sees the call after them, or before them."""
    return Fault(kind="delay-before" if before else "delay-after", seconds=seconds, **where)


def drop_before_accepting(**where: Unpack[When]) -> Fault:
    """The request is read, nothing is made, the connection closes without an answer."""
    return Fault(kind="drop", accepted=False, **where)


def drop_after_accepting(**where: Unpack[When]) -> Fault:
    """The task is made and charged, and the connection closes without an answer."""
    return Fault(kind="drop", **where)


def reset_connection(when: Literal["before", "after", "middle"] = "after", **where: Unpack[When]) -> Fault:
    """RST instead of FIN: before the account sees the call, after it, or in the middle of the answer."""
    kind = "reset-middle" if when == "middle" else "reset"
    return Fault(kind=kind, accepted=when != "before", **where)


def unreachable(**where: Unpack[When]) -> Fault:
    """The connection is not made at all; of `MemoryTransport` only (a server goes offline as a whole)."""
    return Fault(kind="unreachable", accepted=False, **where)


def truncate(at: int | None = None, **where: Unpack[When]) -> Fault:
    """The answer breaks off after *at* bytes although its length was announced."""
    return Fault(kind="truncate", at=at, **where)


def slow_body(seconds: float = 1.0, **where: Unpack[When]) -> Fault:
    """One byte every *seconds*."""
    return Fault(kind="drip", seconds=seconds, **where)


# --- contents ---------------------------------------------------------------------------------------------------


def corrupt_body(variant: Literal["utf-8", "gzip"] = "utf-8", **where: Unpack[When]) -> Fault:
    """Bytes that are no UTF-8, or gzip that does not unpack."""
    return Fault(kind="garble", variant=variant, **where)


def empty_body(**where: Unpack[When]) -> Fault:
    """HTTP 200 and nothing."""
    return Fault(kind="empty", **where)


def wrong_types(variant: str = "", **where: Unpack[When]) -> Fault:
    """One thing in the answer has a type that it must not have; *variant* is a key of `mutations.MUTATIONS`, or drawn."""
    return Fault(kind="wrong-types", variant=variant, **where)


def tamper(change: Callable[[Any], Any], **where: Unpack[When]) -> Fault:
    """Whatever *change* makes of the answer's JSON."""
    return Fault(kind="tamper", change=change, **where)


def duplicate_keys(**where: Unpack[When]) -> Fault:
    """The same name twice in one object, with two values."""
    return Fault(kind="duplicate-keys", **where)


def byte_order_mark(**where: Unpack[When]) -> Fault:
    """A byte order mark before the JSON."""
    return Fault(kind="bom", **where)


def not_a_number(**where: Unpack[When]) -> Fault:
    """A bare ``NaN``, which is not JSON."""
    return Fault(kind="nan", **where)


def deep_nesting(depth: int = 100_000, **where: Unpack[When]) -> Fault:
    """Lists within lists."""
    return Fault(kind="deep", size=depth, **where)


def huge_integer(digits: int = 10_000_000, **where: Unpack[When]) -> Fault:
    """A number that takes long to read."""
    return Fault(kind="huge-integer", size=digits, **where)


def huge_body(size: int = 50 * 1024 * 1024, **where: Unpack[When]) -> Fault:
    """*size* bytes of blank before the JSON ends."""
    return Fault(kind="huge-body", size=size, **where)


def endless_body(**where: Unpack[When]) -> Fault:
    """Chunks without an end."""
    return Fault(kind="endless", **where)


def gzip_bomb(size: int = 1024 * 1024 * 1024, **where: Unpack[When]) -> Fault:
    """A small answer that unpacks to *size* bytes."""
    return Fault(kind="gzip-bomb", size=size, **where)


def many_headers(count: int = 10_000, **where: Unpack[When]) -> Fault:
    """More headers than anybody needs."""
    return Fault(kind="many-headers", size=count, **where)


def record_flag(value: int | str | None = 7, **where: Unpack[When]) -> Fault:
    """A record whose flag is *value*; with 0 or 2 it is a flag that flaps."""
    return Fault(kind="set-flag", value=value, **{"endpoint": "record-info", **where})  # type: ignore[arg-type]  # a merged TypedDict


# --- downloads --------------------------------------------------------------------------------------------------


def wrong_length(at: int | None = None, **where: Unpack[When]) -> Fault:
    """A file that ends after *at* bytes and announces just that length, as if it were whole."""
    return Fault(kind="wrong-length", at=at, **_for_files(where))


def ignored_range(**where: Unpack[When]) -> Fault:
    """200 with the whole file where a range was asked."""
    return Fault(kind="ignored-range", **_for_files(where))


def wrong_range(variant: Literal["start", "total"] = "start", **where: Unpack[When]) -> Fault:
    """A 206 that starts earlier than was asked, or that tells another total than the file has."""
    return Fault(kind="lying-range", variant=variant, **_for_files(where))


def range_not_satisfiable(**where: Unpack[When]) -> Fault:
    """416, whatever was asked."""
    return Fault(kind="refused-range", **_for_files(where))


def not_mp4(variant: Literal["noise", "json", "no-moov"] = "noise", **where: Unpack[When]) -> Fault:
    """What is no film under a film's type: as many random bytes, an error as JSON, or a film without its index."""
    return Fault(kind="not-mp4", variant=variant, **_for_files(where))


def changed_file(**where: Unpack[When]) -> Fault:
    """A 206 from another version of the file, with its own ETag, although ``If-Range`` forbids that."""
    return Fault(kind="changed-file", **_for_files(where))


def expired_link(**where: Unpack[When]) -> Fault:
    """403: this address has had its time."""
    return Fault(kind="expired", accepted=False, **_for_files(where))


def _for_files(where: When) -> When:
    return {"endpoint": DOWNLOAD, **where}


# --- callbacks --------------------------------------------------------------------------------------------------


def lost_callback(**where: Unpack[When]) -> Fault:
    """Never sent."""
    return Fault(kind="lost", **_for_callbacks(where))


def duplicate_callback(copies: int = 2, **where: Unpack[When]) -> Fault:
    """Sent *copies* times."""
    return Fault(kind="doubled", size=copies, **_for_callbacks(where))


def late_callback(seconds: float, **where: Unpack[When]) -> Fault:
    """Sent *seconds* after its time."""
    return Fault(kind="late", seconds=seconds, **_for_callbacks(where))


def forged_callback(
    variant: Literal["key", "body", "unsigned", "stale", "future"] = "key", **where: Unpack[When]
) -> Fault:
    """One that must not be believed, telling of failure.

    Args:
        how: signed with another key; signed well, which covers no body; not signed; or signed an hour ago or ahead.
    """
    return Fault(kind="forged", variant=variant, **_for_callbacks(where))


def malformed_callback(size: int = 0, **where: Unpack[When]) -> Fault:
    """Signed well, with a body of no known form, and of *size* bytes if that is more."""
    return Fault(kind="malformed", size=size, **_for_callbacks(where))


def reordered_callbacks(**where: Unpack[When]) -> Fault:
    """Held back until the next one has gone out."""
    return Fault(kind="swapped", **_for_callbacks(where))


def _for_callbacks(where: When) -> When:
    return {"endpoint": CALLBACK, **where}
