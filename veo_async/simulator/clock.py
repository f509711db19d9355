"""Simulated time: the event loop's clock, accelerated and advanced."""

from collections.abc import Callable

import attrs

#: Simulated time is rounded to steps of about a microsecond, which a float of this size represents exactly. A client
#: that sleeps for exactly an hour then sees exactly an hour pass, despite rounding in the loop's own clock.
_STEPS_PER_S = 2.0**20


class SimulatedClock:
    """A clock of epoch seconds that runs *speed* times as fast as *loop_time* and can be advanced."""

    def __init__(self, *, start_at: float, speed: float, loop_time: Callable[[], float]) -> None:
        self.started_at = start_at
        self._speed = speed
        self._loop_time = loop_time
        self._loop_start = loop_time()
        self._advanced = 0.0

    def now(self) -> float:
        """Return the simulated epoch seconds."""
        exact = self.started_at + self._advanced + (self._loop_time() - self._loop_start) * self._speed
        return round(exact * _STEPS_PER_S) / _STEPS_PER_S

    def advance(self, seconds: float) -> None:
        """Advance by *seconds* immediately."""
        if seconds < 0:
            raise ValueError(f"seconds={seconds}: must be >= 0")
        self._advanced += seconds

    def in_loop_seconds(self, simulated_s: float) -> float:
        """Return how many seconds of the event loop *simulated_s* takes."""
        return simulated_s / self._speed


@attrs.frozen
class ClientTime:
    """Converts simulated instants to those of a client, whose clock usually runs at normal speed.

    Responses contain no simulated instant: a client would compare it with its own clock and, at speed 60, show a task
    of a minute as one of an hour.
    """

    started_at: float
    #: Simulated seconds per second of the client's clock.
    speed: float

    def at(self, simulated: float) -> float:
        """Return the client's epoch seconds for the *simulated* ones."""
        return self.started_at + (simulated - self.started_at) / self.speed
