"""The gallery as text: no input becomes markup, every job has its card, and the totals are right."""

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

from veo_async._base.numbers import format_count, format_number
from veo_async._rules.lifecycle import JobState
from veo_async.batch.gallery import Card, render_gallery, write_gallery
from veo_async.batch.gallery.card_html import _DEFAULT_REMEDIES
from veo_async.batch.gallery.cards import ORDER, Stage, quantile, spans, totals
from veo_async.batch.gallery.charts import bins, step_s
from veo_async.batch.gallery.formatting import (
    FULL_CHARACTERS,
    clock,
    seconds,
    state_label,
    to_html,
)
from veo_async.batch.gallery.page import digest

from .gallery_support import START, cards

BIDI_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
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
    """Collects the elements of a page, their attributes and their text, roughly as a browser would."""

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
    st.text(st.characters(exclude_categories=()), max_size=400),  # including lone surrogates
    st.lists(st.sampled_from([*HOSTILE, "\x00", "\u202e", "\u2066", "\ufeff", "\n", "\r", "\ud800"])).map("".join),
)
instants = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(START, START + 1e5)


@st.composite
def any_card(draw: st.DrawFn) -> Card:
    return Card(
        key=draw(texts),
        is_key_automatic=draw(st.booleans()),
        prompt=draw(texts),
        model=draw(texts),
        aspect_ratio=draw(st.sampled_from(["16:9", "9:16", "Auto", "9:" + "9" * 500, ""]) | texts),
        state=draw(st.sampled_from(list(JobState)) | texts),
        reason=draw(texts),
        remedy=draw(texts),
        detail=draw(texts),
        log_url=draw(st.none() | st.sampled_from(["https://example.invalid/'\"><b>", "javascript:alert(1)"]) | texts),
        width=draw(st.none() | st.integers(-5, 10**9)),
        height=draw(st.none() | st.integers(-5, 10**9)),
        poster=draw(st.sampled_from([b"", b"RIFF</script>'\""])),
        seeds=draw(st.lists(st.integers(), max_size=2)),
        file=draw(st.none() | st.sampled_from(["a.mp4", 'q"uo#te?.mp4', "b/c %.mp4", "javascript:x.mp4"])),
        urls=draw(st.lists(texts, max_size=2)),
        task_id=draw(st.none() | texts),
        credits=draw(instants),
        duration_s=draw(instants),
        submitted_at=draw(instants),
        sent_at=draw(instants),
        accepted_at=draw(instants),
        finished_at=draw(instants),
        saved_at=draw(instants),
    )


@given(st.lists(any_card(), max_size=4), texts, st.booleans())
def test_no_input_becomes_markup(some: list[Card], title: str, for_client: bool) -> None:
    """For any cards, the page has one script, one style sheet, no event handlers and no URLs but those of the files."""
    page = render_gallery(some, title=title, for_client=for_client)
    if for_client:
        some = [card for card in some if card.file is not None]
    page.encode()
    reader = read(page)
    count = Counter(tag for tag, _ in reader.elements)
    assert (count["script"], count["style"], count["html"]) == (1, 1, 1)
    assert count["li"] >= count["article"] == len(some)
    with_file = [card for card in some if card.file is not None]
    assert count["img"] == sum(bool(card.poster) for card in with_file)
    assert count["video"] == sum(not card.poster for card in with_file) + 1  # and the player's
    for tag, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        href = attributes.get("href", "#clips")
        assert href in ("#clips", "#unfinished") or href.startswith("./") or "log" in attributes["class"].split()
        assert href.startswith(("#", "./", "https://", "http://"))
        src = attributes.get("src", "./")
        assert src.startswith({"img": "data:image/webp;base64,", "video": "./"}.get(tag, "./"))
        assert tag in ("img", "video") or "src" not in attributes
    for chart in svgs(page):
        ET.fromstring(chart)  # noqa: S314  # our own output; raises if it is not well-formed


@given(texts)
def test_shown_text_has_no_invisible_characters(text: str) -> None:
    """Control characters and direction overrides are shown as escape sequences."""
    reader = read(f"<p>{to_html(text)}</p>")
    for character in reader.texts["p"][0]:
        assert character in "\n\t\u200c\u200d" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in BIDI_CONTROLS
    rest = re.sub(r'<i class="invisible">[^<]*</i>', "", to_html(text))
    assert "<" not in rest


