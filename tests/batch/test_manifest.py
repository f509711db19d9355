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


@pytest.mark.parametrize(
    ("prompt", "encoding", "name"),
    [
        ("Ein Hörnchen läuft über die „Straße“ – schön, 5 m²", "cp1252", "Windows-1252"),
        ("¿Dónde está l’été? À Besançon, à 20 °C", "cp1252", "Windows-1252"),
        ("Собака бежит по пляжу, ещё светло, 4K", "cp1251", "Windows-1251"),
    ],
)
def test_plain_csv_of_excel_is_read_with_a_warning_that_shows_a_word(prompt: str, encoding: str, name: str) -> None:
    """The file does not say its code page, so the warning names the one that was recognized, and the line."""
    parsed = read(f'key;prompt\r\na;A dog\r\nb;"{prompt}"\r\n', encoding=encoding)
    assert parsed.rows[1].request.prompt == prompt
    [warning] = parsed.warnings
    word = next(word.strip(",") for word in prompt.split() if not word.isascii())
    assert warning.startswith(f"line 3: not UTF-8, so the list was read as {name}, ")
    assert f'has the word "{word}"' in warning
    assert "CSV UTF-8" in warning


@pytest.mark.parametrize(
    ("prompt", "encoding"),
    [
        ("Zażółć gęślą jaźń", "cp1250"),
        ("Příliš žluťoučký kůň", "cp1250"),
        ("Köpek kumsalda koşuyor ığdır", "cp1254"),
        ("Ein Hörnchen über dem Fluß, été", "mac_roman"),
        ("犬がサーフィンをしている", "shift_jis"),
        ("Σκύλος στην παραλία", "cp1253"),
        ("Собака бежит по пляжу", "koi8_r"),
        ("Собака бежит по пляжу", "cp866"),
    ],
)
def test_code_page_that_is_not_recognized_is_refused_with_line_and_remedy(prompt: str, encoding: str) -> None:
    """A wrong guess would be paid for."""
    with pytest.raises(
        errors.UsageError, match=r"line 3: not valid UTF-8; save the file as UTF-8 \(in Excel: CSV UTF-8"
    ):
        read(f"prompt\nA dog\n{prompt}\n", encoding=encoding)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,prompt\na,b\n", "line 1: two columns are called 'prompt'; rename one"),
        ("\n\nPrompt,prompt \na,b\n", "line 3: two columns are called 'Prompt'"),
        ('prompt\n"never closed\n', "line 2: .*fix the quoting"),
        (
            "promt,seed,colour\na,b,c\n",
            'line 1: no column is called "prompt"; the columns are "promt", "seed" and "colour"\\. '
            'Rename "promt" to "prompt"\\.',
        ),
        ("A dog surfing\nA cat\n", r'the column is "A dog surfing"\. .*add one above the first line: "prompt"\.'),
        ("key,model\na,veo3\n", r'Call the column with the prompts "prompt"\. Or build the prompts .* --prompt "A \{'),
        ("", "the list is empty. Write the column names into the first line, for example prompt, and below it a line"),
        (" \r\n;;\r\n", "the list is empty. Write the column names"),
        ("sep=;\r\nkey;prompt\r\n;\r\n", "line 2: the list has column names and no rows. Add a line below them"),
    ],
)
def test_malformed_list_raises(text: str, message: str) -> None:
    """None of its rows can be sent; the error says what to do next."""
    with pytest.raises(errors.UsageError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "jsonl", r'the list is empty\. Write a line for each clip: \{"prompt": '),
        ("[]", "json", r'the list is empty\. Write an object for each clip: \[\{"prompt": '),
        ("", "json", "the list is empty"),
        ('{"prompt": "A dog"}\n{"prompt" "A cat"}\n', "jsonl", "line 2: .* at column 11; write one object per line"),
        (
            '[\n  {"prompt": "A dog"},\n  {"prompt" "A cat"}\n]',
            "json",
            "line 3: .* at column 13; write a list of objects",
        ),
        ('[\n  {"prompt": "A dog"}\n  {"prompt": "A cat"}]', "json", "line 3: Expecting ',' or ']' at column 3"),
        ('[{"prompt": "A dog"}]\n\nx', "json", "line 3: "),
        ('[{"prompt": "A dog"},\n]', "json", "line 2: "),
        ('[\n{"prompt": "A dog"},\n', "json", "line [23]: "),
        ('\n{"prompt": "A dog"}', "json", "line 2: Not a list at column 1"),
        ('[{"text": "A dog"}]', "json", r'line 1: no column is called "prompt"; .* Rename "text" to "prompt"\.'),
    ],
)
def test_malformed_json_raises_with_its_line(text: str, kind: Kind, message: str) -> None:
    """Lines are counted in the file, not in the item."""
    with pytest.raises(errors.UsageError, match=message):
        read(text, kind)


