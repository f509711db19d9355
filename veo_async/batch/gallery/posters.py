"""The posters of a gallery: a small still of each clip, stored in the page itself.

So the page shows every clip at once, even if it is opened without the clips. A poster needs the extra ``media``.
Without it, and for a video that cannot be read, the browser shows a frame of the video. Everything here blocks.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from veo_async.batch.frames import MediaExtraMissing, read_frame, require_media

from .cards import Card

if TYPE_CHECKING:
    from PIL.Image import Image

#: The longer side of a poster in pixels, and its WebP quality. A poster has about 20 kB.
_LONG_PX, _QUALITY = 640, 65
#: Bytes of all posters of one page. The clips after that have none, because a page of a thousand must still open.
MAX_BYTES = 6_000_000


def add_posters(folder: Path, cards: Sequence[Card], *, max_bytes: int = MAX_BYTES) -> list[Card]:
    """Return *cards* with the posters of their clips in *folder*; cards that have one keep it."""
    try:
        require_media()
    except MediaExtraMissing:
        return list(cards)
    return list(_with_posters(folder, cards, max_bytes))


def _with_posters(folder: Path, cards: Sequence[Card], left: int) -> Iterator[Card]:
    for card in cards:
        poster = card.poster
        if card.file is not None and not poster and left > 0:
            poster = _poster_of(folder / card.file)
        left -= len(poster)
        yield attrs.evolve(card, poster=poster if left >= 0 else b"")


def _poster_of(video: Path) -> bytes:
    frame, _ = read_frame(video)
    return b"" if frame is None else _encode(frame)


def _encode(frame: "Image") -> bytes:
    frame.thumbnail((_LONG_PX, _LONG_PX))
    encoded = io.BytesIO()
    frame.save(encoded, format="WEBP", quality=_QUALITY)
    return encoded.getvalue()
