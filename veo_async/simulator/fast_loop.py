"""An event loop that lives so many times as fast: a client and a simulator in it share one compressed clock.

`Simulator(speed=…)` makes the provider alone fast, and its client has to be told other figures than it would use in
earnest. In a fast loop nobody has to be told anything: every wait, timeout and window of both is as it is in earnest,
and only waiting takes less time. What computes takes as long as ever, so very high speeds make a client look slow.
"""

import asyncio
import selectors
from collections.abc import Callable


class _FastSelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._speed)


class _FastLoop(asyncio.SelectorEventLoop):
    def __init__(self, speed: float) -> None:
        super().__init__(_FastSelector(speed))
        self._speed = speed

    def time(self) -> float:
        return super().time() * self._speed


def fast_loop(speed: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """A ``loop_factory`` for `asyncio.Runner`; in its loops *speed* seconds pass in a real one."""
    return lambda: _FastLoop(speed)
