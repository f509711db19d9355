"""`progress=`: what a caller who waits gets to see, and that it never affects the job."""

import asyncio
import logging
from typing import Any

import pytest

from veo_async import errors
from veo_async.progress import Progress
from veo_async.simulator import drop_after_accepting
from veo_async.types import JobState

from .support import now, world

pytestmark = pytest.mark.veo_virtual_time


async def test_generate_reports_every_state_each_second_and_the_outcome() -> None:
    """A clip of a minute: about 60 calls, in order, and the last one has the outcome."""
    seen: list[Progress] = []
    async with world() as (veo, _):
        clip = await veo.generate("A dog", key="dog", progress=seen.append)
        assert 55 <= len(seen) <= 80
        states = [*dict.fromkeys(item.state for item in seen)]
        assert states == [JobState.SENDING, JobState.RUNNING, JobState.READY]
        assert {item.key for item in seen} == {"dog"}
        assert [item.elapsed_s for item in seen] == sorted(item.elapsed_s for item in seen)
        assert [item.is_finished for item in seen] == [False] * (len(seen) - 1) + [True]
        assert seen[-1].text == f"done: {clip}"
        assert seen[-1].eta is None


async def test_estimate_falls_while_the_clip_is_generated() -> None:
    """A progress bar moves: `fraction` goes from 0 to 1."""
    seen: list[Progress] = []
    async with world() as (veo, _):
        await veo.generate("A dog", progress=seen.append)
    running = [item for item in seen if item.state is JobState.RUNNING]
    left = [item.eta.p50 for item in running if item.eta is not None]
    assert len(left) == len(running)
    assert left[0] > left[30] > 0
    assert running[0].fraction < 0.1 < running[30].fraction < 1.0 == seen[-1].fraction
    assert running[0].text.startswith("generating, about ")


async def test_job_behind_others_reports_its_position() -> None:
    """It says how many jobs are sent first."""
    seen: list[Progress] = []
    async with world(session={"max_in_flight": 1}) as (veo, _):
        for key in ("a", "b"):
            await veo.submit(f"A dog {key}", key=key)
        job = await veo.submit("A cat", key="c")
        await job.wait(progress=seen.append)
    assert seen[0].queue_position == 1
    assert seen[0].text.startswith("queued behind 1 job, about ")
    assert {item.queue_position for item in seen if item.state is JobState.RUNNING} == {None}


async def test_paused_job_reports_why() -> None:
    """It is not merely slow."""
    seen: list[Progress] = []
    async with world(credits=0.0) as (veo, _):
        job = await veo.submit("A dog")
        with pytest.raises(errors.StillRunning):
            await job.wait(30, progress=seen.append)
    assert seen[-1].pause_reason == "insufficient-credits"
    assert seen[-1].text == "paused: insufficient credits"


@pytest.mark.parametrize(
    ("prompt", "text"), [("A dog [refuse]", "refused: k: content policy."), ("A dog [fail]", "failed: k: ")]
)
async def test_last_text_of_an_unsuccessful_job_says_why(prompt: str, text: str) -> None:
    """And the error is raised as always."""
    seen: list[Progress] = []
    async with world() as (veo, _):
        with pytest.raises(errors.VeoError):
            await veo.generate(prompt, key="k", progress=seen.append)
    assert seen[-1].is_finished
    assert seen[-1].text.startswith(text)


async def test_job_in_doubt_ends_the_progress() -> None:
    """Nothing more happens until the user decides."""
    seen: list[Progress] = []
    async with world(faults=[drop_after_accepting(on=1)]) as (veo, _):
        with pytest.raises(errors.ResponseLost):
            await veo.generate("A dog", progress=seen.append)
    assert seen[-1].is_finished
    assert seen[-1].text.startswith("in doubt: ")


async def test_finished_job_is_reported_once() -> None:
    """There is nothing to wait for."""
    seen: list[Progress] = []
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        await job
        await job.wait(progress=seen.append)
    assert [item.is_finished for item in seen] == [True]


async def test_two_waiters_report_independently() -> None:
    """Each counts from the moment when it began to wait."""
    first: list[Progress] = []
    second: list[Progress] = []
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        waiting = asyncio.create_task(job.wait(progress=first.append), name="first")
        await asyncio.sleep(30)
        await job.wait(progress=second.append)
        await waiting
    assert first[-1].elapsed_s == pytest.approx(second[-1].elapsed_s + 30, abs=0.1)


