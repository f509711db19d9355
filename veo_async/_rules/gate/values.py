"""Values of the gate: its settings, its decisions, what it has learned, and its statistics."""

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

    WINDOW = "window"  #: up to the limit in every window, in a burst if the queue is long
    PACED = "paced"  #: one at a time, a gap apart


class GateState(Enum):
    """Whether requests may be sent at all."""

    OPEN = "open"
    DRAINING = "draining"  #: nothing is sent; earlier requests are still in flight
    CLOSED = "closed"  #: nothing is sent and nothing is in flight; a probe follows when it is due
    PROBING = "probing"  #: nothing else is sent while the probe is in flight


class Purpose(Enum):
    """Why a request may be sent."""

    ROUTINE = "routine"
    PROBE = "probe"  #: the single request after a closure
    EXTRA = "extra"  #: one more than the limit allows, to learn whether the limit is higher
    OVER_CAP = "over-cap"  #: one more than the cap on running tasks allows, to learn whether the cap is higher


class Reason(StrEnum):
    """What a request waits for. A pause has its own reason."""

    RATE_LIMITED = "rate-limited"  #: a refusal closed the gate
    PROBING = "probing"  #: the response to the probe
    PARALLEL = "parallel"  #: the maximum number of requests is in flight
    PACE = "pace"
    WINDOW = "window"
    CAP = "cap"  #: the maximum number of tasks is running


@attrs.frozen(kw_only=True)
class GateSettings:
    """What is assumed about the account, and the constants of the gate's rules."""

    #: Creating requests per window, from the provider's documentation or from the user.
    limit: int = attrs.field(default=20, validator=validators.ge(1))
    #: Length of the window in seconds.
    window_s: float = attrs.field(default=10.0, validator=_positive)
    #: Whether to try now and then if the limit is higher than documented. If False, a limit that was learned to be
    #: lower is still raised again, but never above the documented one.
    explore: bool = True
    #: The documented number of running tasks. Only a hint: a refusal near it is more readily attributed to a cap.
    cap_prior: int = attrs.field(default=100, validator=validators.ge(1))

    #: Seconds added to the window, for a request that travels faster than the fifty before it. Measured: the fastest
    #: of fifty is within 20 ms of the fastest possible. Three times that costs 0.6 % of the rate.
    margin_s: float = attrs.field(default=0.06, validator=_positive)
    #: Seconds added to the margin when a request is refused although the window had just enough room.
    margin_step_s: float = 0.04
    #: Maximum margin as a share of the window, so that a run of bad luck cannot halve the rate.
    margin_share: float = 0.1

    #: Maximum requests in flight at first: discovering a limit of five then costs four refusals, not sixteen.
    parallel_first: int = attrs.field(default=4, validator=validators.ge(1))
    #: Maximum requests in flight later: at two requests per second this is enough for eight seconds of latency. A
    #: faster account whose responses are slow gets more: see `Traffic`.
    parallel_later: int = attrs.field(default=16, validator=validators.ge(1))
    #: Maximum extra requests in flight. It starts at one and grows by one for every two that are accepted.
    max_extra: int = attrs.field(default=8, validator=validators.ge(1))

    #: Seconds from the first try for a higher limit to the next; doubles after each failed try …
    explore_first_s: float = 60.0
    #: … up to this. A try costs one refusal, so an account whose limit never changes sees four per hour.
    explore_max_interval_s: float = 900.0
    #: Seconds until the next try after the limit was lowered, because the cause may have passed.
    explore_again_s: float = 15.0

    #: Share of a refused rate to use while the rate is held constant.
    hold_share: float = 0.97
    #: Seconds for which a paced rate is first held after a refusal; doubles with every refusal during growth.
    hold_first_s: float = 10.0
    #: Minimum learned rate as a share of the documented limit, so that recovery never takes long.
    min_rate_share: float = 0.1

    #: Seconds from the first try for a higher cap to the next; doubles up to `explore_max_interval_s`.
    cap_first_s: float = 20.0
    #: Maximum Retry-After to follow, in seconds, so that a wrong header cannot stop the account for days.
    max_retry_after_s: float = 120.0


@attrs.frozen(kw_only=True)
class LearnedLimits:
    """What a gate has learned about its account. It is stored so that the next session can start from it.

    Attributes:
        mode: how requests are spaced.
        limit: requests per window.
        rate_ceiling: mode PACED only: the latest refused rate, in requests per window.
        by_arrival: mode PACED only: space requests by when they arrive at the server, not by when they are sent.
        cap: maximum number of running tasks; None if no cap is known.
        margin_s: seconds.
    """

    mode: Mode = Mode.WINDOW
    limit: float = attrs.field(validator=_positive)
    rate_ceiling: float | None = attrs.field(default=None, validator=_positive)
    by_arrival: bool = False
    cap: int | None = attrs.field(default=None, validator=_positive)
    margin_s: float = attrs.field(validator=_positive)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can store."""
        return {**attrs.asdict(self), "mode": self.mode.value}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "LearnedLimits":
        """Create from the result of `to_dict`. Unknown keys are ignored: a newer version may have written them.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or invalid.
        """
        known = {field.name: plain[field.name] for field in attrs.fields(cls) if field.name in plain}
        return cls(**{**known, "mode": Mode(plain["mode"])})


@attrs.frozen
class Grant:
    """Permission to send one creating request now. Return it to the gate with the event that ends the request."""

    number: int
    at: float
    purpose: Purpose
    is_pace_limited: bool  #: the request was sent as soon as the pace allowed, so the pace is the bottleneck


@attrs.frozen
class Wait:
    """No request may be sent before *until*; infinity if only an event can change that."""

    until: float
    reason: str


@attrs.frozen(kw_only=True)
class GateStatistics:
    """A snapshot of the gate.

    Attributes:
        mode: how requests are spaced.
        state: open, draining, closed or probing.
        limit: requests per window.
        rate_ceiling: the rate that was refused last; None if unknown.
        margin_s: seconds added to the window for fast requests.
        in_flight: requests in flight.
        running: tasks that run.
        cap: the learned cap on running tasks; None if there is none.
        closed_until: no request is sent earlier; only ever grows.
        reason: why the gate is closed; None while it is open.
        refusals: responses with a 429.
        closures: how often sending was paused after a 429.
    """

    mode: Mode
    state: GateState
    limit: float
    rate_ceiling: float | None
    margin_s: float
    in_flight: int
    running: int
    cap: int | None
    closed_until: float
    reason: str | None
    refusals: int
    closures: int
