"""The simulator's films: that they are what players, probes and our own checks expect of an MP4."""

import struct
import subprocess
import sys

import pytest

from veo_async.simulator.clips import CLIPS, KINDS, POSTER, Clip, choose, named
from veo_async.simulator.clips.canvas import Canvas
from veo_async.simulator.clips.scenes import SCENES

every_clip = pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """The boxes that *data* is made of, by type and content; they must fill it to the last byte."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert size >= 8, f"a box of {size} bytes at {at}"
        assert at + size <= len(data), f"{kind!r} at {at} runs past the end"
        found.append((kind.decode("ascii"), data[at + 8 : at + size]))
        at += size
    return found


def inside(data: bytes, *path: str) -> list[bytes]:
    """The contents of all boxes at *path*."""
    here = [content for kind, content in boxes(data) if kind == path[0]]
    return here if len(path) == 1 else [deeper for content in here for deeper in inside(content, *path[1:])]


def handlers(data: bytes) -> list[str]:
    """What the tracks are, in order: ``vide`` or ``soun``."""
    return [content[8:12].decode("ascii") for content in inside(data, "moov", "trak", "mdia", "hdlr")]


def track(data: bytes, handler: str) -> bytes:
    """The one track with this *handler*."""
    traks = inside(data, "moov", "trak")
    (found,) = [trak for trak in traks if inside(trak, "mdia", "hdlr")[0][8:12] == handler.encode()]
    return found


def seconds(header: bytes) -> float:
    """The duration that an mvhd or mdhd box of version 0 tells."""
    assert header[0] == 0
    scale, duration = struct.unpack_from(">II", header, 12)
    return float(duration / scale)


def samples(trak: bytes) -> list[int]:
    """The sizes of a track's samples."""
    (table,) = inside(trak, "mdia", "minf", "stbl", "stsz")
    each, count = struct.unpack_from(">II", table, 4)
    return [each] * count if each else list(struct.unpack_from(f">{count}I", table, 12))


@every_clip
def test_index_comes_before_the_media(clip: Clip) -> None:
    """The file opens with ftyp, and a player that reads from the front knows all before the first picture."""
    kinds = [kind for kind, _ in boxes(clip.data)]
    assert kinds[0] == "ftyp"
    assert kinds.count("moov") == kinds.count("mdat") == 1
    assert kinds.index("moov") < kinds.index("mdat")


@every_clip
def test_box_sizes_add_up_to_the_file(clip: Clip) -> None:
    """No byte is left over or missing: a truncated copy is told from a whole one."""
    assert sum(8 + len(content) for _, content in boxes(clip.data)) == len(clip.data)
    (moov,) = inside(clip.data, "moov")
    assert sum(8 + len(content) for _, content in boxes(moov)) == len(moov)


@every_clip
def test_there_is_a_picture_and_a_sound(clip: Clip) -> None:
    """One H.264 and one AAC track, as the provider delivers."""
    assert sorted(handlers(clip.data)) == ["soun", "vide"]
    described = inside(clip.data, "moov", "trak", "mdia", "minf", "stbl", "stsd")
    assert {content[12:16] for content in described} == {b"avc1", b"mp4a"}


@every_clip
def test_duration_is_as_promised(clip: Clip) -> None:
    """The film lasts as long as its name says, and so does each of its tracks."""
    headers = inside(clip.data, "moov", "mvhd") + inside(clip.data, "moov", "trak", "mdia", "mdhd")
    assert len(headers) == 3
    assert [seconds(header) for header in headers] == pytest.approx([clip.duration_s] * 3, abs=0.2)


@every_clip
def test_frame_rate_is_low_but_a_film(clip: Clip) -> None:
    """Eight to twelve pictures a second."""
    assert 8 <= len(samples(track(clip.data, "vide"))) / clip.duration_s <= 12


@every_clip
def test_picture_has_the_promised_size(clip: Clip) -> None:
    """Width and height in the track's header agree with the catalogue, and with the ratio."""
    (header,) = inside(track(clip.data, "vide"), "tkhd")
    width, height = struct.unpack(">II", header[-8:])
    assert (width >> 16, height >> 16) == (clip.width_px, clip.height_px)
    across, down = map(int, clip.aspect_ratio.split(":"))
    assert clip.width_px * down == clip.height_px * across


@every_clip
def test_every_sample_lies_inside_the_media(clip: Clip) -> None:
    """What the index names is there: the samples of both tracks together are the media's bytes."""
    (media,) = inside(clip.data, "mdat")
    assert sum(sum(samples(trak)) for trak in inside(clip.data, "moov", "trak")) == len(media)
    media_at = clip.data.index(b"mdat") + 4
    for trak in inside(clip.data, "moov", "trak"):
        (table,) = inside(trak, "mdia", "minf", "stbl", "stco")
        (count,) = struct.unpack_from(">I", table, 4)
        assert all(media_at <= at < len(clip.data) for at in struct.unpack_from(f">{count}I", table, 8))


