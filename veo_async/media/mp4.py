"""Whether a file is a complete MP4, and the size of its video.

aiohttp reports a truncated chunked response as a normal end, so comparing lengths is not enough. The MP4 file itself
shows whether it is complete: it is a sequence of boxes, each of which begins with its own length (ISO/IEC 14496-12,
4.2), so a truncated file ends inside a box. A playable file begins with ``ftyp`` and contains ``moov`` (the index) and
``mdat`` (the frames).
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_HEAD = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")
_TRACK_END = struct.Struct(">9i2I")
_REQUIRED = frozenset({b"moov", b"mdat"})
#: Real files have a handful of top-level boxes. Reading a file of a million tiny ones would take too long.
_MAX_BOXES = 10_000


class IncompleteVideo(ValueError):
    """The bytes are not a complete MP4."""


def check_complete(file: BinaryIO) -> None:
    """Raise `IncompleteVideo`, with the reason, unless *file* is a complete MP4."""
    size = file.seek(0, os.SEEK_END)
    kinds = [kind for kind, _ in boxes(file, size)]
    if not kinds or kinds[0] != b"ftyp":
        raise IncompleteVideo("it does not start with an ftyp box")
    if missing := _REQUIRED - set(kinds):
        names = " and ".join(sorted(kind.decode() for kind in missing))
        raise IncompleteVideo(f"it has no {names} box")


def boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and length of each top-level box of *file*, which is *size* bytes long."""
    offset = 0
    for _ in range(_MAX_BOXES):
        if offset == size:
            return
        kind, _, length = _box_at(file, offset, size)
        if offset + length > size:
            raise IncompleteVideo(f"truncated inside a box: {size} bytes of {offset + length}")
        yield kind, length
        offset += length
    raise IncompleteVideo("it has more boxes than any real file")


def video_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return the width and height at which *file* is shown, in pixels; None if it does not say."""
    size = file.seek(0, os.SEEK_END)
    with contextlib.suppress(IncompleteVideo, struct.error):
        for movie in _inside(file, (0, size), b"moov"):
            for track in _inside(file, movie, b"trak"):
                for start, end in _inside(file, track, b"tkhd"):
                    if all(shown := _shown_size(file, start, end)):
                        return shown
    return None


def _inside(file: BinaryIO, place: tuple[int, int], kind: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the contents of each box *kind* begin and end that is directly inside *place*."""
    offset, end = place
    for _ in range(_MAX_BOXES):
        if offset >= end:
            return
        found, head, length = _box_at(file, offset, end)
        if found == kind:
            yield offset + head, offset + length
        offset += length


def _shown_size(file: BinaryIO, start: int, end: int) -> tuple[int, int]:
    """Return the width and height in a track header (8.3.2), which ends with a matrix of nine numbers and both."""
    file.seek(max(start, end - _TRACK_END.size))
    across, *_, width, height = _TRACK_END.unpack(file.read(_TRACK_END.size))
    shown = (width >> 16, height >> 16)
    return shown if across else (shown[1], shown[0])  # without a horizontal part, the matrix turns the frame


def _box_at(file: BinaryIO, offset: int, size: int) -> tuple[bytes, int, int]:
    """Return the kind of a box, the length of its head, and its length."""
    file.seek(offset)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise IncompleteVideo("truncated inside a box header")
    length, kind = _HEAD.unpack(head)
    min_length = _HEAD.size
    if length == 1:
        long_form = file.read(_LONG.size)
        min_length += _LONG.size
        length = _LONG.unpack(long_form)[0] if len(long_form) == _LONG.size else 0
    elif length == 0:  # "to the end of the file": a truncation of such a box cannot be detected
        length = size - offset
    if length < min_length:
        raise IncompleteVideo("it contains a box with an invalid length")
    return kind, min_length, length
