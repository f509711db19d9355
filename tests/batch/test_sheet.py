"""The contact sheet: a picture of each clip where it belongs, and nothing that one broken clip could spoil."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from veo_async.batch.contact_sheet import (
    MAX_TILES,
    PICTURE,
    MediaExtraMissing,
    Tile,
    columns_for,
    corner,
    fit,
    size_for,
    videos_in,
    write_sheets,
)
from veo_async.simulator import Simulator
from veo_async.simulator.clips import CLIPS, Clip, choose

from .test_run import manifest, run

#: By their scenes and shapes, in the middle of each colour that a picture's halves have.
WIDE = [clip for clip in CLIPS if clip.kind == "generate" and clip.aspect_ratio == "16:9"]
TALL = choose(task_number=0, aspect_ratio="9:16")


def put(folder: Path, name: str, clip: Clip) -> Tile:
    (folder / name).write_bytes(clip.data)
    return Tile(key=name, video=folder / name)


def first_picture(film: Path) -> Image.Image:
    """What a decoder says, asked in another way than the sheet does."""
    import av

    with av.open(str(film)) as container:
        frame = next(container.decode(video=0))
        picture: Image.Image = frame.to_image()
        return picture


def mean_of(image: Image.Image, box: tuple[int, int, int, int]) -> list[float]:
    return ImageStat.Stat(image.crop(box)).mean


def tile_of(sheet: Image.Image, number: int, count: int) -> tuple[int, int, int, int]:
    left, top = corner(number, columns_for(count))
    return left, top, left + PICTURE[0], top + PICTURE[1]


def test_each_tile_has_the_colours_of_its_own_clip(tmp_path: Path) -> None:
    """Half by half, so that a picture that is upside down or another's would be found out."""
    stills = [put(tmp_path, f"clip-{number}.mp4", clip) for number, clip in enumerate(WIDE)]
    [path] = write_sheets(tmp_path, stills)
    assert path == tmp_path / "sheet.webp"
    with Image.open(path) as sheet:
        assert sheet.format == "WEBP"
        assert sheet.size == size_for(len(stills))
        for number, still in enumerate(stills):
            left, top, right, bottom = tile_of(sheet, number, len(stills))
            picture = first_picture(still.video).resize(PICTURE)
            middle = (top + bottom) // 2
            half = PICTURE[1] // 2
            for box, part in (
                ((left, top, right, middle), (0, 0, PICTURE[0], half)),
                ((left, middle, right, bottom), (0, half, *PICTURE)),
            ):
                assert mean_of(sheet, box) == pytest.approx(mean_of(picture, part), abs=6)
    dusk, night = (
        next(number for number, clip in enumerate(WIDE) if clip.scene == scene) for scene in ("dusk", "night")
    )
    with Image.open(path) as sheet:
        warm, cold = (mean_of(sheet, tile_of(sheet, number, len(stills))) for number in (dusk, night))
    assert warm[0] - cold[0] > 60


def test_a_tall_clip_is_shown_whole(tmp_path: Path) -> None:
    """In the middle of its tile, with paper on either side."""
    [path] = write_sheets(tmp_path, [put(tmp_path, "tall.mp4", TALL)])
    beside, beneath, width, height = fit(TALL.width_px, TALL.height_px)
    assert (height, beneath) == (PICTURE[1], 0)
    with Image.open(path) as sheet:
        left, top, _, bottom = tile_of(sheet, 0, 1)
        assert max(mean_of(sheet, (left, top, left + beside - 4, bottom))) < 40
        inner = mean_of(sheet, (left + beside, top, left + beside + width, bottom))
        assert inner == pytest.approx(mean_of(first_picture(tmp_path / "tall.mp4"), (0, 0, 180, 320)), abs=6)


@pytest.mark.parametrize("content", [b"", b"buy milk", WIDE[0].data[:2000], b"\0\0\0\x18ftypmp42" + b"\0" * 500])
def test_a_broken_clip_gets_an_empty_tile(tmp_path: Path, content: bytes) -> None:
    """The others are there all the same."""
    (tmp_path / "broken.mp4").write_bytes(content)
    stills = [Tile(key="broken", video=tmp_path / "broken.mp4"), put(tmp_path, "good.mp4", WIDE[0])]
    [path] = write_sheets(tmp_path, [*stills, Tile(key="gone", video=tmp_path / "gone.mp4")])
    with Image.open(path) as sheet:
        for number in (0, 2):
            assert mean_of(sheet, tile_of(sheet, number, 3)) == pytest.approx([63, 63, 70], abs=4)
        assert mean_of(sheet, tile_of(sheet, 1, 3))[0] > 90


def test_a_key_may_hold_anything(tmp_path: Path) -> None:
    """Control characters, other scripts, ten thousand letters: drawn as well as the font can, within its tile."""
    key = "\x1b[2J\n" + "ציפור כחולה" + "x" * 10_000
    [path] = write_sheets(tmp_path, [Tile(key=key, video=put(tmp_path, "good.mp4", WIDE[0]).video)])
    with Image.open(path) as sheet:
        assert sheet.size == size_for(1)


def test_a_long_list_has_several_sheets(tmp_path: Path) -> None:
    """So many to a sheet; none for no clips."""
    stills = [Tile(key=str(number), video=tmp_path / "gone.mp4") for number in range(MAX_TILES + 1)]
    assert [path.name for path in write_sheets(tmp_path, stills)] == ["sheet.webp", "sheet-2.webp"]
    assert write_sheets(tmp_path, []) == []
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert max(sheet.size) < 16_383


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And writes nothing."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaExtraMissing, match=r"pip install 'veo-async\[media\]'"):
        write_sheets(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 100])
def test_tiles_do_not_lie_on_each_other(count: int) -> None:
    """And all of them lie on the paper."""
    columns = columns_for(count)
    corners = [corner(number, columns) for number in range(count)]
    width, height = size_for(count)
    assert len(set(corners)) == count
    assert all(x + PICTURE[0] < width and y + PICTURE[1] < height for x, y in corners)
    assert all(
        abs(x - other_x) >= PICTURE[0] or abs(y - other_y) > PICTURE[1]
        for number, (x, y) in enumerate(corners)
        for other_x, other_y in corners[:number]
    )


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (1920, 1080), (1, 1), (10_000, 1)])
def test_every_shape_fits_into_its_picture(size: tuple[int, int]) -> None:
    """Whole, and as large as may be."""
    left, top, width, height = fit(*size)
    assert min(left, top) >= 0
    assert left + width <= PICTURE[0]
    assert top + height <= PICTURE[1]
    assert width == PICTURE[0] or height == PICTURE[1]


def test_the_films_of_a_folder(tmp_path: Path) -> None:
    """By their names, and nothing else that lies there."""
    for name in ("b.mp4", "a.mp4", "a.json", ".a.mp4.part"):
        (tmp_path / name).write_bytes(b"")
    assert [still.key for still in videos_in(tmp_path)] == ["a", "b"]


@pytest.mark.realtime
@pytest.mark.parametrize("is_there", [True, False])
async def test_a_batch_has_its_sheet_or_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    """Without the extra everything else is as ever."""
    if not is_there:
        monkeypatch.setitem(sys.modules, "av", None)
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, manifest("A dog", "A cat [refuse]"), tmp_path)
    assert report.counts == {"saved": 1, "refused": 1}
    assert report.sheet_extra_missing is not is_there
    assert (tmp_path / "out" / "sheet.webp" in report.files) is is_there
    if is_there:
        with Image.open(tmp_path / "out" / "sheet.webp") as sheet:
            assert sheet.size == size_for(1)
