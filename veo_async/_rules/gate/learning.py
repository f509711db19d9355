"""What the account's limit is, learned from what is accepted and what is refused.

Theory of operation
-------------------
At first the documented limit is believed, in mode LOG: so many calls in any window, in a burst if the queue
is long. It is right for logs, fixed windows and buckets that hold a window's worth, and nothing is faster
there.

Higher. When the window is full, now and then an *extra* call leaves, alone. If it is accepted the limit is
what the window then holds, and the next extra call may go at once, two after two successes, up to eight; so
a limit five times the documented one is found in seconds. When one is refused, what the window held is the
new limit if that is at least 1.3 times the *proven* one. Less may be luck: a server with fixed windows lets
up to twice as many through where two windows meet, and a bucket saves up what the margin costs us. So a new
limit stays unproven for three windows, and a refusal in that time is laid to it. If the probe at its
release fails too, half of what was seen is safe, for two windows cannot hold more than twice the limit.

Lower. An *edge*, a refusal with just enough room by our count, widens the margin. A second within four
windows lowers the limit by one. A third means that the server does not count as we do, a weighted counter
for example, and mode PACED begins. What an *unexplained* refusal means is told by the probe that ends the
closing:

* it succeeded soon: a small burst. PACED at the proven rate.
* it succeeded after the calls counted had left the window: the limit is what was counted, still in mode LOG;
  if that was tried less than four windows ago, PACED at that rate.
* it succeeded in between: a bucket with a lower rate. PACED at the mean of what was too soon and what was
  not.
* it left when a ``Retry-After`` said so: once, that says nothing about the account. When it happens again
  within four windows, a wait that came soon means a small burst as above; a wait in which a log would not
  have let a call through again means a bucket with that rate; else the limit is what was counted.

PACED is never left within a session: it costs 1 or 2 % on servers where LOG would do.
"""

import math
from typing import assert_never

import attrs

from .closure import Cause, Closure
from .pacing import Pacer, between
from .values import GateSettings, LearnedLimits, Mode

#: A limit is higher only if it is so many times the proven one.
MIN_RAISE = 1.3
#: Windows a new limit is on trial.
TRIAL_WINDOWS = 3
#: Windows in which a second event of a kind is more than an accident.
RECENT_WINDOWS = 4
#: Seconds before a window's edge that still count as the edge.
SLACK_S = 0.25
#: A probe after no more than so many gaps came soon.
SOON_GAPS = 3
#: A burst of so many calls is none.
NO_BURST = 2


