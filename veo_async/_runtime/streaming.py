"""From a stream of requests to a stream of outcomes: lazy, bounded, as completed or in order.

No task group and no timeout encloses a ``yield`` here (PEP 789). The session owns the one task that reads the input,
and ``finally`` cancels it; the session owns the jobs, too. So a caller that stops reading early leaves nothing behind
but jobs. When the input raises, the outcomes of its earlier items still follow, and then the error.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from veo_async.errors import RESUME, SessionClosed

from .job.live_job import LiveJob
from .job.outcome import Outcome
from .uncancelled import is_cancellation

T = TypeVar("T")

#: How many jobs are submitted at the same time, so that a ledger can store them together.
ADMISSIONS = 32

#: Runs a coroutine as a task of the session.
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


async def stream_outcomes(
    requests: AsyncGenerator[T],
    admit: Callable[[T], Awaitable[LiveJob]],
    *,
    buffersize: int,
    ordered: bool,
    spawn: Spawn,
) -> AsyncGenerator[Outcome]:
    """Yield the outcome of each request that *admit* submits, with at most *buffersize* jobs open at a time."""
    admission = _Reader(buffersize, ordered=ordered)
    reading = spawn(admission.read(requests, admit))
    try:
        while (job := await admission.ready.get()) is not None:
            outcome = await job.wait_outcome()
            admission.slots.release()
            yield outcome
        if admission.error is not None:
            raise admission.error
    finally:
        reading.cancel()
        await asyncio.wait([reading])


class _Reader:
    """Submits requests while the buffer has room, and returns their jobs as they finish or in order."""

    def __init__(self, buffersize: int, *, ordered: bool) -> None:
        self._ordered = ordered
        self.slots = asyncio.Semaphore(buffersize)
        self._admitting = asyncio.Semaphore(ADMISSIONS)
        #: Jobs to return; None after the last one.
        self.ready: asyncio.Queue[LiveJob | None] = asyncio.Queue()
        #: Why the input ended early, if it did.
        self.error: BaseException | None = None
        self._open = 0
        self._is_exhausted = False

    async def read(self, requests: AsyncGenerator[T], admit: Callable[[T], Awaitable[LiveJob]]) -> None:
        """Submit *requests* until they end or raise."""
        try:
            async with asyncio.TaskGroup() as admissions:
                reading = self._read(requests, admit, admissions)
                self._reading = admissions.create_task(reading, name="veo.map:read")
        except asyncio.CancelledError:
            self.error = SessionClosed("the session was closed before all requests were submitted", remedy=RESUME)
            raise
        finally:
            self._is_exhausted = True
            self._close_if_done()

    async def _read(
        self, requests: AsyncGenerator[T], admit: Callable[[T], Awaitable[LiveJob]], admissions: asyncio.TaskGroup
    ) -> None:
        before: asyncio.Task[None] | None = None
        try:
            async with aclosing(requests):
                await self.slots.acquire()
                async for request in requests:
                    await self._admitting.acquire()
                    before = admissions.create_task(self._admit(admit, request, before), name="veo.map:admit")
                    await self.slots.acquire()
        except (Exception, asyncio.CancelledError) as error:  # raised after the outcomes of earlier requests
            if is_cancellation(error):
                raise
            self.error = self.error or error

    async def _admit(
        self, admit: Callable[[T], Awaitable[LiveJob]], request: T, before: "asyncio.Task[None] | None"
    ) -> None:
        """Submit *request*, and add its job, in order after that of *before*; if it raises, read no later request."""
        try:
            job = await admit(request)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancellation(error):
                raise
            self.error = self.error or error
            self._reading.cancel()
        else:
            if self._ordered and before is not None and not before.done():
                await asyncio.wait([before])
            self._add(job)
        finally:
            self._admitting.release()

    def _add(self, job: LiveJob) -> None:
        self._open += 1
        if self._ordered:
            self._emit(job)
        else:
            job.on_finished(self._emit)

    def _emit(self, job: LiveJob) -> None:
        self._open -= 1
        self.ready.put_nowait(job)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_exhausted and not self._open:
            self.ready.put_nowait(None)
