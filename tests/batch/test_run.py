"""Running a list over a session: each clip is paid for once, the budget holds, and an early stop loses nothing."""

import asyncio
import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import session_arguments
from veo_async import VeoSession, errors
from veo_async._wire import KIE
from veo_async.batch.manifest import Manifest, read_manifest
from veo_async.batch.results import RowResult
from veo_async.batch.run import Batch, Report
from veo_async.media import check_complete
from veo_async.settings import PRICES, Budget
from veo_async.simulator import Simulator, drop_after_accepting, refuse

pytestmark = pytest.mark.realtime


def manifest(*prompts: str) -> Manifest:
    text = "key,prompt\n" + "".join(f"row-{n},{prompt}\n" for n, prompt in enumerate(prompts, 1))
    return read_manifest(text.encode(), "csv", KIE)


def on(sim: Simulator, folder: Path, **options: Any) -> VeoSession:
    return VeoSession(
        sim.api_key,
        **session_arguments(base_url=sim.url, ledger=folder / "veo.db", account="studio", poll_every=0.1, **options),
    )


async def run(sim: Simulator, rows: Manifest, folder: Path, **options: Any) -> Report:
    budget, prices = Budget(options.pop("budget", None), name="list"), options.pop("prices", PRICES)
    async with on(sim, folder, budget=budget, prices=prices) as veo:
        return await Batch(veo, rows, folder / "out", now=lambda: 1.75e9, **options).run()


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))


async def test_gallery_shows_the_time_that_passed_although_the_simulator_is_accelerated(tmp_path: Path) -> None:
    """At 60 times real time, jobs of one and a half minutes took the user two seconds: the page says so."""
    loop, began = asyncio.get_running_loop(), datetime.now(UTC)
    loop_start = loop.time()
    async with Simulator(duration_s=90.0, speed=60.0) as sim, on(sim, tmp_path) as veo:
        now = lambda: datetime.now(UTC).timestamp()  # noqa: E731  # the wall clock
        report = await Batch(veo, manifest("A dog", "A fox"), tmp_path / "out", now=now).run()
    elapsed_s = loop.time() - loop_start
    shown = re.search(r"2 jobs over ([\d.]+) s,", report.page.read_text())
    assert shown is not None
    assert 0.5 <= float(shown[1]) / elapsed_s <= 1.25
    completed_at = datetime.fromisoformat(json.loads((tmp_path / "out" / "row-1.json").read_text())["completed_at"])
    assert -1 <= (completed_at - began).total_seconds() <= elapsed_s


async def test_run_writes_clips_results_and_gallery(tmp_path: Path) -> None:
    """Each row has its file, its result and its card; a refused row is in ``rejected.csv``."""
    rows = manifest("A dog", "A cat [refuse]", "A fox")
    results: list[RowResult] = []
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, rows, tmp_path, on_result=results.append)
        assert report.counts == {"saved": 2, "refused": 1}
        assert report.credits == 120.0
        out = tmp_path / "out"
        for name in ("row-1.mp4", "row-3.mp4"):
            with (out / name).open("rb") as file:
                check_complete(file)
        by_key = {line["key"]: line for line in table(out / "results.csv")}
        assert by_key["row-1"]["status"] == "saved"
        assert by_key["row-1"]["path"] == str(out / "row-1.mp4")
        assert by_key["row-2"]["status"] == "refused"
        [rejected] = table(out / "rejected.csv")
        assert rejected["prompt"] == "A cat [refuse]"
        assert rejected["error"]
        lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
        assert {line["key"] for line in lines} == {"row-1", "row-2", "row-3"} == {result.row.key for result in results}
        page = report.page.read_text("utf-8")
        assert "row-1.mp4" in page
        assert "A cat [refuse]" in page


async def test_rejected_csv_can_be_edited_and_run_as_a_list(tmp_path: Path) -> None:
    """Its column ``error`` is ignored, and is replaced when a row is rejected again."""
    async with Simulator(duration_s=0.2) as sim:
        await run(sim, manifest("A dog [refuse]", "A cat [refuse]"), tmp_path)
        rejected = tmp_path / "out" / "rejected.csv"
        edited = read_manifest(rejected.read_bytes().replace(b"A dog [refuse]", b"A dog"), "csv", KIE)
        report = await run(sim, edited, tmp_path)
        assert report.counts == {"saved": 1, "refused": 1}
        [header, *_] = rejected.read_text("utf-8-sig").splitlines()
        assert header == "key,prompt,list_row,error"
        assert [row["key"] for row in table(rejected)] == ["row-2"]
        assert [row["status"] for row in table(tmp_path / "out" / "results.csv")] == ["saved", "refused"]


