"""A list as a spreadsheet exports it becomes clips with names that one can tell apart."""

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import session_arguments
from veo_async import VeoSession, errors
from veo_async._wire import KIE
from veo_async.batch.manifest import Manifest, read_manifest
from veo_async.batch.naming import check_name
from veo_async.batch.rows import RESULT_COLUMNS, Row
from veo_async.batch.run import Batch, Report
from veo_async.simulator import Simulator

pytestmark = pytest.mark.realtime

SCENES = ["Ein Hörnchen", "Die Möwe", "Ein weißer Kater", "Ändernde Wolken", "Ein müder Bär"]
PLACES = [
    "über dem Fluß",
    "in Zürich",
    "am Café – abends",
    "auf „hoher“ See",
    "im Schnee; früh",
    "am Öltank",
    "im Gras",
    "in Köln",
]
PROMPTS = [f"{scene} {place}" for scene in SCENES for place in PLACES]


def excel_export(prompts: list[str]) -> bytes:
    """Return the bytes that a German Excel writes: semicolons, cp1252, CRLF, empty columns, numbers with a comma."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(["Nr", " PROMPT ", "Aspect Ratio", "Seeds", "Kunde", "Preis", "", ""])
    for n, prompt in enumerate(prompts, 1):
        writer.writerow([n, prompt, "9:16", f"{20000 + n},0", "Müller & Söhne", f"{n},50", "", ""])
    return text.getvalue().encode("cp1252")


def on(sim: Simulator, folder: Path) -> VeoSession:
    ledger = folder / "veo.db"
    return VeoSession(
        sim.api_key,
        **session_arguments(
            base_url=sim.url, ledger=ledger, account="studio", poll_every=0.2, rate=(1000, 1.0), save_to=None
        ),
    )


async def run(sim: Simulator, rows: Manifest, folder: Path, **options: Any) -> Report:
    async with on(sim, folder) as veo:
        return await Batch(veo, rows, folder / "out", now=lambda: 1.75e9, **options).run()


def videos(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder / "out").as_posix() for path in folder.rglob("*.mp4"))


@pytest.mark.slow
async def test_forty_rows_of_a_german_excel_become_forty_clips_with_readable_names(tmp_path: Path) -> None:
    """Each file is named after its prompt; a second run sends nothing; other columns reach the results."""
    rows = read_manifest(excel_export(PROMPTS), "csv", KIE)
    assert (len(rows.rows), rows.problems) == (40, ())
    assert len(rows.warnings) == 2  # the encoding, and the columns
    assert '"Nr", "Kunde" and "Preis" are unknown columns' in rows.warnings[1]
    async with Simulator(duration_s=0.1, limiter="none") as sim:
        report = await run(sim, rows, tmp_path)
        assert report.counts == {"saved": 40}
        assert {charge.body["aspect_ratio"] for charge in sim.charges if "aspect_ratio" in charge.body} <= {"9:16"}
        assert sorted(str(charge.body["prompt"]) for charge in sim.charges) == sorted(PROMPTS)
        names, downloads = videos(tmp_path), len(sim.requests_to("download"))
        assert (await run(sim, rows, tmp_path)).counts == {"saved": 40}
        assert (len(sim.charges), len(sim.requests_to("download"))) == (40, downloads)
    assert videos(tmp_path) == names
    words = {name.rpartition("-")[0] for name in names}
    assert len(words) == 40
    assert {"ein-hörnchen-über-dem-fluß", "die-möwe-am-café-abends", "ein-müder-bär-im-schnee-früh"} <= words
    assert all(unicodedata.is_normalized("NFC", name) for name in names)
    table = csv.DictReader((tmp_path / "out" / "results.csv").read_text("utf-8-sig").splitlines())
    assert [(line["Nr"], line["prompt"], line["Kunde"], line["Preis"]) for line in table] == [
        (str(n), prompt, "Müller & Söhne", f"{n},50") for n, prompt in enumerate(PROMPTS, 1)
    ]
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()]
    assert all(line["columns"]["Kunde"] == "Müller & Söhne" for line in lines)


async def test_name_of_a_list_numbers_its_files_by_row(tmp_path: Path) -> None:
    """A refused row keeps its number in rejected.csv, so that it fits in when it is corrected."""
    rows = read_manifest(excel_export(["Ein Hund", "Ein Kater [refuse]", "Die Möwe"]), "csv", KIE)
    async with Simulator(duration_s=0.1) as sim:
        await run(sim, rows, tmp_path, name="{n:03}-{slug}")
        assert videos(tmp_path) == ["001-ein-hund.mp4", "003-die-möwe.mp4"]
        rejected = (tmp_path / "out" / "rejected.csv").read_bytes().replace(b" [refuse]", b"")
        part = read_manifest(rejected, "csv", KIE)
        await run(sim, part, tmp_path, name="{n:03}-{slug}", is_part=True)
    assert videos(tmp_path) == ["001-ein-hund.mp4", "002-ein-kater.mp4", "003-die-möwe.mp4"]


async def test_inserted_row_moves_no_file(tmp_path: Path) -> None:
    """The clips of the rows below it keep the names they have, and are not downloaded again."""
    async with Simulator(duration_s=0.1) as sim:
        for prompts in (["Ein Hund", "Die Möwe"], ["Ein Kater", "Ein Hund", "Die Möwe"]):
            text = "prompt\n" + "".join(f"{prompt}\n" for prompt in prompts)
            report = await run(sim, read_manifest(text.encode(), "csv", KIE), tmp_path, name="{n}-{slug}")
            assert report.counts == {"saved": len(prompts)}
        assert (len(sim.charges), len(sim.requests_to("download"))) == (3, 3)
    assert videos(tmp_path) == ["1-ein-hund.mp4", "1-ein-kater.mp4", "2-die-möwe.mp4"]


async def test_row_whose_name_is_taken_is_refused_alone(tmp_path: Path) -> None:
    """Two rows with the same words and a name without a number: the second is in rejected.csv, and not paid for."""
    rows = read_manifest(b"prompt\nA dog\nA dog!\nA fox\n", "csv", KIE)
    async with Simulator(duration_s=0.1) as sim:
        report = await run(sim, rows, tmp_path, name="{slug}.mp4")
        assert report.counts == {"saved": 2, "refused": 1}
        assert len(sim.charges) == 2
    rejected = (tmp_path / "out" / "rejected.csv").read_text("utf-8-sig")
    assert "another file has this name. Give each row its own name" in rejected


async def test_braces_in_the_name_of_the_output_folder_are_literal(tmp_path: Path) -> None:
    """The folder is not a template."""
    folder = tmp_path / "{key}"
    folder.mkdir()
    async with Simulator(duration_s=0.1) as sim:
        await run(sim, read_manifest(b"key,prompt\ndog,A dog\n", "csv", KIE), folder)
    assert videos(folder) == ["dog.mp4"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{nr}-{slug}", r"name='\{nr\}-\{slug\}\.mp4': \{nr\} is not a placeholder.*\{n:03\}"),
        ("../{key}", "must be a name in the output folder; choose the folder with --out"),
        ("/clips/{key}", "must be a name in the output folder"),
        ("clip", r"must contain \{n:03\}, \{key\}, \{id\} or \{slug\}"),
    ],
)
def test_wrong_name_is_refused(name: str, message: str) -> None:
    """Before the list is read."""
    with pytest.raises(errors.UsageError, match=message):
        check_name(name)
    for right in ("{n:03}-{slug}", "{key}.mp4", "{model}/{id}", "{{{slug}}}"):
        check_name(right)


def test_list_may_have_the_columns_of_results() -> None:
    """Its own values stay in results.csv."""
    rows = read_manifest(b"prompt,status\nA dog,open\n", "csv", KIE).rows
    assert [isinstance(row, Row) and dict(row.cells) for row in rows] == [{"prompt": "A dog", "status (list)": "open"}]
    assert len(set(RESULT_COLUMNS)) == len(RESULT_COLUMNS)
