"""The images of the README: they exist, load nothing and are small, and they can be drawn again."""

import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from veo_async.cli.progress import Progress, Row

from .screenshots import board_svg, record_demo, richest

GUIDE = Path(__file__).parent.parent / "veo_async" / "guide"


def texts(svg: str) -> str:
    """Return the text of an SVG, with plain spaces."""
    root = ET.fromstring(svg)  # noqa: S314  # our own output
    return "".join(root.itertext()).replace("\xa0", " ")


def test_board_shows_a_running_demo_and_loads_nothing() -> None:
    """It is a small, well-formed SVG, because code hosts show nothing else."""
    svg = (GUIDE / "board.svg").read_text("utf-8")
    assert len(svg) < 40_000
    assert "url(http" not in svg
    assert "@font-face" not in svg
    for text in ("veo-async demo", "of 9 finished", "surfing-dog", "refused", "running", "saved"):
        assert text in texts(svg)


def test_gallery_image_is_a_small_png_as_wide_as_a_window() -> None:
    """The repository is downloaded with it."""
    data = (GUIDE / "gallery.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">I", data[16:20]) == (1280,)
    assert 10_000 < len(data) < 150_000


def test_board_can_be_drawn_again() -> None:
    """From any progress, with the moment of the most states chosen."""
    begin = Progress(counts={"queued": 2})
    middle = Progress(
        counts={"saved": 1, "running": 1},
        spent=60.0,
        reserved=60.0,
        rows=[Row("dog", "saved", "dog.mp4"), Row("fox & hound", "running", "about 9 s left")],
    )
    assert richest([begin, middle, Progress(counts={"saved": 2})]) is middle
    shown = texts(board_svg(middle))
    assert "1 of 2 finished" in shown
    assert "fox & hound" in shown


@pytest.mark.slow  # the demo takes ten seconds
def test_demo_is_recorded_from_begin_to_end(tmp_path: Path) -> None:
    """With several states at once in between."""
    shown = record_demo(tmp_path / "veo-out")
    assert shown[-1].counts["saved"] == 8
    assert sum(map(bool, richest(shown).counts.values())) >= 3
