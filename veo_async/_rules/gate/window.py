"""Which calls the server still counts: the stamps of the last window.

Theory of operation
-------------------
A server counts a call when it arrives, and that we do not see: we know when it left and when its answer came.
The quickest of the last `MAX_ROUND_TRIPS` round trips shows what a call takes when nothing holds it up. Whatever
another took beyond that may all have been spent on the way there; so its stamp is the instant it left plus
that excess. Two calls then arrive at least as far apart as the second's departure is from the first's stamp,
whatever the network did to them, short only of what a call gains by being quicker than the quickest so far.
The margin is for that.

* Why not the instant of sending with a larger margin: a single call that is held up for a second would break
  the limit, and every other would have to pay for the margin.
* Why not the instant of the answer: it adds the whole round trip to every window, 3 % here.
* A refused call is stamped when its answer comes, for some servers count refused calls too; a client that
  does not can knock there for ever. A lost call likewise: it may have been counted up to that moment.
"""

from bisect import bisect_right, insort
from collections import deque

import attrs

#: Enough round trips to have seen a quick one, few enough to forget an old route.
MAX_ROUND_TRIPS = 50


@attrs.define(eq=False)
class SendLog:
    """The stamps, in order."""

    keep_s: float  #: older stamps are forgotten
    _all: list[float] = attrs.field(factory=list)
    _accepted: list[float] = attrs.field(factory=list)
    _remote: list[float] = attrs.field(factory=list)  #: those of `_all` that other sessions sent
    _round_trips: deque[float] = attrs.field(factory=lambda: deque(maxlen=MAX_ROUND_TRIPS))

    @property
    def min_round_trip_s(self) -> float:
        """The quickest of the round trips remembered; 0 if there is none."""
        return min(self._round_trips, default=0.0)

    def accepted(self, sent_at: float, now: float) -> float:
        """Stamp a call that was accepted, and give its stamp."""
        self._round_trips.append(now - sent_at)
        stamp = now - self.min_round_trip_s
        insort(self._accepted, stamp)
        self._add(stamp, now)
        return stamp

    def arrived(self, stamp: float, now: float) -> None:
        """Stamp a call that has no answer yet, but must have been counted by *stamp*."""
        self._add(stamp, now)

    def accepted_late(self, stamp: float) -> float:
        """A call that was taken for arrived has been accepted: it is counted already."""
        insort(self._accepted, stamp)
        return stamp

    def add_unaccepted(self, now: float) -> None:
        """Stamp a call that was not accepted, but may have been counted."""
        self._add(now, now)

    def add_remote(self, stamp: float, now: float) -> None:
        """Stamp a call that another session sent with the same account."""
        insort(self._remote, stamp)
        insort(self._accepted, stamp)
        self._add(stamp, now)

    def _add(self, stamp: float, now: float) -> None:
        insort(self._all, stamp)
        for stamps in (self._all, self._accepted, self._remote):
            del stamps[: bisect_right(stamps, now - self.keep_s)]

    def count(self, now: float, span_s: float) -> int:
        """How many stamps are less than *span_s* old."""
        return _younger(self._all, now, span_s)

    def count_own(self, now: float, span_s: float) -> int:
        """How many of those this session sent."""
        return self.count(now, span_s) - _younger(self._remote, now, span_s)

    def count_accepted(self, now: float, span_s: float) -> int:
        """How many of those were accepted."""
        return _younger(self._accepted, now, span_s)

    def room_at(self, room: int, now: float, span_s: float) -> float:
        """When fewer than *room* stamps will be less than *span_s* old, if none is added; perhaps now."""
        return now if self.count(now, span_s) < room else self._all[-room] + span_s


def _younger(stamps: list[float], now: float, span_s: float) -> int:
    # by the very sum a deadline is made of, so that no rounding can part the two
    return len(stamps) - bisect_right(stamps, now, key=lambda stamp: stamp + span_s)