def test_direction_overrides_are_escaped_and_emoji_are_unchanged() -> None:
    """The reader sees the escape sequence; joiners that scripts and emoji need stay."""
    assert to_html("a\u202eb") == 'a<i class="invisible">\\u202e</i>b'
    assert to_html("one\r\ntwo\tthree") == "one\ntwo\tthree"
    assert to_html("👩‍👩‍👧 می‌خواهم 日本　語") == "👩‍👩‍👧 می‌خواهم 日本　語"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_unchanged(text: str) -> None:
    """Escaping loses nothing, so a reader can copy the prompt and use it again."""
    page = render_gallery([Card(key=text, prompt=text, state="failed", reason=text)], title=text)
    reader = read(page)
    assert reader.texts["h1"] == [text]
    assert reader.texts["h3"][0] == text
    assert reader.texts["p"].count(text) == 1  # the reason; a prompt that is the title is not repeated
    assert text in read(render_gallery([Card(key="k", prompt=text, state="failed")], title="t")).texts["p"]


def test_prompt_of_a_hundred_kilobytes_is_folded_and_truncated() -> None:
    """It unfolds to twenty thousand characters and says how many are not shown."""
    page = render_gallery([Card(key="long", prompt="word " * 20_000, state="queued")], title="t")
    assert len(page) < FULL_CHARACTERS + 40_000
    reader = read(page)
    assert any("Show all 100,000 characters" in text for text in reader.texts["summary"])
    assert "80,000 more characters not shown." in reader.texts["p"]


