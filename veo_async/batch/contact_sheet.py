"""The contact sheet: a picture out of each clip of a batch, with its name and length, to be looked over at a glance.

It needs the extra ``media`` (PyAV reads the films, Pillow draws), which is imported when a sheet is made and not
before. A clip that cannot be read gets an empty tile: a sheet that is there in part is worth more than an error about
one film. Everything here blocks; an event loop calls it in a thread.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from veo_async._base.atomic_write import write_atomically
from veo_async.errors import printable

if TYPE_CHECKING:
    from av.container import InputContainer
    from PIL.Image import Image

INSTALL_MEDIA_EXTRA = "For a contact sheet beside the page: pip install 'veo-async[media]'"

#: Pixels of a picture, of the line of text beneath it, and of what parts one tile from the next.
PICTURE = (240, 135)
TEXT_PX, GAP_PX = 20, 8
#: Tiles on one sheet; a longer list has more sheets: a WebP ends at 16,383 pixels, and a reader's patience before.
MAX_TILES = 100
_PAPER, _EMPTY, _INK = (24, 24, 27), (63, 63, 70), (228, 228, 231)
_TEXT_WIDTH = 34


@attrs.frozen(kw_only=True)
class Tile:
    """One tile: whose it is, and where the film lies."""

    key: str
    video: Path


class MediaExtraMissing(ImportError):
    """The extra ``media`` is not installed."""


def videos_in(folder: Path) -> list[Tile]:
    """Every film in *folder*, by its name."""
    return [Tile(key=video.stem, video=video) for video in sorted(folder.glob("*.mp4"))]


def write_sheets(folder: Path, stills: Sequence[Tile]) -> list[Path]:
    """Write ``sheet.webp``, and ``sheet-2.webp`` and so on for a long list, into *folder*; which there are.

    Raises:
        MediaExtraMissing: the extra is not installed; nothing was written.
        OSError: the folder is not writable.
    """
    _require_media()
    pages = [stills[start : start + MAX_TILES] for start in range(0, len(stills), MAX_TILES)]
    sheets = [folder / ("sheet.webp" if number == 1 else f"sheet-{number}.webp") for number in range(1, len(pages) + 1)]
    for sheet, page in zip(sheets, pages, strict=True):
        _write(sheet, _draw(page))
    return sheets


def columns_for(count: int) -> int:
    """How many tiles stand side by side: about as many as lie beneath each other."""
    return max(1, min(count, math.ceil(math.sqrt(count))))


def corner(number: int, columns: int) -> tuple[int, int]:
    """Where the picture of tile *number*, counted from 0, begins."""
    row, column = divmod(number, columns)
    width, height = PICTURE
    return GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + TEXT_PX + GAP_PX)


def size_for(count: int) -> tuple[int, int]:
    """The pixels of a sheet of so many tiles."""
    columns = columns_for(count)
    right, bottom = corner(columns - 1, columns)[0], corner(count - 1, columns)[1]
    return right + PICTURE[0] + GAP_PX, bottom + PICTURE[1] + TEXT_PX + GAP_PX


def fit(width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """Where a film of this size lies in its picture, whole: left, top, width, height."""
    room_x, room_y = PICTURE
    scale = min(room_x / width_px, room_y / height_px)
    shown_x, shown_y = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    return (room_x - shown_x) // 2, (room_y - shown_y) // 2, shown_x, shown_y


def _require_media() -> None:
    try:
        import av  # noqa: F401  # only whether it is there
        import PIL  # noqa: F401  # the same
    except ModuleNotFoundError as exc:
        raise MediaExtraMissing(INSTALL_MEDIA_EXTRA) from exc


def _draw(stills: Sequence[Tile]) -> "Image":
    from PIL import Image, ImageDraw, ImageFont  # an extra

    columns = columns_for(len(stills))
    paper = Image.new("RGB", size_for(len(stills)), _PAPER)
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(13)
    for number, still in enumerate(stills):
        left, top = corner(number, columns)
        picture, length_s = _frame_of(still.video)
        if picture is None:
            pen.rectangle((left, top, left + PICTURE[0] - 1, top + PICTURE[1] - 1), fill=_EMPTY)
        else:
            beside, beneath, width, height = fit(*picture.size)
            paper.paste(picture.resize((width, height)), (left + beside, top + beneath))
        told = printable(still.key, _TEXT_WIDTH - 6) + (f"  {length_s:.0f} s" if length_s else "  no picture")
        pen.text((left, top + PICTURE[1] + 2), told, fill=_INK, font=font)
    return paper


def _frame_of(video: Path) -> "tuple[Image | None, float | None]":
    """A picture from the middle of *video*, and its length in seconds; None for what cannot be read."""
    import av  # an extra
    from av.error import FFmpegError

    try:
        with av.open(str(video)) as container:
            length_s = None if container.duration is None else container.duration / av.time_base
            return next(_from_the_middle(container), None), length_s
    except (FFmpegError, OSError, ValueError, RuntimeError, IndexError):  # what libav says of a film that is none
        return None, None


def _from_the_middle(container: "InputContainer") -> "Iterator[Image]":
    """The pictures from the last whole one before the middle on: to go there is quick, however long the film."""
    if container.duration:
        container.seek(container.duration // 2)
    for frame in container.decode(container.streams.video[0]):
        as_image: Callable[[], Image] = frame.to_image  # PyAV does not say of what type it is
        yield as_image()


def _write(path: Path, image: "Image") -> None:
    """*image* under *path*, whole or not at all."""
    encoded = io.BytesIO()
    image.save(encoded, format="WEBP", quality=80)
    write_atomically(path, encoded.getvalue())
