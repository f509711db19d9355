"""One closure of the gate: from the first refusal to the probe that is accepted.

Theory of operation
-------------------
A refusal closes the gate for all requests. First every request in flight must end, because those that were accepted
belong to the count at which the server refused. Then exactly one probe is sent; if it is refused too, another follows
later. The waiting time is an experiment, and its result is which probe succeeds:

=======  ============================  ==================================================================
failure  the next probe is sent        it succeeds if the refusal came from …
=======  ============================  ==================================================================
1st      when the window has room,     (explained: the limit, as expected)
         for an edge or an extra
         request
1st      one documented gap later      a bucket with a small burst: one token has been refilled
2nd      three documented gaps later   a bucket with a lower rate
3rd      when the counted requests     a log or a fixed window with a lower limit
         are out of the window
4th …    4.3, 7.7, 13.9, 25.1 s later  the cap on running tasks, a longer window, or another client's
         or when a task ends           requests
=======  ============================  ==================================================================

The later delays are not round numbers, so that they do not stay in step with another client's timer.

A ``Retry-After`` replaces the first delay, because the server knows better. From the second failure on the later of
the two applies, so that a wrong header cannot cause refusals forever. Values below one second are ignored, and values
above `GateSettings.max_retry_after_s` are cut to it.

The result is two instants. Nothing is sent before the *hard* one, which only ever moves forward. The *soft* one is
when the probe is sent if nothing else happens: from the third failure on a task that ends moves it forward, but never
before the hard one.

A cap on running tasks is assumed if the second probe fails while about the documented number of tasks is running, or if
nothing was accepted for more than a window, although the window was empty, until a task ended.
"""

import math
from enum import Enum

import attrs

from .values import GateSettings

#: Seconds after the fourth failure and later.
PROBE_DELAYS_S = (4.3, 7.7, 13.9, 25.1)
#: Seconds added to a Retry-After, for servers whose clocks tick in hundredths.
RETRY_AFTER_SLACK_S = 0.02
#: The number of running tasks is near the documented cap if it differs by at most this share.
CAP_TOLERANCE = 0.05


class Cause(Enum):
    """What the first refusal of a closure is attributed to."""

    EXTRA = "extra"  #: we exceeded the limit on purpose, or relied on a limit that was not proven yet
    EDGE = "edge"  #: the window had just enough room by our count
    UNEXPLAINED = "unexplained"


@attrs.define(eq=False)
class Closure:
    """What is known about one closure."""

    since: float  #: when the first request was refused
    last_accepted_at: float  #: the latest accepted request before that
    had_extra: bool = False  #: one of the refused requests was an extra one
    refused_at: float = -math.inf  #: the latest refusal
    refusals: int = 0
    failures: int = 0  #: how often the gate drained after refusals; each refused probe counts once
    cause: Cause = Cause.UNEXPLAINED
    measured: int = 0  #: requests accepted in the window before the first refusal
    running: int = 0  #: tasks running when the requests in flight had ended
    follows_retry_after: bool = False  #: the probe waits because of a Retry-After
    release_at: float = math.inf  #: when the counted requests are out of the window
    waited_full_window: bool = False  #: the probe was sent after that
    task_ended: bool = False
    _retry_after: float | None = None

    def refused(self, now: float, retry_after: float | None, settings: GateSettings) -> None:
        """Note another refusal. Of several Retry-After values the longest applies."""
        self.refused_at = now
        self.refusals += 1
        if retry_after is not None and retry_after >= 1:  # also excludes NaN
            delay_s = min(retry_after, settings.max_retry_after_s)
            self._retry_after = max(delay_s, self._retry_after or 0.0)

    def schedule(self, now: float, gap_s: float, release_at: float, settings: GateSettings) -> tuple[float, float]:
        """Return the hard and the soft instant of the next probe. All requests have ended and are explained."""
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
        """Return whether about the documented number of tasks was running."""
        return abs(self.running - cap_prior) <= CAP_TOLERANCE * cap_prior

    def was_cap(self, now: float, settings: GateSettings) -> bool:
        """Return whether an accepted probe suggests that a cap on running tasks caused the closure."""
        starved = now - self.last_accepted_at > 1.1 * settings.window_s
        return starved and self.task_ended and self.failures >= 3
