"""What goes into and comes out of the submit gate: settings, tickets, waits, what was learned, statistics."""

import math
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any

import attrs
from attrs import validators


def _positive(_: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        msg = f"{attribute.name} must be a positive number, not {value!r}"
        raise ValueError(msg)


class Mode(Enum):
    """How the gate keeps to the limit."""

    WINDOW = "log"  #: so many per window, in a burst if need be
    PACED = "paced"  #: one by one, a gap apart


class GateState(Enum):
    """Whether calls may leave at all."""

    OPEN = "open"
    DRAINING = "draining"  #: shut, and calls that had left are still under way
    CLOSED = "closed"  #: shut, and nothing is under way; one probe will leave when its time comes
    PROBING = "probing"  #: shut, and the probe is under way


class Purpose(Enum):
    """Why a call may leave."""

    ROUTINE = "routine"
    PROBE = "probe"  #: the one call after a closing
    EXTRA = "extra"  #: one more than the limit allows, to learn whether it is higher
    OVER_CAP = "over-cap"  #: one more than the cap on running tasks allows, likewise


class Reason(StrEnum):
    """What a call waits for; a pause brings a word of its own."""

    RATE_LIMITED = "rate-limited"  #: a refusal closed the gate
    PROBING = "probing"  #: the answer to the probe is awaited
    PARALLEL = "parallel"  #: as many calls are under way as may be
    PACE = "pace"
    WINDOW = "window"
    CAP = "cap"  #: as many tasks run as may


@attrs.frozen(kw_only=True)
class GateSettings:
    """What is believed of the account, and the constants of the rule."""

    #: Creations per window, from the provider's pages or from the user.
    limit: int = attrs.field(default=20, validator=validators.ge(1))
    #: Seconds of the window.
    window_s: float = attrs.field(default=10.0, validator=_positive)
    #: Try now and then whether the limit is higher than documented. Without it a limit that was learned to be
    #: lower is still tried again, but the documented one is never passed.
    explore: bool = True
    #: Running tasks the pages speak of. A hint only: refusals close to it are laid to a cap more readily.
    cap_prior: int = attrs.field(default=100, validator=validators.ge(1))

    #: Seconds added to the window, for a call that travels faster than the fifty before it. Measured: the
    #: fastest of fifty is within 20 ms of the fastest there is; three times that costs 0.6 % of the rate.
    margin_s: float = attrs.field(default=0.06, validator=_positive)
    #: Seconds the margin grows by when a call is refused although the window had just enough room.
    margin_step_s: float = 0.04
    #: Share of the window the margin never passes, so that no run of bad luck can halve the rate.
    margin_share: float = 0.1

    #: Calls under way at once, at first: a limit of five costs four refusals to find, not sixteen.
    parallel_first: int = attrs.field(default=4, validator=validators.ge(1))
    #: Calls under way at once, at most: at two a second this bears eight seconds of latency.
    max_parallel: int = attrs.field(default=16, validator=validators.ge(1))
    #: Extra calls under way at once, at most; there is one at first, and one more for every two that succeed.
    max_extra: int = attrs.field(default=8, validator=validators.ge(1))

    #: Seconds from the first try for a higher limit to the next; doubles each time it fails …
    explore_first_s: float = 60.0
    #: … up to this. A try costs one refusal, so an account whose limit never moves pays four an hour.
    explore_max_interval_s: float = 900.0
    #: Seconds until the next try after the limit was lowered: what made it fall may have passed.
    explore_again_s: float = 15.0

    #: Share of a refused rate that is used while it is held.
    hold_share: float = 0.97
    #: Seconds a paced rate is first held after a refusal; doubles with every refusal met while growing.
    hold_first_s: float = 10.0
    #: Share of the documented limit no learned rate falls below, so that the way back is never long.
    min_rate_share: float = 0.1

    #: Seconds from the first try for a higher cap to the next; doubles up to `explore_max_interval_s`.
    cap_first_s: float = 20.0
    #: A Retry-After is obeyed up to so many seconds; a mistaken header stops nobody for days.
    max_retry_after_s: float = 120.0


@attrs.frozen(kw_only=True)
class LearnedLimits:
    """What a gate has learned of its account; kept, so that a later session starts wiser."""

    mode: Mode = Mode.WINDOW
    #: Calls per window.
    limit: float = attrs.field(validator=_positive)
    #: Paced only: the rate, in calls per window, that was refused last.
    rate_ceiling: float | None = attrs.field(default=None, validator=_positive)
    #: Paced only: calls are spaced by when they arrive, not by when they leave.
    by_arrival: bool = False
    #: Running tasks, if there is a cap.
    cap: int | None = attrs.field(default=None, validator=_positive)
    #: Seconds.
    margin_s: float = attrs.field(validator=_positive)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return {**attrs.asdict(self), "mode": self.mode.value}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "LearnedLimits":
        """From what `to_dict` gave; unknown keys are left out, as a newer version may have written them.

        Raises:
            KeyError, TypeError, ValueError: something is missing or makes no sense.
        """
        known = {field.name: plain[field.name] for field in attrs.fields(cls) if field.name in plain}
        return cls(**{**known, "mode": Mode(plain["mode"])})


@attrs.frozen
class Grant:
    """One creating call may leave now. A ticket: hand it back with the event that ends the call."""

    number: int
    at: float
    purpose: Purpose
    is_pressed: bool  #: it left as soon as the pace allowed, so the pace is what holds calls up


@attrs.frozen
class Wait:
    """No call may leave before *until*; infinity if only an event can change that."""

    until: float
    reason: str


@attrs.frozen(kw_only=True)
class GateStatistics:
    """The gate, looked into."""

    mode: Mode
    state: GateState
    limit: float  #: calls per window
    rate_ceiling: float | None
    margin_s: float
    in_flight: int
    running: int
    cap: int | None
    closed_until: float  #: no call leaves earlier; only ever grows
    reason: str | None  #: why the gate is shut; None while it is open
    refusals: int
    closures: int
