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

from collections.abc import Callable, Container
from random import Random
from typing import Any, Literal, TypedDict, Unpack

import attrs

from veo_async._wire.endpoints import ENDPOINTS
from veo_async.errors import UsageError

from .messages import CALLBACK, DOWNLOAD

EVERY = "*"
#: Misfortunes of callbacks; all other kinds are for calls.
_OF_CALLBACKS = frozenset({"lost", "doubled", "late", "forged", "malformed", "swapped"})
_ENDPOINTS = frozenset({EVERY, DOWNLOAD, CALLBACK, *(endpoint.name for endpoint in ENDPOINTS)})


class Where(TypedDict, total=False):
    """Which calls a fault strikes; see the top of this file."""

    endpoint: str
    on: int | Container[int] | None
    after: int
    times: int | None
    probability: float
    seed: int | None


@attrs.frozen(kw_only=True, repr=False)
class Fault:
    """One kind of trouble and where it strikes. Made most easily by the functions below."""

    #: What goes wrong; a key of `damage.DAMAGES` or a callback's misfortune.
    kind: str
    endpoint: str = "generate"
    on: int | Container[int] | None = None
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    #: Seeds this fault's own dice; None takes the simulator's seed.
    seed: int | None = None
    #: Whether the account sees the call.
    accepted: bool = True
    code: int = 500
    message: str = ""
    form: Literal["body", "http"] = "http"
    #: Seconds for ``Retry-After``, or its text as it stands, or several such headers.
    retry_after: float | str | tuple[str, ...] | None = None
    retry_after_as: Literal["seconds", "date"] = "seconds"
    #: Simulated seconds of a delay, or between two bytes.
    seconds: float = 0.0
    #: A place in the body, in bytes; None is its middle.
    at: int | None = None
    #: How large, how deep, how many.
    size: int = 0
    #: A variant of the kind.
    how: str = ""
    location: str = ""
    value: Any = None
    #: What `tamper` does to the answer.
    change: Callable[[Any], Any] | None = None

    def __attrs_post_init__(self) -> None:
        if self.endpoint not in _ENDPOINTS:
            known = ", ".join(sorted(_ENDPOINTS))
            raise UsageError(f"endpoint={self.endpoint!r}: is no endpoint of the simulator; use one of {known}")
        if (self.kind in _OF_CALLBACKS) != (self.endpoint == CALLBACK):
            raise UsageError(
                f"endpoint={self.endpoint!r}: cannot have {self.kind!r}; callbacks have faults of their own"
            )
        if not 0 <= self.probability <= 1:
            raise UsageError(f"probability={self.probability!r}: must lie between 0 and 1; write for instance 0.1")

    def __repr__(self) -> str:
        told = (f"{field.name}={getattr(self, field.name)!r}" for field in attrs.fields(Fault) if self._differs(field))
        return f"Fault({', '.join(told)})"

    def _differs(self, field: "attrs.Attribute[Any]") -> bool:
        return bool(field.default != getattr(self, field.name))

    def concerns(self, endpoint: str) -> bool:
        if self.endpoint == EVERY:
            return endpoint not in (DOWNLOAD, CALLBACK)
        return self.endpoint == endpoint

    def is_on(self, place: int) -> bool:
        """Whether the call at *place*, counted from 1, is one of its own."""
        if place <= self.after:
            return False
        if self.on is None:
            return True
        return place == self.on if isinstance(self.on, int) else place in self.on


@attrs.frozen(kw_only=True)
class FiredFault:
    """A fault that struck."""

    fault: Fault
    endpoint: str
    #: Simulated epoch seconds.
    at: float

    @property
    def kind(self) -> str:
        return self.fault.kind


@attrs.define(eq=False)
class _Armed:
    fault: Fault
    rng: Random
    seen: int = 0
    fired: int = 0

    def strikes(self) -> bool:
        """Whether the call that has just been counted is struck."""
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        return self.fault.is_on(self.seen) and (self.fault.probability >= 1 or self._is_drawn())

    def _is_drawn(self) -> bool:
        return self.rng.random() < self.fault.probability


