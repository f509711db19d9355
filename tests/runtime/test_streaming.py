"""`map` and `gather`: lazy, bounded, in order or as completed, and stopping early leaks nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.internals import reader_tasks_of
from veo_async import VideoRequest, errors
from veo_async._runtime.job.outcome import Done, Failed, InDoubt, Refused
from veo_async.simulator import drop_after_accepting, refuse

from .support import let_run, world

pytestmark = pytest.mark.veo_virtual_time


def prompt_of(outcome: Any) -> str:
    return str(outcome.clip.request.prompt)


async def test_ordered_outcomes_follow_the_input() -> None:
    """Even if the first clip takes ten times as long."""
    async with world() as (veo, _):
        prompts = ["Dog 0 [slow]", *(f"Dog {i}" for i in range(1, 10))]
        assert [prompt_of(outcome) async for outcome in veo.map(prompts, ordered=True)] == prompts


async def test_unordered_outcomes_follow_completion() -> None:
    """The slow clip comes last, wherever it is in the input."""
    async with world() as (veo, _):
        prompts = ["Dog 0 [slow]", *(f"Dog {i}" for i in range(1, 10))]
        got = [prompt_of(outcome) async for outcome in veo.map(prompts)]
        assert got[-1] == prompts[0]
        assert sorted(got) == sorted(prompts)


@pytest.mark.parametrize("ordered", [True, False])
async def test_buffersize_of_one_submits_one_by_one(ordered: bool) -> None:
    """The next request is submitted after the previous outcome was yielded."""
    async with world() as (veo, _):
        taken: list[int] = []
        out = 0

        def items() -> Iterator[str]:
            for i in range(4):
                taken.append(i)
                yield f"Dog {i}"

        async for _outcome in veo.map(items(), buffersize=1, ordered=ordered):
            out += 1
            assert len(taken) <= out + 1
            assert sum(job.outcome is None for job in veo.jobs()) <= 1
        assert out == 4


async def test_input_is_read_no_further_than_buffersize() -> None:
    """An endless input works."""
    async with world() as (veo, _):
        taken = 0

        def endless() -> Iterator[str]:
            nonlocal taken
            while True:
                taken += 1
                yield f"Dog {taken}"

        outcomes = veo.map(endless(), buffersize=10)
        first = await anext(outcomes)
        assert isinstance(first, Done)
        await let_run(100)
        assert taken <= 11
        await outcomes.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(100)
        assert taken <= 12


@pytest.mark.parametrize("buffersize", [0, -1])
async def test_buffersize_below_one_is_rejected(buffersize: int) -> None:
    """It would wait forever."""
    async with world() as (veo, _):
        with pytest.raises(errors.UsageError, match="buffersize"):
            veo.map(["A dog"], buffersize=buffersize)


async def test_async_input_is_accepted() -> None:
    """It may pause between two items; jobs of earlier items continue in the meantime."""
    async with world() as (veo, sim):

        async def slow() -> AsyncIterator[str]:
            for i in range(3):
                yield f"Dog {i}"
                await asyncio.sleep(100)

        started_at = asyncio.get_running_loop().time()
        at = [round(asyncio.get_running_loop().time() - started_at) async for _ in veo.map(slow())]
        assert all(60 + 100 * i <= t < 68 + 100 * i for i, t in enumerate(at))
        assert len(sim.requests_to()) == 3


async def test_failures_of_every_kind_are_yielded() -> None:
    """Invalid, of a wrong type, refused, failed, in doubt, a reused key: each affects only itself."""
    async with world(faults=[drop_after_accepting(on=2)]) as (veo, _):
        mixed: list[Any] = [
            "One",
            "Two",
            VideoRequest("Three", seeds=1),
            4,
            "Five [refuse]",
            "Six [fail]",
            "Seven [refuse-late]",
        ]
        outcomes = await veo.gather(*mixed)
        assert [type(o) for o in outcomes] == [Done, InDoubt, Refused, Refused, Refused, Failed, Refused]
        same = [o async for o in veo.map(["Eight", "Nine"], key=lambda _: "one key", ordered=True)]
        assert [type(o) for o in same] == [Done, Refused]
        assert isinstance(same[1], Refused)
        assert isinstance(same[1].error, errors.KeyReused)


async def test_same_request_twice_is_one_job_and_two_outcomes() -> None:
    """Both callers get the outcome; it is charged once."""
    async with world() as (veo, sim):
        first, second = await veo.gather("A dog", "A dog")
        assert first == second
        assert len(sim.requests_to()) == 1


@pytest.mark.parametrize("ordered", [True, False])
async def test_error_of_the_input_follows_the_outcomes_before_it(ordered: bool) -> None:
    """No clip that was charged is missing from the stream."""
    async with world() as (veo, _):

        def broken() -> Iterator[str]:
            yield "One"
            yield "Two"
            raise LookupError("row 3")

        got: list[Any] = []
        with pytest.raises(LookupError, match="row 3"):  # noqa: PT012  # what it raises in the end
            async for outcome in veo.map(broken(), ordered=ordered):
                got.append(outcome)  # noqa: PERF401  # it raises in the end
        assert [type(outcome) for outcome in got] == [Done, Done]


async def test_unread_error_of_the_input_is_not_reported_by_asyncio() -> None:
    """The caller stopped before the error was raised; collecting it logs no "exception was never retrieved"."""
    async with world() as (veo, _):

        def broken() -> Iterator[str]:
            yield "One"
            raise LookupError("row 2")

        async for _outcome in veo.map(broken()):
            break
        await let_run()


async def test_error_of_the_key_function_is_raised() -> None:
    """It is the caller's own error and is raised unchanged."""
    async with world() as (veo, _):

        def key(_: VideoRequest) -> str:
            raise LookupError("no key")

        with pytest.raises(LookupError, match="no key"):
            _ = [outcome async for outcome in veo.map(["A dog"], key=key)]


