"""How many polls may begin: the hard stop in front of the poll workers, whatever the schedules say.

Theory of operation
-------------------
A token bucket, kept as one moment: when it would be full again. In any stretch of t seconds at most
``burst + rate * t`` polls begin. A poll is booked when it is asked for, in the order of asking, and the caller only
waits: nobody has to ask twice, and workers do not race for the same token when they wake.

8 polls per second by default: the provider allows 10 for a sister endpoint, and other programs with the same key must
live, too. The decisions began with 5; but with 100 tasks running, which is what an account has, 5 find an end six
seconds late, and a slot that is used again so late costs 2.5 % of a batch; 8 cost 1.6 %. A burst of 5, so that polls
that happen to fall together are not delayed.

A poll that is refused (429) slows the polls down and nothing else: nobody begins before the server's wish
has passed (2 s if it has none, two minutes at most, and the deadline only ever moves forward), then they
go one by one without a burst. The rate falls to 0.7 of what it was, but only once in 10 s, since one
cause refuses all polls that are under way; never below 0.2/s, so that nothing is left unseen for ever;
and it comes back by a twentieth of the full rate every 10 s. Polls that were booked before the refusal go
when they were booked for.
"""

import math
from typing import Final

import attrs

POLL_RATE: Final = 8.0
SLOWDOWN: Final = 0.7
MIN_RATE: Final = 0.2  # polls per second
STEP_S: Final = 10.0
RECOVERY: Final = 0.05
DEFAULT_PAUSE_S: Final = 2.0
MAX_PAUSE_S: Final = 120.0


@attrs.define(eq=False)
class PollBudget:
    """The polls of one session. Times are monotonic seconds."""

    rate: float = POLL_RATE  #: polls per second, while nothing is refused
    burst: int = 5
    _share: float = attrs.field(init=False, default=1.0)  #: of the rate, at the last refusal
    _refused_at: float = attrs.field(init=False, default=-math.inf)  #: the last refusal that counted
    _full_at: float = attrs.field(init=False, default=-math.inf)
    _paused_until: float = attrs.field(init=False, default=-math.inf)

    def reserve(self, now: float) -> float:
        """Book one poll; returns how many seconds to wait before it begins."""
        gap = 1.0 / self.current_rate(now)
        at = max(now, self._paused_until, self._full_at - (self.burst - 1) * gap)
        self._full_at = max(self._full_at, at) + gap
        return at - now

    def current_rate(self, now: float) -> float:
        """Polls per second at present."""
        if self._share >= 1.0:
            return self.rate
        regained = RECOVERY * ((now - self._refused_at) // STEP_S)
        return min(1.0, self._share + regained) * self.rate

    def rate_limited(self, now: float, retry_after: float | None = None) -> None:
        """A poll was answered with 429, with or without the server's wish for how long to wait."""
        # What is booked already stays in front.
        may_begin = self._full_at - (self.burst - 1) / self.current_rate(now)
        if now >= self._refused_at + STEP_S:
            slower = max(min(MIN_RATE, self.rate), SLOWDOWN * self.current_rate(now))
            self._share, self._refused_at = slower / self.rate, now
        wait = DEFAULT_PAUSE_S
        if retry_after is not None and 0 <= retry_after < math.inf:
            wait = min(retry_after, MAX_PAUSE_S)
        self._paused_until = max(self._paused_until, now + wait)
        self._full_at = max(may_begin, self._paused_until) + (self.burst - 1) / self.current_rate(now)