@attrs.define(eq=False)
class LimitLearner:
    """The limit, the margin, and when to try for more."""

    settings: GateSettings
    limit: float = attrs.field(init=False)  #: calls per window, mode LOG
    margin_s: float = attrs.field(init=False)
    pacer: Pacer | None = attrs.field(default=None, init=False)  #: there is one in mode PACED
    explore_at: float = attrs.field(default=-math.inf, init=False)
    _proven: float = attrs.field(init=False)
    _unproven_until: float = attrs.field(default=-math.inf, init=False)
    _interval_s: float = attrs.field(init=False)
    _extra_parallel: float = attrs.field(default=1.0, init=False)
    _edges: int = attrs.field(default=0, init=False)
    _edge_at: float = attrs.field(default=-math.inf, init=False)
    _explained_at: float = attrs.field(default=-math.inf, init=False)
    _before: tuple[float, float] = attrs.field(init=False)  #: limit and rate before the present closing

    def __attrs_post_init__(self) -> None:
        self.limit = self._proven = float(self.settings.limit)
        self.margin_s = self.settings.margin_s
        self._interval_s = self.settings.explore_first_s
        self._before = (self.limit, self.limit)

    def restore(self, knowledge: LearnedLimits) -> None:
        """Start from what an earlier session has learned, as far as the settings allow it."""
        lowest = self.settings.limit * self.settings.min_rate_share
        highest = math.inf if self.settings.explore else float(self.settings.limit)
        self.limit = min(max(knowledge.limit, lowest), highest)
        self._proven = min(self.limit, float(self.settings.limit))
        self.margin_s = min(knowledge.margin_s, self._widest_s)
        if knowledge.mode is Mode.PACED:
            self.pacer = Pacer(self.settings, self.limit, knowledge.by_arrival, knowledge.rate_ceiling)

    def begin(self, now: float) -> None:
        """The first question after `restore`: what was learned earlier is not put to the test at once."""
        self.explore_at = now + self._interval_s
        self._unproven_until = now + TRIAL_WINDOWS * self.settings.window_s if self.limit > self._proven else now
        if self.pacer is not None:
            self.pacer.begin(now)

    def knowledge(self, cap: int | None) -> LearnedLimits:
        """What is worth keeping; a limit above the documented one will be on trial again."""
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
        """How the limit is kept to."""
        return Mode.WINDOW if self.pacer is None else Mode.PACED

    @property
    def rate(self) -> float:
        """Calls per window."""
        return self.limit if self.pacer is None else self.pacer.rate

    @property
    def gap_s(self) -> float:
        """Seconds between two calls that are evenly spread."""
        return self.settings.window_s / self.rate

    @property
    def span_s(self) -> float:
        """Seconds a stamp counts."""
        return self.settings.window_s + self.margin_s

    @property
    def ceiling(self) -> int:
        """Calls one window may hold."""
        if self.pacer is None:
            return max(1, math.floor(self.limit))
        return max(self.settings.limit, math.ceil(self.pacer.rate))

    @property
    def extra_parallel(self) -> int:
        """Calls under way up to which an extra one may leave."""
        return math.floor(self._extra_parallel)

    def extra_at(self) -> float:
        """From when an extra call may leave, if ever."""
        return self.explore_at if self.pacer is None else math.inf

    def postpone(self, now: float) -> None:
        """The extra call taught nothing; not again at once."""
        self.explore_at = now + self.settings.explore_again_s

    def accepted(self, now: float, *, is_pressed: bool) -> None:
        """A call was accepted."""
        if self.pacer is not None:
            self.pacer.accepted(now, is_pressed=is_pressed)
        elif now >= self._unproven_until:
            self._proven = self.limit

    def extra_accepted(self, measured: int, now: float) -> None:
        """An extra call was accepted, and the window holds *measured*."""
        if measured <= self.limit:
            return  # it took the place of a refused call that the server had not counted
        highest = math.inf if self.settings.explore else self.settings.limit
        self.limit = min(measured, highest)
        self._unproven_until = now + TRIAL_WINDOWS * self.settings.window_s
        self._extra_parallel = min(self.settings.max_extra, self._extra_parallel + 0.5)

    def attribute(self, closing: Closure, count: int, now: float) -> None:
        """All calls are home after the first refusal: lay it to something, and react.

        Args:
            count: calls the window held, with `SLACK_S` of tolerance, without those refused now.
        """
        self._before = (self.limit, self.rate)
        closing.cause = self._cause(closing, count)
        match closing.cause:
            case Cause.EXTRA:
                self._end_trial(closing, now)
            case Cause.EDGE:
                self._widen_margin(now)
            case Cause.UNEXPLAINED:
                if self.pacer is not None:
                    self.pacer.refused(now)
            case _:
                assert_never(closing.cause)

    def probe_refused(self, closing: Closure, now: float) -> None:
        """The first probe was refused too; if it followed an extra call, the limit found was none."""
        if closing.cause is not Cause.EXTRA:
            return
        was_higher = closing.measured >= MIN_RAISE * self._proven
        self.limit = self._proven = max(self._proven, closing.measured // 2 if was_higher else 0)
        self._unproven_until = -math.inf
        if was_higher:
            self.postpone(now)

    def reopened(self, closing: Closure, now: float) -> None:
        """The probe that left at *now* was accepted: what does that say of the limit?"""
        if self.pacer is not None:
            self.pacer.reopened(closing, now, self._before[1])
        elif closing.cause is Cause.UNEXPLAINED or (closing.cause is Cause.EDGE and closing.failures > 1):
            self._explain_refusal(closing, now)

    def revert_for_cap(self, closing: Closure) -> None:
        """It was the cap on running tasks: what was concluded about the rate is taken back."""
        if self.pacer is not None:
            self.pacer.restore(self._before[1])
        elif closing.cause is not Cause.EXTRA:
            self.limit = self._proven = self._before[0]

    def _cause(self, closing: Closure, count: int) -> Cause:
        if self.pacer is not None:
            return Cause.UNEXPLAINED
        if closing.had_extra or closing.since < self._unproven_until:
            return Cause.EXTRA
        return Cause.EDGE if count >= self.ceiling - 1 else Cause.UNEXPLAINED

    def _end_trial(self, closing: Closure, now: float) -> None:
        self._extra_parallel = 1.0
        self.explore_at = now + self._interval_s
        if closing.measured >= MIN_RAISE * self._proven:
            self.limit = float(closing.measured)
            self._unproven_until = now + TRIAL_WINDOWS * self.settings.window_s
            return
        self.limit = self._proven
        self._unproven_until = -math.inf
        if closing.had_extra:
            self._interval_s = min(self.settings.explore_max_interval_s, 2 * self._interval_s)

    @property
    def _widest_s(self) -> float:
        return max(self.settings.margin_s, self.settings.margin_share * self.settings.window_s)

    def _widen_margin(self, now: float) -> None:
        self.margin_s = min(self.margin_s + self.settings.margin_step_s, self._widest_s)
        self._edges = self._edges + 1 if self._is_soon(self._edge_at, now) else 1
        self._edge_at = now
        if self._edges == 2:
            self.limit = self._proven = max(1.0, self.limit - 1)
            self.explore_at = max(self.explore_at, now + self._interval_s)
        elif self._edges > 2:
            self._pace(self.limit, now)

    def _explain_refusal(self, closing: Closure, now: float) -> None:
        was_soon = self._is_soon(self._explained_at, now)
        waited = now - closing.since
        if closing.follows_retry_after:
            self._explained_at = now
            if not was_soon:
                return
        if waited <= SOON_GAPS * self.gap_s:
            by_arrival = closing.measured <= NO_BURST
            self._pace(self._proven * (1 if by_arrival else self.settings.hold_share), now, by_arrival=by_arrival)
        elif closing.follows_retry_after:
            self._follow(closing, now, self.settings.window_s / waited)
        elif not closing.waited_full_window:
            self._pace(min(self.limit * self.settings.hold_share, between(closing, now, self.settings)), now)
        elif was_soon:
            self._pace(closing.measured * self.settings.hold_share, now)
        else:
            self._explained_at = now
            self._lower(closing, now)

    def _follow(self, closing: Closure, now: float, rate: float) -> None:
        if rate > closing.measured:  # a log would have had to be waited for longer
            self._pace(min(rate, self._proven), now, by_arrival=closing.measured <= NO_BURST)
        else:
            self._lower(closing, now)

    def _lower(self, closing: Closure, now: float) -> None:
        lowest = self.settings.limit * self.settings.min_rate_share
        self.limit = self._proven = max(1.0, lowest, float(closing.measured))
        self.postpone(now)

    def _pace(self, rate: float, now: float, *, by_arrival: bool = False) -> None:
        self.pacer = Pacer(self.settings, rate, by_arrival, grown_at=now)

    def _is_soon(self, earlier: float, now: float) -> bool:
        return now - earlier < RECENT_WINDOWS * self.settings.window_s
