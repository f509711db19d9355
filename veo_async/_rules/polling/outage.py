"""Failed polls that the provider or the network causes are one condition of all tasks.

After `DOWN_AFTER` such polls in a row, of any tasks, the provider counts as *down*. Then one task is polled every
`PROBE_EVERY_S`, and the others wait. Any response ends that, and everything that is due is polled within the budget: so
the end of a task is known within ten seconds after the provider is back, however long it was away.
"""

import math
from typing import Final

import attrs

#: A single bad record fails again and again, but polls of other tasks succeed in between.
DOWN_AFTER: Final = 3
PROBE_EVERY_S: Final = 5.0


@attrs.define(eq=False)
class Outage:
    """Whether the provider is down. Times are monotonic seconds."""

    #: The longest time between two probes.
    probe_every_s: float = PROBE_EVERY_S
    #: Nothing may be polled before this time.
    next_poll_at: float = attrs.field(default=-math.inf, init=False)
    _failures: int = attrs.field(default=0, init=False)

    @property
    def is_down(self) -> bool:
        """Whether the latest polls have all failed."""
        return self._failures >= DOWN_AFTER

    def poll_begins(self, now: float) -> None:
        """Note that a task is polled; while the provider is down, that is the probe."""
        if self.is_down:
            self.next_poll_at = now + self.probe_every_s

    def poll_failed(self, now: float) -> None:
        """Note a poll that the provider or the network made fail."""
        self._failures += 1
        if self._failures == DOWN_AFTER:
            self.next_poll_at = now + self.probe_every_s

    def responded(self) -> None:
        """Note a response that says something about its task."""
        self._failures, self.next_poll_at = 0, -math.inf
