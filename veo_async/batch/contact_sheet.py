"""The contact sheet: one frame of each clip of a batch with its key and length, for a quick visual check.

Drawing needs the extra ``media`` (PyAV reads the videos, Pillow draws), which is imported only when a sheet is drawn.
A video that cannot be read gets an empty tile, so one broken file does not cost the whole sheet. Everything here
blocks; an event loop calls it in a thread.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from veo_async._base.atomic_write import write_atomically
from veo_async.errors import printable

from .frames import MediaExtraMissing, read_frame, require_media

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "FRAME_PX",
    "GAP_PX",
    "INSTALL_MEDIA_EXTRA",
    "LABEL_PX",
    "MAX_TILES",
    "MediaExtraMissing",
    "Tile",
    "columns_for",
    "corner",
    "fit",
    "size_for",
    "videos_in",
    "write_sheets",
]

INSTALL_MEDIA_EXTRA = "To get a contact sheet as well: pip install 'veo-async[media]'"

#: Width and height of a tile's frame, in pixels.
FRAME_PX = (240, 135)
#: Height of the label below a frame, and the gap between tiles, in pixels.
LABEL_PX, GAP_PX = 20, 8
#: Tiles on one sheet. A longer list gets more sheets: a WebP image is limited to 16,383 pixels a side.
MAX_TILES = 100
_BACKGROUND, _EMPTY, _TEXT = (24, 24, 27), (63, 63, 70), (228, 228, 231)
#: Characters of a label that fit below a frame, and those kept free for the length.
_LABEL_CHARACTERS, _LENGTH_CHARACTERS = 34, 6


@attrs.frozen(kw_only=True)
class Tile:
    """One tile of a contact sheet: the name of a clip and its video."""

    key: str
    video: Path


def videos_in(folder: Path) -> list[Tile]:
    """Return a tile for every video in *folder*, sorted by file name."""
    return [Tile(key=video.stem, video=video) for video in sorted(folder.glob("*.mp4"))]


def write_sheets(folder: Path, tiles: Sequence[Tile]) -> list[Path]:
    """Write ``sheet.webp`` (for a long list also ``sheet-2.webp`` and so on) into *folder* and return the paths.

    Raises:
        MediaExtraMissing: the extra is not installed; nothing was written.
        OSError: the folder is not writable.
    """
    require_media(INSTALL_MEDIA_EXTRA)
    groups = [tiles[start : start + MAX_TILES] for start in range(0, len(tiles), MAX_TILES)]
    sheets = [
        folder / ("sheet.webp" if number == 1 else f"sheet-{number}.webp") for number in range(1, len(groups) + 1)
    ]
    for sheet, group in zip(sheets, groups, strict=True):
        _write(sheet, _draw(group))
    return sheets


def columns_for(count: int) -> int:
    """Return the number of columns that makes *count* tiles about as many rows as columns."""
    return max(1, min(count, math.ceil(math.sqrt(count))))


def corner(number: int, columns: int) -> tuple[int, int]:
    """Return the top left corner of the frame of tile *number*, counted from 0."""
    row, column = divmod(number, columns)
    width, height = FRAME_PX
    return GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + LABEL_PX + GAP_PX)


def size_for(count: int) -> tuple[int, int]:
    """Return the width and height in pixels of a sheet with *count* tiles."""
    columns = columns_for(count)
    right, bottom = corner(columns - 1, columns)[0], corner(count - 1, columns)[1]
    return right + FRAME_PX[0] + GAP_PX, bottom + FRAME_PX[1] + LABEL_PX + GAP_PX


def fit(width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """Scale an image to fit the frame and centre it; return its left, top, width and height."""
    max_x, max_y = FRAME_PX
    scale = min(max_x / width_px, max_y / height_px)
    shown_x, shown_y = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    return (max_x - shown_x) // 2, (max_y - shown_y) // 2, shown_x, shown_y


def _draw(tiles: Sequence[Tile]) -> "Image":
    from PIL import Image, ImageDraw, ImageFont  # an optional dependency

    columns = columns_for(len(tiles))
    sheet = Image.new("RGB", size_for(len(tiles)), _BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, tile in enumerate(tiles):
        left, top = corner(number, columns)
        frame, length_s = read_frame(tile.video)
        if frame is None:
            pen.rectangle((left, top, left + FRAME_PX[0] - 1, top + FRAME_PX[1] - 1), fill=_EMPTY)
        else:
            x, y, width, height = fit(*frame.size)
            sheet.paste(frame.resize((width, height)), (left + x, top + y))
        label = _label(tile.key, length_s, is_readable=frame is not None)
        pen.text((left, top + FRAME_PX[1] + 2), label, fill=_TEXT, font=font)
    return sheet


def _label(key: str, length_s: float | None, *, is_readable: bool) -> str:
    length = f"  {length_s:,.0f} s" if length_s else ""
    return printable(key, _LABEL_CHARACTERS - _LENGTH_CHARACTERS) + (length if is_readable else "  unreadable")


def _write(path: Path, image: "Image") -> None:
    """Write *image* to *path* completely or not at all."""
    encoded = io.BytesIO()
    image.save(encoded, format="WEBP", quality=80)
    write_atomically(path, encoded.getvalue())