class FaultPlan:
    """All faults, what they have counted, and which have struck."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._seed = seed
        self._armed: list[_Armed] = []
        self.fired: list[FiredFault] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Put in more; their calls are counted from now."""
        for fault in faults:
            seed = self._seed + len(self._armed) if fault.seed is None else fault.seed
            self._armed.append(_Armed(fault, Random(seed)))

    def draw(self, endpoint: str, now: float) -> tuple[Fault, Random] | None:
        """The fault that strikes this call to *endpoint*, with its dice; None when all goes well."""
        chosen: _Armed | None = None
        for armed in self._armed:
            if armed.fault.concerns(endpoint):
                armed.seen += 1
                if chosen is None and armed.strikes():
                    chosen = armed
        if chosen is None:
            return None
        chosen.fired += 1
        self.fired.append(FiredFault(fault=chosen.fault, endpoint=endpoint, at=now))
        return chosen.fault, chosen.rng


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
    **where: Unpack[Where],
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
    **where: Unpack[Where],
) -> Fault:
    """A 429. *retry_after* in seconds (written as such or as a date), or the header's text as it stands."""
    return refuse(429, _RATE_MESSAGE, form=form, retry_after=retry_after, retry_after_as=retry_after_as, **where)


def unknown_code(code: int = 599, *, form: Literal["body", "http"] = "body", **where: Unpack[Where]) -> Fault:
    """A code that nobody documented."""
    return refuse(code, "Something new", form=form, **where)


def html(status: int = 200, *, how: str = "", accepted: bool = True, **where: Unpack[Where]) -> Fault:
    """A page for people where JSON, or a film, belongs."""
    return Fault(kind="html", code=status, how=how, accepted=accepted, **where)


def blocked_1010(**where: Unpack[Where]) -> Fault:
    """The gate in front of the API dislikes the client: HTTP 403 with ``error code: 1010``."""
    return html(403, how="1010", accepted=False, **where)


def redirect(status: int = 302, location: str = "https://elsewhere.invalid/", **where: Unpack[Where]) -> Fault:
    """Somewhere else, it says."""
    return Fault(kind="redirect", code=status, location=location, accepted=False, **where)


# --- connections ------------------------------------------------------------------------------------------------


def delay(seconds: float, *, before: bool = True, **where: Unpack[Where]) -> Fault:
    """The answer takes *seconds* longer; the account sees the call after them, or before them."""
    return Fault(kind="delay-before" if before else "delay-after", seconds=seconds, **where)


def drop_before_accepting(**where: Unpack[Where]) -> Fault:
    """The request is read, nothing is made, the connection closes without an answer."""
    return Fault(kind="drop", accepted=False, **where)


def drop_after_accepting(**where: Unpack[Where]) -> Fault:
    """The task is made and charged, and the connection closes without an answer."""
    return Fault(kind="drop", **where)


def reset_connection(when: Literal["before", "after", "middle"] = "after", **where: Unpack[Where]) -> Fault:
    """RST instead of FIN: before the account sees the call, after it, or in the middle of the answer."""
    kind = "reset-middle" if when == "middle" else "reset"
    return Fault(kind=kind, accepted=when != "before", **where)


def unreachable(**where: Unpack[Where]) -> Fault:
    """The connection is not made at all; of `MemoryTransport` only (a server goes offline as a whole)."""
    return Fault(kind="unreachable", accepted=False, **where)


def truncate(at: int | None = None, **where: Unpack[Where]) -> Fault:
    """The answer breaks off after *at* bytes although its length was announced."""
    return Fault(kind="truncate", at=at, **where)


def drip(seconds: float = 1.0, **where: Unpack[Where]) -> Fault:
    """One byte every *seconds*."""
    return Fault(kind="drip", seconds=seconds, **where)


# --- contents ---------------------------------------------------------------------------------------------------


def garble(how: Literal["utf-8", "gzip"] = "utf-8", **where: Unpack[Where]) -> Fault:
    """Bytes that are no UTF-8, or gzip that does not unpack."""
    return Fault(kind="garble", how=how, **where)


def empty_body(**where: Unpack[Where]) -> Fault:
    """HTTP 200 and nothing."""
    return Fault(kind="empty", **where)


def wrong_types(how: str = "", **where: Unpack[Where]) -> Fault:
    """One thing in the answer has a type that it must not have; *how* is a key of `damage.MUTATIONS`, or drawn."""
    return Fault(kind="wrong-types", how=how, **where)


def tamper(change: Callable[[Any], Any], **where: Unpack[Where]) -> Fault:
    """Whatever *change* makes of the answer's JSON."""
    return Fault(kind="tamper", change=change, **where)


def duplicate_keys(**where: Unpack[Where]) -> Fault:
    """The same name twice in one object, with two values."""
    return Fault(kind="duplicate-keys", **where)


