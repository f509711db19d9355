"""How large, how slow and how long a download may be. No clock in here: time comes in as seconds that were spent."""

import attrs

from .failures import Setback, Then

GIB = 1024**3


@attrs.frozen(kw_only=True)
class Bounds:
    """The bounds of one download; the usual ones are far from anything that a real clip needs."""

    #: A body without an end must stop somewhere.
    max_bytes: int = 2 * GIB
    #: At least this many bytes per second …
    min_speed: float = 1024.0
    #: … over each span of so many seconds.
    speed_over_s: float = 30.0
    #: So long may the head of an answer take.
    head_s: float = 60.0
    #: So long may all attempts for one file wait for the network; a full disk does not count.
    total_s: float = 3600.0
    #: So often in a row may an attempt bring nothing; one that brings something begins the count anew.
    tries: int = 5
    #: So often may a clip's links be renewed.
    renewals: int = 3
    #: The first pause between two attempts; each later one is twice as long.
    backoff_s: float = 1.0
    #: The longest pause between two attempts.
    max_backoff_s: float = 30.0
    #: Before bytes are written, so many times their number must be free on the disk; 0 asks for nothing.
    room: float = 2.0
    #: How often a full disk is tried again.
    disk_retry_s: float = 5.0


@attrs.define(eq=False)
class Pace:
    """Whether bytes come fast enough, and whether the time for this file is used up."""

    bounds: Bounds
    _total_s: float = 0.0
    _span_s: float = 0.0
    _span_bytes: int = 0

    def begin(self) -> None:
        """A new attempt, which gets a whole span to show its speed."""
        self._span_s, self._span_bytes = 0.0, 0

    @property
    def left_s(self) -> float:
        """How long we may still wait for the network altogether."""
        return max(self.bounds.total_s - self._total_s, 0.0)

    def patience(self) -> float:
        """How long the next bytes may take before it is time to look at the speed."""
        return max(min(self.bounds.speed_over_s - self._span_s, self.left_s), 0.0)

    def spent(self, seconds: float) -> None:
        """Time went by without a download: a head that was waited for, a pause.

        Raises:
            Setback: the time for this file is over.
        """
        self._total_s += seconds
        if self._total_s >= self.bounds.total_s:
            raise Setback(f"it took longer than {self.bounds.total_s:g} s", then=Then.STOP)

    def arrived(self, count: int, took_s: float) -> None:
        """*count* bytes came (or none did) after *took_s* of waiting.

        Raises:
            Setback: too slow, or the time for this file is over.
        """
        self._span_s += took_s
        self._span_bytes += count
        self.spent(took_s)
        if self._span_s < self.bounds.speed_over_s:
            return
        is_slow = self._span_bytes < self.bounds.min_speed * self._span_s
        self.begin()
        if is_slow:
            raise Setback(f"its host sends less than {self.bounds.min_speed:g} bytes a second")
