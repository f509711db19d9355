"""Lists of prompts: what is read, and what is wrong, line by line, all at once."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async import VideoRequest, errors
from veo_async._wire import KIE, UpgradeRequest
from veo_async.batch.manifest import Kind, Manifest, kind_of, read_manifest
from veo_async.batch.prices import estimate, price_of


def read(text: str, kind: Kind = "csv", encoding: str = "utf-8", **options: object) -> Manifest:
    return read_manifest(text.encode(encoding), kind, KIE, **options)  # type: ignore[arg-type]


def test_columns_are_options() -> None:
    """Empty cells are not given; keys come from their column or from the content."""
    found = read("key,prompt,model,seeds,image_urls,take\na,A dog,veo3,12345,,\n,A cat,,,https://x.example/c.png,2\n")
    assert found.problems == ()
    first, second = found.rows
    assert (first.key, first.request) == ("a", VideoRequest("A dog", model="veo3", seeds=12345))
    assert second.request.image_urls == ("https://x.example/c.png",)
    assert (second.take, len(second.key), second.line) == (2, 20, 3)


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    """The line of the file, also after cells with line breaks and blank lines."""
    text = 'prompt,seeds,model\n"A dog\non two lines",7,veo3\n\nA cat,many,veo3\nA fox,,veo9\n,,\nA bird,12345,veo3\n'
    found = read(text)
    assert [row.request.prompt for row in found.rows] == ["A bird"]
    assert [(fault.line, fault.faults[0].field) for fault in found.problems] == [
        (2, "seeds"),
        (5, "seeds"),
        (6, "model"),
    ]
    assert "line 5: seeds='many': must be a whole number" in str(found.problems[1])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_spreadsheets(encoding: str) -> None:
    """With a byte order mark or without."""
    assert read("prompt\nEin Hörnchen\n", encoding=encoding).rows[0].request.prompt == "Ein Hörnchen"


def test_another_encoding_is_one_clear_fault() -> None:
    """Which line, and what to do."""
    with pytest.raises(errors.UsageError, match=r"line 3: .*save the file as UTF-8"):
        read("prompt\nA dog\nEin Hörnchen\n", encoding="latin-1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("prompt,prompt\na,b\n", "two columns are called 'prompt'"),
        ("prompt,colour\na,b\n", "columns that are no options: colour"),
        ('prompt\n"never closed\n', "mend the quotes"),
    ],
)
def test_what_is_no_list_at_all(text: str, why: str) -> None:
    """Nothing of it can be sent."""
    with pytest.raises(errors.UsageError, match=why):
        read(text)


def test_a_row_with_more_cells_than_columns_is_a_fault() -> None:
    """A prompt with a comma that nobody quoted must not be cut."""
    found = read("prompt,model\nA dog, running,veo3\n")
    assert found.rows == ()
    assert "Quote cells with commas" in str(found.problems[0])


def test_semicolons_and_tabs() -> None:
    """Spreadsheets of half the world."""
    assert read("prompt;model\nA dog, running;veo3\n").rows[0].request.prompt == "A dog, running"
    assert read("prompt\tmodel\nA dog\tveo3\n", "tsv").rows[0].request.model == "veo3"


def test_json_lines_and_json() -> None:
    """Values have their own types; a wrong type is a fault of its field."""
    lines = '{"prompt": "A dog", "image_urls": ["https://x.example/a.png"], "seeds": 12345}\n\n{"prompt": 7}\n[1]\n'
    found = read(lines, "jsonl")
    assert found.rows[0].request.seeds == 12345
    assert [(fault.line, fault.faults[0].field) for fault in found.problems] == [(3, "prompt"), (4, "row")]
    assert read(json.dumps([{"prompt": "A dog"}, {"prompt": "A cat"}]), "json").rows[1].request.prompt == "A cat"
    for text, kind in (("{not json}", "jsonl"), ("{}", "json"), ("nonsense", "json")):
        with pytest.raises(errors.UsageError):
            read(text, kind)  # type: ignore[arg-type]


def test_a_template_makes_the_prompt_of_other_columns() -> None:
    """Braces are doubled; what is not a column is told; nothing reaches into values."""
    found = read("animal,thing\ndog,wave\ncat,{thing}\n", template="A {animal} on a {thing} {{so}}")
    assert [row.request.prompt for row in found.rows] == ["A dog on a wave {so}", "A cat on a {thing} {so}"]
    with pytest.raises(errors.UsageError, match="no column 'colour'"):
        read("animal\ndog\n", template="A {colour} {animal}")
    for template in ("A {animal.__class__}", "A {animal", "A {}"):
        with pytest.raises(errors.UsageError):
            read("animal\ndog\n", template=template)


def test_defaults_and_what_overrides_them() -> None:
    """A row's own value goes before."""
    found = read("prompt,model\nA dog,\nA cat,veo3\n", defaults={"model": "veo3_lite"})
    assert [row.request.model for row in found.rows] == ["veo3_lite", "veo3"]


