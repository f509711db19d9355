"""The deadlines of requests, with one timer for all of them.

A separate timer for each request, as `asyncio.timeout` sets, costs a twentieth of a poll, and hardly any of them ever
fires. Here the timer is set for the earliest deadline. When it fires, it is set for the earliest one of the requests
that run then, so it fires about once per timeout, however many requests there are.
"""

import asyncio
import math
from types import TracebackType


class Deadlines:
    """Ends requests that take too long; belongs to one event loop."""

    def __init__(self) -> None:
        self._running: set[_Limit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf

    def limit(self, timeout_s: float) -> "_Limit":
        """Return a context that raises `TimeoutError` if its block takes longer than *timeout_s* seconds."""
        return _Limit(self, timeout_s)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._wakes_at = None, math.inf

    def begin(self, limit: "_Limit") -> None:
        """Watch the deadline of *limit*."""
        self._running.add(limit)
        if limit.at < self._wakes_at:
            self._set_timer(limit.at)

    def end(self, limit: "_Limit") -> None:
        """Forget *limit*: its block has ended."""
        self._running.discard(limit)

    def _set_timer(self, at: float) -> None:
        self.close()
        self._timer, self._wakes_at = asyncio.get_running_loop().call_at(at, self._wake), at

    def _wake(self) -> None:
        now = self._wakes_at
        self.close()
        for limit in [limit for limit in self._running if limit.at <= now]:
            self._running.discard(limit)
            limit.expire()
        if self._running:
            self._set_timer(min(limit.at for limit in self._running))


class _Limit:
    """One request; it works like `asyncio.timeout`."""

    __slots__ = ("_cancelling", "_deadlines", "_is_expired", "_task", "at")

    def __init__(self, deadlines: Deadlines, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101  # requests are sent by coroutines
        self._deadlines, self.at = deadlines, loop.time() + timeout_s
        self._task, self._cancelling, self._is_expired = task, task.cancelling(), False

    def __enter__(self) -> None:
        self._deadlines.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.end(self)
        if self._is_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from exc

    def expire(self) -> None:
        """Cancel the task, which then raises `TimeoutError`."""
        self._is_expired = True
        self._task.cancel()
