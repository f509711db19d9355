"""An event loop with an accelerated clock, for a client and a simulator in the same loop.

``Simulator(speed=…)`` accelerates the provider alone, so its client needs other intervals and timeouts than in
production. In a fast loop both keep their real values and only waiting takes less time. Computation takes as long as
always, so a very high speed makes a client appear slow.
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
    """Return a ``loop_factory`` for `asyncio.Runner` whose loops count *speed* seconds per real second."""
    return lambda: _FastLoop(speed)
