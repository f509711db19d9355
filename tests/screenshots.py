"""Draws the images of the README from a demo: the board while it runs, and the gallery that it leaves.

Run it after a change of either, from the repository, with Chromium installed::

    python -m tests.screenshots veo_async/guide
"""

import asyncio
import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console

from veo_async.cli.board import render
from veo_async.cli.demo import SPEED, run_demo
from veo_async.cli.output import LineReporter
from veo_async.cli.progress import Progress
from veo_async.simulator.fast_loop import fast_loop

from .batch.chromium import chromium

#: Columns of the board, and width and height of the gallery in pixels.
_COLUMNS, _SIZE = 106, (1280, 1130)
#: Colours of the gallery's palette; few enough for a small file.
_COLOURS = 256


class _Recorder(LineReporter):
    """Keeps what the board would show."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.shown: list[Progress] = []

    def update(self, progress: Progress) -> None:
        self.shown.append(progress)


def record_demo(folder: Path) -> list[Progress]:
    """Run the demo into *folder* and return its progress, from its begin to its end."""
    recorder = _Recorder()
    with asyncio.Runner(loop_factory=fast_loop(SPEED)) as runner:
        runner.run(run_demo(folder, recorder))
    return recorder.shown


def richest(shown: list[Progress]) -> Progress:
    """Return the moment with the most states at once, the latest of them."""
    return max(reversed(shown), key=lambda progress: sum(map(bool, progress.counts.values())))


def board_svg(progress: Progress) -> str:
    """Return the board that shows *progress*, as an SVG that loads no fonts."""
    console = Console(record=True, width=_COLUMNS, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(render(progress))
    svg = console.export_svg(title="veo-async demo", unique_id="board")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


async def gallery_png(page_file: Path) -> bytes:
    """Return the top of the page as a PNG with a palette."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with chromium(Path(folder)) as page:
            await page.set_window(*_SIZE)
            await page.open(page_file.as_uri())
            await page.run("Promise.all([...document.images].slice(0, 8).map(image => image.decode()))")
            data = await page.screenshot(Path(folder) / "page.png")
    image = Image.open(io.BytesIO(data)).convert("RGB").quantize(_COLOURS, method=Image.Quantize.MEDIANCUT)
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def main(out: Path) -> None:
    """Write ``board.svg`` and ``gallery.png`` to *out*."""
    with tempfile.TemporaryDirectory() as folder:
        shown = record_demo(Path(folder) / "veo-out")
        (out / "board.svg").write_text(board_svg(richest(shown)), encoding="utf-8")
        (out / "gallery.png").write_bytes(asyncio.run(gallery_png(Path(folder) / "veo-out" / "index.html")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