class Failing:
    """A callback that raises, at the given call."""

    def __init__(self, error: BaseException, on: int) -> None:
        self.error, self.on, self.calls, self.closed = error, on, 0, 0

    def __call__(self, _: Progress) -> None:
        self.calls += 1
        if self.calls == self.on:
            raise self.error

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), TimeoutError()])
@pytest.mark.parametrize("on", [1, 30])
async def test_callback_that_raises_is_logged_once_and_the_job_continues(
    error: BaseException, on: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not called again, and it is closed."""
    failing = Failing(error, on)
    async with world() as (veo, sim):
        assert (await veo.generate("A dog", progress=failing)).url
        assert len(sim.charges) == 1
    assert (failing.calls, failing.closed) == (on, 1)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "the progress callback raised; it is not called again"
    ]


async def test_close_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The clip is returned anyway."""

    class Broken:
        def __call__(self, _: Progress) -> None: ...

        def close(self) -> None:
            raise ValueError("no")

    async with world() as (veo, _):
        assert (await veo.generate("A dog", progress=Broken())).url
    assert "close() of the progress callback raised" in caplog.text


async def test_async_callback_is_awaited_up_to_the_last_call() -> None:
    """For example one that edits a chat message."""
    seen: list[Progress] = []

    async def edit(progress: Progress) -> None:
        await asyncio.sleep(0.5)
        seen.append(progress)

    async with world() as (veo, _):
        await veo.generate("A dog", progress=edit)
    assert seen[-1].is_finished


async def test_hanging_callback_delays_the_clip_by_seconds_at_most() -> None:
    """It is cancelled."""

    async def hang(_: Progress) -> None:
        await asyncio.sleep(3600)

    async with world() as (veo, _):
        began_at = now()
        await veo.generate("A dog", progress=hang)
        assert now() - began_at < 75


async def test_cancelled_wait_closes_the_callback_and_leaves_the_job_alone() -> None:
    """A line on a terminal is erased."""
    callback = Failing(ValueError(), on=0)
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        waiting = asyncio.create_task(job.wait(progress=callback), name="waiting")
        await asyncio.sleep(10)
        waiting.cancel()
        await asyncio.wait([waiting])
        calls = callback.calls
        assert callback.closed == 1
        assert (await job).url
        assert callback.calls == calls


async def test_closed_session_ends_the_progress() -> None:
    """The waiter gets the error, and the callback is closed."""
    callback = Failing(ValueError(), on=0)
    async with world() as (veo, _):
        job = await veo.submit("A dog")
        waiting = asyncio.create_task(job.wait(progress=callback), name="waiting")
        await asyncio.sleep(10)
        await veo.close()
        with pytest.raises(errors.SessionClosed):
            await waiting
    assert callback.closed == 1


@pytest.mark.parametrize("progress", ["yes", 1, None, 0.5])
async def test_wrong_progress_is_refused_before_anything_is_sent(progress: Any) -> None:
    """The error names the argument."""
    async with world() as (veo, sim):
        with pytest.raises(errors.UsageError, match="progress="):
            await veo.generate("A dog", progress=progress)
        assert sim.requests_to() == ()


async def test_progress_true_writes_a_line_for_each_state_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in a pipe or a log file; nothing goes to standard output."""
    async with world() as (veo, _):
        clip = await veo.generate("A dog", progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    sending, generating, finished = output.err.splitlines()
    assert sending.startswith("0:00  sending, about ")
    assert generating.startswith("0:00  generating, about ")
    assert finished.startswith("1:0")
    assert finished.endswith(f"  done: {clip}")


async def test_follow_ups_report_their_progress() -> None:
    """They take as long as a clip."""
    seen: list[Progress] = []
    async with world() as (veo, _):
        clip = await veo.generate("A dog")
        longer = await veo.extend(clip, "It barks", progress=seen.append)
        assert (seen[-1].key, seen[-1].is_finished) == (longer.key, True)
        upgraded = await veo.upgrade(clip, progress=seen.append)
        assert (seen[-1].key, seen[-1].is_finished) == (upgraded.key, True)
        with pytest.raises(errors.UsageError, match="progress="):
            await veo.upgrade(clip, progress="yes")  # type: ignore[arg-type]
