"""The posters of a gallery: a still of each clip, if the extra is there."""

import io
import sys
from pathlib import Path

import attrs
import pytest
from PIL import Image

from veo_async.batch.gallery import Card, add_posters, write_gallery

from .gallery_support import clip_into


def saved(folder: Path, name: str, *, aspect_ratio: str = "16:9") -> Card:
    return Card(key=name, state="saved", file=clip_into(folder, f"{name}.mp4", aspect_ratio=aspect_ratio))


def test_poster_is_a_small_still_with_the_shape_of_its_clip(tmp_path: Path) -> None:
    """A WebP image, portrait for a portrait clip. A card without a file has none."""
    some = [saved(tmp_path, "wide"), saved(tmp_path, "tall", aspect_ratio="9:16"), Card(key="no", state="failed")]
    wide, tall, none = add_posters(tmp_path, some)
    for card, size in ((wide, (320, 180)), (tall, (180, 320))):
        with Image.open(io.BytesIO(card.poster)) as image:
            assert (image.format, image.size) == ("WEBP", size)
            assert len(set(image.convert("L").getextrema())) == 2  # it shows something
    assert none.poster == b""


def test_large_frame_is_scaled_down(tmp_path: Path) -> None:
    """The longer side of a poster has at most 640 pixels."""
    from fractions import Fraction

    import av

    with av.open(str(tmp_path / "large.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(8))
        stream.width, stream.height = 1920, 1080
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame(1920, 1080, "yuv420p")))
        container.mux(stream.encode(None))
    [card] = add_posters(tmp_path, [Card(key="large", state="saved", file="large.mp4")])
    with Image.open(io.BytesIO(card.poster)) as image:
        assert image.size == (640, 360)


def test_unreadable_clip_has_no_poster_and_the_others_have(tmp_path: Path) -> None:
    """A damaged or missing file does not cost the page."""
    (tmp_path / "damaged.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    some = [
        Card(key="damaged", state="saved", file="damaged.mp4"),
        Card(key="missing", state="saved", file="missing.mp4"),
        saved(tmp_path, "good"),
    ]
    assert [bool(card.poster) for card in add_posters(tmp_path, some)] == [False, False, True]


def test_existing_poster_is_kept(tmp_path: Path) -> None:
    """So two pages about the same clips read each video once."""
    card = attrs.evolve(saved(tmp_path, "wide"), poster=b"RIFF")
    assert add_posters(tmp_path, [card]) == [card]


def test_posters_of_a_page_are_limited(tmp_path: Path) -> None:
    """Clips beyond the limit have none, and the page shows a frame of their video."""
    some = [saved(tmp_path, f"clip-{number}") for number in range(4)]
    size = len(add_posters(tmp_path, some[:1])[0].poster)
    few = add_posters(tmp_path, some, max_bytes=2 * size + 10_000)
    assert few[0].poster
    assert sum(len(card.poster) for card in few) <= 2 * size + 10_000
    assert [bool(card.poster) for card in add_posters(tmp_path, some, max_bytes=size)] == [True, False, False, False]
    assert [card.file for card in few] == [card.file for card in some]


def test_without_the_extra_the_page_shows_a_frame_of_each_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing fails, and the page has no images."""
    card = saved(tmp_path, "wide")
    monkeypatch.setitem(sys.modules, "av", None)
    text = write_gallery(tmp_path, [card], title="t").read_text("utf-8")
    assert 'src="./wide.mp4#t=0.1"' in text
    assert "<img" not in text