def test_policy_allows_only_this_script_and_style_sheet() -> None:
    """Its digests match the page's own script and style sheet, and nothing else may run or load."""
    page = render_gallery(list(cards(3)), title="t")
    reader = read(page)
    policy = next(a["content"] for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == digest(reader.texts["script"][0])
    assert rules["style-src"] == digest(reader.texts["style"][0])
    assert rules["media-src"] == "'self' file:"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def of_class(reader: Reader, name: str) -> list[dict[str, str]]:
    return [attributes for _, attributes in reader.elements if name in attributes.get("class", "").split()]


def test_every_card_appears_once_with_its_video() -> None:
    """Clips come first. Cards keep their order, also when two have the same key; each clip has its relative URL."""
    some = [*cards(40), Card(key="job-0000", state="saved", file="again.mp4")]
    reader = read(render_gallery(some, title="t"))
    clips, others = [card for card in some if card.file], [card for card in some if not card.file]
    assert reader.texts["h3"][:41] == [card.key for card in (*clips, *others)]
    urls = [f"./{card.file}" for card in clips]
    assert [unquote(link["href"]) for link in of_class(reader, "play")] == urls
    assert [unquote(link["href"]) for link in of_class(reader, "download")] == urls
    assert all("download" in link for link in of_class(reader, "download"))


def test_card_without_poster_shows_a_frame_of_its_video() -> None:
    """It is loaded by the script while it is in view. A poster is part of the page."""
    some = [Card(key="a", state="saved", file="a.mp4"), Card(key="b", state="saved", file="b.mp4", poster=b"RIFF")]
    reader = read(render_gallery(some, title="t"))
    [still] = [attributes for tag, attributes in reader.elements if tag == "video" and "src" in attributes]
    assert (still["src"], still["preload"]) == ("./a.mp4#t=0.1", "none")
    assert {"playsinline", "muted"} <= still.keys()
    [poster] = [attributes for tag, attributes in reader.elements if tag == "img"]
    assert poster["src"] == "data:image/webp;base64,UklGRg=="


def test_clips_have_the_shape_of_their_videos() -> None:
    """By the size of the file, else by the aspect ratio; only those of several shapes are arranged in rows."""
    assert Card(key="k", state="saved", width=720, height=1280).ratio == 0.56
    assert Card(key="k", state="saved", aspect_ratio="9:16").ratio == 0.56
    assert Card(key="k", state="saved", width=1, height=10**9).ratio == 0.4
    assert Card(key="k", state="saved", aspect_ratio="Auto").ratio == Card(key="k", state="saved").ratio == 1.78
    wide = Card(key="k", state="saved", file="k.mp4")
    tall = attrs.evolve(wide, width=720, height=1280)
    for some, layout in (([wide], "landscape"), ([tall, tall], "portrait"), ([wide, tall], "mixed"), ([], "landscape")):
        page = render_gallery(some, title="t")
        assert f'<ul class="clips {layout}">' in page
        assert (".r56 { --ratio: 0.56; }" in page) is (tall in some)


def test_failed_card_shows_reason_and_remedy_and_folds_the_detail() -> None:
    """With a link to the provider's log if there is one; the section has no default remedy then."""
    card = Card(
        key="a",
        state="failed",
        reason="the provider failed",
        remedy="Wait, then send it again.",
        detail="code 501: Internal Error",
        log_url="https://example.invalid/logs?task=1&page=2",
    )
    page = render_gallery([card], title="t")
    reader = read(page)
    assert [text for text in reader.texts["p"] if "provider failed" in text] == ["the provider failed"]
    assert reader.texts["p"].count("Wait, then send it again.") == 1
    assert "code 501: Internal Error" in "".join(reader.texts["details"])
    [link] = of_class(reader, "log")
    assert (link["href"], link["rel"]) == (card.log_url, "noopener noreferrer")
    assert page.index('id="unfinished"') < page.index('id="numbers"')


def test_command_in_a_remedy_is_shown_as_code() -> None:
    """Without its backticks; markup inside them stays text."""
    card = Card(key="a", state="in_doubt", reason="lost", remedy="Run `veo-async ledger in-doubt`, not `<b>`.")
    page = render_gallery([card], title="t")
    assert "Run <code>veo-async ledger in-doubt</code>, not <code>&lt;b&gt;</code>." in page


def test_page_without_failures_has_no_section_for_them() -> None:
    """Neither a heading nor a link to it."""
    page = render_gallery([Card(key="k", state="saved", file="k.mp4")], title="t")
    assert "Without a clip" not in page
    assert "#unfinished" not in page.split("<script>")[0]


def test_automatic_key_is_shown_in_the_details_only() -> None:
    """The beginning of the prompt is the card's name, because a digest says nothing to people."""
    long = "A fox listens, then dives head first into deep snow, and the snow closes over it without a sound."
    some = [
        Card(key="0123456789abcdef0123", is_key_automatic=True, prompt=prompt, state="saved", file=f"{number}.mp4")
        for number, prompt in enumerate(("A dog", long, ""))
    ]
    reader = read(render_gallery(some, title="t"))
    names = ["A dog", "A fox listens, then dives head first into deep snow, and…", "0123456789abcdef0123"]
    assert reader.texts["h3"][:3] == names
    assert reader.texts["code"] == ["0123456789abcdef0123"] * 2
    assert "A dog" not in reader.texts["p"]
    assert long in reader.texts["p"]


#: Everything that a client must not see, each with a value that would show up.
INTERNAL = {
    "task_id": "0891347d8270d3beac498a5bd0e42421",
    "credits": 4321.0,
    "seeds": (51806,),
    "model": "veo3_fast",
    "urls": ("https://tempfile.example/videos/1.mp4",),
    "detail": "code 501 from kie: Internal Error",
    "reason": "the provider failed",
    "remedy": "Run the list again.",
    "log_url": "https://kie.ai/logs",
    "submitted_at": START,
    "sent_at": START + 1,
    "accepted_at": START + 2,
    "finished_at": START + 77,
    "saved_at": START + 80,
}


def client_page() -> str:
    saved = {**INTERNAL, "width": 1280, "height": 720, "duration_s": 8.0, "poster": b"RIFF"}
    some = [
        Card(key="surfing-dog", prompt="A dog surfing", state="saved", file="surfing-dog.mp4", **saved),
        Card(key="0123456789abcdef0123", is_key_automatic=True, prompt="A fox", state="saved", file="a.mp4", **saved),
        Card(key="late-upgrade", prompt="A cat", state="failed", file="late-upgrade.mp4", **saved),
        Card(key="shoes", prompt="A celebrity sells shoes", state="refused", **INTERNAL),
        Card(key="doubtful", prompt="A hat", state="in_doubt", **INTERNAL),
    ]
    return render_gallery(some, title="Spring campaign", for_client=True)


def test_page_for_a_client_has_the_clips_only() -> None:
    """The title, the date, and for each clip its name, prompt, length and download; nothing about the others."""
    reader = read(client_page())
    assert reader.texts["h1"] == ["Spring campaign"]
    assert reader.texts["h3"] == ["Surfing dog", "A fox", "Late upgrade"]
    assert [link["href"] for link in of_class(reader, "download")] == [
        "./surfing-dog.mp4",
        "./a.mp4",
        "./late-upgrade.mp4",
    ]
    [lead] = [text for text in reader.texts["p"] if "clips" in text]
    assert re.fullmatch(r"\d+ July 2026 · 3 clips · 24 s", lead)
    assert "A dog surfing" in reader.texts["p"]


@pytest.mark.parametrize("value", [*(str(value) for value in INTERNAL.values()), "0123456789abcdef0123"])
def test_page_for_a_client_has_nothing_internal(value: str) -> None:
    """No costs, ids, keys, seeds, models, links, errors and times are anywhere in the file, its script included."""
    page = re.sub("'sha256-[^']+'|base64,[^\"]+", "", client_page())
    assert value.strip("(),'") not in page
    assert not re.search(
        r"4,?321|veo|kie|provider|credit|error|fail|refus|doubt|task|/tmp|/home|51806", page, re.IGNORECASE
    )
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    assert len(re.findall(r"<time", page)) == 1


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.SAVED])
def test_card_without_clip_and_reason_shows_default_remedy(state: JobState) -> None:
    """Every state but ``saved`` has a default remedy."""
    assert _DEFAULT_REMEDIES[state] in render_gallery([Card(key="k", state=state)], title="t").replace("&#x27;", "'")


