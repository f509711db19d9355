"""Runs a coroutine for each item of a stream, and yields the results."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from veo_async.errors import RESUME, SessionClosed

from .iteration import to_async_iterator

T = TypeVar("T")
R = TypeVar("R")


async def concurrent_map(
    work: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    buffersize: int,
    ordered: bool,
    readers: set[asyncio.Task[None]],
) -> AsyncGenerator[R]:
    """Yield the result of ``work(item)`` for each item, as they finish or in order.

    *items* is read lazily: at most *buffersize* items were read whose results were not. If it raises, the results of
    the items before come first, and then its error. An exception of *work* ends the stream. What is in progress when
    the stream ends is cancelled.

    Args:
        readers: contains the task that reads *items* while it runs; the owner of the set may cancel it.

    Raises:
        SessionClosed: that task was cancelled.
    """
    #: In order, or as they finish; None when all items are read.
    ready: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
    running: set[asyncio.Task[R]] = set()
    slots = asyncio.Semaphore(buffersize)

    async def read() -> None:
        async with aclosing(to_async_iterator(items)) as stream:
            await slots.acquire()
            async for item in stream:
                task = asyncio.create_task(work(item), name="veo.map")
                task.add_done_callback(_retrieve)
                running.add(task)
                if ordered:
                    ready.put_nowait(task)
                else:
                    task.add_done_callback(ready.put_nowait)
                await slots.acquire()

    reading = asyncio.create_task(read(), name="veo.map:read")
    readers.add(reading)
    reading.add_done_callback(readers.discard)
    reading.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while running or not reading.done():
            if (task := await ready.get()) is not None:
                result = await task
                running.remove(task)
                slots.release()
                yield result
        if reading.cancelled():
            raise SessionClosed("the session was closed before all requests were submitted", remedy=RESUME)
        reading.result()
    finally:
        for unfinished in (reading, *running):
            unfinished.cancel()
        await asyncio.wait([reading, *running])


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve the exception of *task*: the caller may have stopped reading."""
    if not task.cancelled():
        task.exception()
