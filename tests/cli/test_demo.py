"""The demo: a real batch, with injected failures that do no harm."""

import asyncio
import csv
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.programs import run
from veo_async._wire import KIE
from veo_async.batch.manifest import read_manifest
from veo_async.batch.run import Report
from veo_async.cli.demo import LIST, DemoRun, print_result
from veo_async.ledger import SqliteLedger
from veo_async.media import check_complete

DEMO = (sys.executable, "-m", "veo_async", "demo")


@pytest.mark.slow
async def test_demo_saves_every_clip_although_failures_are_injected(tmp_path: Path) -> None:
    """Eight clips, one refusal, three 429s and a lost response that its callback matches; twice in a row."""
    loop = asyncio.get_running_loop()
    for _ in range(2):
        began = loop.time()
        output = await run(*DEMO, cwd=tmp_path)
        elapsed_s = loop.time() - began
        shown = re.search(r"9 jobs over ([\d.]+) s,", (tmp_path / "veo-out" / "index.html").read_text())
        assert shown is not None  # seconds and not minutes
        assert 0.3 <= float(shown[1]) / elapsed_s <= 1.1
        assert "8 of 9 clips saved under veo-out/ (8 saved, 1 refused)" in output
        assert "429, 3 times" in output
        assert "One prompt was refused" in output
        assert "was lost: it was not resent" in output
        out = tmp_path / "veo-out"
        assert f"Next: open {Path('veo-out') / 'index.html'}" in output
        assert {"index.html", "sheet.webp", "results.csv", "rejected.csv"} <= {file.name for file in out.iterdir()}
        lines = list(csv.DictReader((out / "results.csv").read_text("utf-8-sig").splitlines()))
        saved = [line["path"] for line in lines if line["status"] == "saved"]
        assert len(saved) == 8
        for path in saved:
            check_complete(io.BytesIO(Path(tmp_path, path).read_bytes()))
    ledger = await SqliteLedger(out / "demo.db").open(None)
    events = {row.key: [item.event for item in await ledger.transitions(row.key)] for row in await ledger.jobs()}
    await ledger.close()
    [lost] = [names for names in events.values() if "lose" in names]
    assert lost == ["submit", "send", "lose", "bind", "complete", "save"]
    assert sum("requeue" in names for names in events.values()) >= 1
    assert len((out / "results.jsonl").read_text().splitlines()) == 9
    assert json.loads((out / "results.jsonl").read_text().splitlines()[0])["key"]


@pytest.mark.slow
@pytest.mark.parametrize("route", ["veo", "jobs", "auto"])
async def test_demo_runs_on_each_route_and_says_which(tmp_path: Path, route: str) -> None:
    """On auto the veo route closes during the demo: its clips are collected there, the others made on jobs."""
    output = await run(*DEMO, "--route", route, cwd=tmp_path)
    assert f"on the route {route}," in output
    assert "8 of 9 clips saved under veo-out/ (8 saved, 1 refused)" in output
    assert ("and the veo route closes after 5 of them" in output) == (route == "auto")
    assert ("The veo route is gone (404): new clips are made on the jobs route." in output) == (route == "auto")
    assert ("its 5 clips were collected there, the other 3 were made on the jobs route" in output) == (route == "auto")
    ledger = await SqliteLedger(tmp_path / "veo-out" / "demo.db").open(None)
    routes = Counter(row.route for row in await ledger.jobs() if row.state == "saved")
    await ledger.close()
    assert routes == {"veo": 5, "jobs": 3} if route == "auto" else {route: 8}


@pytest.mark.slow
async def test_demo_does_not_overwrite_existing_files(tmp_path: Path) -> None:
    """A clip whose name is taken gets another one."""
    for name in ("fox-in-snow.mp4", "orange-tree.mp4"):
        (tmp_path / name).write_text("mine")
    output = await run(*DEMO, "--out", ".", cwd=tmp_path)
    assert "8 of 9" in output
    assert (tmp_path / "fox-in-snow.mp4").read_text() == "mine"
    assert len(list(tmp_path.glob("fox-in-snow*.mp4"))) == 2


@pytest.mark.parametrize(
    ("counts", "survived"),
    [({"saved": 7, "refused": 1, "failed": 1}, ["a", "b", "c"]), ({"saved": 8, "refused": 1}, ["a", "b"])],
)
def test_unexpected_result_exits_with_1_and_names_the_command_to_inspect_it(
    counts: dict[str, int], survived: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clip is missing, or an injected failure was not triggered or did harm."""
    page = tmp_path / "index.html"
    report = Report(
        counts=Counter(counts), over_budget=0, credits=0.0, files=[page], page=page, sheet_extra_missing=True
    )
    manifest = read_manifest(LIST.encode(), "csv", KIE)
    ledger = tmp_path / "demo.db"
    demo = DemoRun(folder=tmp_path, ledger=ledger, manifest=manifest, report=report, faults_survived=survived)
    assert print_result(demo) == 1
    output = capsys.readouterr().out
    assert "The demo did not finish as expected" in output
    assert f"veo-async jobs {ledger}" in output
    assert "pip install 'veo-async[media]'" in output
