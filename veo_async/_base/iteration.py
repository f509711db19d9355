"""One way to iterate over a plain or an async iterable."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def to_async_iterator(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """Iterate over a plain or an async iterable."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
            await asyncio.sleep(0)  # a long list must not block the loop
