"""What the gallery's page says, looked at as text: nothing foreign is markup, every job is there, numbers are right."""

import html.parser
import itertools
import math
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.lifecycle import JobState
from veo_async.batch.gallery import Card, render_gallery, write_gallery
from veo_async.batch.gallery.card_html import _DEFAULT_REMEDIES
from veo_async.batch.gallery.cards import ORDER, Stage, quantile, spans, totals
from veo_async.batch.gallery.charts import bins, step_s
from veo_async.batch.gallery.formatting import FULL_CHARACTERS, clock, number, seconds, to_html
from veo_async.batch.gallery.page import digest

from .gallery_support import START, cards

TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
VOID = {"meta", "input", "br", "link", "img"}
HOSTILE = (
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>' onmouseover='alert(2)",
    "&lt;script&gt; &amp;amp; &#x3c;",
    "$title ${script} $$ %s {0}",
    "<!-- ]]> --> <![CDATA[",
    "javascript:alert(1)",
)


class Reader(html.parser.HTMLParser):
    """Reads a page as a browser would, more or less: elements, their attributes and their text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts[tag][-1] += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def svgs(page: str) -> list[str]:
    return re.findall(r"<svg xmlns=.*?</svg>(?:<text.*?</text>|<line[^>]*/>)*</svg>", page, re.DOTALL)


texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=400),  # lone surrogates too
    st.lists(st.sampled_from([*HOSTILE, "\x00", "\u202e", "\u2066", "\ufeff", "\n", "\r", "\ud800"])).map("".join),
)
instants = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(START, START + 1e5)


@st.composite
def any_card(draw: st.DrawFn) -> Card:
    return Card(
        key=draw(texts),
        prompt=draw(texts),
        model=draw(texts),
        aspect_ratio=draw(st.sampled_from(["16:9", "9:16", "Auto", "9:" + "9" * 500, ""]) | texts),
        state=draw(st.sampled_from(list(JobState)) | texts),
        reason=draw(texts),
        remedy=draw(texts),
        file=draw(st.none() | st.sampled_from(["a.mp4", 'q"uo#te?.mp4', "b/c %.mp4", "javascript:x.mp4"])),
        urls=draw(st.lists(texts, max_size=2)),
        task_id=draw(st.none() | texts),
        credits=draw(instants),
        duration_s=draw(instants),
        submitted_at=draw(instants),
        sent_at=draw(instants),
        accepted_at=draw(instants),
        ended_at=draw(instants),
        saved_at=draw(instants),
    )


@given(st.lists(any_card(), max_size=4), texts)
def test_nothing_foreign_becomes_markup(some: list[Card], title: str) -> None:
    """Whatever the cards hold: one script, one style sheet, no handler, no address but the files'."""
    page = render_gallery(some, title=title)
    page.encode()
    reader = read(page)
    count = Counter(tag for tag, _ in reader.elements)
    assert (count["script"], count["style"], count["html"]) == (1, 1, 1)
    assert count["li"] >= count["article"] == len(some)
    assert count["video"] == sum(card.file is not None for card in some)
    for tag, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert attributes.get("href") in (None, "#clips")
        assert tag == "video" or "src" not in attributes
    for picture in svgs(page):
        ET.fromstring(picture)  # noqa: S314  # our own picture: is it well-formed?


@given(texts)
def test_shown_text_hides_nothing(text: str) -> None:
    """What is read back is the text, with every character that could hide or turn around spelled out."""
    reader = read(f"<p>{to_html(text)}</p>")
    told = reader.texts["p"][0]
    for character in told:
        assert character in "\n\t\u200c\u200d" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    spelled = re.sub(r'<i class="odd">[^<]*</i>', "", to_html(text))
    assert "<" not in spelled


def test_direction_overrides_are_spelled_out_and_emoji_stay_whole() -> None:
    """A reader sees that something is there, and still sees what is written."""
    assert to_html("a\u202eb") == 'a<i class="odd">\\u202e</i>b'
    assert to_html("one\r\ntwo\tthree") == "one\ntwo\tthree"
    assert to_html("👩‍👩‍👧 می‌خواهم 日本　語") == "👩‍👩‍👧 می‌خواهم 日本　語"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_read_back_as_they_were(text: str) -> None:
    """Nothing is lost by escaping: a person can copy the prompt and send it again."""
    page = render_gallery([Card(key=text, prompt=text, state="failed", reason=text)], title=text)
    reader = read(page)
    assert reader.texts["h1"] == [text]
    assert reader.texts["h3"] == [text]
    assert reader.texts["p"].count(text) == 2


