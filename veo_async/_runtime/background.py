"""Side tasks of a session: saving a clip, checking a hint, asking the user's policy."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class BackgroundTasks:
    """Owns side tasks: each has a name, and closing cancels and awaits all of them.

    The ledger holds everything that such a task was about to do, so the next session does it again.

    Args:
        on_crash: called with an exception that a task did not handle. It is a defect of ours.
    """

    def __init__(self, on_crash: Callable[[BaseException], None]) -> None:
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def start(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run *work* as the task ``veo.<name>``. While the session closes it is cancelled immediately."""
        task = asyncio.create_task(work, name=f"veo.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        if self._is_closing:
            task.cancel()
        return task

    def cancel(self) -> None:
        """Cancel all tasks, and those that are started from now on."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()

    async def wait(self) -> None:
        """Wait until no task is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._on_crash(crash)