def test_order_contains_every_state() -> None:
    """A state added to the life cycle needs a place among the buttons."""
    assert set(ORDER) == set(JobState)


def test_totals_and_buttons_show_the_right_numbers() -> None:
    """Clips, footage, credits, median generation time, and one button for each state."""
    some = [
        Card(key="a", state="saved", file="a.mp4", credits=60, duration_s=8, accepted_at=10.0, finished_at=70.0),
        Card(key="b", state="ready", credits=400, duration_s=4, accepted_at=10.0, finished_at=90.0),
        Card(key="c", state="saved", file="c.mp4", credits=0.5, duration_s=8, sent_at=10.0, finished_at=110.0),
        Card(key="d", state="refused", duration_s=8, sent_at=10.0, finished_at=11.0),
        Card(key="e", state="odd_word", credits=1000),
    ]
    counted = totals(some)
    assert (counted.jobs, counted.clips, counted.video_s, counted.credits) == (5, 3, 20.0, 1460.5)
    assert counted.generation_s == (60.0, 80.0, 100.0)
    assert counted.states == {"saved": 2, "ready": 1, "refused": 1, "odd_word": 1}
    reader = read(render_gallery(some, title="t"))
    assert reader.texts["button"][:5] == ["All 5", "Saved 2", "Ready 1", "Refused 1", "Odd word 1"]
    assert reader.texts["dd"][-4:] == ["3 of 5", "20 s", "1,460.5", "1 min 20 s"]


def test_empty_batch_renders_placeholders() -> None:
    """A page without jobs or times shows placeholders in place of totals and charts."""
    reader = read(render_gallery([], title="Empty"))
    assert reader.texts["dd"][:4] == ["0 of 0", "–", "–", "–"]
    assert "No times recorded." in reader.texts["p"]
    assert svgs(render_gallery([Card(key="k", state="queued")], title="t")) == []


@pytest.mark.parametrize("count", [1, 2, 24, 25, 1000])
def test_charts_are_well_formed_and_labelled(count: int) -> None:
    """Both charts have a title and a description for screen readers, and every shape has a title."""
    charts = [ET.fromstring(text) for text in svgs(render_gallery(list(cards(count)), title="t"))]  # noqa: S314  # ours
    assert len(charts) == 2
    for chart in charts:
        namespace = "{http://www.w3.org/2000/svg}"
        assert chart.get("role") == "img"
        labels = {part.get("id"): part.text for part in chart if part.get("id")}
        assert all(labels[name] for name in (chart.get("aria-labelledby") or "").split())
        shapes = [*chart.iter(f"{namespace}rect"), *chart.iter(f"{namespace}path")]
        assert shapes
        assert all(shape.find(f"{namespace}title") is not None for shape in shapes)
        for shape in shapes:
            coordinates = " ".join(shape.get(name, "") for name in ("x", "y", "width", "height", "d"))
            assert re.fullmatch(r"[ MLZ0-9.]+", coordinates), "a coordinate is not a number, or is negative"


@given(any_card(), st.floats(START, START + 1e6))
def test_spans_are_consecutive(card: Card, until_at: float) -> None:
    """Spans never go back in time and leave no gap, even if the clocks disagree."""
    row = spans(card, until_at)
    assert all(span.from_at <= span.to_at for span in row)
    assert all(earlier.to_at == later.from_at for earlier, later in itertools.pairwise(row))


