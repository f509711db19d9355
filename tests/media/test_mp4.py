"""Whether a file is a complete MP4, told by its own boxes."""

import io
import struct

import pytest

from veo_async.media import IncompleteVideo, check_complete


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def long_box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


WHOLE = box(b"ftyp", b"isom") + box(b"moov", b"index") + box(b"mdat", b"pictures")


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        WHOLE + box(b"free"),
        box(b"ftyp", b"isom") + long_box(b"mdat", b"pictures") + box(b"moov"),
        box(b"ftyp") + box(b"moov") + struct.pack(">I4s", 0, b"mdat") + b"to the end",
    ],
    ids=["plain", "with padding", "64-bit length, index last", "open-ended last box"],
)
def test_whole_files_pass(data: bytes) -> None:
    """The forms that the standard allows."""
    check_complete(io.BytesIO(data))


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_a_file_cut_anywhere_is_noticed(cut: int) -> None:
    """Not one byte may be missing."""
    with pytest.raises(IncompleteVideo):
        check_complete(io.BytesIO(WHOLE[:cut]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begin like an MP4"),
        (b"<!DOCTYPE html><html></html>", "inside a box"),
        (box(b"moov") + box(b"mdat"), "begin like an MP4"),
        (box(b"ftyp") + box(b"mdat"), "moov"),
        (box(b"ftyp") + box(b"moov"), "mdat"),
        (box(b"ftyp") + struct.pack(">I4s", 4, b"moov"), "impossible length"),
        (box(b"ftyp") + struct.pack(">I4sQ", 1, b"moov", 8), "impossible length"),
        (box(b"ftyp") + struct.pack(">I4s", 1, b"moov"), "impossible length"),
        (box(b"ftyp") + box(b"free") * 20_000, "more boxes"),
    ],
)
def test_what_is_no_video_is_told_why(data: bytes, why: str) -> None:
    """An error page, a missing part, a lying length, a flood of boxes."""
    with pytest.raises(IncompleteVideo, match=why):
        check_complete(io.BytesIO(data))
