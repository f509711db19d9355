"""The one way to work that would stop the event loop: files, fsync, hashing.

It goes through the loop's own executor, never through a library's threads, because a virtual clock can see the loop's
executor and would run ahead of any other thread.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_blocking(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run *work* in a thread and wait for it; a cancellation stops the waiting, not the work."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs))
