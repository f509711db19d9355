"""The rate of a gate that sends one call at a time, a gap apart.

Theory of operation
-------------------
Somewhere above the rate there is a *ceiling*: the true one. A refusal says it was passed, and how often
depends on what the server allows in bursts, so a single refusal says little about where the wall is. Two in
a row say much: whatever burst there was, it was used up at the first and again at the second, so what was
accepted between the two is what came in, and that is the true rate.

* Grow, with every call that the pace and nothing else held up: 5 % a second until the first refusal, for then
  nothing is known; 1 % a second near the wall, 4 % when it was left behind by more than 15 %.
* Refused while growing: 3 % less, and hold that. The hold begins with 20 s and doubles each time, to 15
  min, so an account whose rate never changes costs fewer and fewer refusals.
* Refused while holding: the rate is still too high. If at least `MIN_SAMPLE` calls were accepted since the last
  refusal, the rate is what they measured, within half of what it was; else 6 %, 12 %, 24 % … less.
* More than one probe was needed: one call got through in that time, after the last that did not, and the
  rate is the geometric mean of the two.

*By arrival*: a server that insists on a gap between any two calls has no burst to swallow the unevenness of
the network, so calls are spaced by their stamps (see `gate_window`), and while a round trip is shorter than
the gap only one is under way. That gains nothing on servers with bursts and costs them some 9 %, so it is
done only if the very first refusal came after two calls or fewer. There the count between two refusals
begins when the gate re-opens, because such a server saves nothing up while we wait.
"""

import math

import attrs

from .closure import Closure
from .values import GateSettings

#: Shares of the rate per second.
GROWTH_FREE, GROWTH_NEAR, GROWTH_FAR = 0.05, 0.01, 0.04
#: The wall is left behind at so many times its height.
FAR_ABOVE = 1.15
#: Fewer calls than this between two refusals are no measurement.
MIN_SAMPLE = 4
#: The most that is given up at once.
MAX_CUT = 0.5


@attrs.define(eq=False)
class Pacer:
    """A rate in calls per window."""

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
        """Seconds between two calls."""
        return self.settings.window_s / self.rate

    def begin(self, now: float) -> None:
        """A rate that was learned in an earlier session is held at first."""
        self.hold_until = now + self._hold_s
        self.grown_at = now

    def accepted(self, now: float, *, is_pressed: bool) -> None:
        """A call was accepted; grow if it was the pace that held it up."""
        self._accepted += 1
        elapsed = min(now - self.grown_at, max(1.0, self.gap_s))
        self.grown_at = now
        if is_pressed and now >= self.hold_until:
            self._set(self.rate * (1 + self._growth() * elapsed))

    def refused(self, now: float) -> None:
        """The first refusal of a closing."""
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

    def reopened(self, closing: Closure, now: float, rate_before: float) -> None:
        """The probe was accepted, *rate_before* being the rate at the first refusal."""
        self._reopened_at = now
        if closing.failures == 1 or closing.follows_retry_after:
            return
        estimate = between(closing, now, self.settings)
        self._set(min(self.rate, max(estimate, rate_before * (1 - MAX_CUT))))
        self.ceiling = self.rate / self.settings.hold_share

    def restore(self, rate: float) -> None:
        """The refusal was not about the rate."""
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


def between(closing: Closure, now: float, settings: GateSettings) -> float:
    """Calls per window if one call is accepted after a wait that was too short before."""
    waited = now - closing.since
    too_short = max(closing.refused_at - closing.since, settings.window_s / settings.limit)
    return settings.window_s / math.sqrt(waited * too_short)
