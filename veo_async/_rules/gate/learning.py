"""What the account's limit is, learned from accepted and refused requests.

Theory of operation
-------------------
At first the gate assumes the documented limit, in mode WINDOW: that many requests in any window, in a burst if the
queue is long. This is right for logs, fixed windows and buckets that hold one window's requests, and nothing is faster
there.

Higher. When the window is full, now and then a single *extra* request is sent. If it is accepted, the limit becomes
what the window then holds, and the next extra request may follow immediately; after two successes two may be in
flight, up to eight. So a limit five times the documented one is found within seconds. When one is refused, the new
limit is what the window held, if that is at least 1.3 times the *proven* limit. Less may be luck: a server with fixed
windows accepts up to twice as many where two windows meet, and a bucket saves up what the margin costs us. So a new
limit stays unproven for three windows, and a refusal in that time is attributed to it. If the probe at its release
fails too, half of the measured count is safe, because two windows cannot hold more than twice the limit.

Lower. An *edge*, a refusal with just enough room by our count, widens the margin. A second one within four windows
lowers the limit by one. A third one means that the server counts differently, for example with a weighted counter, and
mode PACED begins. What an *unexplained* refusal means depends on the probe that ends the closure:

* It succeeded soon: a small burst. PACED at the proven rate.
* It succeeded after the counted requests were out of the window: the limit is that count, still in mode WINDOW. If
  that was tried less than four windows ago: PACED at that rate.
* It succeeded in between: a bucket with a lower rate. PACED at the mean of the refused and the accepted rate.
* It was sent when a ``Retry-After`` had expired: once, that proves nothing about the account. When it happens again
  within four windows, a short wait means a small burst as above; a wait after which a log would not have accepted a
  request means a bucket with that rate; else the limit is the count.

PACED is never left within a session: it costs 1 or 2 % on servers where WINDOW would do.
"""

import math
from typing import assert_never

import attrs

from .closure import Cause, Closure
from .pacing import Pacer, rate_between
from .values import GateSettings, LearnedLimits, Mode

#: A higher limit must be at least this multiple of the proven one.
MIN_RAISE = 1.3
#: Windows for which a new limit stays unproven.
TRIAL_WINDOWS = 3
#: A second event of a kind within this many windows is not an accident.
RECENT_WINDOWS = 4
#: Seconds before the end of a window that still count as its edge.
SLACK_S = 0.25
#: A probe came soon if it was accepted within this many gaps.
SOON_GAPS = 3
#: This many accepted requests are not a burst.
NO_BURST = 2


