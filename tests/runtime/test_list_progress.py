"""`progress=` of `map` and `gather`: what is reported, and that a callback cannot do harm."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sessions import session_arguments
from veo_async import Done, Refused, VeoSession
from veo_async.errors import UsageError
from veo_async.progress import ListProgress, Progress
from veo_async.simulator import MemoryTransport

pytestmark = pytest.mark.veo_virtual_time


@pytest.fixture
async def veo() -> AsyncIterator[VeoSession]:
    sim = MemoryTransport(duration_s=60.0)
    async with VeoSession(sim.api_key, **session_arguments(transport=sim)) as veo:
        yield veo


class Recorder:
    """Keeps what is reported, and whether it was closed."""

    def __init__(self) -> None:
        self.seen: list[ListProgress] = []
        self.is_closed = False

    def __call__(self, progress: Progress) -> None:
        assert isinstance(progress, ListProgress)
        assert not self.is_closed
        self.seen.append(progress)

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True


async def test_gather_reports_the_start_and_every_finished_job(veo: VeoSession) -> None:
    """The last report is the end."""
    recorder = Recorder()
    await veo.gather("A dog", "A cat [refuse]", "A fox", progress=recorder)
    assert [progress.text for progress in recorder.seen[::3]] == [
        "0 of 3 finished",
        "3 of 3 finished: 2 done, 1 refused",
    ]
    assert [(progress.finished, progress.total) for progress in recorder.seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [progress.is_finished for progress in recorder.seen] == [False, False, False, True]
    assert [round(progress.fraction, 2) for progress in recorder.seen] == [0, 0.33, 0.67, 1]
    assert recorder.seen[-1].elapsed_s >= 60.0
    assert recorder.is_closed


async def test_job_behind_a_slow_one_is_counted_when_it_finishes(veo: VeoSession) -> None:
    """Also if the outcomes come in the order of the requests."""
    recorder = Recorder()
    await veo.gather("A dog [slow]", "A cat", progress=recorder)
    assert recorder.seen[1].finished == 1
    assert recorder.seen[1].elapsed_s < recorder.seen[2].elapsed_s - 30


async def test_generator_is_counted_as_it_is_read_and_ends(veo: VeoSession) -> None:
    """Its length is not known, so only its end says that all have finished."""

    def prompts() -> Iterator[str]:
        yield from ("A dog", "A cat", "A fox")

    recorder = Recorder()
    outcomes = [outcome async for outcome in veo.map(prompts(), progress=recorder)]
    assert [type(outcome) for outcome in outcomes] == [Done] * 3
    assert [progress.is_finished for progress in recorder.seen] == [False] * 4 + [True]
    assert recorder.seen[0].total == 1
    assert recorder.seen[-1].text == "3 of 3 finished: 3 done"


async def test_empty_list_reports_its_end(veo: VeoSession) -> None:
    """What shows the progress must not stay open."""
    recorder = Recorder()
    assert await veo.gather(progress=recorder) == []
    assert [(progress.text, progress.is_finished) for progress in recorder.seen] == [("0 of 0 finished", True)]
    assert recorder.is_closed


async def test_leaving_the_stream_early_closes_the_callback(veo: VeoSession) -> None:
    """It is not called any more, and the end is not reported."""
    recorder = Recorder()
    stream = veo.map(["A dog", "A cat [slow]"], progress=recorder)
    await anext(stream)
    await stream.aclose()
    await veo.drain()
    assert recorder.is_closed
    assert not recorder.seen[-1].is_finished


async def test_callback_that_raises_is_logged_once_and_harms_no_job(
    veo: VeoSession, caplog: pytest.LogCaptureFixture
) -> None:
    """All outcomes come."""

    def broken(_: Progress) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "veo_async"):
        outcomes = await veo.gather("A dog", "A cat [refuse]", progress=broken)
    assert [type(outcome) for outcome in outcomes] == [Done, Refused]
    assert [record.getMessage() for record in caplog.records] == [
        "the progress callback raised; it is not called again"
    ]


async def test_async_callback_is_rejected(veo: VeoSession) -> None:
    """Nothing could wait for it between two outcomes."""

    async def show(_: Progress) -> None: ...

    with pytest.raises(UsageError, match=r"progress=.*must be a plain function"):
        await veo.gather("A dog", progress=show)
    assert veo.jobs() == []
