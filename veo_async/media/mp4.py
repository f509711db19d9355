"""Is this file a complete MP4?

A chunked answer that breaks off looks like a clean end to the HTTP library, so length headers do not suffice. An MP4
tells by itself: it is a row of boxes, each beginning with its own length (ISO/IEC 14496-12, 4.2), so a cut file ends
inside a box. A playable one has ``ftyp`` first, and both ``moov`` (the index) and ``mdat`` (the pictures).
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_HEAD = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")
_NEEDED = frozenset({b"moov", b"mdat"})
#: Real files have a handful of boxes at the top; a file of a million tiny ones is an attack on our patience.
_MOST_BOXES = 10_000


class IncompleteVideo(ValueError):
    """These bytes are no complete MP4."""


def check_complete(file: BinaryIO) -> None:
    """Raise `IncompleteVideo`, saying why, unless *file* is a complete MP4."""
    size = file.seek(0, os.SEEK_END)
    kinds = [kind for kind, _ in boxes(file, size)]
    if not kinds or kinds[0] != b"ftyp":
        raise IncompleteVideo("it does not begin like an MP4")
    if missing := _NEEDED - set(kinds):
        names = " and ".join(sorted(kind.decode() for kind in missing))
        raise IncompleteVideo(f"it has no {names} box")


def boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each box at the top of *file*, which is *size* bytes long."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at == size:
            return
        kind, length = _box_at(file, at, size)
        if at + length > size:
            raise IncompleteVideo(f"it ends inside a box: {size} bytes of {at + length}")
        yield kind, length
        at += length
    raise IncompleteVideo("it has more boxes than any real file")


def _box_at(file: BinaryIO, at: int, size: int) -> tuple[bytes, int]:
    file.seek(at)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise IncompleteVideo("it ends inside the head of a box")
    length, kind = _HEAD.unpack(head)
    min_length = _HEAD.size
    if length == 1:
        long_form = file.read(_LONG.size)
        min_length += _LONG.size
        length = _LONG.unpack(long_form)[0] if len(long_form) == _LONG.size else 0
    elif length == 0:  # "to the end of the file": then nothing can tell whether that end was cut
        length = size - at
    if length < min_length:
        raise IncompleteVideo("it holds a box of an impossible length")
    return kind, length