@every_clip
def test_no_encoder_left_its_name_or_the_date(clip: Clip) -> None:
    """What would change with the machine or the day is not in the file."""
    assert b"x264" not in clip.data
    assert b"Lav" not in clip.data
    assert inside(clip.data, "moov", "mvhd")[0][4:12] == bytes(8)


def test_clips_are_small() -> None:
    """They travel in the wheel: a few kB each, less than 80 together."""
    assert all(2_000 < len(clip.data) <= 12_000 for clip in CLIPS)
    assert sum(len(clip.data) for clip in CLIPS) + len(POSTER.data) <= 80_000


def test_poster_is_a_small_jpeg() -> None:
    """The still starts and ends as a JPEG does."""
    assert POSTER.content_type == "image/jpeg"
    assert POSTER.data.startswith(b"\xff\xd8\xff")
    assert POSTER.data.endswith(b"\xff\xd9")
    assert len(POSTER.data) < 4_000


def test_no_two_files_are_the_same() -> None:
    """Names, contents and validators tell the files apart: a wrong download cannot look right."""
    files = (*CLIPS, POSTER)
    for distinct in (
        {file.name for file in files},
        {file.sha256 for file in files},
        {file.etag for file in files},
    ):
        assert len(distinct) == len(files)


def test_etag_is_a_strong_quoted_validator() -> None:
    """A download may only be resumed on a strong one."""
    etag = CLIPS[0].etag
    assert etag[0] == etag[-1] == '"'
    assert etag[1:-1].isalnum()


def test_files_are_found_by_name() -> None:
    """The download host knows a name only."""
    assert all(named(file.name) is file for file in (*CLIPS, POSTER))
    with pytest.raises(KeyError):
        named("../render.py")


def test_bytes_are_read_once() -> None:
    """A thousand downloads share one copy."""
    assert CLIPS[0].data is CLIPS[0].data


def test_importing_reads_no_clip() -> None:
    """Whoever imports the simulator pays for no film, and needs no PyAV."""
    program = "import sys, veo_async.simulator.clips as clips\n"
    program += "print(clips._read.cache_info().currsize, 'av' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aspect_ratio", ["16:9", "9:16"])
def test_choice_honours_kind_and_ratio(kind: str, aspect_ratio: str) -> None:
    """Every kind exists in either shape."""
    for number in range(5):
        clip = choose(task_number=number, aspect_ratio=aspect_ratio, kind=kind)  # type: ignore[arg-type]
        assert (clip.kind, clip.aspect_ratio) == (kind, aspect_ratio)


@pytest.mark.parametrize("duration", [4, 6, 8])
@pytest.mark.parametrize("aspect_ratio", ["16:9", "9:16"])
def test_choice_honours_the_duration(duration: int, aspect_ratio: str) -> None:
    """Every duration that can be asked for exists in either shape."""
    for number in range(5):
        assert choose(task_number=number, aspect_ratio=aspect_ratio, duration=duration).duration_s == duration


def test_choice_is_the_same_every_time() -> None:
    """The same arguments, the same clip; two tasks in a row look different."""
    chosen = [choose(task_number=number, aspect_ratio="16:9", duration=8) for number in range(4)]
    assert chosen == [choose(task_number=number, aspect_ratio="16:9", duration=8) for number in range(4)]
    assert chosen[0] != chosen[1]
    assert chosen[0] == chosen[2]


def test_auto_is_landscape() -> None:
    """Without a look at the image there is no telling."""
    assert choose(task_number=1, aspect_ratio="Auto") == choose(task_number=1, aspect_ratio="16:9")


def test_upgrades_are_larger_and_extensions_longer() -> None:
    """What was paid for shows."""
    plain = choose(task_number=0)
    assert choose(task_number=0, kind="1080p").width_px > plain.width_px
    assert choose(task_number=0, kind="4k").width_px > plain.width_px
    assert choose(task_number=0, kind="extend").duration_s == 16


def test_unknown_kind_is_refused() -> None:
    """A slip in the simulator is not answered with some film or other."""
    with pytest.raises(ValueError, match="kind must be one of"):
        choose(task_number=0, kind="8k")  # type: ignore[arg-type]


@every_clip
def test_every_scene_can_be_painted(clip: Clip) -> None:
    """The scene that a clip names exists, fills the whole canvas and moves."""
    pictures = []
    for at_s in (0.0, clip.duration_s / 2):
        canvas = Canvas(clip.width_px // 4, clip.height_px // 4)
        SCENES[clip.scene](canvas, at_s, float(clip.duration_s))
        pictures.append(bytes(canvas.pixels))
    assert len(pictures[0]) == 3 * canvas.width_px * canvas.height_px
    assert pictures[0] != pictures[1]
    assert b"\0\0\0" not in {pictures[0][at : at + 3] for at in range(0, len(pictures[0]), 3)}
