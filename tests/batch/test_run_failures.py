"""Running a list under load and failures: thousands of rows, hooks that raise, full disks, used keys."""

import asyncio
import errno
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.internals import parts_of
from tests.runtime.support import memory, session_on
from veo_async import errors
from veo_async._rules.gate.values import LearnedLimits
from veo_async._runtime.job.outcome import Clip
from veo_async.batch import report as report_module
from veo_async.batch.result_log import ResultLog
from veo_async.batch.results import Results, RowResult
from veo_async.batch.run import MAX_OPEN_ROWS, Batch
from veo_async.settings import Budget
from veo_async.simulator import Simulator

from .test_run import manifest, on, table


@pytest.mark.slow
@pytest.mark.veo_virtual_time
async def test_thousands_of_rows_are_sent_in_order_with_bounded_open_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are submitted as others finish, so the number of open rows is bounded; they are sent in list order."""

    async def save(clip: Clip, target: str) -> Clip:
        return attrs.evolve(clip, files=(Path(target) / f"{clip.key}.mp4",))

    def count_open_rows(_: RowResult) -> None:
        if not next(results) % 50:
            open_rows.append(sum(task.get_name() == "veo.batch" for task in asyncio.all_tasks()))

    monkeypatch.setattr(report_module, "write_sheets", lambda folder, tiles: [])
    rows = manifest(*(f"Dog {number}" for number in range(3000)))
    sim = memory(limiter="none", max_logged_requests=10_000, duration_s=60.0)
    session = session_on(sim, rate=(2000, 1.0), max_in_flight=500, polls_per_second=2000.0, poll_every=30.0)
    parts_of(session).clip_saver.save = save  # type: ignore[method-assign]  # downloads are tested elsewhere
    open_rows: list[int] = []
    results = itertools.count()
    async with session as veo:
        report = await Batch(veo, rows, tmp_path / "out", now=lambda: 1.75e9, on_result=count_open_rows).run()
    assert report.counts == {"saved": 3000}
    assert 500 <= max(open_rows) <= MAX_OPEN_ROWS
    sent = [int(str(charge.body["prompt"]).split()[1]) for charge in sim.charges]
    assert sent == sorted(sent)
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 3000


async def test_raising_hook_is_logged_and_affects_no_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every row still has its result."""

    def hook(result: RowResult) -> None:
        raise RuntimeError(result.row.key)

    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        report = await Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9, on_result=hook).run()
    assert report.counts == {"saved": 2}
    assert "on_result raised" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_unwritable_folder_is_reported_when_results_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The error of a full, forbidden or read-only disk has the reason and a remedy."""

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(errors.UsageError, match=f"{os.strerror(number)}; choose a writable folder"):
        Results(tmp_path, manifest("A"))


async def test_disk_that_fills_up_during_a_run_loses_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run raises at its end, all clips are saved, and running the list again charges nothing."""
    rows, out = manifest("A", "B"), tmp_path / "out"
    calls = 0

    def fail_once(self: ResultLog, values: Mapping[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, values)

    append = ResultLog.append
    monkeypatch.setattr(ResultLog, "append", fail_once)
    async with Simulator(duration_s=0.2) as sim:
        async with on(sim, tmp_path) as veo:
            with pytest.raises(errors.ResultsWriteError, match="run the same command again; you will not be charged"):
                await Batch(veo, rows, out, now=lambda: 1.75e9).run()
        assert sorted(video.name for video in out.glob("*.mp4")) == ["row-1.mp4", "row-2.mp4"]
        async with on(sim, tmp_path) as veo:
            assert (await Batch(veo, rows, out, now=lambda: 1.75e9).run()).counts == {"saved": 2}
        assert len(sim.charges) == 2
    keys = [json.loads(line)["key"] for line in (out / "results.jsonl").read_text().splitlines()]
    assert set(keys) == {"row-1", "row-2"}


async def test_price_of_a_list_excludes_clips_already_paid_for(tmp_path: Path) -> None:
    """It includes refused rows, because they would be sent again."""
    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        first = Batch(veo, manifest("A", "B [refuse]"), tmp_path / "out", now=lambda: 1.75e9)
        assert await first.price() == 120.0
        await first.run()
        again = Batch(veo, manifest("A", "B again", "C"), tmp_path / "out", now=lambda: 1.75e9)
        assert await again.price() == 120.0


async def test_progress_can_be_read_before_during_and_after_a_run(tmp_path: Path) -> None:
    """Rows not submitted, jobs and spent credits are always up to date."""
    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        batch = Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9)
        assert (batch.not_submitted, len(batch.jobs), batch.spent) == (2, 0, 0.0)
        running = asyncio.create_task(batch.run())
        while batch.not_submitted:  # noqa: ASYNC110  # there is no event for a submitted row
            await asyncio.sleep(0)
        assert len(batch.jobs) == 2
        await running
        assert (batch.not_submitted, batch.spent) == (0, 120.0)


