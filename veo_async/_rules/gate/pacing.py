"""The rate of a gate that sends one request at a time, a gap apart.

Theory of operation
-------------------
Somewhere above the rate there is a *ceiling*: the server's true rate. A refusal means that the ceiling was exceeded.
How soon that happens depends on the bursts that the server allows, so a single refusal says little about where the
ceiling is. Two in a row say much: any burst was used up at the first refusal and again at the second, so the requests
accepted between the two are what the server refilled, which is its true rate.

* Growth, with every request that only the pace delayed: 5 % per second until the first refusal, because nothing is
  known yet; later 1 % per second near the ceiling, 4 % once the rate is more than 15 % above it.
* Refused during growth: reduce the rate by 3 % and hold it. The hold begins with 20 s and doubles each time, up to 15
  min, so an account whose rate never changes sees fewer and fewer refusals.
* Refused during a hold: the rate is still too high. If at least `MIN_SAMPLE` requests were accepted since the last
  refusal, use the rate that they measured, but at least half of the current one; else reduce it by 6 %, 12 %, 24 % …
  50 %.
* More than one probe was needed: one request got through between the last refused probe and the accepted one, and the
  rate is the geometric mean of the two.

*By arrival*: a server that enforces a gap between any two requests has no burst to absorb the jitter of the network.
So requests are spaced by their stamps (see `window`), and while a round trip is shorter than the gap only one is in
flight. This gains nothing on servers with bursts and costs about 9 % there, so it is done only if the first refusal
came after at most two requests. The count between two refusals then begins when the gate re-opens, because such a
server saves up nothing while we wait.
"""

import math

import attrs

from .closure import Closure
from .values import GateSettings

#: Growth per second, as a share of the rate: before the first refusal, near the ceiling, far above it.
GROWTH_FREE, GROWTH_NEAR, GROWTH_FAR = 0.05, 0.01, 0.04
#: The rate is far above the ceiling at this multiple of it.
FAR_ABOVE = 1.15
#: Fewer requests than this between two refusals are not a measurement.
MIN_SAMPLE = 4
#: Maximum reduction of the rate in one step.
MAX_CUT = 0.5


@attrs.define(eq=False)
class Pacer:
    """A rate in requests per window."""

    settings: GateSettings
    rate: float
    by_arrival: bool = False
    ceiling: float | None = None
    hold_until: float = -math.inf
    grown_at: float = -math.inf
    refused_at: float = -math.inf
    _reopened_at: float = -math.inf
    _accepted: int = 0  #: since the last refusal
    _hold_s: float = attrs.field(init=False)
    _cut: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._hold_s = self.settings.hold_first_s
        self._cut = 1 - self.settings.hold_share
        self._set(self.rate)

    @property
    def gap_s(self) -> float:
        """Seconds between two requests."""
        return self.settings.window_s / self.rate

    def begin(self, now: float) -> None:
        """Hold a rate that an earlier session learned."""
        self.hold_until = now + self._hold_s
        self.grown_at = now

    def accepted(self, now: float, *, is_pace_limited: bool) -> None:
        """Count an accepted request, and grow if only the pace had delayed it."""
        self._accepted += 1
        elapsed = min(now - self.grown_at, max(1.0, self.gap_s))
        self.grown_at = now
        if is_pace_limited and now >= self.hold_until:
            self._set(self.rate * (1 + self._growth() * elapsed))

    def refused(self, now: float) -> None:
        """Reduce the rate after the first refusal of a closure."""
        hold = self.settings.hold_share
        if now >= self.hold_until:
            self._cut = 1 - hold
            self._hold_s = min(self.settings.explore_max_interval_s, 2 * self._hold_s)
            self._set(self.rate * hold)
        else:
            self._cut = min(MAX_CUT, 2 * self._cut)
            lower = self.rate * (1 - self._cut)
            if self._accepted >= MIN_SAMPLE:
                lower = max(self.rate * (1 - MAX_CUT), min(self._measured(now), self.rate * hold))
            self._set(lower)
        self.ceiling = self.rate / hold
        self.hold_until = now + self._hold_s
        self.refused_at = now
        self._accepted = 0

    def reopened(self, closure: Closure, now: float, rate_before: float) -> None:
        """Adjust the rate after an accepted probe; *rate_before* was the rate at the first refusal."""
        self._reopened_at = now
        if closure.failures == 1 or closure.follows_retry_after:
            return
        estimate = rate_between(closure, now, self.settings)
        self._set(min(self.rate, max(estimate, rate_before * (1 - MAX_CUT))))
        self.ceiling = self.rate / self.settings.hold_share

    def restore(self, rate: float) -> None:
        """Return to *rate*, because the refusal was not about the rate."""
        self._set(rate)

    def _set(self, rate: float) -> None:
        lowest = self.settings.limit * self.settings.min_rate_share
        highest = math.inf if self.settings.explore else self.settings.limit * self.settings.hold_share
        self.rate = min(max(rate, lowest), highest)

    def _growth(self) -> float:
        if self.ceiling is None:
            return GROWTH_FREE
        return GROWTH_FAR if self.rate > FAR_ABOVE * self.ceiling else GROWTH_NEAR

    def _measured(self, now: float) -> float:
        since = self._reopened_at if self.by_arrival else self.refused_at
        return self._accepted * self.settings.window_s / (now - since)


def rate_between(closure: Closure, now: float, settings: GateSettings) -> float:
    """Return the geometric mean of the rates of the last refused wait and of the wait that succeeded."""
    waited = now - closure.since
    too_short = max(closure.refused_at - closure.since, settings.window_s / settings.limit)
    return settings.window_s / math.sqrt(waited * too_short)
