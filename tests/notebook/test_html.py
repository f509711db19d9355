"""The HTML of clips and outcomes: which video is shown, in which size, and that everything is escaped."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import attrs
import pytest

from veo_async import Clip, Done, Failed, InDoubt, Record, Refused, VideoRequest
from veo_async.errors import ContentRefused, DownloadFailed, ResponseLost
from veo_async.types import Outcome, Outcomes

HOSTILE = "\"'><script>alert(1)</script>&amp;"
CLIP = Clip(
    key="dog",
    task_id="t1",
    urls=("https://a.example/1.mp4?x=1&y=2",),
    request=VideoRequest("A dog surfing at dusk"),
    record=Record(task_id="t1"),
)
Saved = Callable[..., Clip]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saved:
    """Return a function that saves a clip of a given size in the working directory."""
    monkeypatch.chdir(tmp_path)

    def save(size: int = 100, name: str = "clips/dog.mp4", folder: Path = tmp_path) -> Clip:
        file = folder / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(b"v" * size)
        return attrs.evolve(CLIP, files=(file,))

    return save


def sources(html: str) -> list[str]:
    """Return the source of each video."""
    return re.findall(r'<video [^>]*src="([^"]*)"', html)


def player_size(clip: Clip) -> tuple[int, int]:
    """Return the width and height of the player."""
    match = re.search(r'width="(\d+)" height="(\d+)"', clip._repr_html_())
    assert match is not None
    return int(match[1]), int(match[2])


# --- which video ----------------------------------------------------------------------------------------------------


def test_clip_without_a_file_is_shown_from_its_url() -> None:
    """The URL is escaped as an attribute."""
    assert sources(CLIP._repr_html_()) == ["https://a.example/1.mp4?x=1&amp;y=2"]


def test_small_file_is_embedded(saved: Saved) -> None:
    """The saved notebook then shows the video on another machine, too."""
    [source] = sources(saved(size=1000)._repr_html_())
    start, _, data = source.partition(",")
    assert start == "data:video/mp4;base64"
    assert base64.b64decode(data) == b"v" * 1000


def test_large_file_is_shown_by_its_relative_path(saved: Saved) -> None:
    """Jupyter serves paths below the notebook's folder; every special character is quoted."""
    [source] = sources(saved(size=2**20 + 1, name='clips/a "dog" #1 & 100%.mp4')._repr_html_())
    assert re.fullmatch(r"[\w./%-]+", source)
    assert unquote(source) == 'clips/a "dog" #1 & 100%.mp4'


@pytest.mark.parametrize("problem", ["deleted", "empty", "elsewhere"])
def test_file_that_a_notebook_cannot_show_is_replaced_by_the_url(
    saved: Saved, tmp_path_factory: pytest.TempPathFactory, problem: str
) -> None:
    """A file that is gone, empty, or large and outside the notebook's folder."""
    elsewhere = {"folder": tmp_path_factory.mktemp("elsewhere")} if problem == "elsewhere" else {}
    clip = saved(size=0 if problem == "empty" else 2**20 + 1, **elsewhere)
    if problem == "deleted":
        clip.files[0].unlink()
    assert sources(clip._repr_html_()) == ["https://a.example/1.mp4?x=1&amp;y=2"]


def test_clip_of_several_videos_shows_each_of_them(saved: Saved) -> None:
    """One player per video; those that were not saved come from their URLs."""
    clip = attrs.evolve(saved(), urls=(*CLIP.urls, "https://a.example/2.mp4"))
    first, second = sources(clip._repr_html_())
    assert first.startswith("data:")
    assert second == "https://a.example/2.mp4"


@pytest.mark.parametrize(
    ("aspect_ratio", "sizes", "expected"),
    [
        ("16:9", (), (320, 180)),
        ("9:16", (), (180, 320)),
        ("Auto", (), (320, 180)),
        ("Auto", ((720, 1280),), (180, 320)),
        ("16:9", (None,), (320, 180)),
    ],
)
def test_player_has_the_shape_of_the_video(
    aspect_ratio: str, sizes: tuple[tuple[int, int] | None, ...], expected: tuple[int, int]
) -> None:
    """The size of the file counts; without one, the requested aspect ratio."""
    request = VideoRequest("A dog", aspect_ratio=aspect_ratio)
    assert player_size(attrs.evolve(CLIP, request=request, sizes=sizes)) == expected


