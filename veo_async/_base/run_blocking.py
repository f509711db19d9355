"""Run blocking work (files, fsync, hashing) in a thread.

It uses the event loop's own executor, never a library's threads: a virtual clock in tests waits for that executor,
but would run ahead of any other thread.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_blocking(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run *work* in a thread and return its result. A cancellation stops the waiting, not the work.

    That includes work that still waits for a thread, such as closing a file: the executor would drop it.
    """
    running = asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(_retrieve_error)
        raise


def _retrieve_error(running: "asyncio.Future[Any]") -> None:
    """Tell asyncio that the error of work is known, although its caller was cancelled and will never read it."""
    if not running.cancelled():
        running.exception()
