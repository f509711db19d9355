"""The log at INFO: the story of each job in four lines, and nothing that is secret."""

import logging
from pathlib import Path

import attrs
import pytest

from tests.internals import parts_of
from veo_async import Clip, errors
from veo_async.simulator import drop_after_accepting, html_page

from .support import memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time


@pytest.fixture(autouse=True)
def _at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "veo_async")


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """Return what was logged at *level* or above."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


async def test_saved_job_logs_exactly_four_lines(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Queued, sent with its task, finished after how long, and where it was saved."""

    async def save(clip: Clip, target: str) -> Clip:
        return attrs.evolve(clip, files=(Path(target),), sizes=((1280, 720),))

    sim = memory()
    session = session_on(sim)
    parts_of(session).clip_saver.save = save  # type: ignore[method-assign]  # downloads are tested elsewhere
    async with session as veo:
        await veo.generate("A dog", key="dog", save_to=tmp_path / "dog.mp4")
        task_id = veo.job("dog").task_id
    assert lines(caplog) == [
        "job dog: queued",
        f"job dog: sent, task {task_id}",
        "job dog: finished after 60 s",
        f"job dog: saved to {tmp_path / 'dog.mp4'}",
    ]


@pytest.mark.parametrize(
    ("prompt", "last", "count"),
    [
        ("A dog [refuse]", "job dog: refused: content policy", 2),
        ("A dog [refuse-late]", "job dog: refused: content policy", 3),
        ("A dog [fail]", "job dog: failed: the provider failed", 3),
    ],
)
async def test_job_without_a_clip_logs_why_in_its_last_line(
    caplog: pytest.LogCaptureFixture, prompt: str, last: str, count: int
) -> None:
    """The provider's words, codes and ids are at DEBUG."""
    async with world() as (veo, _):
        outcome = await (await veo.submit(prompt, key="dog")).finished()
    assert len(lines(caplog)) == count
    assert lines(caplog)[-1] == last
    assert f"job dog: {outcome.detail}" in lines(caplog, logging.DEBUG)  # type: ignore[union-attr]


async def test_job_in_doubt_logs_that_and_its_resubmission(caplog: pytest.LogCaptureFixture) -> None:
    """Another request may be charged again, so it is in the log."""
    async with world(faults=[drop_after_accepting(on=1)], may_double=True) as (veo, _):
        job = await veo.submit("A dog", key="dog")
        with pytest.raises(errors.ResponseLost):
            await job
        await job.resubmit()
        await job
    assert lines(caplog)[:3] == [
        "job dog: queued",
        "job dog: in doubt: the response was lost",
        "job dog: resubmitted, may be charged twice",
    ]
    assert len(lines(caplog)) == 5
    assert lines(caplog, logging.WARNING) == ["job dog: in doubt: the response was lost"]


async def test_failed_polls_are_logged_at_debug_only(caplog: pytest.LogCaptureFixture) -> None:
    """They end no job."""
    async with world(faults=[html_page(502, on=1, endpoint="record-info")]) as (veo, _):
        await veo.generate("A dog", key="dog")
    assert len([line for line in lines(caplog) if line.startswith("job dog")]) == 3
    assert any(line.startswith("poll failed") for line in lines(caplog, logging.DEBUG))
    assert not any(line.startswith("poll failed") for line in lines(caplog))


async def test_log_has_neither_prompt_nor_key(caplog: pytest.LogCaptureFixture) -> None:
    """At no level."""
    async with world() as (veo, sim):
        await veo.gather("A very private prompt", "Another very private prompt [fail]")
    text = "\n".join(lines(caplog, logging.DEBUG))
    assert "private" not in text
    assert sim.api_key not in text