# --- columns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", ["Prompt;Aspect Ratio;SEEDS", " prompt ;aspect-ratio;\xa0Seeds", "PROMPT;ASPECT_RATIO;seeds;;"]
)
def test_spelling_of_known_columns_does_not_matter(header: str) -> None:
    """Case, blanks around the name, and blanks or hyphens in it; empty columns behind the last one."""
    parsed = read(f"{header}\nA dog;9:16;12345\n")
    assert not parsed.problems
    assert not parsed.warnings
    assert parsed.columns == ("prompt", "aspect_ratio", "seeds")
    assert parsed.rows[0].request == VideoRequest("A dog", aspect_ratio="9:16", seeds=12345)
    [row] = read('[{"Prompt": "A dog", "Aspect Ratio": "9:16", "Seeds": 12345.0}]', "json").rows
    assert row.request == parsed.rows[0].request


@pytest.mark.parametrize(
    ("columns", "warning"),
    [
        ("colour", '"colour" is an unknown column. It is only'),
        ("id", '"id" is an unknown column; did you mean "key"? It is only'),
        (
            "Seed Nr,id,Kunde",
            '"Seed Nr" (did you mean "seeds"?), "id" (did you mean "key"?) and "Kunde" are unknown columns.',
        ),
    ],
)
def test_unknown_columns_are_kept_with_one_warning_and_refused_strictly(columns: str, warning: str) -> None:
    """They set nothing, and a wrong name of a known column is suggested, not guessed."""
    text = f"prompt,{columns}\nA dog,{','.join('x' for _ in columns.split(','))}\n"
    parsed = read(text)
    [shown] = parsed.warnings
    assert shown.startswith(f"line 1: {warning}")
    assert parsed.columns == ("prompt", *columns.split(","))
    [row] = parsed.rows
    assert row.others == dict.fromkeys(columns.split(","), "x")
    assert (row.request, len(row.key)) == (VideoRequest("A dog"), 20)
    with pytest.raises(errors.UsageError, match=r"unknown columns?\b.*--strict.*Known columns: aspect_ratio, "):
        read(text, strict=True)


def test_missing_column_names_the_misspelled_one() -> None:
    """As the warning does, if there is a prompt as well."""
    [warning] = read("prompt,promt\nA dog,x\n").warnings
    assert warning.startswith('line 1: "promt" is an unknown column; did you mean "prompt"?')


def test_columns_of_a_template_are_not_unknown() -> None:
    """Their spelling does not matter either; other unknown columns are still reported."""
    parsed = read("Animal,Main Thing,colour\ndog,wave,red\n", template="A {animal} on a {main_thing}")
    assert parsed.rows[0].request.prompt == "A dog on a wave"
    [warning] = parsed.warnings
    assert warning.startswith('line 1: "colour" is an unknown column')
    assert not read("animal\ndog\n", template="A {Animal}", strict=True).warnings


def test_column_that_is_called_like_one_of_the_results_gets_another_name() -> None:
    """So results.csv can have both. The columns of a results.csv itself are left out."""
    assert read("prompt,Status\nA dog,open\n").columns == ("prompt", "Status (list)")
    earlier = read("prompt,key,status,path,height,credits,reason,task_id\nA dog,a,saved,x,,,,t\n")
    assert (earlier.columns, earlier.warnings) == (("prompt", "key"), ())


def test_warning_about_json_names_the_first_line_with_the_column() -> None:
    """Values keep their types for results.jsonl."""
    parsed = read('{"prompt": "A dog"}\n\n{"prompt": "A cat", "client": {"id": 7}}\n', "jsonl")
    assert parsed.warnings[0].startswith('line 3: "client" is an unknown column.')
    assert parsed.rows[1].others == {"client": {"id": 7}}


