"""Lists as spreadsheets on Windows save them, and result files that a spreadsheet has open."""

from pathlib import Path

import pytest

from veo_async import errors
from veo_async._wire import KIE
from veo_async.batch.manifest import read_manifest
from veo_async.batch.results import translate_os_errors
from veo_async.cli.demo import run_demo

TEXT = 'key;prompt;model\r\nrow-1;"Ein Café, ✓";veo3_fast\r\n\r\nrow-2;"two\r\nlines";veo3\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_list_of_a_spreadsheet_is_read(encoding: str) -> None:
    """Semicolons, the line ends of Windows, an empty line, a line end in a cell, and a byte order mark."""
    manifest = read_manifest(TEXT.encode(encoding), "csv", KIE)
    assert not manifest.problems
    assert [(row.key, row.request.prompt, row.line) for row in manifest.rows] == [
        ("row-1", "Ein Café, ✓", 2),
        ("row-2", "two\r\nlines", 4),
    ]


def test_json_lines_with_the_line_ends_of_windows_are_read() -> None:
    """Also with the byte order mark of Notepad."""
    text = '{"key": "a", "prompt": "A dog"}\r\n\r\n{"key": "b", "prompt": "A cat"}\r\n'
    assert [row.key for row in read_manifest(text.encode("utf-8-sig"), "jsonl", KIE).rows] == ["a", "b"]


def test_list_in_the_encoding_of_excel_is_read_with_a_warning() -> None:
    """Excel's plain CSV depends on the machine: the user sees a word by which a wrong guess shows."""
    manifest = read_manifest("key,prompt\r\na,Café\r\n".encode("cp1252"), "csv", KIE)
    assert manifest.rows[0].request.prompt == "Café"
    assert '"Café"' in manifest.warnings[0]


def test_file_that_a_spreadsheet_has_open_is_named_in_the_error(tmp_path: Path) -> None:
    """Excel locks the files that it shows."""
    target = tmp_path / "results.csv"
    with (
        pytest.raises(errors.ResultsWriteError, match=r"results\.csv cannot be replaced .*close it in other programs"),
        translate_os_errors(tmp_path, errors.ResultsWriteError),
    ):
        raise PermissionError(13, "Access is denied", "temporary", 5, target)


async def test_demo_whose_ledger_another_program_has_open_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows an open file cannot be removed."""

    def refuse(path: Path, **_: bool) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(errors.UsageError, match=r"demo\.db: Permission denied; close the programs that have it open"):
        await run_demo(tmp_path)