async def test_same_list_again_charges_nothing(tmp_path: Path) -> None:
    """If a refused row was reworded under the same key, only that row is sent."""
    async with Simulator(duration_s=0.2) as sim:
        await run(sim, manifest("A dog", "A cat [refuse]"), tmp_path)
        report = await run(sim, manifest("A dog", "A nicer cat"), tmp_path)
        assert report.counts == {"saved": 2}
        assert len(sim.charges) == 2
        assert not (tmp_path / "out" / "rejected.csv").exists()
        sim.assert_no_double_charge()


async def test_budget_is_never_exceeded(tmp_path: Path) -> None:
    """Not by a second run either: what the first one has spent counts. A larger budget pays for the other rows."""
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, manifest("A", "B", "C", "D"), tmp_path, budget=130.0)
        assert report.counts["saved"] == 2
        assert report.over_budget == 2
        assert sum(charge.credits for charge in sim.charges) <= 130.0
        again = await run(sim, manifest("A", "B", "C", "D"), tmp_path, budget=130.0)
        assert (again.over_budget, again.credits) == (2, 120.0)
        more = await run(sim, manifest("A", "B", "C", "D"), tmp_path, budget=240.0)
        assert more.counts["saved"] == 4
        assert sum(charge.credits for charge in sim.charges) == 240.0


async def test_row_with_unknown_price_does_not_fit_a_budget(tmp_path: Path) -> None:
    """The table has no price for 4K; without a budget the row is sent."""
    rows = read_manifest(b"key,prompt,resolution\nrow-1,A dog,\nrow-2,A cat,4k\n", "csv", KIE)
    prices = {"veo3_fast": {"720p": 60.0}}
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, rows, tmp_path, budget=1000.0, prices=prices)
        assert report.counts == {"saved": 1}
        assert report.over_budget == 1
        report = await run(sim, rows, tmp_path, prices=prices)
        assert (report.counts, report.credits) == ({"saved": 2}, 60.0)


async def test_job_queued_by_an_earlier_run_counts_in_the_budget(tmp_path: Path) -> None:
    """It is sent anyway and leaves less for the other rows."""
    slow = {"rate": (1, 10.0)}
    async with Simulator(duration_s=0.2, **slow) as sim, on(sim, tmp_path, **slow, explore=False) as veo:
        batch = Batch(veo, manifest("A", "B"), tmp_path / "out", now=lambda: 1.75e9)
        asyncio.get_running_loop().call_later(0.5, batch.stop_sending)
        await batch.run()
    async with Simulator(duration_s=0.2, seed=2) as sim:
        report = await run(sim, manifest("A", "B", "C"), tmp_path, budget=60.0)
        assert report.counts == {"saved": 2}
        assert report.over_budget == 1
        assert len(sim.charges) == 1


@pytest.mark.slow
async def test_failed_row_reserves_its_price_again(tmp_path: Path) -> None:
    """Its first task was not charged; a second one would be."""
    async with Simulator(duration_s=0.2) as sim:
        await run(sim, manifest("A [fail]"), tmp_path)
        report = await run(sim, manifest("A [fail]"), tmp_path, budget=10.0)
        assert report.over_budget == 1
        assert len(sim.charges) == 1


@pytest.mark.slow
async def test_stop_sending_collects_running_clips_and_keeps_the_rest_queued(tmp_path: Path) -> None:
    """Running clips are saved, queued jobs are not sent, and the next run continues."""
    rows = manifest(*(f"Dog {n}" for n in range(8)))
    async with Simulator(duration_s=1.0, rate=(3, 10.0)) as sim:
        async with on(sim, tmp_path, rate=(3, 10.0), explore=False) as veo:
            batch = Batch(veo, rows, tmp_path / "out", now=lambda: 1.75e9)
            asyncio.get_running_loop().call_later(0.5, batch.stop_sending)
            report = await batch.run()
        assert report.counts == {"saved": 3, "queued": 5}
        assert len(sim.requests_to()) == 3
        statuses = [line["status"] for line in table(tmp_path / "out" / "results.csv")]
        assert sorted(statuses) == ["queued"] * 5 + ["saved"] * 3
    async with Simulator(duration_s=0.2, seed=2) as sim:
        report = await run(sim, rows, tmp_path)
        assert report.counts == {"saved": 8}
        assert len(sim.charges) == 5


