"""Lists of prompts: parsing, and reporting all problems with their lines."""

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


def test_columns_set_request_options() -> None:
    """Empty cells set nothing; keys come from their column or from the content."""
    parsed = read("key,prompt,model,seeds,image_urls,take\na,A dog,veo3,12345,,\n,A cat,,,https://x.example/c.png,2\n")
    assert parsed.problems == ()
    first, second = parsed.rows
    assert (first.key, first.request) == ("a", VideoRequest("A dog", model="veo3", seeds=12345))
    assert second.request.image_urls == ("https://x.example/c.png",)
    assert (second.take, len(second.key), second.line) == (2, 20, 3)


def test_all_problems_are_reported_with_their_lines() -> None:
    """Lines are counted in the file, so line breaks in cells and blank lines count."""
    text = 'prompt,seeds,model\n"A dog\non two lines",7,veo3\n\nA cat,many,veo3\nA fox,,veo9\n,,\nA bird,12345,veo3\n'
    parsed = read(text)
    assert [row.request.prompt for row in parsed.rows] == ["A bird"]
    assert [(problem.line, problem.problems[0].field) for problem in parsed.problems] == [
        (2, "seeds"),
        (5, "seeds"),
        (6, "model"),
    ]
    assert "line 5: seeds='many': must be a whole number" in str(parsed.problems[1])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_spreadsheets_write_are_read(encoding: str) -> None:
    """UTF-8 with or without a byte order mark, and UTF-16."""
    assert read("prompt\nEin Hörnchen\n", encoding=encoding).rows[0].request.prompt == "Ein Hörnchen"


def test_other_encoding_raises_with_line_and_remedy() -> None:
    """The error has the line and says to save the file as UTF-8."""
    with pytest.raises(errors.UsageError, match=r"line 3: .*save the file as UTF-8"):
        read("prompt\nA dog\nEin Hörnchen\n", encoding="latin-1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,prompt\na,b\n", "two columns are called 'prompt'"),
        ("prompt,colour\na,b\n", "unknown column: colour; known columns: aspect_ratio, "),
        ("id,prompt\na,b\n", r"unknown column: id \(did you mean key\?\); known columns: "),
        ("prompt,Aspect Ratio\na,b\n", r"unknown column: Aspect Ratio \(did you mean aspect_ratio\?\); "),
        (
            "promt,seed,colour\na,b,c\n",
            r"unknown columns: promt \(did you mean prompt\?\), seed \(did you mean seeds\?\), colour; known columns: ",
        ),
        ('prompt\n"never closed\n', "fix the quoting"),
    ],
)
def test_malformed_list_raises(text: str, message: str) -> None:
    """None of its rows can be sent."""
    with pytest.raises(errors.UsageError, match=message):
        read(text)


def test_error_column_is_ignored() -> None:
    """``rejected.csv`` has it, and can be run as a list; a template cannot use it."""
    parsed = read("key,prompt,error\na,A dog,line 2: …\n")
    assert parsed.problems == ()
    assert parsed.columns == ("key", "prompt")
    assert parsed.rows[0].cells == {"key": "a", "prompt": "A dog"}
    assert read('{"prompt": "A dog", "error": 7}\n', "jsonl").columns == ("prompt",)
    with pytest.raises(errors.UsageError, match="no column 'error'"):
        read("animal,error\ndog,x\n", template="A {animal} {error}")


def test_missing_prompt_is_reported_in_a_plain_sentence() -> None:
    """No value is shown, because there is none."""
    assert str(read("key,model\na,veo3\n").problems[0]) == "line 2: prompt is missing."


def test_images_may_be_a_json_list_in_a_cell() -> None:
    """``rejected.csv`` has one if the list was JSON; it keeps names with spaces. A broken one is a problem."""
    urls = '"[""https://example.com/a.png"", ""https://example.com/b.png""]"'
    parsed = read(f"prompt,image_urls\nA dog,{urls}\n")
    assert parsed.rows[0].request.image_urls == ("https://example.com/a.png", "https://example.com/b.png")
    assert "or a JSON list of them" in str(read("prompt,image_urls\nA dog,[x\n").problems[0])


def test_row_with_more_cells_than_columns_is_a_problem() -> None:
    """A prompt with an unquoted comma must not be cut off."""
    parsed = read("prompt,model\nA dog, running,veo3\n")
    assert parsed.rows == ()
    assert "Quote cells with commas" in str(parsed.problems[0])


def test_semicolons_and_tabs_are_delimiters() -> None:
    """Spreadsheets write semicolons in many locales."""
    assert read("prompt;model\nA dog, running;veo3\n").rows[0].request.prompt == "A dog, running"
    assert read("prompt\tmodel\nA dog\tveo3\n", "tsv").rows[0].request.model == "veo3"


def test_json_lines_and_json_are_read() -> None:
    """Values keep their types; a wrong type is a problem of its field."""
    lines = '{"prompt": "A dog", "image_urls": ["https://x.example/a.png"], "seeds": 12345}\n\n{"prompt": 7}\n[1]\n'
    parsed = read(lines, "jsonl")
    assert parsed.rows[0].request.seeds == 12345
    assert [(problem.line, problem.problems[0].field) for problem in parsed.problems] == [(3, "prompt"), (4, "row")]
    assert read(json.dumps([{"prompt": "A dog"}, {"prompt": "A cat"}]), "json").rows[1].request.prompt == "A cat"
    for text, kind in (("{not json}", "jsonl"), ("{}", "json"), ("nonsense", "json")):
        with pytest.raises(errors.UsageError):
            read(text, kind)  # type: ignore[arg-type]


