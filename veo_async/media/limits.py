"""How large, how slow and how long a download may be. No clock in here: time comes in as seconds that were spent."""

import attrs

from .failures import Advice, AttemptFailed

GIB = 1024**3


@attrs.frozen(kw_only=True)
class DownloadLimits:
    """The bounds of one download; the usual ones are far from anything that a real clip needs."""

    #: A body without an end must stop somewhere.
    max_bytes: int = 2 * GIB
    #: At least this many bytes per second …
    min_bytes_per_s: float = 1024.0
    #: … over each span of so many seconds.
    speed_window_s: float = 30.0
    #: So long may the head of an answer take.
    headers_timeout_s: float = 60.0
    #: So long may all attempts for one file wait for the network; a full disk does not count.
    total_timeout_s: float = 3600.0
    #: So often in a row may an attempt bring nothing; one that brings something begins the count anew.
    max_attempts: int = 5
    #: So often may a clip's links be renewed.
    max_link_renewals: int = 3
    #: The first pause between two attempts; each later one is twice as long.
    backoff_first_s: float = 1.0
    #: The longest pause between two attempts.
    backoff_max_s: float = 30.0
    #: Before bytes are written, so many times their number must be free on the disk; 0 asks for nothing.
    free_space_factor: float = 2.0
    #: How often a full disk is tried again.
    disk_retry_s: float = 5.0


@attrs.define(eq=False)
class SpeedMonitor:
    """Whether bytes come fast enough, and whether the time for this file is used up."""

    bounds: DownloadLimits
    _total_s: float = 0.0
    _span_s: float = 0.0
    _span_bytes: int = 0

    def start_attempt(self) -> None:
        """A new attempt, which gets a whole span to show its speed."""
        self._span_s, self._span_bytes = 0.0, 0

    @property
    def left_s(self) -> float:
        """How long we may still wait for the network altogether."""
        return max(self.bounds.total_timeout_s - self._total_s, 0.0)

    def read_timeout_s(self) -> float:
        """How long the next bytes may take before it is time to look at the speed."""
        return max(min(self.bounds.speed_window_s - self._span_s, self.left_s), 0.0)

    def add_wait(self, seconds: float) -> None:
        """Time went by without a download: a head that was waited for, a pause.

        Raises:
            Setback: the time for this file is over.
        """
        self._total_s += seconds
        if self._total_s >= self.bounds.total_timeout_s:
            raise AttemptFailed(f"it took longer than {self.bounds.total_timeout_s:g} s", advice=Advice.STOP)

    def add_bytes(self, count: int, took_s: float) -> None:
        """*count* bytes came (or none did) after *took_s* of waiting.

        Raises:
            Setback: too slow, or the time for this file is over.
        """
        self._span_s += took_s
        self._span_bytes += count
        self.add_wait(took_s)
        if self._span_s < self.bounds.speed_window_s:
            return
        is_slow = self._span_bytes < self.bounds.min_bytes_per_s * self._span_s
        self.start_attempt()
        if is_slow:
            raise AttemptFailed(f"its host sends less than {self.bounds.min_bytes_per_s:g} bytes a second")
