"""The user's ``on_event`` function. It may raise, hang or be slow without affecting a job."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from .job.events import JobEvent
from .log import logger_for
from .uncancelled import is_cancellation

logger = logger_for(__name__)

Hook = Callable[[JobEvent], Awaitable[None] | None]

#: Seconds after which a call of an async hook is cancelled.
_HOOK_TIMEOUT_S = 10.0
#: Calls of an async hook that may run at the same time; further events are dropped, for the hook only.
_MAX_CONCURRENT = 1000


class Hooks:
    """Calls one ``on_event`` function, or nothing if there is none."""

    def __init__(self, hook: Hook | None) -> None:
        self._hook = hook
        self._running: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether there is a function to call."""
        return self._hook is not None

    def notify(self, event: JobEvent) -> None:
        """Call the hook; an async one runs in its own task."""
        if self._hook is None:
            return
        try:
            result = self._hook(event)
        except (Exception, asyncio.CancelledError):  # the user's function must not affect a job
            logger.exception("on_event raised", extra={"action": "hook"})
            return
        if inspect.isawaitable(result):
            self._start(result)

    def _start(self, result: Awaitable[None]) -> None:
        if len(self._running) >= _MAX_CONCURRENT:
            logger.warning("on_event is too slow; dropped an event", extra={"action": "hook"})
            if inspect.iscoroutine(result):
                result.close()
            return
        task = asyncio.create_task(_with_timeout(result), name="veo.hook")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Wait for running calls, each within its timeout. A call that ignores its cancellation is abandoned."""
        if self._running:
            _, hanging = await asyncio.wait(self._running, timeout=_HOOK_TIMEOUT_S + 1.0)
            if hanging:
                logger.error("%d on_event calls did not stop when cancelled", len(hanging), extra={"action": "hook"})


async def _with_timeout(result: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_HOOK_TIMEOUT_S):
            await result
    except (Exception, asyncio.CancelledError) as error:  # the user's function must not affect a job
        if is_cancellation(error):
            raise
        logger.exception("on_event raised or took too long", extra={"action": "hook"})
