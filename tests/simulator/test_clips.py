"""The simulator's videos: they are valid MP4 files for players, probes and our own checks."""

import struct
import subprocess
import sys

import pytest

from veo_async.simulator.clips import CLIPS, KINDS, POSTER, Clip, choose, named
from veo_async.simulator.clips.canvas import Canvas
from veo_async.simulator.clips.scenes import SCENES

every_clip = pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """Return the boxes in *data* by type and content, and check that they fill it completely."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert size >= 8, f"a box of {size} bytes at {at}"
        assert at + size <= len(data), f"{kind!r} at {at} runs past the end"
        found.append((kind.decode("ascii"), data[at + 8 : at + size]))
        at += size
    return found


def inside(data: bytes, *path: str) -> list[bytes]:
    """Return the contents of all boxes at *path*."""
    contents = [content for kind, content in boxes(data) if kind == path[0]]
    return contents if len(path) == 1 else [deeper for content in contents for deeper in inside(content, *path[1:])]


def handlers(data: bytes) -> list[str]:
    """Return the handler of each track: ``vide`` or ``soun``."""
    return [content[8:12].decode("ascii") for content in inside(data, "moov", "trak", "mdia", "hdlr")]


def track(data: bytes, handler: str) -> bytes:
    """Return the only track with this *handler*."""
    traks = inside(data, "moov", "trak")
    (found,) = [trak for trak in traks if inside(trak, "mdia", "hdlr")[0][8:12] == handler.encode()]
    return found


def seconds(header: bytes) -> float:
    """Return the duration in an mvhd or mdhd box of version 0."""
    assert header[0] == 0
    scale, duration = struct.unpack_from(">II", header, 12)
    return float(duration / scale)


def samples(trak: bytes) -> list[int]:
    """Return the sizes of a track's samples."""
    (table,) = inside(trak, "mdia", "minf", "stbl", "stsz")
    size, count = struct.unpack_from(">II", table, 4)
    return [size] * count if size else list(struct.unpack_from(f">{count}I", table, 12))


@every_clip
def test_index_precedes_the_media(clip: Clip) -> None:
    """A player that reads from the start has the whole index before the first frame."""
    kinds = [kind for kind, _ in boxes(clip.data)]
    assert kinds[0] == "ftyp"
    assert kinds.count("moov") == kinds.count("mdat") == 1
    assert kinds.index("moov") < kinds.index("mdat")


@every_clip
def test_box_sizes_add_up_to_the_file(clip: Clip) -> None:
    """No byte is missing or left over, so a truncated copy is detected."""
    assert sum(8 + len(content) for _, content in boxes(clip.data)) == len(clip.data)
    (moov,) = inside(clip.data, "moov")
    assert sum(8 + len(content) for _, content in boxes(moov)) == len(moov)


@every_clip
def test_clip_has_one_video_and_one_audio_track(clip: Clip) -> None:
    """The codecs are H.264 and AAC, like the provider's."""
    assert sorted(handlers(clip.data)) == ["soun", "vide"]
    descriptions = inside(clip.data, "moov", "trak", "mdia", "minf", "stbl", "stsd")
    assert {content[12:16] for content in descriptions} == {b"avc1", b"mp4a"}


@every_clip
def test_durations_match_the_catalogue(clip: Clip) -> None:
    """The file and each of its tracks have the duration that the catalogue states."""
    headers = inside(clip.data, "moov", "mvhd") + inside(clip.data, "moov", "trak", "mdia", "mdhd")
    assert len(headers) == 3
    assert [seconds(header) for header in headers] == pytest.approx([clip.duration_s] * 3, abs=0.2)


@every_clip
def test_frame_rate_is_8_to_12(clip: Clip) -> None:
    """A low frame rate keeps the files small."""
    assert 8 <= len(samples(track(clip.data, "vide"))) / clip.duration_s <= 12


@every_clip
def test_frame_size_matches_the_catalogue(clip: Clip) -> None:
    """Width and height in the track header match the catalogue and the aspect ratio."""
    (header,) = inside(track(clip.data, "vide"), "tkhd")
    width, height = struct.unpack(">II", header[-8:])
    assert (width >> 16, height >> 16) == (clip.width_px, clip.height_px)
    across, down = map(int, clip.aspect_ratio.split(":"))
    assert clip.width_px * down == clip.height_px * across


@every_clip
def test_samples_fill_the_media_box(clip: Clip) -> None:
    """The samples of both tracks together are exactly the media's bytes."""
    (media,) = inside(clip.data, "mdat")
    assert sum(sum(samples(trak)) for trak in inside(clip.data, "moov", "trak")) == len(media)
    media_at = clip.data.index(b"mdat") + 4
    for trak in inside(clip.data, "moov", "trak"):
        (table,) = inside(trak, "mdia", "minf", "stbl", "stco")
        (count,) = struct.unpack_from(">I", table, 4)
        assert all(media_at <= at < len(clip.data) for at in struct.unpack_from(f">{count}I", table, 8))