@pytest.mark.parametrize("buffersize", [1, 10])
async def test_error_of_the_key_function_does_not_wait_for_the_input(buffersize: int) -> None:
    """Even if the buffer is full, or the input yields nothing more for a day."""

    async def items() -> AsyncIterator[str]:
        yield "A dog"
        await asyncio.sleep(86400)

    async with world() as (veo, _):
        began_at = asyncio.get_running_loop().time()
        with pytest.raises(ZeroDivisionError):
            _ = [outcome async for outcome in veo.map(items(), key=lambda _: str(1 // 0), buffersize=buffersize)]
        assert asyncio.get_running_loop().time() - began_at < 60


async def test_requests_are_submitted_at_the_same_time_and_stay_in_order(tmp_path: Path) -> None:
    """The ledger stores several together, in the order of the input."""
    prompts = [f"Dog {i}" for i in range(100)]
    async with world(session={"ledger": tmp_path / "jobs.db"}) as (veo, _):
        got = [prompt_of(outcome) async for outcome in veo.map(prompts, ordered=True)]
        assert got == prompts
        assert [job.prompt async for job in veo.ledger.jobs()] == prompts


async def test_stopping_early_leaves_only_the_submitted_jobs() -> None:
    """The reader task ends immediately; jobs that were submitted complete in the session."""
    async with world() as (veo, sim):
        async for _outcome in veo.map((f"Dog {i}" for i in range(1000)), buffersize=5):
            break
        await let_run()
        assert not reader_tasks_of(veo)
        await veo.drain()
        assert 5 <= len(sim.requests_to()) <= 6


async def test_cancelled_reader_leaks_nothing() -> None:
    """Cancelling the task that waits for the next outcome ends the reader task as well."""
    async with world() as (veo, _):
        reading = asyncio.create_task(_read_all(veo.map(f"Dog {i}" for i in range(100))))
        await asyncio.sleep(10)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert not reader_tasks_of(veo)


async def _read_all(outcomes: Any) -> list[Any]:
    return [outcome async for outcome in outcomes]


async def test_full_queue_pauses_the_input() -> None:
    """For `map`, a bounded queue is back-pressure and refuses nothing."""
    async with world(session={"max_queued": 3, "rate": (5, 10.0)}, rate=(5, 10.0)) as (veo, sim):
        outcomes = await veo.gather(*[f"Dog {i}" for i in range(40)])
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert len(sim.requests_to()) == 40


async def test_queue_without_room_refuses_the_request() -> None:
    """Waiting would never end."""
    async with world() as (veo, _):
        veo.account.configure_tenant("t", max_queued=0)
        outcomes = [outcome async for outcome in veo.map(["A dog"], tenant="t")]
        assert isinstance(outcomes[0], Refused)
        assert isinstance(outcomes[0].error, errors.QueueFull)


async def test_lock_out_refuses_queued_jobs_and_completes_running_ones() -> None:
    """Clips that were started before the key was refused are still yielded."""
    async with world(faults=[refuse(401, after=3)], latency_s=0.1, session={"rate": (1, 1.0)}) as (veo, _):
        outcomes = await veo.gather(*[f"Dog {i}" for i in range(300)])
        assert len(outcomes) == 300
        assert sum(isinstance(outcome, Done) for outcome in outcomes) == 3
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 297


async def test_empty_input_yields_nothing() -> None:
    """The stream ends immediately."""
    async with world() as (veo, _):
        assert await veo.gather() == []