def test_template_builds_prompt_from_other_columns() -> None:
    """Doubled braces are literal, unknown columns raise, and attributes of values cannot be read."""
    parsed = read("animal,thing\ndog,wave\ncat,{thing}\n", template="A {animal} on a {thing} {{so}}")
    assert [row.request.prompt for row in parsed.rows] == ["A dog on a wave {so}", "A cat on a {thing} {so}"]
    with pytest.raises(errors.UsageError, match="no column 'colour'"):
        read("animal\ndog\n", template="A {colour} {animal}")
    for template in ("A {animal.__class__}", "A {animal", "A {}"):
        with pytest.raises(errors.UsageError):
            read("animal\ndog\n", template=template)


def test_row_overrides_defaults() -> None:
    """Defaults apply to empty cells."""
    parsed = read("prompt,model\nA dog,\nA cat,veo3\n", defaults={"model": "veo3_lite"})
    assert [row.request.model for row in parsed.rows] == ["veo3_lite", "veo3"]


def test_duplicate_key_is_a_problem_of_the_later_line() -> None:
    """The same request twice needs a take; another request needs another key."""
    parsed = read("key,prompt\na,A dog\na,A cat\n,A fox\n,A fox\n")
    assert [row.line for row in parsed.rows] == [2, 4]
    assert "line 2 has another request" in str(parsed.problems[0])
    assert "line 4 has the same request" in str(parsed.problems[1])
    assert "take" in str(parsed.problems[1])


def test_ten_thousand_rows_are_read() -> None:
    """Each has its line."""
    parsed = read("prompt\n" + "".join(f"Dog number {n}\n" for n in range(10_000)))
    assert len(parsed.rows) == 10_000
    assert parsed.rows[-1].line == 10_001


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=20))
def test_every_row_of_any_csv_is_read_or_reported(prompts: list[str]) -> None:
    """No row is lost, prompts are unchanged, and nothing raises."""
    text = io.StringIO()
    csv.writer(text).writerows([["prompt", "take"], *([prompt, n + 1] for n, prompt in enumerate(prompts))])
    parsed = read(text.getvalue())
    assert len(parsed.rows) + len(parsed.problems) == len(prompts)
    read_back = {row.take: row.request.prompt for row in parsed.rows}
    assert all(prompts[take - 1] == prompt for take, prompt in read_back.items())


def test_kind_is_taken_from_the_extension() -> None:
    """Any other extension raises and names the option to use."""
    assert [kind_of(Path(f"a.{end}")) for end in ("csv", "TSV", "jsonl", "json")] == ["csv", "tsv", "jsonl", "json"]
    with pytest.raises(errors.UsageError, match="--format"):
        kind_of(Path("prompts.txt"))


def test_estimate_adds_known_prices_and_counts_unknown_ones() -> None:
    """Users may replace the price table."""
    fast, large, new = (
        VideoRequest("a"),
        VideoRequest("b", model="veo3", resolution="4k"),
        VideoRequest("c", model="veo9"),
    )
    cost = estimate([fast, fast, large, new])
    assert (cost.credits, cost.without_price) == (490.0, 1)
    assert cost.clips["veo3_fast", "720p"] == 2
    assert price_of(new, {"veo9": {"720p": 7.0}}) == 7.0


PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def test_image_files_are_read_relative_to_the_lists_folder(tmp_path: Path) -> None:
    """Line 7 names a missing file and line 8 an HTML page; both are reported, and the other rows are valid."""
    (tmp_path / "my cat.png").write_bytes(PNG)
    (tmp_path / "twin.png").write_bytes(PNG)
    (tmp_path / "page.png").write_text("<html>")
    cells = ["my cat.png", "twin.png", "https://x.example/a.png", "", "./my cat.png", "gone.png", "page.png"]
    text = "prompt,image\n" + "".join(f"Dog {n},{cell}\n" for n, cell in enumerate(cells))
    parsed = read(text, folder=tmp_path)
    assert [(problem.line, problem.problems[0].rule) for problem in parsed.problems] == [
        (7, "cannot be read: No such file or directory"),
        (8, "is a web page, not a JPEG, PNG or WebP"),
    ]
    assert len(parsed.rows) == 5
    assert parsed.uploads == 1


def test_automatic_key_depends_on_image_content(tmp_path: Path) -> None:
    """The same list in another folder costs nothing, and a changed image is a new clip."""
    keys = []
    for name, content in (("a", PNG), ("b", PNG), ("c", PNG + b"!")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cat.png").write_bytes(content)
        keys.append(read("prompt,image_urls\nA dog,cat.png\n", folder=tmp_path / name).rows[0].key)
    assert keys[0] == keys[1] != keys[2]


def test_extend_and_upgrade_columns_add_follow_ups() -> None:
    """Extend comes first in any order of columns, and each follow-up is checked with its row."""
    content = b"key,upgrade,extend,prompt\nrow,4k,It swims ashore,A dog\nplain,,,A cat\n"
    manifest = read_manifest(content, "csv", KIE)
    assert not manifest.problems
    row, plain = manifest.rows
    assert [type(item.request).__name__ for item in row.chain] == ["VideoRequest", "ExtendRequest", "UpgradeRequest"]
    assert row.chain[2].request == UpgradeRequest(to="4k", after_key=row.chain[1].key)
    assert [item.key for item in plain.chain] == ["plain"]
    [problem] = read_manifest(b"prompt,upgrade\nA dog,8k\n", "csv", KIE).problems
    assert str(problem).startswith("line 2: then='8k': ")
    assert [(part.field, part.value) for part in problem.problems] == [("then", "8k")]
