"""The user's own functions, which may raise, hang or be slow without hurting a job."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from .job.events import JobEvent
from .log import logger_for

logger = logger_for(__name__)

Hook = Callable[[JobEvent], Awaitable[None] | None]

#: A hook that takes longer is broken; it is cut off.
_HOOK_TIMEOUT_S = 10.0
#: Hooks under way at once; beyond that events are dropped for the hook, never for the job.
_MAX_CONCURRENT = 1000


class Hooks:
    """Tells one hook what happens."""

    def __init__(self, hook: Hook | None) -> None:
        self._hook = hook
        self._running: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether anybody is told."""
        return self._hook is not None

    def notify(self, event: JobEvent) -> None:
        """Call the hook; an async one runs on by itself."""
        if self._hook is None:
            return
        try:
            result = self._hook(event)
        except Exception:  # the user's own; it harms no job
            logger.exception("on_event raised", extra={"action": "hook"})
            return
        if inspect.isawaitable(result):
            self._spawn(result)

    def _spawn(self, result: Awaitable[None]) -> None:
        if len(self._running) >= _MAX_CONCURRENT:
            logger.warning("on_event is too slow, an event was dropped for it", extra={"action": "hook"})
            if inspect.iscoroutine(result):
                result.close()
            return
        task = asyncio.create_task(_with_timeout(result), name="veo.hook")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Let what is under way come to its end, within its time; one that will not even be cut off is left."""
        if self._running:
            _, hanging = await asyncio.wait(self._running, timeout=_HOOK_TIMEOUT_S + 1.0)
            if hanging:
                logger.error("%d on_event calls cannot be cut off", len(hanging), extra={"action": "hook"})


async def _with_timeout(result: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_HOOK_TIMEOUT_S):
            await result
    except Exception:  # the user's own; it harms no job
        logger.exception("on_event raised or took too long", extra={"action": "hook"})