def test_doubled_keys_are_faults_of_the_later_line() -> None:
    """The same request twice needs a take; another request needs a key."""
    found = read("key,prompt\na,A dog\na,A cat\n,A fox\n,A fox\n")
    assert [row.line for row in found.rows] == [2, 4]
    assert "line 2 has another request" in str(found.problems[0])
    assert "line 4 has the same request" in str(found.problems[1])
    assert "take" in str(found.problems[1])


def test_ten_thousand_rows() -> None:
    """All of them, each with its line."""
    found = read("prompt\n" + "".join(f"Dog number {n}\n" for n in range(10_000)))
    assert len(found.rows) == 10_000
    assert found.rows[-1].line == 10_001


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=20))
def test_whatever_a_spreadsheet_writes_is_read_back(prompts: list[str]) -> None:
    """Or is told as a fault of its line; no row is lost, and nothing raises but our own errors."""
    written = io.StringIO()
    csv.writer(written).writerows([["prompt", "take"], *([prompt, n + 1] for n, prompt in enumerate(prompts))])
    found = read(written.getvalue())
    assert len(found.rows) + len(found.problems) == len(prompts)
    read_back = {row.take: row.request.prompt for row in found.rows}
    assert all(prompts[take - 1] == prompt for take, prompt in read_back.items())


def test_kinds_by_name() -> None:
    """Anything else has to be said."""
    assert [kind_of(Path(f"a.{end}")) for end in ("csv", "TSV", "jsonl", "json")] == ["csv", "tsv", "jsonl", "json"]
    with pytest.raises(errors.UsageError, match="--kind"):
        kind_of(Path("prompts.txt"))


def test_what_a_list_costs() -> None:
    """By the table, which users may replace; what nobody knows is counted apart."""
    fast, large, new = (
        VideoRequest("a"),
        VideoRequest("b", model="veo3", resolution="4k"),
        VideoRequest("c", model="veo9"),
    )
    told = estimate([fast, fast, large, new])
    assert (told.credits, told.without_price) == (490.0, 1)
    assert told.clips["veo3_fast", "720p"] == 2
    assert price_of(new, {"veo9": {"720p": 7.0}}) == 7.0


PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def test_image_files_are_looked_into_from_the_lists_own_folder(tmp_path: Path) -> None:
    """Line 7 names a file that is not there, line 8 a page: both are told, the others are right."""
    (tmp_path / "my cat.png").write_bytes(PNG)
    (tmp_path / "twin.png").write_bytes(PNG)
    (tmp_path / "page.png").write_text("<html>")
    cells = ["my cat.png", "twin.png", "https://x.example/a.png", "", "./my cat.png", "gone.png", "page.png"]
    text = "prompt,image\n" + "".join(f"Dog {n},{cell}\n" for n, cell in enumerate(cells))
    found = read(text, folder=tmp_path)
    assert [(fault.line, fault.faults[0].rule) for fault in found.problems] == [
        (7, "cannot be read: No such file or directory"),
        (8, "is a web page, not a JPEG, PNG or WebP"),
    ]
    assert len(found.rows) == 5
    assert found.uploads == 1


def test_a_rows_key_is_made_of_what_its_image_shows(tmp_path: Path) -> None:
    """So the same list from another folder pays for nothing, and a changed picture is another clip."""
    keys = []
    for name, content in (("a", PNG), ("b", PNG), ("c", PNG + b"!")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cat.png").write_bytes(content)
        keys.append(read("prompt,image_urls\nA dog,cat.png\n", folder=tmp_path / name).rows[0].key)
    assert keys[0] == keys[1] != keys[2]


def test_steps_that_follow_are_columns() -> None:
    """Extended first, whatever the order of the columns; each step's request is checked with its row."""
    content = b"key,upgrade,extend,prompt\nrow,4k,It swims ashore,A dog\nplain,,,A cat\n"
    manifest = read_manifest(content, "csv", KIE)
    assert not manifest.problems
    row, plain = manifest.rows
    assert [type(link.request).__name__ for link in row.chain] == ["VideoRequest", "ExtendRequest", "UpgradeRequest"]
    assert row.chain[2].request == UpgradeRequest(to="4k", after_key=row.chain[1].key)
    assert [link.key for link in plain.chain] == ["plain"]
    [fault] = read_manifest(b"prompt,upgrade\nA dog,8k\n", "csv", KIE).problems
    assert "line 2" in str(fault)
    assert "is no step" in str(fault)