@every_clip
def test_files_contain_no_encoder_name_and_no_date(clip: Clip) -> None:
    """Rendering again on another day gives the same bytes."""
    assert b"x264" not in clip.data
    assert b"Lav" not in clip.data
    assert inside(clip.data, "moov", "mvhd")[0][4:12] == bytes(8)


def test_clips_are_small() -> None:
    """They are part of the wheel: a few kB each, less than 80 kB together."""
    assert all(2_000 < len(clip.data) <= 12_000 for clip in CLIPS)
    assert sum(len(clip.data) for clip in CLIPS) + len(POSTER.data) <= 80_000


def test_poster_is_a_small_jpeg() -> None:
    """The poster starts and ends with the JPEG markers."""
    assert POSTER.content_type == "image/jpeg"
    assert POSTER.data.startswith(b"\xff\xd8\xff")
    assert POSTER.data.endswith(b"\xff\xd9")
    assert len(POSTER.data) < 4_000


def test_files_differ_in_name_content_and_etag() -> None:
    """A test notices when the wrong file was downloaded."""
    files = (*CLIPS, POSTER)
    for distinct in (
        {file.name for file in files},
        {file.sha256 for file in files},
        {file.etag for file in files},
    ):
        assert len(distinct) == len(files)


def test_etag_is_strong_and_quoted() -> None:
    """Downloads may be resumed with a strong ETag only."""
    etag = CLIPS[0].etag
    assert etag[0] == etag[-1] == '"'
    assert etag[1:-1].isalnum()


def test_named_finds_every_file() -> None:
    """Unknown names raise `KeyError`."""
    assert all(named(file.name) is file for file in (*CLIPS, POSTER))
    with pytest.raises(KeyError):
        named("../render.py")


def test_bytes_are_read_once() -> None:
    """All downloads share one copy of the bytes."""
    assert CLIPS[0].data is CLIPS[0].data


def test_import_reads_no_file() -> None:
    """Importing the clips reads no file and does not need PyAV."""
    program = "import sys, veo_async.simulator.clips as clips\n"
    program += "print(clips._read.cache_info().currsize, 'av' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aspect_ratio", ["16:9", "9:16"])
def test_choose_matches_kind_and_ratio(kind: str, aspect_ratio: str) -> None:
    """Every kind exists in both aspect ratios."""
    for number in range(5):
        clip = choose(task_number=number, aspect_ratio=aspect_ratio, kind=kind)  # type: ignore[arg-type]
        assert (clip.kind, clip.aspect_ratio) == (kind, aspect_ratio)


@pytest.mark.parametrize("duration", [4, 6, 8])
@pytest.mark.parametrize("aspect_ratio", ["16:9", "9:16"])
def test_choose_matches_the_duration(duration: int, aspect_ratio: str) -> None:
    """Every duration that a request may have exists in both aspect ratios."""
    for number in range(5):
        assert choose(task_number=number, aspect_ratio=aspect_ratio, duration=duration).duration_s == duration


def test_choose_is_deterministic() -> None:
    """The same arguments give the same clip; consecutive tasks get different clips."""
    chosen = [choose(task_number=number, aspect_ratio="16:9", duration=8) for number in range(4)]
    assert chosen == [choose(task_number=number, aspect_ratio="16:9", duration=8) for number in range(4)]
    assert chosen[0] != chosen[1]
    assert chosen[0] == chosen[2]


def test_choose_treats_auto_as_landscape() -> None:
    """The simulator does not inspect the image."""
    assert choose(task_number=1, aspect_ratio="Auto") == choose(task_number=1, aspect_ratio="16:9")


def test_upgrades_are_larger_and_extensions_longer() -> None:
    """A test can tell the results of upgrades and extensions from the source."""
    plain = choose(task_number=0)
    assert choose(task_number=0, kind="1080p").width_px > plain.width_px
    assert choose(task_number=0, kind="4k").width_px > plain.width_px
    assert choose(task_number=0, kind="extend").duration_s == 16


def test_choose_rejects_an_unknown_kind() -> None:
    """A typo in the simulator does not silently select some clip."""
    with pytest.raises(ValueError, match="kind='8k': must be one of"):
        choose(task_number=0, kind="8k")  # type: ignore[arg-type]


@every_clip
def test_scene_fills_the_canvas_and_moves(clip: Clip) -> None:
    """Each clip names an existing scene."""
    frames = []
    for at_s in (0.0, clip.duration_s / 2):
        canvas = Canvas(clip.width_px // 4, clip.height_px // 4)
        SCENES[clip.scene](canvas, at_s, float(clip.duration_s))
        frames.append(bytes(canvas.pixels))
    assert len(frames[0]) == 3 * canvas.width_px * canvas.height_px
    assert frames[0] != frames[1]
    assert b"\0\0\0" not in {frames[0][at : at + 3] for at in range(0, len(frames[0]), 3)}
