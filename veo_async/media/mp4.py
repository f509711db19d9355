"""Whether a file is a complete MP4.

aiohttp reports a truncated chunked response as a normal end, so comparing lengths is not enough. The MP4 file itself
shows whether it is complete: it is a sequence of boxes, each of which begins with its own length (ISO/IEC 14496-12,
4.2), so a truncated file ends inside a box. A playable file begins with ``ftyp`` and contains ``moov`` (the index) and
``mdat`` (the frames).
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_HEAD = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")
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
        kind, length = _box_at(file, offset, size)
        if offset + length > size:
            raise IncompleteVideo(f"truncated inside a box: {size} bytes of {offset + length}")
        yield kind, length
        offset += length
    raise IncompleteVideo("it has more boxes than any real file")


def _box_at(file: BinaryIO, offset: int, size: int) -> tuple[bytes, int]:
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
    return kind, length