async def test_key_of_another_request_rejects_only_its_row(tmp_path: Path) -> None:
    """A prompt was edited and its key was not: nothing is charged for that row, and the others are generated."""
    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        await Batch(veo, manifest("A"), tmp_path / "out", now=lambda: 1.75e9).run()
        report = await Batch(veo, manifest("A changed", "B"), tmp_path / "out", now=lambda: 1.75e9).run()
        assert report.counts == {"saved": 1, "refused": 1}
        assert len(sim.charges) == 2
    [rejected] = table(tmp_path / "out" / "rejected.csv")
    assert rejected["prompt"] == "A changed"
    assert rejected["error"].startswith("the key belongs to another request. Use a different key")


async def test_clip_that_could_not_be_saved_is_ready_and_not_rejected(tmp_path: Path) -> None:
    """It was charged, so the next run downloads it; an edited row would pay for another clip."""

    async def save(clip: Clip, target: str) -> Clip:
        raise errors.DownloadFailed("no route")

    async with Simulator(duration_s=0.2) as sim:
        session = on(sim, tmp_path)
        parts_of(session).clip_saver.save = save  # type: ignore[method-assign]  # failed downloads are tested elsewhere
        async with session as veo:
            report = await Batch(veo, manifest("A"), tmp_path / "out", now=lambda: 1.75e9).run()
        assert (report.counts, report.credits) == ({"ready": 1}, 60.0)
        [line] = table(tmp_path / "out" / "results.csv")
        assert (line["status"], line["credits"]) == ("ready", "60")
        assert "no route" in line["detail"]
        assert not (tmp_path / "out" / "rejected.csv").exists()
        async with on(sim, tmp_path) as veo:
            assert (await Batch(veo, manifest("A"), tmp_path / "out", now=lambda: 1.75e9).run()).counts == {"saved": 1}
        assert len(sim.charges) == 1


async def test_jobs_queued_by_an_earlier_run_count_in_price_budget_and_spent(tmp_path: Path) -> None:
    """They are not paid for and will be sent, so new rows get the rest of the budget."""
    async with Simulator(duration_s=0.2) as sim:
        budget = Budget(180.0, name="list")
        async with on(sim, tmp_path, rate=(1, 3600.0), explore=False, budget=budget) as veo:
            batch = Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9)
            asyncio.get_running_loop().call_later(0.5, batch.stop_sending)
            assert (await batch.run()).counts == {"saved": 1, "queued": 1}
        async with on(sim, tmp_path, rate=(1, 3600.0), explore=False, budget=budget) as veo:
            batch = Batch(veo, manifest("A", "B", "C", "D"), tmp_path / "out", now=lambda: 1.75e9)
            assert await batch.price() == 180.0
        knowledge = LearnedLimits(limit=20.0, margin_s=0.06)
        async with on(sim, tmp_path, rate=(20, 10.0), knowledge=knowledge, budget=budget) as veo:
            report = await Batch(veo, manifest("A", "B", "C", "D"), tmp_path / "out", now=lambda: 1.75e9).run()
        assert (report.counts, report.over_budget, report.credits) == ({"saved": 3}, 1, 180.0)
        assert len(sim.charges) == 3
