"""The contact sheet: each clip's frame in its own tile, also when another clip is broken."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from veo_async.batch.contact_sheet import (
    FRAME_PX,
    MAX_TILES,
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

WIDE = [clip for clip in CLIPS if clip.kind == "generate" and clip.aspect_ratio == "16:9"]
TALL = choose(task_number=0, aspect_ratio="9:16")


def put(folder: Path, name: str, clip: Clip) -> Tile:
    (folder / name).write_bytes(clip.data)
    return Tile(key=name, video=folder / name)


def first_frame(video: Path) -> Image.Image:
    """Return the first frame of *video*, decoded independently of the contact sheet."""
    import av

    with av.open(str(video)) as container:
        frame = next(container.decode(video=0))
        image: Image.Image = frame.to_image()
        return image


def mean_of(image: Image.Image, box: tuple[int, int, int, int]) -> list[float]:
    return ImageStat.Stat(image.crop(box)).mean


def tile_of(sheet: Image.Image, number: int, count: int) -> tuple[int, int, int, int]:
    left, top = corner(number, columns_for(count))
    return left, top, left + FRAME_PX[0], top + FRAME_PX[1]


def test_each_tile_shows_the_frame_of_its_own_clip(tmp_path: Path) -> None:
    """Both halves of each frame are compared, so that a flipped or swapped frame fails."""
    tiles = [put(tmp_path, f"clip-{number}.mp4", clip) for number, clip in enumerate(WIDE)]
    [path] = write_sheets(tmp_path, tiles)
    assert path == tmp_path / "sheet.webp"
    with Image.open(path) as sheet:
        assert sheet.format == "WEBP"
        assert sheet.size == size_for(len(tiles))
        for number, tile in enumerate(tiles):
            left, top, right, bottom = tile_of(sheet, number, len(tiles))
            frame = first_frame(tile.video).resize(FRAME_PX)
            middle = (top + bottom) // 2
            half = FRAME_PX[1] // 2
            for box, part in (
                ((left, top, right, middle), (0, 0, FRAME_PX[0], half)),
                ((left, middle, right, bottom), (0, half, *FRAME_PX)),
            ):
                assert mean_of(sheet, box) == pytest.approx(mean_of(frame, part), abs=6)
    dusk, night = (
        next(number for number, clip in enumerate(WIDE) if clip.scene == scene) for scene in ("dusk", "night")
    )
    with Image.open(path) as sheet:
        warm, cold = (mean_of(sheet, tile_of(sheet, number, len(tiles))) for number in (dusk, night))
    assert warm[0] - cold[0] > 60


def test_tall_clip_fits_its_tile_uncropped(tmp_path: Path) -> None:
    """It is centred in its tile, with background on both sides."""
    [path] = write_sheets(tmp_path, [put(tmp_path, "tall.mp4", TALL)])
    x, y, width, height = fit(TALL.width_px, TALL.height_px)
    assert (height, y) == (FRAME_PX[1], 0)
    with Image.open(path) as sheet:
        left, top, _, bottom = tile_of(sheet, 0, 1)
        assert max(mean_of(sheet, (left, top, left + x - 4, bottom))) < 40
        inner = mean_of(sheet, (left + x, top, left + x + width, bottom))
        assert inner == pytest.approx(mean_of(first_frame(tmp_path / "tall.mp4"), (0, 0, 180, 320)), abs=6)


@pytest.mark.parametrize("content", [b"", b"buy milk", WIDE[0].data[:2000], b"\0\0\0\x18ftypmp42" + b"\0" * 500])
def test_broken_clip_gets_an_empty_tile(tmp_path: Path, content: bytes) -> None:
    """So does a missing file. The other clips are drawn."""
    (tmp_path / "broken.mp4").write_bytes(content)
    tiles = [Tile(key="broken", video=tmp_path / "broken.mp4"), put(tmp_path, "good.mp4", WIDE[0])]
    [path] = write_sheets(tmp_path, [*tiles, Tile(key="gone", video=tmp_path / "gone.mp4")])
    with Image.open(path) as sheet:
        for number in (0, 2):
            assert mean_of(sheet, tile_of(sheet, number, 3)) == pytest.approx([63, 63, 70], abs=4)
        assert mean_of(sheet, tile_of(sheet, 1, 3))[0] > 90


def test_any_key_can_be_drawn(tmp_path: Path) -> None:
    """Control characters, other scripts and very long keys neither fail nor change the size of the sheet."""
    key = "\x1b[2J\n" + "ציפור כחולה" + "x" * 10_000
    [path] = write_sheets(tmp_path, [Tile(key=key, video=put(tmp_path, "good.mp4", WIDE[0]).video)])
    with Image.open(path) as sheet:
        assert sheet.size == size_for(1)


def test_long_list_gets_several_sheets(tmp_path: Path) -> None:
    """A sheet has at most ``MAX_TILES`` tiles; without clips there is no sheet."""
    tiles = [Tile(key=str(number), video=tmp_path / "gone.mp4") for number in range(MAX_TILES + 1)]
    assert [path.name for path in write_sheets(tmp_path, tiles)] == ["sheet.webp", "sheet-2.webp"]
    assert write_sheets(tmp_path, []) == []
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert max(sheet.size) < 16_383


def test_missing_extra_raises_with_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaExtraMissing, match=r"pip install 'veo-async\[media\]'"):
        write_sheets(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 100])
def test_tiles_do_not_overlap(count: int) -> None:
    """All of them are inside the sheet."""
    columns = columns_for(count)
    corners = [corner(number, columns) for number in range(count)]
    width, height = size_for(count)
    assert len(set(corners)) == count
    assert all(x + FRAME_PX[0] < width and y + FRAME_PX[1] < height for x, y in corners)
    assert all(
        abs(x - other_x) >= FRAME_PX[0] or abs(y - other_y) > FRAME_PX[1]
        for number, (x, y) in enumerate(corners)
        for other_x, other_y in corners[:number]
    )


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (1920, 1080), (1, 1), (10_000, 1)])
def test_every_size_fits_its_frame(size: tuple[int, int]) -> None:
    """The image is not cropped, and fills the frame in one direction."""
    left, top, width, height = fit(*size)
    assert min(left, top) >= 0
    assert left + width <= FRAME_PX[0]
    assert top + height <= FRAME_PX[1]
    assert width == FRAME_PX[0] or height == FRAME_PX[1]


def test_videos_in_returns_only_videos_sorted_by_name(tmp_path: Path) -> None:
    """Sidecar files and partial files are skipped."""
    for name in ("b.mp4", "a.mp4", "a.json", ".a.mp4.part"):
        (tmp_path / name).write_bytes(b"")
    assert [tile.key for tile in videos_in(tmp_path)] == ["a", "b"]


@pytest.mark.realtime
@pytest.mark.parametrize("has_extra", [True, False])
async def test_batch_writes_a_sheet_or_reports_the_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_extra: bool
) -> None:
    """Without the extra, the rest of the run is unaffected."""
    if not has_extra:
        monkeypatch.setitem(sys.modules, "av", None)
    async with Simulator(duration_s=0.2) as sim:
        report = await run(sim, manifest("A dog", "A cat [refuse]"), tmp_path)
    assert report.counts == {"saved": 1, "refused": 1}
    assert report.sheet_extra_missing is not has_extra
    assert (tmp_path / "out" / "sheet.webp" in report.files) is has_extra
    if has_extra:
        with Image.open(tmp_path / "out" / "sheet.webp") as sheet:
            assert sheet.size == size_for(1)
