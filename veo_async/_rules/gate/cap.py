"""The cap on running tasks: not documented, learned from refusals.

Theory of operation
-------------------
There is no cap until a closure gives evidence of one (`closure` defines what counts as evidence). From then on a
request waits until fewer tasks are running.

* Up: a cap may be too low, or the provider may have raised it. So now and then one request exceeds it, first after 20
  s (sooner than most tasks end), then after twice as long each time it is refused. While such requests are accepted
  the next may follow immediately, but the cap is raised only when it is exceeded by 5 %: we learn late that a task has
  ended, so one or two tasks above the cap prove nothing.
* Down: a refusal at the cap, or one below it, lowers the cap to the current load and does not close the gate. The next
  request waits for a running task to end.
* Only one refusal is explained by the cap until a request is accepted again; refusals of requests that were already in
  flight belong to it. The next one closes the gate, so a cap that does not exist cannot cause refusals forever.
"""

import math

import attrs

from .values import Grant, Purpose

#: The cap is raised when the number of running tasks exceeds it by this factor.
GROWTH_STEP = 1.05


@attrs.define(eq=False)
class RunningCap:
    """The cap, if one is known, and the tasks that count towards it."""

    first_s: float
    max_s: float
    value: int | None = None
    running: int = 0
    may_exceed_at: float = -math.inf  #: from when one request may exceed the cap
    _interval_s: float = attrs.field(init=False)
    _explained_at: float | None = None  #: when a refusal was last explained, if nothing was accepted since

    def __attrs_post_init__(self) -> None:
        self._interval_s = self.first_s

    def is_full(self, in_flight: int) -> bool:
        """Return whether one more request would exceed the cap."""
        return self.value is not None and self.running + in_flight >= self.value

    def learn(self, now: float) -> None:
        """Set the cap to the number of tasks running now."""
        self.value = max(1, self.running)
        self._interval_s = self.first_s
        self.postpone(now)

    def postpone(self, now: float) -> None:
        """Do not exceed the cap within one interval from now."""
        self.may_exceed_at = now + self._interval_s

    def accepted(self) -> None:
        """Count one more running task."""
        self.running += 1
        self._explained_at = None
        if self.value is not None and self.running > GROWTH_STEP * self.value:
            self.value = self.running

    def explains_refusal(self, ticket: Grant, now: float, *, in_flight: int) -> bool:
        """Return whether the cap explains that a request was refused; if so, lower it to the current load.

        Args:
            in_flight: other requests in flight; the provider may already have accepted them.
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
