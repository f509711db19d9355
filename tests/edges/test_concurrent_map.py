"""`concurrent_map`: a bounded number of coroutines over a stream, with results as they finish or in order."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from veo_async._base.concurrent_map import concurrent_map
from veo_async.errors import SessionClosed

pytestmark = pytest.mark.veo_virtual_time


@pytest.fixture(autouse=True)
async def leaves_no_task() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def test_results_come_as_they_finish_or_in_order() -> None:
    """From a plain and from an async iterable."""

    async def items() -> AsyncIterator[float]:
        for seconds in (3.0, 1.0, 2.0):
            yield seconds

    for ordered, expected in ((False, [1.0, 2.0, 3.0]), (True, [3.0, 1.0, 2.0])):
        for source in ([3.0, 1.0, 2.0], items()):
            stream = concurrent_map(wait, source, buffersize=3, ordered=ordered, readers=set())
            assert [result async for result in stream] == expected
    assert [result async for result in concurrent_map(wait, [], buffersize=1, ordered=False, readers=set())] == []


@pytest.mark.parametrize("ordered", [False, True])
async def test_no_more_items_are_read_than_fit_the_buffer(ordered: bool) -> None:
    """An item is read when the result of another one was taken."""
    read: list[int] = []

    def items() -> Iterator[float]:
        for number in range(100):
            read.append(number)
            yield 1.0

    stream = concurrent_map(wait, items(), buffersize=5, ordered=ordered, readers=set())
    assert await anext(stream) == 1.0
    await asyncio.sleep(10.0)
    assert len(read) == 6
    await stream.aclose()


async def test_error_of_the_items_comes_after_the_results_of_those_before() -> None:
    """Nothing that was read is lost."""

    def items() -> Iterator[float]:
        yield 2.0
        yield 1.0
        raise ZeroDivisionError

    stream = concurrent_map(wait, items(), buffersize=5, ordered=False, readers=set())
    assert [await anext(stream), await anext(stream)] == [1.0, 2.0]
    with pytest.raises(ZeroDivisionError):
        await anext(stream)


async def test_error_of_the_work_ends_the_stream_and_cancels_the_rest() -> None:
    """The fixture checks that no task is left."""

    async def work(seconds: float) -> None:
        if seconds == 1.0:
            raise ZeroDivisionError
        await asyncio.sleep(1000.0)

    with pytest.raises(ZeroDivisionError):
        await anext(concurrent_map(work, [5.0, 1.0, 5.0], buffersize=5, ordered=False, readers=set()))


async def test_stream_whose_reader_is_cancelled_says_that_the_session_was_closed() -> None:
    """Its owner cancels it; results that are ready come first."""
    readers: set[asyncio.Task[None]] = set()

    async def items() -> AsyncIterator[float]:
        yield 1.0
        await asyncio.sleep(1000.0)

    stream = concurrent_map(wait, items(), buffersize=5, ordered=False, readers=readers)
    asyncio.get_running_loop().call_later(0.5, lambda: next(iter(readers)).cancel())
    assert await anext(stream) == 1.0
    with pytest.raises(SessionClosed, match="before all requests were submitted"):
        await anext(stream)
    assert readers == set()


async def test_cancelled_consumer_leaves_no_task() -> None:
    """Neither what reads nor what works."""
    stream = concurrent_map(wait, [1000.0] * 10, buffersize=5, ordered=True, readers=set())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await anext(stream)
    await stream.aclose()
