"""How many polls may begin: a hard limit, whatever tasks are due.

Theory of operation
-------------------
The polls begin ``1 / rate`` seconds apart, without bursts: five polls at once would already be too many for a server
that counts ten in a second. The state is one instant, from which the next poll may begin.

The provider documents ten reads per second and task, and older pages ten per second for all. So the rate begins at ten
and adapts:

* It grows by one poll per second, at most every 5 s, while the task that is polled had been due for more than a second,
  so only while more polls would help. It never exceeds the maximum.
* A 429 halves it, at most once in 10 s, because one cause refuses all polls in flight; it is never below 0.5, so that
  every task is polled eventually. None begins before the Retry-After has passed: 2 s if there is none, at most two
  minutes, and the deadline only ever moves forward.
* A rate that was refused is a ceiling: the rate grows to 90 % of it only, for ten minutes, then for twenty, at most for
  an hour. After that it may be tried again.

With a rate set by the user, that is the maximum as well as the beginning.

Other reads of records (hints, source clips) take turns with the polls: while one waits, the polls leave every second
place to it, and after it had one, a poll that is due goes first.
"""

import math
from typing import Final

import attrs

POLL_RATE: Final = 10.0
MAX_POLL_RATE: Final = 50.0
MIN_RATE: Final = 0.5
_STEP: Final = 1.0
_STEP_S: Final = 5.0
#: A task that had been due for longer than this shows that more polls would help.
_LATE_S: Final = 1.0
_HALVE_EVERY_S: Final = 10.0
_BELOW_CEILING: Final = 0.9
_CEILING_S: Final = 600.0
_MAX_CEILING_S: Final = 3600.0
#: The delay of another read after one: a poll that is due begins in this time.
_POLL_FIRST_S: Final = 0.02
DEFAULT_PAUSE_S: Final = 2.0
MAX_PAUSE_S: Final = 120.0


@attrs.define(eq=False)
class PollBudget:
    """The polls of one session. Times are monotonic seconds."""

    #: Polls per second at present.
    rate: float = POLL_RATE
    max_rate: float = MAX_POLL_RATE
    #: A rate that was refused.
    _ceiling: float = attrs.field(default=math.inf, init=False)
    _ceiling_until: float = attrs.field(default=math.inf, init=False)
    _ceiling_s: float = attrs.field(default=_CEILING_S, init=False)
    _grow_at: float = attrs.field(default=-math.inf, init=False)
    _halve_at: float = attrs.field(default=-math.inf, init=False)
    _next_at: float = attrs.field(default=-math.inf, init=False)
    #: Whether another read waits, and whether the last one to begin was such a read.
    is_read_waiting: bool = attrs.field(default=False, init=False)
    _was_read: bool = attrs.field(default=False, init=False)

    def ready_at(self, now: float) -> float:
        """Return when the next poll may begin."""
        is_turn_of_read = self.is_read_waiting and not self._was_read
        return max(now, self._next_at + is_turn_of_read / self.rate)

    def begin(self, now: float, late_s: float = 0.0) -> None:
        """Note that a poll begins at *now*, for a task that had been due for *late_s* seconds."""
        self._use(now, is_read=False)
        if late_s > _LATE_S and now >= self._grow_at:
            self._grow(now)

    def read_ready_at(self, now: float) -> float:
        """Return when another read may begin."""
        return max(now, self._next_at + self._was_read * _POLL_FIRST_S)

    def begin_read(self, now: float) -> None:
        """Note that another read begins at *now*."""
        self._use(now, is_read=True)

    def _use(self, now: float, *, is_read: bool) -> None:
        self._next_at = max(self._next_at, now) + 1.0 / self.rate
        self._was_read = is_read

    def rate_limited(self, now: float, retry_after: float | None = None) -> None:
        """Note that a poll was refused with a 429, with or without a Retry-After."""
        wait = DEFAULT_PAUSE_S
        if retry_after is not None and 0 <= retry_after < math.inf:
            wait = min(retry_after, MAX_PAUSE_S)
        self._next_at = max(self._next_at, now + wait)
        if now >= self._halve_at:
            self._halve(now)

    def _grow(self, now: float) -> None:
        self._grow_at = now + _STEP_S
        if now >= self._ceiling_until:
            self._ceiling = self._ceiling_until = math.inf
        self.rate = max(self.rate, min(self.rate + _STEP, self.max_rate, _BELOW_CEILING * self._ceiling))

    def _halve(self, now: float) -> None:
        self._halve_at = now + _HALVE_EVERY_S
        self._ceiling = min(self._ceiling, self.rate)
        self._ceiling_until = now + self._ceiling_s
        self._ceiling_s = min(2 * self._ceiling_s, _MAX_CEILING_S)
        self.rate = max(min(MIN_RATE, self.max_rate), self.rate / 2)
        self._grow_at = max(self._grow_at, self._next_at + _STEP_S)