@attrs.define(eq=False)
class LimitLearner:
    """The limit, the margin, and when to try a higher limit."""

    settings: GateSettings
    limit: float = attrs.field(init=False)  #: requests per window, mode WINDOW
    margin_s: float = attrs.field(init=False)
    pacer: Pacer | None = attrs.field(default=None, init=False)  #: set in mode PACED
    explore_at: float = attrs.field(default=-math.inf, init=False)
    _proven: float = attrs.field(init=False)
    _unproven_until: float = attrs.field(default=-math.inf, init=False)
    _interval_s: float = attrs.field(init=False)
    _extra_parallel: float = attrs.field(default=1.0, init=False)
    _edges: int = attrs.field(default=0, init=False)
    _edge_at: float = attrs.field(default=-math.inf, init=False)
    _explained_at: float = attrs.field(default=-math.inf, init=False)
    _before: tuple[float, float] = attrs.field(init=False)  #: limit and rate before the current closure

    def __attrs_post_init__(self) -> None:
        self.limit = self._proven = float(self.settings.limit)
        self.margin_s = self.settings.margin_s
        self._interval_s = self.settings.explore_first_s
        self._before = (self.limit, self.limit)

    def restore(self, knowledge: LearnedLimits) -> None:
        """Start from what an earlier session learned, within the bounds of the settings."""
        lowest = self.settings.limit * self.settings.min_rate_share
        highest = math.inf if self.settings.explore else float(self.settings.limit)
        self.limit = min(max(knowledge.limit, lowest), highest)
        self._proven = min(self.limit, float(self.settings.limit))
        self.margin_s = min(knowledge.margin_s, self._max_margin_s)
        if knowledge.mode is Mode.PACED:
            self.pacer = Pacer(self.settings, self.limit, knowledge.by_arrival, knowledge.rate_ceiling)

    def begin(self, now: float) -> None:
        """Postpone exploration at the first request after `restore`."""
        self.explore_at = now + self._interval_s
        self._unproven_until = now + TRIAL_WINDOWS * self.settings.window_s if self.limit > self._proven else now
        if self.pacer is not None:
            self.pacer.begin(now)

    def knowledge(self, cap: int | None) -> LearnedLimits:
        """Return what to store for the next session. A limit above the documented one will be unproven again."""
        pacer = self.pacer
        return LearnedLimits(
            mode=self.mode,
            limit=self.rate,
            rate_ceiling=None if pacer is None else pacer.ceiling,
            by_arrival=pacer is not None and pacer.by_arrival,
            cap=cap,
            margin_s=self.margin_s,
        )

    @property
    def mode(self) -> Mode:
        """How the gate keeps to the limit."""
        return Mode.WINDOW if self.pacer is None else Mode.PACED

    @property
    def rate(self) -> float:
        """Requests per window."""
        return self.limit if self.pacer is None else self.pacer.rate

    @property
    def gap_s(self) -> float:
        """Seconds between two evenly spread requests."""
        return self.settings.window_s / self.rate

    @property
    def span_s(self) -> float:
        """Seconds for which a stamp counts."""
        return self.settings.window_s + self.margin_s

    @property
    def ceiling(self) -> int:
        """Maximum requests in one window."""
        if self.pacer is None:
            return max(1, math.floor(self.limit))
        return max(self.settings.limit, math.ceil(self.pacer.rate))

    @property
    def extra_parallel(self) -> int:
        """Maximum requests in transit while an extra one is sent."""
        return math.floor(self._extra_parallel)

    def extra_at(self) -> float:
        """Return from when an extra request may be sent; infinity for never."""
        return self.explore_at if self.pacer is None else math.inf

    def postpone(self, now: float) -> None:
        """Wait before the next extra request, because the last one proved nothing."""
        self.explore_at = now + self.settings.explore_again_s

    def accepted(self, now: float, *, is_pace_limited: bool) -> None:
        """Note an accepted request."""
        if self.pacer is not None:
            self.pacer.accepted(now, is_pace_limited=is_pace_limited)
        elif now >= self._unproven_until:
            self._proven = self.limit

    def extra_accepted(self, measured: int, now: float) -> None:
        """Raise the limit, because an extra request was accepted and the window holds *measured*."""
        if measured <= self.limit:
            return  # it replaced a refused request that the server had not counted
        highest = math.inf if self.settings.explore else self.settings.limit
        self.limit = min(measured, highest)
        self._unproven_until = now + TRIAL_WINDOWS * self.settings.window_s
        self._extra_parallel = min(self.settings.max_extra, self._extra_parallel + 0.5)

    def attribute(self, closure: Closure, count: int, now: float) -> None:
        """Attribute the first refusal of *closure* to a cause, and react. All requests have ended.

        Args:
            count: requests in the window, with a tolerance of `SLACK_S`, except those refused now.
        """
        self._before = (self.limit, self.rate)
        closure.cause = self._cause(closure, count)
        match closure.cause:
            case Cause.EXTRA:
                self._end_trial(closure, now)
            case Cause.EDGE:
                self._widen_margin(now)
            case Cause.UNEXPLAINED:
                if self.pacer is not None:
                    self.pacer.refused(now)
            case _:
                assert_never(closure.cause)

    def probe_refused(self, closure: Closure, now: float) -> None:
        """Lower an unproven limit, because the first probe was refused too."""
        if closure.cause is not Cause.EXTRA:
            return
        was_higher = closure.measured >= MIN_RAISE * self._proven
        self.limit = self._proven = max(self._proven, closure.measured // 2 if was_higher else 0)
        self._unproven_until = -math.inf
        if was_higher:
            self.postpone(now)

    def reopened(self, closure: Closure, now: float) -> None:
        """Conclude what the limit is from the accepted probe, which was sent at *now*."""
        if self.pacer is not None:
            self.pacer.reopened(closure, now, self._before[1])
        elif closure.cause is Cause.UNEXPLAINED or (closure.cause is Cause.EDGE and closure.failures > 1):
            self._explain_refusal(closure, now)

    def revert_for_cap(self, closure: Closure) -> None:
        """Revert all conclusions about the rate, because the cap on running tasks caused the closure."""
        if self.pacer is not None:
            self.pacer.restore(self._before[1])
        elif closure.cause is not Cause.EXTRA:
            self.limit = self._proven = self._before[0]

    def _cause(self, closure: Closure, count: int) -> Cause:
        if self.pacer is not None:
            return Cause.UNEXPLAINED
        if closure.had_extra or closure.since < self._unproven_until:
            return Cause.EXTRA
        return Cause.EDGE if count >= self.ceiling - 1 else Cause.UNEXPLAINED

    def _end_trial(self, closure: Closure, now: float) -> None:
        self._extra_parallel = 1.0
        self.explore_at = now + self._interval_s
        if closure.measured >= MIN_RAISE * self._proven:
            self.limit = float(closure.measured)
            self._unproven_until = now + TRIAL_WINDOWS * self.settings.window_s
            return
        self.limit = self._proven
        self._unproven_until = -math.inf
        if closure.had_extra:
            self._interval_s = min(self.settings.explore_max_interval_s, 2 * self._interval_s)

    @property
    def _max_margin_s(self) -> float:
        return max(self.settings.margin_s, self.settings.margin_share * self.settings.window_s)

    def _widen_margin(self, now: float) -> None:
        self.margin_s = min(self.margin_s + self.settings.margin_step_s, self._max_margin_s)
        self._edges = self._edges + 1 if self._is_soon(self._edge_at, now) else 1
        self._edge_at = now
        if self._edges == 2:
            self.limit = self._proven = max(1.0, self.limit - 1)
            self.explore_at = max(self.explore_at, now + self._interval_s)
        elif self._edges > 2:
            self._pace(self.limit, now)

    def _explain_refusal(self, closure: Closure, now: float) -> None:
        was_soon = self._is_soon(self._explained_at, now)
        waited = now - closure.since
        if closure.follows_retry_after:
            self._explained_at = now
            if not was_soon:
                return
        if waited <= SOON_GAPS * self.gap_s:
            by_arrival = closure.measured <= NO_BURST
            self._pace(self._proven * (1 if by_arrival else self.settings.hold_share), now, by_arrival=by_arrival)
        elif closure.follows_retry_after:
            self._follow_wait(closure, now, self.settings.window_s / waited)
        elif not closure.waited_full_window:
            self._pace(min(self.limit * self.settings.hold_share, rate_between(closure, now, self.settings)), now)
        elif was_soon:
            self._pace(closure.measured * self.settings.hold_share, now)
        else:
            self._explained_at = now
            self._lower(closure, now)

    def _follow_wait(self, closure: Closure, now: float, rate: float) -> None:
        if rate > closure.measured:  # a log would have needed a longer wait
            self._pace(min(rate, self._proven), now, by_arrival=closure.measured <= NO_BURST)
        else:
            self._lower(closure, now)

    def _lower(self, closure: Closure, now: float) -> None:
        lowest = self.settings.limit * self.settings.min_rate_share
        self.limit = self._proven = max(1.0, lowest, float(closure.measured))
        self.postpone(now)

    def _pace(self, rate: float, now: float, *, by_arrival: bool = False) -> None:
        self.pacer = Pacer(self.settings, rate, by_arrival, grown_at=now)

    def _is_soon(self, earlier: float, now: float) -> bool:
        return now - earlier < RECENT_WINDOWS * self.settings.window_s
