"""An event loop for real sockets that skips all waiting for timers.

Its clock moves forward when no socket and no thread has anything to do. So timeouts, delays and intervals have their
real values, and only computing takes time.
"""

import asyncio
import selectors
from concurrent.futures import Executor
from typing import Any

#: How long all sockets must be idle before time is skipped.
_IDLE_S = 0.001


class _SkippingSelector(selectors.DefaultSelector):
    """Waits a moment for sockets; if nothing happens, the clock moves instead."""

    skipped_s = 0.0
    threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= _IDLE_S or self.threads:
            return super().select(timeout)
        if not (ready := super().select(_IDLE_S)):
            self.skipped_s += timeout - _IDLE_S
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop that skips all waiting for timers."""

    def __init__(self) -> None:
        self._own_selector = _SkippingSelector()
        super().__init__(self._own_selector)

    def time(self) -> float:
        return super().time() + self._own_selector.skipped_s

    def run_in_executor(self, executor: Executor | None, func: Any, *args: Any) -> asyncio.Future[Any]:
        self._own_selector.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self._own_selector.threads -= 1
