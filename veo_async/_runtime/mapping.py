"""From a stream of requests to a stream of outcomes: lazy, bounded, as completed or in order.

No task group and no timeout stands around a ``yield`` here (PEP 789): the one task that reads the input is cancelled
in ``finally``, and the jobs belong to the session, so whoever stops reading early leaves nothing behind but jobs.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from .entry import Entry
from .outcome import Outcome

T = TypeVar("T")


async def as_async(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """*items*, whichever kind they are."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
            await asyncio.sleep(0)  # a long plain list must not stop the loop


async def outcomes(
    requests: AsyncIterator[T], admit: Callable[[T], Awaitable[Entry]], *, look_ahead: int, ordered: bool
) -> AsyncIterator[Outcome]:
    """The outcome of each request that *admit* takes in, at most *look_ahead* of them open at once."""
    room = asyncio.Semaphore(look_ahead)
    ready: asyncio.Queue[Entry | None] = asyncio.Queue()
    reading = asyncio.create_task(_read(requests, admit, room, ready, ordered=ordered), name="veo.map")
    try:
        while (entry := await ready.get()) is not None:
            outcome = await entry.settled()
            room.release()
            yield outcome
        await reading
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _read(
    requests: AsyncIterator[T],
    admit: Callable[[T], Awaitable[Entry]],
    room: asyncio.Semaphore,
    ready: asyncio.Queue[Entry | None],
    *,
    ordered: bool,
) -> None:
    """Take requests in while there is room; None in *ready* means that there are no more."""
    open_entries = 0
    everything_read = False

    def settled(entry: Entry) -> None:
        nonlocal open_entries
        open_entries -= 1
        ready.put_nowait(entry)
        if everything_read and not open_entries:
            ready.put_nowait(None)

    try:
        await room.acquire()
        async for request in requests:
            entry = await admit(request)
            open_entries += 1
            if ordered:
                settled(entry)
            else:
                entry.when_settled(settled)
            await room.acquire()
        everything_read = True
        if not open_entries:
            ready.put_nowait(None)
    except BaseException:
        ready.put_nowait(None)  # whoever reads is woken and meets the error at `await reading`
        raise
