"""The notebook of the guide runs from top to bottom, and is stored without what a run leaves in it."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "veo_async" / "guide" / "first-clips.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outputs of each cell, by the cell's id. A cell that fails raises its error.

    It takes several seconds, because its reader is to see how a clip is generated.
    """
    folder = tmp_path_factory.mktemp("guide")
    shutil.copy(NOTEBOOK, folder)
    notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
    client = NotebookClient(notebook, timeout=50, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def html_of(outputs: list[Any]) -> str:
    return "".join(output.data.get("text/html", "") for output in outputs if output.output_type == "execute_result")


def text_of(outputs: list[Any]) -> str:
    return "".join(output.data["text/plain"] for output in outputs if output.output_type == "execute_result")


def test_notebook_is_valid_and_stored_without_outputs() -> None:
    """A diff then shows only changes of the text."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        if cell.cell_type == "code":
            assert (cell.execution_count, cell.outputs) == (None, []), cell.id


def test_links_lead_to_pages_of_the_guide() -> None:
    """Relative links work on a code host and in Jupyter."""
    links = re.findall(r"\]\(([\w-]+\.md)\)", NOTEBOOK.read_text("utf-8"))
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


@pytest.mark.slow
def test_one_clip_is_shown_as_a_video(executed: dict[str, Any]) -> None:
    """It is saved, and embedded in the notebook."""
    html = html_of(executed["one-clip"])
    assert html.count("<video") == 1
    assert "A dog surfing at dusk" in html


@pytest.mark.slow
def test_many_clips_are_shown_with_the_refused_one(executed: dict[str, Any]) -> None:
    """Two videos and a reason; three clips were charged in all."""
    html = html_of(executed["many-clips"])
    assert html.count("<video") == 2
    assert "2 done, 1 refused" in html
    reason, remedy, charges = ast.literal_eval(text_of(executed["refused-clip"]))
    assert (reason, charges) == ("content policy", 3)
    assert remedy.startswith("Reword the prompt")


@pytest.mark.slow
def test_budget_stops_the_third_clip(executed: dict[str, Any]) -> None:
    """As the text above the cell says."""
    assert text_of(executed["estimate"]) == "60.0"
    assert text_of(executed["limited"]) == "<Outcomes: 2 done, 1 refused>"
