"""Runs a program, unaltered, in event loops that live `SPEED` times as fast: ``python tests/fast_clock.py FILE``.

A simulator with the same speed shares its time, so that what takes minutes with the provider takes seconds here.
"""

import asyncio
import runpy
import selectors
import sys

SPEED = 60.0


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own."""

    def __init__(self) -> None:
        super().__init__(_FastSelector())

    def time(self) -> float:
        return super().time() * SPEED


if __name__ == "__main__":
    asyncio.events.new_event_loop = FastLoop
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
