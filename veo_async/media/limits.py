"""Limits on the size, speed and duration of a download. No clock here: callers pass the seconds that they waited."""

import attrs

from veo_async._base.numbers import format_number

from .failures import Advice, AttemptFailed

GIB = 1024**3


@attrs.frozen(kw_only=True)
class DownloadLimits:
    """The limits of one download. The defaults are far from anything that a real clip needs."""

    #: The largest file; it also stops a body that never ends.
    max_bytes: int = 2 * GIB
    #: The lowest speed, as an average over `speed_window_s`.
    min_bytes_per_s: float = 1024.0
    #: The number of seconds over which the speed is measured.
    speed_window_s: float = 30.0
    #: How long a server may take to send the response headers.
    headers_timeout_s: float = 60.0
    #: How long all attempts for one file may wait for the network together; pauses for a full disk do not count.
    total_timeout_s: float = 3600.0
    #: The number of attempts in a row that may make no progress; any progress resets the count.
    max_attempts: int = 5
    #: How often the links of a clip may be renewed.
    max_link_renewals: int = 3
    #: The first delay between two attempts; it doubles with each further attempt.
    backoff_first_s: float = 1.0
    #: The longest delay between two attempts.
    backoff_max_s: float = 30.0
    #: Free disk space to require before writing, as a multiple of the bytes still to be written; 0 requires none.
    free_space_factor: float = 2.0
    #: How often a write is retried while the disk is full.
    disk_retry_s: float = 5.0


@attrs.define(eq=False)
class SpeedMonitor:
    """Raises an error when a file downloads too slowly or takes too long."""

    limits: DownloadLimits
    _waited_s: float = 0.0
    _window_s: float = 0.0
    _window_bytes: int = 0

    def start_attempt(self) -> None:
        """Start a new attempt, with a new window to measure its speed."""
        self._window_s, self._window_bytes = 0.0, 0

    @property
    def remaining_s(self) -> float:
        """How long this download may still wait for the network."""
        return max(self.limits.total_timeout_s - self._waited_s, 0.0)

    def read_timeout_s(self) -> float:
        """Return how long to wait for the next bytes before the speed has to be checked."""
        return max(min(self.limits.speed_window_s - self._window_s, self.remaining_s), 0.0)

    def add_wait(self, seconds: float) -> None:
        """Count time without data: waiting for response headers, or a delay between attempts.

        Raises:
            AttemptFailed: the time for this file is used up.
        """
        self._waited_s += seconds
        if self._waited_s >= self.limits.total_timeout_s:
            raise AttemptFailed(
                f"the download took longer than {format_number(self.limits.total_timeout_s)} s", advice=Advice.STOP
            )

    def add_bytes(self, count: int, waited_s: float) -> None:
        """Count *count* bytes, possibly none, that arrived after *waited_s* seconds.

        Raises:
            AttemptFailed: the download is too slow, or the time for this file is used up.
        """
        self._window_s += waited_s
        self._window_bytes += count
        self.add_wait(waited_s)
        if self._window_s < self.limits.speed_window_s:
            return
        is_slow = self._window_bytes < self.limits.min_bytes_per_s * self._window_s
        self.start_attempt()
        if is_slow:
            raise AttemptFailed(
                f"the download was slower than {format_number(self.limits.min_bytes_per_s)} bytes per second"
            )
