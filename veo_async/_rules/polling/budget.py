"""How many polls may begin: a hard limit, whatever the schedules ask for.

Theory of operation
-------------------
A token bucket, stored as one instant: when it would be full again. In any span of t seconds at most ``burst + rate *
t`` polls begin. A poll reserves its start in the order of calls, and the caller only waits, so that workers do not
compete for the same token when they wake up.

The default is 8 polls per second: the provider allows 10 for a related endpoint, and other programs with the same API
key need some. With 100 tasks running, which is an account's maximum, 5 per second detect an end six seconds late, and
a slot that is reused so late costs 2.5 % of a batch; 8 cost 1.6 %. A burst of 5, so that polls that are due together
are not delayed.

A poll that is refused (429) only slows down the polls: none begins before the Retry-After has passed (2 s if there is
none, at most two minutes, and the deadline only ever moves forward), then they begin one by one without a burst. The
rate is reduced to 70 %, but at most once in 10 s, because one cause refuses all polls in flight; it is never below
0.2/s, so that every task is polled eventually; and it regains 5 % of the full rate every 10 s. Polls that were
reserved before the refusal begin as planned.
"""

import math
from typing import Final

import attrs

POLL_RATE: Final = 8.0
#: The rate after a refusal, as a share of the rate before it.
SLOWDOWN: Final = 0.7
MIN_RATE: Final = 0.2  # polls per second
STEP_S: Final = 10.0
#: Share of the full rate that is regained every `STEP_S`.
RECOVERY: Final = 0.05
DEFAULT_PAUSE_S: Final = 2.0
MAX_PAUSE_S: Final = 120.0


@attrs.define(eq=False)
class PollBudget:
    """The polls of one session. Times are monotonic seconds."""

    rate: float = POLL_RATE  #: polls per second while none is refused
    burst: int = 5
    _share: float = attrs.field(init=False, default=1.0)  #: of the rate, after the last counted refusal
    _refused_at: float = attrs.field(init=False, default=-math.inf)  #: the last counted refusal
    _full_at: float = attrs.field(init=False, default=-math.inf)
    _paused_until: float = attrs.field(init=False, default=-math.inf)

    def reserve(self, now: float) -> float:
        """Reserve one poll; return how many seconds to wait before it begins."""
        gap = 1.0 / self.current_rate(now)
        at = max(now, self._paused_until, self._full_at - (self.burst - 1) * gap)
        self._full_at = max(self._full_at, at) + gap
        return at - now

    def current_rate(self, now: float) -> float:
        """Return the current rate in polls per second."""
        if self._share >= 1.0:
            return self.rate
        regained = RECOVERY * ((now - self._refused_at) // STEP_S)
        return min(1.0, self._share + regained) * self.rate

    def rate_limited(self, now: float, retry_after: float | None = None) -> None:
        """Note that a poll was refused with a 429, with or without a Retry-After."""
        # Polls that are reserved already begin as planned.
        may_begin = self._full_at - (self.burst - 1) / self.current_rate(now)
        if now >= self._refused_at + STEP_S:
            slower = max(min(MIN_RATE, self.rate), SLOWDOWN * self.current_rate(now))
            self._share, self._refused_at = slower / self.rate, now
        wait = DEFAULT_PAUSE_S
        if retry_after is not None and 0 <= retry_after < math.inf:
            wait = min(retry_after, MAX_PAUSE_S)
        self._paused_until = max(self._paused_until, now + wait)
        self._full_at = max(may_begin, self._paused_until) + (self.burst - 1) / self.current_rate(now)
