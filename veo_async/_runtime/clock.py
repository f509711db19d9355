"""The wall clock of a session: read once, then counted by the event loop.

Ledgers keep wall-clock times, because they are read by other processes and on other days. Within a session time must
not jump when somebody sets the clock, and must run as the loop's does; so the wall clock is read when the session
opens and never again.
"""

import asyncio


class WallClock:
    """Wall-clock seconds since 1970.

    Args:
        wall: what the wall clock shows now.
    """

    def __init__(self, wall: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset = wall - self._loop.time()

    def now(self) -> float:
        return self._loop.time() + self._offset

    def to_loop(self, at: float) -> float:
        """The loop's time at the wall-clock time *at*."""
        return at - self._offset

    def to_wall(self, at: float) -> float:
        """The wall-clock time at the loop's time *at*."""
        return at + self._offset
