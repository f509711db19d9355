"""The fault matrix where it touches lists: thousands of rows, hooks that raise, disks that are full."""

import asyncio
import errno
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.support import memory, session_on
from veo_async import errors
from veo_async._rules.gate.values import LearnedLimits
from veo_async._runtime.job.outcome import Clip
from veo_async.batch import report as pictures
from veo_async.batch import run as room
from veo_async.batch.results import Results, RowResult
from veo_async.batch.run import Batch
from veo_async.simulator import Simulator

from .test_run import manifest, on, table


@pytest.mark.veo_virtual_time
async def test_row_84_thousands_of_rows_in_their_order_and_one_thousand_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are taken in as others end, so what is under way is bounded; they are sent in the list's own order."""

    async def save(clip: Clip, folder: Path) -> tuple[Path, ...]:
        return (folder / f"{clip.key}.mp4",)

    def note(_: RowResult) -> None:
        if not next(lines) % 50:
            following.append(sum(task.get_name() == "veo.batch" for task in asyncio.all_tasks()))

    monkeypatch.setattr(pictures, "write_sheets", lambda folder, stills: [])
    rows = manifest(*(f"Dog {number}" for number in range(3000)))
    sim = memory(limiter="none", max_logged_requests=10_000, duration_s=60.0)
    session = session_on(sim, rate=(2000, 1.0), max_in_flight=500, polls_per_second=2000.0, poll_every=30.0)
    session._clip_saver.save = save  # type: ignore[method-assign]  # the films are another test's business
    following: list[int] = []
    lines = itertools.count()
    async with session as veo:
        report = await Batch(veo, rows, tmp_path / "out", now=lambda: 1.75e9, on_result=note).run()
    assert report.counts == {"saved": 3000}
    assert 500 <= max(following) <= room.MAX_OPEN_ROWS
    sent = [int(str(charge.body["prompt"]).split()[1]) for charge in sim.charges]
    assert sent == sorted(sent)
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 3000


async def test_row_86_a_hook_that_raises_harms_no_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told in the log; every row has its line."""

    def hook(line: RowResult) -> None:
        raise RuntimeError(line.row.key)

    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        report = await Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9, on_result=hook).run()
    assert report.counts == {"saved": 2}
    assert "on_result raised" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_row_76_a_folder_that_cannot_be_written_is_known_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Full, forbidden or read-only: its name, the reason, what to do."""

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(errors.UsageError, match=f"{os.strerror(number)}; name a folder that can be written"):
        Results(tmp_path, manifest("A"))