async def test_job_in_doubt_counts_as_reserved_and_is_not_rejected(tmp_path: Path) -> None:
    """It may have been charged, so its credits count and it must not be edited and run again."""
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=1)]) as sim:
        report = await run(sim, manifest("A dog"), tmp_path)
        assert report.counts == {"in_doubt": 1}
        assert (report.credits, report.reserved) == (0.0, 60.0)
        assert not (tmp_path / "out" / "rejected.csv").exists()


async def test_unwritable_folder_raises_before_anything_is_sent(tmp_path: Path) -> None:
    """A file has the name of the folder."""
    (tmp_path / "out").write_text("a file")
    async with Simulator() as sim:
        with pytest.raises(errors.UsageError, match="choose a writable folder"):
            await run(sim, manifest("A dog"), tmp_path)
        assert sim.requests_to() == ()


def test_torn_line_is_dropped_and_cells_cannot_be_formulas(tmp_path: Path) -> None:
    """A crash in the middle of a line, and a provider message that begins like a formula."""
    from veo_async.batch.results import Results

    rows = manifest("=A dog")
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").write_text('{"key": "old"}\n{"key": "to')
    results = Results(out, rows)
    results.add(RowResult(row=rows.rows[0], status="refused", reason="=HYPERLINK(1)\x1b[2J"))
    results.close()
    assert [json.loads(line)["key"] for line in (out / "results.jsonl").read_text().splitlines()] == ["old", "row-1"]
    [line] = table(out / "results.csv")
    assert line["reason"] == "'=HYPERLINK(1)\\x1b[2J"


def test_cells_of_the_provider_cannot_be_formulas(tmp_path: Path) -> None:
    """A task id is text from outside, too; credits have no exponent."""
    from veo_async.batch.results import Results

    rows = manifest("A dog")
    results = Results(tmp_path, rows)
    results.add(RowResult(row=rows.rows[0], status="ready", task_id="@SUM(1+1)", credits=1_000_000.0))
    results.close()
    [line] = table(tmp_path / "results.csv")
    assert (line["task_id"], line["credits"]) == ("'@SUM(1+1)", "1000000")


def test_job_that_may_have_been_charged_is_not_rejected_although_its_price_is_unknown(tmp_path: Path) -> None:
    """An edited row would pay for a second task."""
    from veo_async.batch.results import Results

    rows = manifest("A dog", "A cat")
    results = Results(tmp_path, rows)
    results.add(RowResult(row=rows.rows[0], status="failed", reason="the record has expired"))
    results.add(RowResult(row=rows.rows[1], status="failed", reason="not generated", is_free=True))
    results.close()
    assert [line["key"] for line in table(tmp_path / "rejected.csv")] == ["row-2"]


def test_rows_of_rejected_csv_keep_the_other_rows_and_stay_until_they_have_a_result(tmp_path: Path) -> None:
    """``results.csv`` still has all rows of the list, in their order."""
    from veo_async.batch.results import Results

    rows = manifest("A dog", "A cat", "A fox")
    results = Results(tmp_path, rows)
    for row, status in zip(rows.rows, ("refused", "saved", "refused"), strict=True):
        results.add(RowResult(row=row, status=status, is_free=status == "refused"))
    results.close()
    rejected = read_manifest((tmp_path / "rejected.csv").read_bytes(), "csv", KIE)
    part = Results(tmp_path, rejected, is_part=True)
    assert [cells["key"] for cells in part.other_rows] == ["row-2"]
    part.add(RowResult(row=rejected.rows[0], status="saved"))
    part.close()
    lines = [(line["key"], line["status"]) for line in table(tmp_path / "results.csv")]
    assert lines == [("row-1", "saved"), ("row-2", "saved"), ("row-3", "not_submitted")]
    assert [line["key"] for line in table(tmp_path / "rejected.csv")] == ["row-3"]


async def test_second_run_reports_the_costs_of_the_first(tmp_path: Path) -> None:
    """In the report, in each result and on each card; a row refused for free has none."""
    rows = manifest("A dog", "A cat [refuse]")
    results: list[RowResult] = []
    async with Simulator(duration_s=0.2) as sim:
        await run(sim, rows, tmp_path)
        report = await run(sim, rows, tmp_path, on_result=results.append)
    assert (report.credits, report.reserved) == (60.0, 0.0)
    assert {result.row.key: result.credits for result in results} == {"row-1": 60.0, "row-2": None}
    assert "<dt>Credits</dt><dd>60</dd>" in report.page.read_text("utf-8")


