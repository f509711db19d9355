"""How many tasks the account may have running: a cap that nobody promised, learned from refusals.

Theory of operation
-------------------
There is no cap until a closing gave evidence of one (`gate_closing` says what that is). From then on a call
waits until fewer tasks run.

* Up: a cap may be too low, or may have been raised. So now and then one call goes beyond it, first after 20 s
  (sooner than most tasks end), then after twice as long each time it is refused. While such calls are
  accepted the next may go at once, but the cap follows only when it is passed by 5 %: we learn late that a
  task has ended, so one or two beyond the cap say nothing.
* Down: a refusal at the cap, or one below it, lowers it to the load there was, and closes nothing; what has
  to be waited for is a task that ends.
* Only one refusal is explained that way until a call is accepted again, together with those already under way
  then. The next closes the gate, so a cap wrongly believed in cannot keep it knocking.
"""

import math

import attrs

from .values import Grant, Purpose

#: A try beyond the cap moves it when it gets this much further.
GROWTH_STEP = 1.05


@attrs.define(eq=False)
class RunningCap:
    """The cap, if there is one, and the tasks that count towards it."""

    first_s: float
    max_s: float
    value: int | None = None
    running: int = 0
    may_exceed_at: float = -math.inf  #: from when one call may go beyond the cap
    _interval_s: float = attrs.field(init=False)
    _explained_at: float | None = None  #: when a refusal was last explained, if nothing was accepted since

    def __attrs_post_init__(self) -> None:
        self._interval_s = self.first_s

    def is_full(self, in_flight: int) -> bool:
        """Whether one more call would go beyond the cap."""
        return self.value is not None and self.running + in_flight >= self.value

    def learn(self, now: float) -> None:
        """There is a cap, at what runs now."""
        self.value = max(1, self.running)
        self._interval_s = self.first_s
        self.postpone(now)

    def postpone(self, now: float) -> None:
        """Go beyond the cap no earlier than one interval from now."""
        self.may_exceed_at = now + self._interval_s

    def accepted(self) -> None:
        """A task more."""
        self.running += 1
        self._explained_at = None
        if self.value is not None and self.running > GROWTH_STEP * self.value:
            self.value = self.running

    def explains_refusal(self, ticket: Grant, now: float, *, in_flight: int) -> bool:
        """A call was refused: was it the cap?

        Args:
            in_flight: how many others are under way; they may have been accepted already.
        """
        load = self.running + in_flight
        if self.value is None or load < self.value - 1:
            return False
        if self._explained_at is not None and ticket.at > self._explained_at:
            return False
        self._explained_at = now
        self.value = max(1, min(self.value, load))
        if ticket.purpose is Purpose.OVER_CAP:
            self._interval_s = min(self.max_s, 2 * self._interval_s)
        self.postpone(now)
        return True
