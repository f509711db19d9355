"""The user's own functions, which may raise, hang or be slow without hurting a job."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from .job.events import JobEvent
from .log import logger_for

logger = logger_for(__name__)

Hook = Callable[[JobEvent], Awaitable[None] | None]

#: A hook that takes longer is broken; it is cut off.
_PATIENCE_S = 10.0
#: Hooks under way at once; beyond that events are dropped for the hook, never for the job.
_MOST_AT_ONCE = 1000


class Hooks:
    """Tells one hook what happens."""

    def __init__(self, hook: Hook | None) -> None:
        self._hook = hook
        self._under_way: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether anybody is told."""
        return self._hook is not None

    def tell(self, event: JobEvent) -> None:
        """Call the hook; an async one runs on by itself."""
        if self._hook is None:
            return
        try:
            told = self._hook(event)
        except Exception:  # the user's own; it harms no job
            logger.exception("on_event raised", extra={"action": "hook"})
            return
        if inspect.isawaitable(told):
            self._run_on(told)

    def _run_on(self, told: Awaitable[None]) -> None:
        if len(self._under_way) >= _MOST_AT_ONCE:
            logger.warning("on_event is too slow, an event was dropped for it", extra={"action": "hook"})
            if inspect.iscoroutine(told):
                told.close()
            return
        task = asyncio.create_task(_patiently(told), name="veo.hook")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Let what is under way come to its end, within its time; one that will not even be cut off is left."""
        if self._under_way:
            _, hanging = await asyncio.wait(self._under_way, timeout=_PATIENCE_S + 1.0)
            if hanging:
                logger.error("%d on_event calls cannot be cut off", len(hanging), extra={"action": "hook"})


async def _patiently(told: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await told
    except Exception:  # the user's own; it harms no job
        logger.exception("on_event raised or took too long", extra={"action": "hook"})