def test_a_prompt_of_a_hundred_kilobytes_is_folded_and_bounded() -> None:
    """It opens to twenty thousand characters and says how many are left out."""
    page = render_gallery([Card(key="long", prompt="word " * 20_000, state="queued")], title="t")
    assert len(page) < FULL_CHARACTERS + 40_000
    reader = read(page)
    assert any("All 100,000 characters" in text for text in reader.texts["summary"])
    assert "80,000 characters more are not on this page." in reader.texts["p"]


def test_the_policy_names_exactly_this_script_and_this_style() -> None:
    """The digests are those of what stands in the page; nothing else may run or load."""
    page = render_gallery(list(cards(3)), title="t")
    reader = read(page)
    policy = next(a["content"] for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == digest(reader.texts["script"][0])
    assert rules["style-src"] == digest(reader.texts["style"][0])
    assert rules["media-src"] == "'self' file:"
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_every_card_is_there_once_with_its_film() -> None:
    """In the order given, also when two have one key; each film by its relative address."""
    some = [*cards(40), Card(key="job-0000", state="saved", file="again.mp4")]
    reader = read(render_gallery(some, title="t"))
    assert reader.texts["h3"] == [card.key for card in some]
    films = [attributes for tag, attributes in reader.elements if tag == "video"]
    assert [unquote(film["src"]) for film in films] == [f"./{card.file}" for card in some if card.file]
    assert all(film["preload"] == "none" and {"controls", "playsinline", "muted"} <= film.keys() for film in films)


def test_failures_tell_their_reason_and_what_to_do_once() -> None:
    """Also when the reason's text ends with the remedy, as our errors' texts do."""
    remedy = "Wait, then send it again."
    told = [
        Card(key="a", state="failed", reason="It broke.", remedy=remedy),
        Card(key="b", state="failed", reason=f"It broke — {remedy}", remedy=remedy),
    ]
    reader = read(render_gallery(told, title="t"))
    assert [text for text in reader.texts["p"] if "broke" in text] == ["It broke.", f"It broke — {remedy}"]
    assert [text for text in reader.texts["p"] if text == remedy] == [remedy]


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.SAVED])
def test_every_state_without_a_clip_has_some_advice(state: JobState) -> None:
    """A card without a reason is not a riddle."""
    assert _DEFAULT_REMEDIES[state] in render_gallery([Card(key="k", state=state)], title="t").replace("&#x27;", "'")


def test_the_order_of_states_is_complete() -> None:
    """A new state of the life cycle has its place among the buttons."""
    assert set(ORDER) == set(JobState)


def test_the_numbers_are_right() -> None:
    """Counted by hand: clips, film, credits, the median, and one button for each state."""
    some = [
        Card(key="a", state="saved", file="a.mp4", credits=60, duration_s=8, accepted_at=10.0, ended_at=70.0),
        Card(key="b", state="ready", credits=400, duration_s=4, accepted_at=10.0, ended_at=90.0),
        Card(key="c", state="saved", file="c.mp4", credits=0.5, duration_s=8, sent_at=10.0, ended_at=110.0),
        Card(key="d", state="refused", duration_s=8, sent_at=10.0, ended_at=11.0),
        Card(key="e", state="odd_word", credits=1000),
    ]
    counted = totals(some)
    assert (counted.jobs, counted.clips, counted.video_s, counted.credits) == (5, 3, 20.0, 1460.5)
    assert counted.generation_s == (60.0, 80.0, 100.0)
    assert counted.states == {"saved": 2, "ready": 1, "refused": 1, "odd_word": 1}
    reader = read(render_gallery(some, title="t"))
    assert reader.texts["button"][:5] == ["all 5", "saved 2", "ready 1", "refused 1", "odd word 1"]
    assert reader.texts["dd"][:4] == ["3 of 5", "20 s", "1,460.5", "1 min 20 s"]


def test_a_page_of_nothing() -> None:
    """A batch without jobs, without times and without clips is still a page."""
    reader = read(render_gallery([], title="Empty"))
    assert reader.texts["dd"][:4] == ["0 of 0", "–", "–", "–"]
    assert "No times are known." in reader.texts["p"]
    assert svgs(render_gallery([Card(key="k", state="queued")], title="t")) == []


@pytest.mark.parametrize("count", [1, 2, 24, 25, 1000])
def test_pictures_are_well_formed_and_named(count: int) -> None:
    """Both pictures have a title and a description that a screen reader finds, and every shape says what it is."""
    pictures = [ET.fromstring(text) for text in svgs(render_gallery(list(cards(count)), title="t"))]  # noqa: S314
    assert len(pictures) == 2
    for picture in pictures:
        name = "{http://www.w3.org/2000/svg}"
        assert picture.get("role") == "img"
        told = {part.get("id"): part.text for part in picture if part.get("id")}
        assert all(told[part] for part in (picture.get("aria-labelledby") or "").split())
        shapes = [*picture.iter(f"{name}rect"), *picture.iter(f"{name}path")]
        assert shapes
        assert all(shape.find(f"{name}title") is not None for shape in shapes)
        for shape in shapes:
            drawn = " ".join(shape.get(where, "") for where in ("x", "y", "width", "height", "d"))
            assert re.fullmatch(r"[ MLZ0-9.]+", drawn), "every coordinate is a number, and none is below nought"


