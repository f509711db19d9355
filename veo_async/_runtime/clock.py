"""The two clocks of a session: the event loop's, for waiting, and the wall clock, for the ledger.

Other processes read the ledger's times, on other days, so they are wall-clock times. Within a session time must not
jump when the machine's clock is set, and it must run as fast as the loop's time. So a session reads the wall clock
once, when it opens, and adds the loop's time to it.
"""

import asyncio
import time
from contextlib import suppress

from veo_async._ports import MAX_AHEAD_S

#: Seconds by which a timer of the loop may fire early, with a margin. The resolution of the loop's clock decides: 16 ms
#: on Windows before Python 3.13. A shorter wait may end before the clock has advanced.
TIMER_SLACK_S = max(0.0001, time.get_clock_info("monotonic").resolution)


def loop_time() -> float:
    """Return the time of the running event loop, in seconds."""
    return asyncio.get_running_loop().time()


async def wait_for_event(event: asyncio.Event, deadline: float | None) -> None:
    """Wait until *event* is set or the loop's time *deadline* is reached; None waits without a limit."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            await event.wait()


class WallClock:
    """Wall-clock seconds since 1970.

    Args:
        now: what the wall clock shows at this moment.
    """

    def __init__(self, now: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset = now - self._loop.time()

    def now(self) -> float:
        """Return the present time."""
        return self._loop.time() + self._offset

    def to_loop(self, at: float) -> float:
        """Convert the wall-clock time *at* to the loop's time."""
        return at - self._offset

    def bounded_to_loop(self, at: float) -> float:
        """Convert a time that another session wrote: a clock that was wrong delays nothing for long."""
        return min(self.to_loop(at), self._loop.time() + MAX_AHEAD_S)

    def to_wall(self, at: float) -> float:
        """Convert the loop's time *at* to wall-clock time."""
        return at + self._offset