async def test_row_whose_upgrade_failed_has_cost_its_clip(tmp_path: Path) -> None:
    """So it is not in ``rejected.csv``, and the list itself repeats only the upgrade."""
    rows = read_manifest(b"key,prompt,upgrade\nrow,A dog,1080p\n", "csv", KIE)
    async with Simulator(duration_s=0.04, faults=[refuse(422, endpoint="get-1080p-video", on=1)]) as sim:
        report = await run(sim, rows, tmp_path)
        assert (report.counts, report.credits) == ({"refused": 1}, 60.0)
        assert not (tmp_path / "out" / "rejected.csv").exists()


async def test_follow_up_is_charged_once_and_saved(tmp_path: Path) -> None:
    """The row's file is that of its last follow-up; a follow-up added to a list after a run is all that is charged."""
    plain = read_manifest(b"key,prompt\nrow,A dog\n", "csv", KIE)
    upgraded = read_manifest(b"key,prompt,upgrade\nrow,A dog,1080p\n", "csv", KIE)
    async with Simulator(duration_s=0.04) as sim:
        assert (await run(sim, plain, tmp_path, budget=60)).credits == 60.0
        report = await run(sim, upgraded, tmp_path, budget=64)
        assert (report.over_budget, report.credits) == (1, 60.0)
        report = await run(sim, upgraded, tmp_path, budget=65)
        assert report.counts == {"saved": 1}
        assert report.credits == 65.0
        assert (tmp_path / "out" / "row.1080p.mp4").exists()
        assert [charge.endpoint for charge in sim.charges] == ["generate", "get-1080p-video"]


async def test_gallery_for_a_client_is_written_next_to_the_other_and_kept_up_to_date(tmp_path: Path) -> None:
    """It has nothing internal of a real run. A later run without the option writes it again."""
    rows = read_manifest(b"key,prompt\nsurfing-dog,A dog\nshoes,A celebrity sells shoes [refuse]\n", "csv", KIE)
    more = read_manifest(b"key,prompt\nsurfing-dog,A dog\nmoon-violin,A violin\n", "csv", KIE)
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, rows, tmp_path, title="Spring campaign", for_client=True)
        page = tmp_path / "out" / "client.html"
        assert page in report.files
        assert report.page.name == "index.html"
        text = page.read_text("utf-8")
        assert '<h1 dir="auto">Spring campaign</h1>' in text
        assert "Surfing dog" in text
        [charge] = sim.charges
        visible = re.sub(r"'sha256-[^']+'|base64,[^\"]+", "", text)
        for internal in (
            charge.task_id,
            "celebrity",
            "shoes",
            "veo",
            "kie",
            "redit",
            "refused",
            str(tmp_path),
            sim.url,
        ):
            assert internal not in visible
        assert charge.task_id in report.page.read_text("utf-8")
        report = await run(sim, more, tmp_path)
        assert page in report.files
        assert "Moon violin" in page.read_text("utf-8")


async def test_gallery_shows_the_size_and_the_seed_of_a_clip(tmp_path: Path) -> None:
    """The size of the file gives the card its shape; both are in the details."""
    rows = read_manifest(b"key,prompt,aspect_ratio,seeds\ntall,A dog,9:16,20001\n", "csv", KIE)
    async with Simulator(duration_s=0.2) as sim:
        text = (await run(sim, rows, tmp_path)).page.read_text("utf-8")
    assert "<dt>Seed</dt><dd>20001</dd>" in text
    assert re.search(r"<dt>Size</dt><dd>\d+ × \d+</dd>", text)
    assert 'class="clips portrait"' in text


async def test_gallery_shows_the_short_reason_of_a_refusal(tmp_path: Path) -> None:
    """With its remedy; the provider's words are folded."""
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, manifest("A cat [refuse]"), tmp_path, title="Cats")
        text = report.page.read_text("utf-8")
    assert '<p class="reason" dir="auto" data-search>content policy</p>' in text
    assert re.search(r'<p class="remedy"[^>]*>Reword the prompt', text)
    details = text.partition('<details class="more-details">')[2]
    assert "flagged" in details
    assert "flagged" not in text.partition('<details class="more-details">')[0]
