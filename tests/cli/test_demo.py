"""The demo: the real batch room, trouble included, and how it was survived; told to whoever looks on."""

import csv
import io
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tests.programs import run
from veo_async._wire import KIE
from veo_async.batch.manifest import read_manifest
from veo_async.batch.run import Report
from veo_async.cli.demo import LIST, tell
from veo_async.ledger import SqliteLedger
from veo_async.media import check_complete

DEMO = (sys.executable, "-m", "veo_async", "demo")


async def test_everything_goes_as_it_should_although_things_go_wrong(tmp_path: Path) -> None:
    """Eight clips, one refusal, a burst of 429s and a lost answer that its callback has bound; and again."""
    for _ in range(2):
        told = await run(*DEMO, cwd=tmp_path)
        assert "8 of 9 clips saved under veo-out/ (8 saved, 1 refused)" in told
        assert "429, 3 times" in told
        assert "one prompt was refused" in told
        assert "was lost: it was not sent again" in told
        out = tmp_path / "veo-out"
        assert f"Next: open {Path('veo-out') / 'index.html'}" in told
        assert {"index.html", "sheet.webp", "results.csv", "rejected.csv"} <= {each.name for each in out.iterdir()}
        lines = list(csv.DictReader((out / "results.csv").read_text("utf-8-sig").splitlines()))
        saved = [line["path"] for line in lines if line["status"] == "saved"]
        assert len(saved) == 8
        for path in saved:
            check_complete(io.BytesIO(Path(tmp_path, path).read_bytes()))
    book = await SqliteLedger(out / "demo.db").open(None)
    steps = {row.key: [step.event for step in await book.transitions(row.key)] for row in await book.jobs()}
    await book.close()
    [lost] = [events for events in steps.values() if "lose" in events]
    assert lost == ["submit", "send", "lose", "bind", "complete", "save"]
    assert sum("requeue" in events for events in steps.values()) >= 1
    assert len((out / "results.jsonl").read_text().splitlines()) == 18
    assert json.loads((out / "results.jsonl").read_text().splitlines()[0])["key"]


async def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    """Somebody's own files stand where its clips belong: these get other names."""
    for name in ("fox-in-snow.mp4", "orange-tree.mp4"):
        (tmp_path / name).write_text("mine")
    told = await run(*DEMO, "--out", ".", cwd=tmp_path)
    assert "8 of 9" in told
    assert (tmp_path / "fox-in-snow.mp4").read_text() == "mine"
    assert len(list(tmp_path.glob("fox-in-snow*.mp4"))) == 2


@pytest.mark.parametrize(
    ("counts", "story"),
    [({"saved": 7, "refused": 1, "failed": 1}, ["a", "b", "c"]), ({"saved": 8, "refused": 1}, ["a", "b"])],
)
def test_it_says_so_when_not_all_went_as_it_should(
    counts: dict[str, int], story: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clip that is missing, or trouble that did not come or was not survived: exit code 1, and where to look."""
    page = tmp_path / "index.html"
    report = Report(
        counts=Counter(counts), over_budget=0, credits=0.0, files=[page], page=page, sheet_extra_missing=True
    )
    rows = read_manifest(LIST.encode(), "csv", KIE)
    assert tell(Console(), report, rows, tmp_path, tmp_path / "demo.db", story) == 1
    told = capsys.readouterr().out
    assert "That is not all that should have come of it" in told
    assert "pip install 'veo-async[media]'" in told