def test_one_name_in_two_spellings_of_a_json_object_is_a_problem() -> None:
    """Neither value is dropped silently."""
    [problem] = read('{"prompt": "A dog", "Prompt": "A cat"}\n{"prompt": "A fox"}', "jsonl").problems
    assert "is given twice" in str(problem)


# --- rows ---------------------------------------------------------------------------------------------------------


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
    assert str(read("key,prompt\na,\nb,A dog\n").problems[0]) == "line 2: prompt is missing."


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


def test_delimiter_is_the_one_that_gives_known_columns() -> None:
    """A comma in another column's name, tabs in a .csv file, and the line by which Excel names the delimiter."""
    assert read("Prompt;note, internal\nA dog, running;x\n").rows[0].request.prompt == "A dog, running"
    assert read("prompt\tmodel\nA dog, running\tveo3\n").rows[0].request.model == "veo3"
    for text in ("sep=;\r\nprompt;seeds\r\nA dog;7\r\n", '"sep=|"\nprompt|seeds\nA dog|7\n'):
        [problem] = read(text).problems
        assert (problem.line, problem.problems[0].field) == (3, "seeds")


def test_numbers_may_be_written_as_a_spreadsheet_writes_them() -> None:
    """With a decimal comma and zeros, and blanks around; anything that is not whole is a problem."""
    parsed = read(
        "prompt;seeds;duration;take;enable_translation\nA dog; 12345,0 ;8,00;2;FALSCH\nA cat;12,5;8.0;1;WAHR\n"
    )
    [row] = parsed.rows
    assert (row.request.seeds, row.request.duration, row.take) == (12345, 8, 2)
    assert row.request.enable_translation is False
    assert str(parsed.problems[0]).startswith("line 3: seeds='12,5': must be a whole number")


def test_cells_of_empty_columns_are_ignored_unless_they_contain_something() -> None:
    """Spreadsheets write the empty cells to the right of the table, too."""
    assert not read("prompt;;key;\nA dog;;a;;;\n").problems
    [problem] = read("prompt;;key\nA dog;x;a\n").problems
    assert "is in a column without a name" in str(problem)


def test_blanks_around_a_value_are_ignored_except_in_a_prompt() -> None:
    """A key that was typed with a blank is the same key."""
    [row] = read("key;model;prompt\n row-1 ; veo3 ; A dog \n").rows
    assert (row.key, row.request.model, row.request.prompt) == ("row-1", "veo3", " A dog ")


def test_rows_are_numbered_and_a_rejected_list_keeps_the_numbers() -> None:
    """Invalid rows and those before them count, so a name does not change when a row is corrected."""
    parsed = read("prompt,seeds\nA dog,\n\nA cat,7\nA fox,\n")
    assert [(row.number, row.line) for row in parsed.rows] == [(1, 2), (3, 5)]
    assert [problem.number for problem in parsed.problems] == [2]
    rejected = read("prompt,list_row,error\nA cat,2,line 4\nA bee,,\n")
    assert [row.number for row in rejected.rows] == [2, 2]
    assert rejected.columns == ("prompt",)


def test_json_lines_and_json_are_read() -> None:
    """Values keep their types; a wrong type is a problem of its field."""
    lines = '{"prompt": "A dog", "image_urls": ["https://x.example/a.png"], "seeds": 12345}\n\n{"prompt": 7}\n[1]\n'
    parsed = read(lines, "jsonl")
    assert parsed.rows[0].request.seeds == 12345
    assert [(problem.line, problem.problems[0].field) for problem in parsed.problems] == [(3, "prompt"), (4, "row")]
    assert read(json.dumps([{"prompt": "A dog"}, {"prompt": "A cat"}]), "json").rows[1].request.prompt == "A cat"
    items = read('[{"prompt": "A\\u2028dog"},\n\n {"prompt": 7},\n 5]', "json")
    assert [row.line for row in items.rows] == [1]
    assert [(problem.line, problem.problems[0].field) for problem in items.problems] == [(3, "prompt"), (4, "row")]
    assert read('{"prompt": "A\u2028dog"}\n', "jsonl").rows[0].request.prompt == "A\u2028dog"
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


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1, max_size=20
    )
)
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
    assert (cost.credits, cost.without_price) == (500.0, 1)
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
