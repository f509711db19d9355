"""The tasks of a session, which live as long as their work and end with the session at the latest."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

OnCrash = Callable[[BaseException], object]


class BackgroundTasks:
    """Owns tasks: each has a name, and closing cancels and awaits all of them.

    Cancelling loses nothing: what a task was about to do, the next session finds on the ledger.

    Args:
        on_crash: called with an exception that a task did not handle, which is a defect; None: the callers that wait
            for the tasks handle their exceptions.
    """

    def __init__(self, on_crash: OnCrash | None = None) -> None:
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    def start(self, work: Coroutine[Any, Any, T], name: str, on_crash: OnCrash | None = None) -> "asyncio.Task[T]":
        """Run *work* as the task ``veo.<name>``. While the session closes it is cancelled immediately.

        Args:
            on_crash: called instead of the common one.
        """
        task = asyncio.create_task(work, name=f"veo.{name}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, on_crash or self._on_crash))
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

    def _finished(self, on_crash: OnCrash | None, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        crash = _crash_of(task)  # read in any case: if the caller was cancelled, asyncio would report it as unhandled
        if on_crash is not None and crash is not None:
            on_crash(crash)


def _crash_of(task: "asyncio.Task[Any]") -> BaseException | None:
    """Return the exception that ended *task*; None if it succeeded or was cancelled."""
    if not task.cancelled():
        return task.exception()
    return None if task.cancelling() else asyncio.CancelledError("raised by the code that the task called")
