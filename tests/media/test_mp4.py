"""A file is recognized as a complete MP4 by its boxes."""

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
def test_complete_file_is_accepted(data: bytes) -> None:
    """All forms that the standard allows are accepted."""
    check_complete(io.BytesIO(data))


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_truncated_file_is_detected_at_any_length(cut: int) -> None:
    """A file that lacks even one byte is incomplete."""
    with pytest.raises(IncompleteVideo):
        check_complete(io.BytesIO(WHOLE[:cut]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "start with an ftyp box"),
        (b"<!DOCTYPE html><html></html>", "inside a box"),
        (box(b"moov") + box(b"mdat"), "start with an ftyp box"),
        (box(b"ftyp") + box(b"mdat"), "moov"),
        (box(b"ftyp") + box(b"moov"), "mdat"),
        (box(b"ftyp") + struct.pack(">I4s", 4, b"moov"), "invalid length"),
        (box(b"ftyp") + struct.pack(">I4sQ", 1, b"moov", 8), "invalid length"),
        (box(b"ftyp") + struct.pack(">I4s", 1, b"moov"), "invalid length"),
        (box(b"ftyp") + box(b"free") * 20_000, "more boxes"),
    ],
)
def test_invalid_file_is_rejected_with_the_reason(data: bytes, reason: str) -> None:
    """Error pages, missing boxes, wrong lengths and floods of boxes are rejected."""
    with pytest.raises(IncompleteVideo, match=reason):
        check_complete(io.BytesIO(data))