def test_refused_job_ends_in_stage_no_video() -> None:
    """The time after the refusal is not shown as rendering."""
    row = spans(Card(key="k", state="refused", submitted_at=0.0, sent_at=2.0, finished_at=3.0), 10.0)
    assert [(span.stage, span.to_at) for span in row] == [
        (Stage.QUEUED, 2.0),
        (Stage.SENT, 3.0),
        (Stage.NO_VIDEO, 10.0),
    ]


@given(st.lists(st.floats(0, 1e12), min_size=1).map(sorted))
def test_bins_count_every_value_and_stay_few(values: list[float]) -> None:
    """There are at most 20 bins for values from zero to thirty thousand years."""
    _, width, counts = bins(values)
    assert sum(counts) == len(values)
    assert len(counts) <= 20
    assert width > 0


@given(st.floats(0.01, 1e15), st.integers(1, 30))
def test_step_divides_span_into_at_most_max_steps(span_s: float, max_steps: int) -> None:
    """An axis never gets more labels than fit."""
    assert span_s / step_s(span_s, max_steps) <= max_steps * (1 + 1e-9)


def test_durations_and_numbers_are_readable() -> None:
    """Durations round to the next unit; numbers have thousands separators and no trailing zeros."""
    assert [seconds(value) for value in (0.25, 8, 59.7, 60, 3599.8, 7500)] == [
        *("0.2 s", "8 s", "1 min", "1 min", "1 h", "2 h 5 min")
    ]
    assert [clock(value) for value in (0, 0.5, 90, 3600)] == ["0:00", "0.5 s", "1:30", "1:00:00"]
    assert [format_number(value) for value in (60.0, 1234.5, 0.005)] == ["60", "1,234.5", "0.01"]
    assert [format_count(count, "job") for count in (0, 1, 1200)] == ["0 jobs", "1 job", "1,200 jobs"]
    assert [state_label(state) for state in ("in_doubt", "saved", "")] == ["In doubt", "Saved", ""]
    assert quantile([1, 2, 3, 4], 0.5) == 2


def test_card_rejects_file_outside_its_folder() -> None:
    """People pass the page on with its folder, so files outside of it would be missing."""
    for file in ("/etc/passwd", "../up.mp4", "a/../../b.mp4"):
        with pytest.raises(ValueError, match="relative to the gallery's folder"):
            Card(key="k", state="saved", file=file)
    assert Card(key="k", state="saved", file=PurePosixPath("sub") / "a.mp4").file == "sub/a.mp4"
    assert Card(key="k", state="saved", credits=math.nan).credits is None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Card(key="k", state="saved").key = "other"  # type: ignore[misc]


def test_special_characters_in_file_names_are_quoted() -> None:
    """A question mark begins no query, a colon no scheme, and undecodable bytes survive."""
    some = [Card(key="k", state="saved", file=name) for name in ("a b#c?d%20.mp4", "javascript:x", "\udcff.mp4")]
    urls = [link["href"] for link in of_class(read(render_gallery(some, title="t")), "play")]
    assert urls == ["./a%20b%23c%3Fd%2520.mp4", "./javascript%3Ax", "./%FF.mp4"]


def test_failed_write_leaves_existing_page_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed write also leaves no partial file, and the next write replaces the page."""
    page = write_gallery(tmp_path, list(cards(3)), title="first")
    before = page.read_bytes()

    def raise_disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", raise_disk_full)
    with pytest.raises(OSError, match="No space"):
        write_gallery(tmp_path, list(cards(9)), title="second")
    assert page.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    monkeypatch.undo()
    write_gallery(tmp_path, list(cards(9)), title="second")
    assert b"second" in page.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_missing_folder_raises(tmp_path: Path) -> None:
    """The folder is not created."""
    with pytest.raises(FileNotFoundError):
        write_gallery(tmp_path / "missing", [], title="t")


def test_page_with_a_thousand_jobs_stays_small(tmp_path: Path) -> None:
    """It is below 4 MB, hostile and long prompts included."""
    long = "".join(HOSTILE) * 8
    some = [
        attrs.evolve(card, prompt=f"{card.prompt} {long}") if card.key.endswith("7") else card for card in cards(1000)
    ]
    page = write_gallery(tmp_path, some, title="A thousand")
    assert page.stat().st_size < 4_000_000
    text = page.read_text(encoding="utf-8")
    assert text.count("<article>") == 1000
    assert "889 clips" in text
    assert "1,000 jobs" in text
