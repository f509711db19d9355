"""From a stream of requests to a stream of outcomes: lazy, bounded, as completed or in order.

No task group and no timeout stands around a ``yield`` here (PEP 789): the one task that reads the input is owned by
the session and cancelled in ``finally``, and the jobs belong to the session, so whoever stops reading early leaves
nothing behind but jobs. When the input raises, the outcomes of what it gave before still come, and then its error.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from veo_async.errors import RESUME, SessionClosed

from .job.live_job import LiveJob
from .job.outcome import Outcome

T = TypeVar("T")

#: Runs a coroutine as a task that ends with the session at the latest.
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


async def to_async_iterator(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """*items*, whichever kind they are."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
            await asyncio.sleep(0)  # a long plain list must not stop the loop


async def stream_outcomes(
    requests: AsyncGenerator[T],
    admit: Callable[[T], Awaitable[LiveJob]],
    *,
    buffersize: int,
    ordered: bool,
    spawn: Spawn,
) -> AsyncGenerator[Outcome]:
    """The outcome of each request that *admit* takes in, at most *buffersize* of them open at once."""
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
    """Takes requests in while there is room, and hands out their jobs as they end or as they came."""

    def __init__(self, buffersize: int, *, ordered: bool) -> None:
        self._ordered = ordered
        self.slots = asyncio.Semaphore(buffersize)
        #: Jobs to be handed out; None when there are no more.
        self.ready: asyncio.Queue[LiveJob | None] = asyncio.Queue()
        #: Why the input ended early.
        self.error: Exception | None = None
        self._open = 0
        self._is_exhausted = False

    async def read(self, requests: AsyncGenerator[T], admit: Callable[[T], Awaitable[LiveJob]]) -> None:
        try:
            async with aclosing(requests):
                await self.slots.acquire()
                async for request in requests:
                    self._take(await admit(request))
                    await self.slots.acquire()
        except asyncio.CancelledError:
            self.error = SessionClosed("the session was closed before all requests were taken in", remedy=RESUME)
            raise
        except Exception as error:  # noqa: BLE001  # the user's own; it is raised where the outcomes are read
            self.error = error
        finally:
            self._is_exhausted = True
            self._end_if_done()

    def _take(self, job: LiveJob) -> None:
        self._open += 1
        if self._ordered:
            self._emit(job)
        else:
            job.on_finished(self._emit)

    def _emit(self, job: LiveJob) -> None:
        self._open -= 1
        self.ready.put_nowait(job)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._is_exhausted and not self._open:
            self.ready.put_nowait(None)
