"""Which call goes wrong: a fault with its place in the row, and the plan that counts the calls. Pure and seeded.

How faults are written stands in `faults`, what they do to an answer in `damage`.
"""

from collections.abc import Callable, Container
from random import Random
from typing import Any, Literal, TypedDict

import attrs

from veo_async._wire.endpoints import ENDPOINTS
from veo_async.errors import UsageError
from veo_async.simulator.provider.messages import CALLBACK, DOWNLOAD

EVERY = "*"
#: Misfortunes of callbacks; all other kinds are for calls.
_OF_CALLBACKS = frozenset({"lost", "doubled", "late", "forged", "malformed", "swapped"})
_ENDPOINTS = frozenset({EVERY, DOWNLOAD, CALLBACK, *(endpoint.name for endpoint in ENDPOINTS)})


class When(TypedDict, total=False):
    """Which calls a fault strikes; see `faults`."""

    endpoint: str
    on: int | Container[int] | None
    after: int
    times: int | None
    probability: float
    seed: int | None


@attrs.frozen(kw_only=True, repr=False)
class Fault:
    """One kind of trouble and where it strikes. Made most easily by the functions of `faults`."""

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
    variant: str = ""
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
        fields = (
            f"{field.name}={getattr(self, field.name)!r}" for field in attrs.fields(Fault) if self._differs(field)
        )
        return f"Fault({', '.join(fields)})"

    def _differs(self, field: "attrs.Attribute[Any]") -> bool:
        return bool(field.default != getattr(self, field.name))

    def matches(self, endpoint: str) -> bool:
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
class TriggeredFault:
    """A fault that struck."""

    fault: Fault
    endpoint: str
    #: Simulated epoch seconds.
    at: float

    @property
    def kind(self) -> str:
        return self.fault.kind


@attrs.define(eq=False)
class _ActiveFault:
    fault: Fault
    rng: Random
    seen: int = 0
    triggered: int = 0

    def triggers(self) -> bool:
        """Whether the call that has just been counted is struck."""
        if self.fault.times is not None and self.triggered >= self.fault.times:
            return False
        return self.fault.is_on(self.seen) and (self.fault.probability >= 1 or self._is_drawn())

    def _is_drawn(self) -> bool:
        return self.rng.random() < self.fault.probability


class FaultPlan:
    """All faults, what they have counted, and which have struck."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._seed = seed
        self._armed: list[_ActiveFault] = []
        self.triggered: list[TriggeredFault] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Put in more; their calls are counted from now."""
        for fault in faults:
            seed = self._seed + len(self._armed) if fault.seed is None else fault.seed
            self._armed.append(_ActiveFault(fault, Random(seed)))

    def next_fault(self, endpoint: str, now: float) -> tuple[Fault, Random] | None:
        """The fault that strikes this call to *endpoint*, with its dice; None when all goes well."""
        chosen: _ActiveFault | None = None
        for armed in self._armed:
            if armed.fault.matches(endpoint):
                armed.seen += 1
                if chosen is None and armed.triggers():
                    chosen = armed
        if chosen is None:
            return None
        chosen.triggered += 1
        self.triggered.append(TriggeredFault(fault=chosen.fault, endpoint=endpoint, at=now))
        return chosen.fault, chosen.rng