@given(any_card(), st.floats(START, START + 1e6))
def test_spans_follow_one_another(card: Card, until_at: float) -> None:
    """They never go back and leave no gap, whatever the clocks said."""
    row = spans(card, until_at)
    assert all(span.from_at <= span.to_at for span in row)
    assert all(earlier.to_at == later.from_at for earlier, later in itertools.pairwise(row))


def test_a_refused_job_ends_without_a_clip() -> None:
    """Its time after the answer is not drawn as rendering."""
    row = spans(Card(key="k", state="refused", submitted_at=0.0, sent_at=2.0, ended_at=3.0), 10.0)
    assert [(span.stage, span.to_at) for span in row] == [(Stage.QUEUED, 2.0), (Stage.SENT, 3.0), (Stage.NO_CLIP, 10.0)]


@given(st.lists(st.floats(0, 1e12), min_size=1).map(sorted))
def test_bins_hold_every_value_and_stay_few(values: list[float]) -> None:
    """From a tenth of a second to thirty thousand years."""
    _, width, counts = bins(values)
    assert sum(counts) == len(values)
    assert len(counts) <= 20
    assert width > 0


@given(st.floats(0.01, 1e15), st.integers(1, 30))
def test_steps_divide_into_at_most_so_many(span_s: float, most: int) -> None:
    """No axis gets more words than it has room for."""
    assert span_s / step_s(span_s, most) <= most * (1 + 1e-9)


def test_spans_of_time_are_said_as_people_say_them() -> None:
    """Short, and never sixty seconds."""
    assert [seconds(value) for value in (0.25, 8, 59.7, 60, 3599.8, 7500)] == [
        *("0.2 s", "8 s", "1 min", "1 min", "1 h", "2 h 5 min")
    ]
    assert [clock(value) for value in (0, 0.5, 90, 3600)] == ["0:00", "0.5 s", "1:30", "1:00:00"]
    assert [number(value) for value in (60.0, 1234.5, 0.005)] == ["60", "1,234.5", "0.01"]
    assert quantile([1, 2, 3, 4], 0.5) == 2


def test_a_card_points_nowhere_but_into_its_folder() -> None:
    """A page is handed on with its folder; what lies outside would be lost, or be somebody's else."""
    for file in ("/etc/passwd", "../up.mp4", "a/../../b.mp4"):
        with pytest.raises(ValueError, match="relative to the gallery's folder"):
            Card(key="k", state="saved", file=file)
    assert Card(key="k", state="saved", file=PurePosixPath("sub") / "a.mp4").file == "sub/a.mp4"
    assert Card(key="k", state="saved", credits=math.nan).credits is None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Card(key="k", state="saved").key = "other"  # type: ignore[misc]


def test_file_names_are_quoted_as_addresses() -> None:
    """Whatever a file system allows: a question mark asks nothing, a colon names no scheme, odd bytes survive."""
    some = [Card(key="k", state="saved", file=name) for name in ("a b#c?d%20.mp4", "javascript:x", "\udcff.mp4")]
    films = [a["src"] for tag, a in read(render_gallery(some, title="t")).elements if tag == "video"]
    assert films == ["./a%20b%23c%3Fd%2520.mp4", "./javascript%3Ax", "./%FF.mp4"]


def test_the_page_is_moved_into_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails half-way, the older page is as it was and nothing is left beside it."""
    page = write_gallery(tmp_path, list(cards(3)), title="first")
    before = page.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_gallery(tmp_path, list(cards(9)), title="second")
    assert page.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    monkeypatch.undo()
    write_gallery(tmp_path, list(cards(9)), title="second")
    assert b"second" in page.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_missing_folder_is_said_so(tmp_path: Path) -> None:
    """Nobody makes folders by the way."""
    with pytest.raises(FileNotFoundError):
        write_gallery(tmp_path / "nowhere", [], title="t")


def test_a_thousand_jobs(tmp_path: Path) -> None:
    """One page of a few megabytes at most; hostile and long prompts included."""
    long = "".join(HOSTILE) * 8
    some = [
        attrs.evolve(card, prompt=f"{card.prompt} {long}") if card.key.endswith("7") else card for card in cards(1000)
    ]
    page = write_gallery(tmp_path, some, title="A thousand")
    assert page.stat().st_size < 4_000_000
    text = page.read_text(encoding="utf-8")
    assert text.count("<article>") == 1000
    assert "1,000 jobs" in text
