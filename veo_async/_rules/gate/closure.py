"""One closing of the gate: from the first refusal to the probe that is accepted.

Theory of operation
-------------------
A refusal shuts the gate for everybody. Calls that had left come home first, because those accepted among them
belong to the count that was refused. Then exactly one probe leaves; if it is refused too, another one, later.
How long to wait is an experiment, and which probe succeeds is its result:

=======  ===========================  ===================================================================
failure  the next probe leaves        it succeeds if the refusal came from …
=======  ===========================  ===================================================================
1st      when the window has room,    (explained: the limit, as expected)
         for an edge or an extra call
1st      one documented gap later     a bucket with a small burst: one token is back
2nd      three documented gaps later  a bucket with a lower rate
3rd      when the calls that were     a log or a fixed window with a lower limit
         counted have left the window
4th …    4.3, 7.7, 13.9, 25.1 s later, the cap on running tasks, a longer window, or somebody else's calls
         or when a task ends
=======  ===========================  ===================================================================

The later delays are no round numbers, so as not to keep step with somebody else's timer.

A ``Retry-After`` takes the place of the first delay, for the server knows better; from the second failure on
the later of the two counts, so that a wrong header cannot keep us knocking. Less than a second is no advice,
and more than two minutes are taken for two minutes.

Two instants come out of it. The *hard* one only ever moves forward: nothing leaves before. The *soft* one is
when the probe leaves if nothing happens; from the third failure on a task that ends brings it forward, but
never before the hard one.

A cap is believed in if the second probe fails while about as many tasks run as the provider's pages speak of,
or if nothing was accepted for more than a window although it was empty, until a task had ended.
"""

import math
from enum import Enum

import attrs

from .values import GateSettings

#: Seconds after the fourth failure and later.
PROBE_DELAYS_S = (4.3, 7.7, 13.9, 25.1)
#: Seconds after the instant a Retry-After names, for clocks that tick in hundredths.
RETRY_AFTER_SLACK_S = 0.02
#: Share by which the number of running tasks may differ from the documented cap to be called close to it.
CAP_TOLERANCE = 0.05


class Cause(Enum):
    """What the first refusal of a closing is laid to."""

    EXTRA = "extra"  #: we went beyond the limit on purpose, or believed in one that was not proven yet
    EDGE = "edge"  #: the window had just enough room by our count
    UNEXPLAINED = "unexplained"


@attrs.define(eq=False)
class Closure:
    """What is known of one closing."""

    since: float  #: of the first refusal
    last_accepted_at: float  #: before it
    had_extra: bool = False  #: a call beyond the limit was among those refused
    refused_at: float = -math.inf  #: the latest refusal
    refusals: int = 0
    failures: int = 0  #: times it was judged: a probe's refusal is one
    cause: Cause = Cause.UNEXPLAINED
    measured: int = 0  #: calls accepted in the window before the first refusal
    running: int = 0  #: tasks running when the calls under way had come home
    follows_retry_after: bool = False  #: the probe waits because the server said so
    release_at: float = math.inf  #: when the calls that were counted have left the window
    waited_full_window: bool = False  #: the probe left after that
    task_ended: bool = False
    _retry_after: float | None = None

    def refused(self, now: float, retry_after: float | None, settings: GateSettings) -> None:
        """One more call was refused; of several wishes the longest counts."""
        self.refused_at = now
        self.refusals += 1
        if retry_after is not None and retry_after >= 1:  # also leaves out what is no number
            wish = min(retry_after, settings.max_retry_after_s)
            self._retry_after = max(wish, self._retry_after or 0.0)

    def schedule(self, now: float, gap_s: float, release_at: float, settings: GateSettings) -> tuple[float, float]:
        """The hard and the soft instant of the next probe, all calls being home and judged."""
        self.release_at = release_at
        hard = now + gap_s
        match self.failures:
            case 1 if self.cause is not Cause.UNEXPLAINED:
                soft = release_at
            case 1:
                soft = now + max(gap_s, settings.window_s / settings.limit)
            case 2:
                soft = now + 3 * settings.window_s / settings.limit
            case 3:
                soft = max(release_at, now + 0.3 * settings.window_s)
            case later:
                soft = now + PROBE_DELAYS_S[min(later - 4, len(PROBE_DELAYS_S) - 1)]
        if self.failures >= 3:
            hard = max(hard, release_at)
        self.follows_retry_after = self._retry_after is not None
        if self._retry_after is not None:
            earliest = self.refused_at + self._retry_after + RETRY_AFTER_SLACK_S
            soft = earliest if self.failures == 1 else max(soft, earliest)
            hard = max(hard, earliest)
        self._retry_after = None
        return hard, max(hard, soft)

    def is_near_cap(self, cap_prior: int) -> bool:
        """Whether about as many tasks ran as the pages speak of."""
        return abs(self.running - cap_prior) <= CAP_TOLERANCE * cap_prior

    def was_cap(self, now: float, settings: GateSettings) -> bool:
        """The probe was accepted: does all this look like a cap on running tasks?"""
        starved = now - self.last_accepted_at > 1.1 * settings.window_s
        return starved and self.task_ended and self.failures >= 3
