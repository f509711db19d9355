"""``veo-async guide``: the guide in the terminal, and in an installed package."""

import sys
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

import veo_async
from tests.programs import run as run_process
from veo_async.cli import guide_pages, run
from veo_async.cli.commands import guide as guide_command
from veo_async.errors import UsageError

PACKAGE = Path(veo_async.__file__).parent
PAGES = guide_pages.read_pages()


def guide(*arguments: str) -> int:
    """Run ``veo-async guide`` and return its exit code."""
    with pytest.raises(SystemExit) as exit_:
        run(["guide", *arguments])
    return exit_.value.code  # type: ignore[return-value]  # always a number here


def test_index_lists_every_page_once_with_its_title() -> None:
    """A page that is not in ``llms.txt`` could not be found; a wrong title would mislead."""
    names = [page.name for page in PAGES]
    assert sorted(names) == sorted(path.stem for path in (PACKAGE / "guide").glob("*.md"))
    assert {page.name: page.text().partition("\n")[0] for page in PAGES} == {
        page.name: f"# {page.title}" for page in PAGES
    }
    assert all(page.section and page.summary for page in PAGES)


def test_guide_without_topic_lists_all_pages(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its summary, by section, and the page to begin with."""
    assert guide() == 0
    output = capsys.readouterr().out
    assert all(f"  {page.name} " in output and page.summary in output for page in PAGES)
    assert output.startswith("Start\n  get-started")
    assert output.endswith("Next: veo-async guide get-started\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_in_a_pipe_is_printed_as_it_is(page: guide_pages.Page, capsys: pytest.CaptureFixture[str]) -> None:
    """So that programs can read it."""
    assert guide(page.name) == 0
    assert capsys.readouterr().out.rstrip() == page.text().rstrip()


@pytest.mark.parametrize("topic", ["many-clips", "Many clips", "MANY_CLIPS", "many-clips.md", "many"])
def test_topic_may_be_a_name_a_title_or_a_part(topic: str) -> None:
    """As the file, as the title, or as a part of one name."""
    assert guide_pages.find_page(topic, PAGES).name == "many-clips"


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("simulatr", "Did you mean simulator? "),
        ("from-", "Did you mean from-a-while-loop or from-other-clients? "),
        ("zzzz", ""),
        ("", ""),
    ],
)
def test_unknown_topic_suggests_the_nearest_page(topic: str, hint: str) -> None:
    """The error names what may be meant, and how to list all pages."""
    with pytest.raises(UsageError) as error:
        guide_pages.find_page(topic, PAGES)
    assert str(error.value) == f"the guide has no page {topic!r}. {hint}List all pages: veo-async guide"


def test_unknown_topic_exits_with_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the code for a wrong call."""
    assert guide("simulatr") == 2
    assert capsys.readouterr().err == (
        "the guide has no page 'simulatr'. Did you mean simulator? List all pages: veo-async guide\n"
    )


def test_search_prints_lines_by_page_with_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """In any case; the last line names the page to read."""
    assert guide("--search", "RATE LIMIT DOES") == 0
    output = capsys.readouterr().out
    assert "concepts (Concepts)\n" in output
    line = next(line for line in output.splitlines() if "rate limit does" in line)
    number, text = line.split(maxsplit=1)
    page = next(page for page in PAGES if text in page.text())
    assert page.text().splitlines()[int(number) - 1].strip() == text
    assert "Next: veo-async guide " in output.splitlines()[-1]


def test_search_finds_lines_with_all_words_and_shortens_long_ones() -> None:
    """The words may be apart; a row of a table is shown around the first one."""
    matches = list(guide_pages.search("charged DUPLICATED", PAGES))
    assert [match.page.name for match in matches] == ["proofs"]
    assert len(matches[0].line) <= 162
    assert matches[0].line.startswith("…")
    assert "charged" in matches[0].line


def test_search_without_a_match_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """With an exit code that a script can test."""
    assert guide("--search", "no such words") == 1
    assert capsys.readouterr().out == "No page contains 'no such words'. List all pages: veo-async guide\n"


@pytest.mark.parametrize("arguments", [["many-clips", "--search", "key"], ["--search", " "]])
def test_wrong_combination_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The text says what to write instead."""
    assert guide(*arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_page_on_a_terminal_is_rendered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Headings, code and tables without their Markdown; links to pages as what to type."""
    terminal = Console(force_terminal=True, width=120, highlight=False)
    monkeypatch.setattr(guide_command, "console", terminal)
    assert guide("crashes") == 0
    output = capsys.readouterr().out
    assert "Keep jobs in a ledger" in output
    assert "## Keep" not in output
    assert "guide callbacks" in output
    assert "callbacks.md" not in output


@pytest.mark.parametrize("is_terminal", [True, False])
def test_pager_is_used_on_a_terminal_only(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pager in a pipe would wait for a key press."""
    paged: list[str] = []
    terminal = Console(force_terminal=is_terminal, width=120, highlight=False)
    monkeypatch.setattr(guide_command, "console", terminal)
    monkeypatch.setattr("pydoc.pager", paged.append)
    monkeypatch.setenv("LESS", "-R")
    assert guide("crashes", "--pager") == 0
    assert len(paged) == is_terminal
    assert ("Keep jobs in a ledger" in capsys.readouterr().out) != is_terminal


@pytest.mark.slow
async def test_pages_are_found_inside_a_zip_file(tmp_path: Path) -> None:
    """An application may be shipped as one file."""
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in PACKAGE.rglob("*"):
            if path.suffix in {".py", ".md", ".txt", ".sql"}:
                file.write(path, path.relative_to(PACKAGE.parent))
    program = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); import veo_async; assert {archive.name!r} in "
        "veo_async.__file__; from veo_async.cli import run; run(['guide', 'concepts'])"
    )
    output = await run_process(sys.executable, "-P", "-c", program, cwd=tmp_path)
    assert output.startswith("# Concepts\n")
