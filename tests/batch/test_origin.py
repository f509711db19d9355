"""Which list a ``rejected.csv`` belongs to."""

from pathlib import Path

import pytest

from veo_async.batch.origin import Origin, origin_of, read_origin, write_origin


def test_rejected_rows_in_the_output_folder_belong_to_their_list(tmp_path: Path) -> None:
    """With the list's budget, and the folder of its images; anywhere else, or under another name, they do not."""
    out = tmp_path / "prompts-out"
    out.mkdir()
    origin = origin_of(tmp_path / "prompts.csv", out)
    assert origin == Origin(budget=str(tmp_path / "prompts.csv"), folder=tmp_path, title="Prompts")
    write_origin(out, origin)
    assert read_origin(out / "rejected.csv") == origin
    assert read_origin(out / "results.csv") is None
    assert read_origin(tmp_path / "rejected.csv") is None


def test_list_from_standard_input_is_known_by_its_output_folder(tmp_path: Path) -> None:
    """It has no path; its images are relative to the working directory."""
    assert origin_of(None, tmp_path) == Origin(budget=str(tmp_path), folder=Path.cwd())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"budget": "x"}', "null"])
def test_damaged_origin_makes_it_a_list_of_its_own(tmp_path: Path, text: str) -> None:
    """Then it has its own folder and budget, as a moved list has."""
    (tmp_path / "list.json").write_text(text)
    assert read_origin(tmp_path / "rejected.csv") is None
