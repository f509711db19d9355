"""The requests that the server still counts: the time stamps of the last window.

Theory of operation
-------------------
A server counts a request when it arrives. We cannot see that: we know when the request was sent and when its response
arrived. The fastest of the last `MAX_ROUND_TRIPS` round trips shows how long an unobstructed request takes. Any time
beyond that may have been spent on the way to the server, so a request's stamp is the instant it was sent plus that
excess. Two requests then arrive at least as far apart as the second one's sending is from the first one's stamp,
regardless of network delays. The only exception is a request that is faster than all of these; the margin covers it.

* Why not the instant of sending with a larger margin: a single request that is delayed for a second would exceed the
  limit, and every other request would pay for the margin.
* Why not the instant of the response: it adds the whole round trip to every window, which costs 3 % here.
* A refused request is stamped when its response arrives, because some servers count refused requests too; a client
  that ignores this may be refused forever. A request without a response is stamped likewise: it may have been counted
  up to then.
"""

from bisect import bisect_right, insort
from collections import deque

import attrs

#: Enough round trips to include a fast one, few enough to forget an old network route.
MAX_ROUND_TRIPS = 50


@attrs.define(eq=False)
class SendLog:
    """The stamps, in order."""

    keep_s: float  #: older stamps are dropped
    _all: list[float] = attrs.field(factory=list)
    _accepted: list[float] = attrs.field(factory=list)
    _remote: list[float] = attrs.field(factory=list)  #: those of `_all` that other sessions sent
    _round_trips: deque[float] = attrs.field(factory=lambda: deque(maxlen=MAX_ROUND_TRIPS))

    @property
    def min_round_trip_s(self) -> float:
        """The fastest of the recent round trips; 0 if there is none."""
        return min(self._round_trips, default=0.0)

    def add_accepted(self, sent_at: float, now: float) -> float:
        """Stamp an accepted request and return its stamp."""
        self._round_trips.append(now - sent_at)
        stamp = now - self.min_round_trip_s
        insort(self._accepted, stamp)
        self._add(stamp, now)
        return stamp

    def add_arrived(self, stamp: float, now: float) -> None:
        """Stamp a request that has no response yet but must have been counted by *stamp*."""
        self._add(stamp, now)

    def accept_arrived(self, stamp: float) -> float:
        """Note that a request added with `add_arrived` was accepted; it is counted already."""
        insort(self._accepted, stamp)
        return stamp

    def add_unaccepted(self, now: float) -> None:
        """Stamp a request that was not accepted but may have been counted."""
        self._add(now, now)

    def add_remote(self, stamp: float, now: float) -> None:
        """Stamp a request that another session sent with the same account."""
        insort(self._remote, stamp)
        insort(self._accepted, stamp)
        self._add(stamp, now)

    def _add(self, stamp: float, now: float) -> None:
        insort(self._all, stamp)
        for stamps in (self._all, self._accepted, self._remote):
            del stamps[: bisect_right(stamps, now - self.keep_s)]

    def count(self, now: float, span_s: float) -> int:
        """Return how many stamps are less than *span_s* old."""
        return _count_younger(self._all, now, span_s)

    def count_own(self, now: float, span_s: float) -> int:
        """Return how many of those are this session's."""
        return self.count(now, span_s) - _count_younger(self._remote, now, span_s)

    def count_accepted(self, now: float, span_s: float) -> int:
        """Return how many of those were accepted."""
        return _count_younger(self._accepted, now, span_s)

    def room_at(self, room: int, now: float, span_s: float) -> float:
        """Return when fewer than *room* stamps will be less than *span_s* old if none is added; possibly now."""
        return now if self.count(now, span_s) < room else self._all[-room] + span_s


def _count_younger(stamps: list[float], now: float, span_s: float) -> int:
    # Add exactly as `room_at` does, so that rounding cannot make the two disagree.
    return len(stamps) - bisect_right(stamps, now, key=lambda stamp: stamp + span_s)