# --- captions and reasons -------------------------------------------------------------------------------------------


def test_clip_has_its_key_and_prompt_below_the_video() -> None:
    """A long prompt is cut."""
    request = VideoRequest("A dog surfing at dusk, " + "very " * 100)
    html = attrs.evolve(CLIP, request=request)._repr_html_()
    assert html.index("<video") < html.index("<b>dog</b>") < html.index("A dog surfing at dusk")
    assert 200 < len(re.sub("<[^>]*>", "", html)) < 210


def test_adopted_clip_has_no_prompt() -> None:
    """A task that was created outside this session has no request."""
    assert "<span" not in attrs.evolve(CLIP, request=None)._repr_html_()


@pytest.mark.parametrize(
    "shown",
    [
        attrs.evolve(CLIP, key=HOSTILE, urls=(HOSTILE,), request=VideoRequest(HOSTILE)),
        Refused(key=HOSTILE, error=ContentRefused(HOSTILE)),
        Failed(key=HOSTILE, error=DownloadFailed(HOSTILE), clip=attrs.evolve(CLIP, key=HOSTILE)),
        InDoubt(key=HOSTILE, error=ResponseLost(HOSTILE)),
        Outcomes([Refused(key=HOSTILE, error=ContentRefused(HOSTILE)), Done(attrs.evolve(CLIP, key=HOSTILE))]),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_every_text_is_escaped(shown: Clip | Outcome | Outcomes) -> None:
    """Prompts, keys, URLs and the provider's words cannot become markup."""
    html = shown._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert re.sub(r'="[^"<>]*"', "", html).count('"') == 0


def test_outcome_without_a_clip_shows_its_sentence() -> None:
    """No player; the same sentence that ``print`` shows, and the provider's words as details."""
    outcome = Refused(key="dog", error=ContentRefused("flagged by a filter"))
    html = outcome._repr_html_()
    assert str(outcome) in html.partition("<details>")[0]
    assert "flagged by a filter" in html.partition("<details>")[2]
    assert "<video" not in html


def test_clip_that_could_not_be_saved_shows_its_video_and_the_reason() -> None:
    """The clip was paid for, and its URL still works."""
    html = Failed(key="dog", error=DownloadFailed("the disk is full"), clip=CLIP)._repr_html_()
    assert sources(html) == ["https://a.example/1.mp4?x=1&amp;y=2"]
    assert "failed: dog: " in html


# --- lists of outcomes ----------------------------------------------------------------------------------------------

FOUR = Outcomes(
    [
        Done(CLIP),
        Refused(key="cat", error=ContentRefused("flagged")),
        Done(attrs.evolve(CLIP, key="fox")),
        InDoubt(key="cow", error=ResponseLost("closed")),
    ]
)


def test_outcomes_are_a_grid_below_their_counts() -> None:
    """Every outcome has a card, in the order of the list."""
    html = FOUR._repr_html_()
    assert "<div>2 done, 1 refused, 1 in doubt</div>" in html
    assert len(sources(html)) == 2
    assert [html.index(key) for key in (">dog<", "refused: cat", ">fox<", "in doubt: cow")] == sorted(
        html.index(key) for key in (">dog<", "refused: cat", ">fox<", "in doubt: cow")
    )


def test_outcomes_are_a_list_that_prints_a_line_each() -> None:
    """`repr` is one line with the counts, for a terminal."""
    assert isinstance(FOUR, list)
    assert len(FOUR) == 4
    assert repr(FOUR) == "<Outcomes: 2 done, 1 refused, 1 in doubt>"
    assert str(FOUR).splitlines() == [str(outcome) for outcome in FOUR]
    assert repr(Outcomes()) == "<Outcomes: none>"
    assert repr(FOUR[:2]) == "<Outcomes: 1 done, 1 refused>"
    assert FOUR[0] == Done(CLIP)


def test_long_list_shows_its_first_hundred(saved: Saved) -> None:
    """Hundreds of players would stop a browser, and what is embedded is bounded for the list as a whole."""
    html = Outcomes([Done(saved(size=20_000))] * 150)._repr_html_()
    assert html.count("<video") == 100
    assert "150 done; the first 100 are shown" in html
    assert len(html) < 100_000