async def test_row_76_a_disk_that_fills_up_meanwhile_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says so when it ends; the films are there, and the same list again pays for nothing."""
    rows, out = manifest("A", "B"), tmp_path / "out"
    calls = 0

    def fail_once(self: Results, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, text)

    append = Results._append
    monkeypatch.setattr(Results, "_append", fail_once)
    async with Simulator(duration_s=0.2) as sim:
        async with on(sim, tmp_path) as veo:
            with pytest.raises(errors.ResultsWriteError, match="run the same command again; you will not be charged"):
                await Batch(veo, rows, out, now=lambda: 1.75e9).run()
        assert sorted(film.name for film in out.glob("*.mp4")) == ["row-1.mp4", "row-2.mp4"]
        async with on(sim, tmp_path) as veo:
            assert (await Batch(veo, rows, out, now=lambda: 1.75e9).run()).counts == {"saved": 2}
        assert len(sim.charges) == 2
    told = [json.loads(line)["key"] for line in (out / "results.jsonl").read_text().splitlines()]
    assert set(told) == {"row-1", "row-2"}


async def test_row_83_the_price_of_a_list_leaves_out_what_is_paid_for(tmp_path: Path) -> None:
    """And takes in what was refused, because that would be sent again."""
    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        first = Batch(veo, manifest("A", "B [refuse]"), tmp_path / "out", now=lambda: 1.75e9)
        assert await first.price() == 120.0
        await first.run()
        again = Batch(veo, manifest("A", "B again", "C"), tmp_path / "out", now=lambda: 1.75e9)
        assert await again.price() == 120.0


async def test_where_a_run_stands_can_be_asked_at_any_time(tmp_path: Path) -> None:
    """Rows that wait, jobs that are there, credits that are spent: before, meanwhile, after."""
    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        batch = Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9)
        assert (batch.not_submitted, len(batch.jobs), batch.spent) == (2, 0, 0.0)
        running = asyncio.create_task(batch.run())
        while batch.not_submitted:  # noqa: ASYNC110  # nothing tells of a row that was taken in
            await asyncio.sleep(0)
        assert len(batch.jobs) == 2
        await running
        assert (batch.not_submitted, batch.spent) == (0, 120.0)


async def test_a_key_that_is_taken_is_a_fault_of_its_row_alone(tmp_path: Path) -> None:
    """Somebody has changed a prompt and not the key: the clip that is there is not paid anew, the others are made."""
    async with Simulator(duration_s=0.2) as sim, on(sim, tmp_path) as veo:
        await Batch(veo, manifest("A"), tmp_path / "out", now=lambda: 1.75e9).run()
        report = await Batch(veo, manifest("A changed", "B"), tmp_path / "out", now=lambda: 1.75e9).run()
        assert report.counts == {"saved": 1, "refused": 1}
        assert len(sim.charges) == 2
    [rejected] = table(tmp_path / "out" / "rejected.csv")
    assert rejected["prompt"] == "A changed"
    assert "row-1" in rejected["why"]


async def test_a_clip_that_could_not_be_saved_is_ready_and_no_row_to_be_fed_again(tmp_path: Path) -> None:
    """It is paid for: the next run fetches it, and a changed row would pay for another."""

    async def save(clip: Clip, folder: Path) -> tuple[Path, ...]:
        raise errors.DownloadFailed("no route")

    async with Simulator(duration_s=0.2) as sim:
        session = on(sim, tmp_path)
        session._clip_saver.save = save  # type: ignore[method-assign]  # what stands in its way is another test's business
        async with session as veo:
            report = await Batch(veo, manifest("A"), tmp_path / "out", now=lambda: 1.75e9).run()
        assert (report.counts, report.credits) == ({"ready": 1}, 60.0)
        [line] = table(tmp_path / "out" / "results.csv")
        assert (line["status"], line["credits"]) == ("ready", "60")
        assert "no route" in line["error"]
        assert not (tmp_path / "out" / "rejected.csv").exists()
        async with on(sim, tmp_path) as veo:
            assert (await Batch(veo, manifest("A"), tmp_path / "out", now=lambda: 1.75e9).run()).counts == {"saved": 1}
        assert len(sim.charges) == 1


async def test_row_83_what_an_earlier_run_has_queued_counts_against_the_budget(tmp_path: Path) -> None:
    """It was not paid for yet and will be sent: new rows get what is left, and what was spent is told in full."""
    async with Simulator(duration_s=0.2) as sim:
        async with on(sim, tmp_path, rate=(1, 3600.0), explore=False) as veo:
            batch = Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9)
            asyncio.get_running_loop().call_later(0.5, batch.stop_sending)
            assert (await batch.run()).counts == {"saved": 1, "queued": 1}
        async with on(sim, tmp_path, rate=(20, 10.0), knowledge=LearnedLimits(limit=20.0, margin_s=0.06)) as veo:
            batch = Batch(veo, manifest("A", "B", "C", "D"), tmp_path / "out", now=lambda: 1.75e9, budget=130.0)
            assert await batch.price() == 180.0
            report = await batch.run()
        assert (report.counts, report.over_budget, report.credits) == ({"saved": 3}, 1, 120.0)
        assert len(sim.charges) == 3
