"""A file is recognized as a complete MP4 by its boxes."""

import io
import struct

import pytest

from veo_async.media import IncompleteVideo, check_complete
from veo_async.media.mp4 import video_size
from veo_async.simulator.clips import CLIPS


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


def track(width: int, height: int, *, version: int = 0, turned: bool = False) -> bytes:
    """Return a track whose header has this size, which a matrix may turn by a quarter."""
    one = 1 << 16
    matrix = (0, one, 0, -one, 0, 0, 0, 0, 1 << 30) if turned else (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    start = struct.pack(">I", version << 24) + bytes(36 if version == 0 else 48)
    return box(b"trak", box(b"tkhd", start + struct.pack(">9i2I", *matrix, width << 16, height << 16)))


def movie(*tracks: bytes) -> bytes:
    return box(b"ftyp", b"isom") + box(b"moov", box(b"mvhd", bytes(100)) + b"".join(tracks)) + box(b"mdat", b"pictures")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (movie(track(1920, 1080)), (1920, 1080)),
        (movie(track(0, 0), track(720, 1280)), (720, 1280)),
        (movie(track(1920, 1080, version=1)), (1920, 1080)),
        (movie(track(1920, 1080, turned=True)), (1080, 1920)),
        (movie(track(0, 0)), None),
        (movie(), None),
        (movie(box(b"trak", box(b"tkhd", b"short"))), None),
        (movie(box(b"trak", b"\0\0\0\3tkhd")), None),
        (WHOLE, None),
        (b"", None),
    ],
    ids=[
        "video",
        "sound first",
        "version 1",
        "turned",
        "sound only",
        "no track",
        "short",
        "broken",
        "nonsense",
        "empty",
    ],
)
def test_size_is_that_of_the_first_video_track(data: bytes, size: tuple[int, int] | None) -> None:
    """Sound has no size; a file that does not say has none."""
    assert video_size(io.BytesIO(data)) == size


def test_size_of_real_files_is_found() -> None:
    """All clips of the simulator, which an encoder has written."""
    for clip in CLIPS:
        assert video_size(io.BytesIO(clip.data)) == (clip.width_px, clip.height_px)
