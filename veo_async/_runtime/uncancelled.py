"""Work that must finish even when the caller that waits for it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def run_to_completion(work: Coroutine[Any, Any, T], *, name: str | None = None) -> T:
    """Run *work* to its end, then re-raise a cancellation that arrived in the meantime.

    Neither tool is enough alone: anyio's shields do nothing against ``Task.cancel``, and ``asyncio.shield`` gives way
    to a second cancellation and to anyio's scopes. *work* needs its own deadline: what cannot be cancelled must not be
    able to hang.

    Args:
        name: of the task that runs *work*; by default the name of the coroutine function.
    """
    task = asyncio.create_task(work, name=name or f"veo.{getattr(work, '__name__', 'work')}")
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])  # wait() never cancels what it waits for
            except asyncio.CancelledError as exc:
                cancelled = exc
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    return task.result()


def is_cancellation(error: BaseException) -> bool:
    """Whether *error* is the cancellation of the current task, and not a `CancelledError` that called code raised."""
    task = asyncio.current_task() if isinstance(error, asyncio.CancelledError) else None
    return task is not None and task.cancelling() > 0