def byte_order_mark(**where: Unpack[Where]) -> Fault:
    """A byte order mark before the JSON."""
    return Fault(kind="bom", **where)


def not_a_number(**where: Unpack[Where]) -> Fault:
    """A bare ``NaN``, which is not JSON."""
    return Fault(kind="nan", **where)


def deep_nesting(depth: int = 100_000, **where: Unpack[Where]) -> Fault:
    """Lists within lists."""
    return Fault(kind="deep", size=depth, **where)


def huge_integer(digits: int = 10_000_000, **where: Unpack[Where]) -> Fault:
    """A number that takes long to read."""
    return Fault(kind="huge-integer", size=digits, **where)


def huge_body(size: int = 50 * 1024 * 1024, **where: Unpack[Where]) -> Fault:
    """*size* bytes of blank before the JSON ends."""
    return Fault(kind="huge-body", size=size, **where)


def endless_body(**where: Unpack[Where]) -> Fault:
    """Chunks without an end."""
    return Fault(kind="endless", **where)


def gzip_bomb(size: int = 1024 * 1024 * 1024, **where: Unpack[Where]) -> Fault:
    """A small answer that unpacks to *size* bytes."""
    return Fault(kind="gzip-bomb", size=size, **where)


def many_headers(count: int = 10_000, **where: Unpack[Where]) -> Fault:
    """More headers than anybody needs."""
    return Fault(kind="many-headers", size=count, **where)


def unknown_status(value: int | str | None = 7, **where: Unpack[Where]) -> Fault:
    """A record whose flag is *value*; with 0 or 2 it is a flag that flaps."""
    return Fault(kind="set-flag", value=value, **{"endpoint": "record-info", **where})  # type: ignore[arg-type]  # a merged TypedDict


# --- downloads --------------------------------------------------------------------------------------------------


def wrong_length(at: int | None = None, **where: Unpack[Where]) -> Fault:
    """A file that ends after *at* bytes and announces just that length, as if it were whole."""
    return Fault(kind="wrong-length", at=at, **_for_files(where))


def ignored_range(**where: Unpack[Where]) -> Fault:
    """200 with the whole file where a range was asked."""
    return Fault(kind="ignored-range", **_for_files(where))


def lying_range(how: Literal["start", "total"] = "start", **where: Unpack[Where]) -> Fault:
    """A 206 that starts earlier than was asked, or that tells another total than the file has."""
    return Fault(kind="lying-range", how=how, **_for_files(where))


def refused_range(**where: Unpack[Where]) -> Fault:
    """416, whatever was asked."""
    return Fault(kind="refused-range", **_for_files(where))


def not_mp4(**where: Unpack[Where]) -> Fault:
    """Bytes of the right number that are no film."""
    return Fault(kind="not-mp4", **_for_files(where))


def expired(**where: Unpack[Where]) -> Fault:
    """403: this address has had its time."""
    return Fault(kind="expired", accepted=False, **_for_files(where))


def _for_files(where: Where) -> Where:
    return {"endpoint": DOWNLOAD, **where}


# --- callbacks --------------------------------------------------------------------------------------------------


def lost_callback(**where: Unpack[Where]) -> Fault:
    """Never sent."""
    return Fault(kind="lost", **_for_callbacks(where))


def doubled_callback(copies: int = 2, **where: Unpack[Where]) -> Fault:
    """Sent *copies* times."""
    return Fault(kind="doubled", size=copies, **_for_callbacks(where))


def late_callback(seconds: float, **where: Unpack[Where]) -> Fault:
    """Sent *seconds* after its time."""
    return Fault(kind="late", seconds=seconds, **_for_callbacks(where))


def forged_callback(
    how: Literal["key", "body", "unsigned", "stale", "future"] = "key", **where: Unpack[Where]
) -> Fault:
    """One that must not be believed, telling of failure.

    Args:
        how: signed with another key; signed well, which covers no body; not signed; or signed an hour ago or ahead.
    """
    return Fault(kind="forged", how=how, **_for_callbacks(where))


def malformed_callback(size: int = 0, **where: Unpack[Where]) -> Fault:
    """Signed well, with a body of no known form, and of *size* bytes if that is more."""
    return Fault(kind="malformed", size=size, **_for_callbacks(where))


def swapped_callbacks(**where: Unpack[Where]) -> Fault:
    """Held back until the next one has gone out."""
    return Fault(kind="swapped", **_for_callbacks(where))


def _for_callbacks(where: Where) -> Where:
    return {"endpoint": CALLBACK, **where}
