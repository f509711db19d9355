"""Simulated time: the loop's clock, made faster and pushed forward."""

from collections.abc import Callable

#: Time passes in grains of about a microsecond, which a float of this size holds without a rest: who sleeps for
#: exactly an hour then finds exactly an hour gone, whatever the loop's own clock made of it.
_GRAIN_HZ = 2.0**20


class SimulatedClock:
    """Epoch seconds that pass *speed* times as fast as *loop_time* does, and can be advanced by hand."""

    def __init__(self, *, start_at: float, speed: float, loop_time: Callable[[], float]) -> None:
        self.started_at = start_at
        self._speed = speed
        self._loop_time = loop_time
        self._loop_start = loop_time()
        self._advanced = 0.0

    def now(self) -> float:
        """Simulated epoch seconds."""
        exact = self.started_at + self._advanced + (self._loop_time() - self._loop_start) * self._speed
        return round(exact * _GRAIN_HZ) / _GRAIN_HZ

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass at once."""
        if seconds < 0:
            raise ValueError(f"seconds={seconds}: time does not run backwards; pass a positive number")
        self._advanced += seconds

    def in_loop_seconds(self, simulated_s: float) -> float:
        """How long a simulated span is for whoever lives by the loop."""
        return simulated_s / self._speed
