"""The gallery in a real Chromium, opened from disk: loading, display, playback and keyboard use.

Without Chromium these tests fail rather than skip.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from veo_async.batch.gallery import Card, render_gallery, write_gallery

from .chromium import Page, chromium
from .gallery_support import cards, clip_into

pytestmark = [pytest.mark.realtime, pytest.mark.browser]

HOSTILE = "</script><script>window.broken = 1</script><img src=https://example.com/x onerror='window.broken = 1'>\u202e"
SHOWN = "[...document.querySelectorAll('.card')].filter(card => !card.hidden).map(card => card.dataset.state)"
STILLS = "[...document.querySelectorAll('.play img')]"
PLAYER = "document.querySelector('.player video')"
FOCUS = "(e => e.id || e.dataset.state || e.className || e.tagName.toLowerCase())(document.activeElement)"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with chromium(tmp_path) as page:
        await page.set_window(1280, 1000)
        yield page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name needs quoting in a URL."""
    folder = tmp_path / "my clips #1 100%?"
    folder.mkdir()
    return folder


def batch(folder: Path) -> Path:
    """Write a gallery of thirty realistic jobs and one with hostile text, and return its path."""
    name = clip_into(folder, 'a "b"#?%.mp4')
    hostile = Card(key=HOSTILE, prompt=HOSTILE, model=HOSTILE, state="saved", file=name, urls=(HOSTILE,))
    return write_gallery(folder, [hostile, *cards(30, folder=folder)], title="Thirty and one")


async def wait_until(page: Page, script: str, failure: str) -> None:
    """Wait until *script* is true in the page, or fail with the message *failure*."""
    for _ in range(100):
        if await page.run(script):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{failure}: {await page.run(script)}")


async def colours(page: Page, selector: str) -> dict[str, Any]:
    result: dict[str, Any] = await page.run(
        f"(s => ({{ink: s.color, paper: s.backgroundColor}}))(getComputedStyle(document.querySelector('{selector}')))"
    )
    return result


async def test_page_with_hostile_text_loads_only_files_of_its_folder(page: Page, folder: Path) -> None:
    """Every requested URL is inside the clips' folder, and neither script nor policy reports an error."""
    await page.open(batch(folder).as_uri())
    await wait_until(page, f"{STILLS}.every(i => i.naturalWidth > 0)", "a poster is not shown")
    await page.run("document.querySelector('.play').click()")
    await wait_until(page, "document.querySelector('.player video').readyState >= 2", "the player shows no frame")
    assert page.complaints == []
    for url in page.requested:
        if not url.startswith("data:"):  # the browser's own video controls
            assert urlsplit(url).scheme == "file"
            assert url.startswith(folder.as_uri() + "/")
    assert await page.run("window.broken") is None
    assert await page.run("document.querySelectorAll('.card').length") == 31
    assert await page.run("document.querySelectorAll('iframe, object, link').length") == 0


@pytest.mark.parametrize(
    "markup",
    [
        "<img src='https://example.com/a.png'>",
        "<video src='https://example.com/a.mp4' preload=auto></video>",
        "<iframe src='https://example.com/'></iframe>",
        "<b style='background: url(https://example.com/)'>x</b>",
    ],
)
async def test_injected_markup_is_blocked_by_the_policy(page: Page, folder: Path, markup: str) -> None:
    """The page's own policy blocks it before a request is sent."""
    await page.open(batch(folder).as_uri())
    blocked = await page.run(
        "new Promise(done => { document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));"
        f'document.body.insertAdjacentHTML("beforeend", "{markup}"); }})'
    )
    assert blocked in ("img-src", "media-src", "frame-src", "style-src-attr")
    assert not [url for url in page.requested if "example.com" in url]


async def test_player_plays_one_clip_at_a_time(page: Page, folder: Path) -> None:
    """It opens with a click and plays from disk, also a file whose name needs quoting. Closed, it stops and unloads."""
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelector('.play').click()")
    await wait_until(page, f"{PLAYER}.currentTime > 0.2", "a clip with a quoted name does not play")
    assert await page.run(f"[{PLAYER}.readyState >= 3, {PLAYER}.videoWidth]") == [True, 320]
    await page.run("document.querySelector('.player .next').click()")
    await wait_until(
        page, f"{PLAYER}.currentSrc.endsWith('/job-0000.mp4') && {PLAYER}.currentTime > 0.2", "no next clip"
    )
    await page.run("document.querySelector('.player .close').click()")
    await wait_until(page, f"{PLAYER}.paused && {PLAYER}.readyState === 0", "it still plays")
    assert not await page.run("document.querySelector('.player').open")


async def test_player_is_operated_by_keyboard(page: Page, folder: Path) -> None:
    """Enter opens it, arrows change the clip, space pauses, Escape closes; the focus returns to the clip's card."""
    await page.open(batch(folder).as_uri())
    position = "document.querySelector('.position').textContent"
    await page.run("document.querySelectorAll('.play')[1].focus()")
    await page.press("Enter", text="\r", code=13)
    await wait_until(page, f"!{PLAYER}.paused", "it does not play")
    assert await page.run(position) == "2 of 28"
    await page.press("ArrowRight", code=39)
    assert await page.run(position) == "3 of 28"
    await page.press("ArrowLeft", code=37)
    await page.press("ArrowLeft", code=37)
    await page.press("ArrowLeft", code=37)
    assert await page.run(position) == "1 of 28"
    await wait_until(page, f"!{PLAYER}.paused", "the first clip does not play")
    await page.press(" ", text=" ", code=32)
    assert await page.run(f"{PLAYER}.paused")
    await page.press("ArrowRight", code=39)
    await page.press("Escape", code=27)
    await wait_until(page, "!document.querySelector('.player').open", "Escape does not close it")
    assert await page.run("document.activeElement === document.querySelectorAll('.play')[1]")
    await page.press(" ", text=" ", code=32)
    assert await page.run("document.querySelector('.player').open")


@pytest.mark.parametrize("shift", [False, True])
async def test_focus_stays_in_the_player(page: Page, folder: Path, shift: bool) -> None:
    """Tab visits all of its controls and never the page behind it."""
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelectorAll('.play')[1].click()")
    visited = set()
    for _ in range(24):
        await page.press("Tab", code=9, shift=shift)
        assert await page.run("document.querySelector('.player').contains(document.activeElement)")
        visited.add(await page.run("document.activeElement.className || 'video'"))
    assert visited == {"close", "video", "previous", "next", "save"}


async def test_player_shows_the_filtered_clips_only(page: Page, folder: Path) -> None:
    """The last of them has no next one; a clip alone has neither."""
    await page.open(batch(folder).as_uri())
    await page.run("document.getElementById('search').focus()")
    await page.write("job-0001")
    await page.run("document.querySelector('.card:not([hidden]) .play').click()")
    assert await page.run("[...document.querySelectorAll('.previous, .next')].every(b => b.hidden)")
    await page.press("ArrowRight", code=39)
    assert await page.run("document.querySelector('.player strong').textContent") == "job-0001"


async def test_player_waits_for_the_reader_who_wants_little_motion(page: Page, folder: Path) -> None:
    """With ``prefers-reduced-motion`` it does not start automatically."""
    await page.set_window(1280, 1000, motion="reduce")
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelector('.play').click()")
    await wait_until(page, f"{PLAYER}.readyState >= 2", "the player shows no frame")
    assert await page.run(f"{PLAYER}.paused")
    await page.press(" ", text=" ", code=32)
    await wait_until(page, f"{PLAYER}.currentTime > 0.1", "space does not start it")


async def test_times_are_in_the_time_zone_of_the_reader(page: Page, folder: Path) -> None:
    """All of them, and each says so; the date at the top is that day there."""
    await page.send("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    await page.open(batch(folder).as_uri())
    times = await page.run("[...document.querySelectorAll('.more-details time')].map(t => t.textContent)")
    assert times
    assert all(time.endswith("GMT+9") for time in times)
    assert "26 Jul 2026, 02:20:00 GMT+9" in times
    assert await page.run("document.querySelector('.lead time').textContent") == "26 July 2026"


async def test_page_prints_the_clips_without_its_controls(page: Page, folder: Path) -> None:
    """Neither the filter nor download buttons nor folded details are printed."""
    await page.set_window(800, 1000, media="print")
    await page.open(batch(folder).as_uri())
    for selector in (".bar", ".download", ".more-details", ".triangle"):
        assert not await page.run(f"document.querySelector('{selector}').checkVisibility()"), selector
    assert await page.run("[...document.querySelectorAll('.card, .totals')].every(c => c.checkVisibility())")
    printed = await page.send("Page.printToPDF", printBackground=True)
    assert len(printed["data"]) > 20_000


#: The places of the cards and of their stills, and the aspect ratios of the latter.
LAYOUT = """[...document.querySelectorAll('.card')].map(card => {
    const box = (e) => (r => [r.left, r.top, r.right, r.bottom])(e.getBoundingClientRect());
    const still = card.querySelector('.play');
    const ratio = Number(getComputedStyle(card).getPropertyValue('--ratio'));
    return {card: box(card), still: still && box(still), ratio};
})"""


def _overlap(one: list[float], other: list[float]) -> bool:
    return one[0] < other[2] - 1 and other[0] < one[2] - 1 and one[1] < other[3] - 1 and other[1] < one[3] - 1


def shaped_batch(folder: Path, shapes: str) -> Path:
    """Write a gallery whose clips are ``wide``, ``tall`` or ``mixed``, and return its path."""
    if shapes == "mixed":
        return batch(folder)
    ratio = "9:16" if shapes == "tall" else "16:9"
    some = [
        Card(key=f"clip-{n}", state="saved", aspect_ratio=ratio, file=clip_into(folder, f"{n}.mp4", aspect_ratio=ratio))
        for n in range(7)
    ]
    return write_gallery(folder, some, title="Seven clips", for_client=True)


@pytest.mark.parametrize("shapes", ["mixed", "wide", "tall"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_clips_keep_their_shape_and_cards_do_not_overlap(
    page: Page, folder: Path, tmp_path: Path, width: int, shapes: str
) -> None:
    """Stills fill the width of their cards, without an empty strip, in light and in dark; see the screenshots."""
    url = shaped_batch(folder, shapes).as_uri()
    for scheme in ("light", "dark"):
        await page.set_window(width, 1000, scheme=scheme)
        await page.open(url)
        await wait_until(page, f"{STILLS}[0].complete", "the first poster is not shown")
        await page.screenshot(tmp_path / f"{shapes}-{width}-{scheme}.png")
        assert await page.run("document.documentElement.scrollWidth") <= width
        places = await page.run(LAYOUT)
        for place in places:
            left, _, right, _ = place["card"]
            assert 0 <= left < right <= width
        for number, place in enumerate(places):
            assert not any(_overlap(place["card"], other["card"]) for other in places[number + 1 :])
        for left, top, right, bottom in (place["still"] for place in places if place["still"]):
            assert right - left >= 100
            assert bottom - top <= 1000
        for place in places:
            if place["still"]:
                left, top, right, bottom = place["still"]
                assert abs((right - left) / (bottom - top) / place["ratio"] - 1) < 0.02
                assert (left, right) == pytest.approx((place["card"][0], place["card"][2]), abs=0.5)


async def test_stills_of_one_row_have_the_same_height(page: Page, folder: Path) -> None:
    """Portrait and landscape clips stand side by side, and the rows fill the page."""
    await page.open(batch(folder).as_uri())
    rows: dict[float, list[list[float]]] = {}
    for place in await page.run(LAYOUT):
        if place["still"]:
            rows.setdefault(round(place["still"][1]), []).append(place["still"])
    [*full, _] = rows.values()  # the last row ends where its clips do
    assert any(len(row) > 2 for row in full)
    for row in full:
        heights = [bottom - top for _, top, _, bottom in row]
        assert max(heights) - min(heights) < 3
        assert (row[0][0], row[-1][2]) == pytest.approx((full[0][0][0], full[0][-1][2]), abs=1)


async def test_status_filter_toggles(page: Page, folder: Path) -> None:
    """A press shows only the cards of that state and marks the button; a second press shows all cards."""
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelector('button[data-state=refused]').click()")
    assert await page.run(SHOWN) == ["refused"]
    pressed = "[...document.querySelectorAll('.states [aria-pressed=true]')].map(b => b.dataset.state)"
    assert await page.run(pressed) == ["refused"]
    assert await page.run("document.querySelector('.shown').textContent") == "1 of 31 shown"
    await page.run("document.querySelector('button[data-state=refused]').click()")
    assert len(await page.run(SHOWN)) == 31
    assert await page.run(pressed) == [""]


async def test_text_filter_matches_all_words_and_can_be_cleared(page: Page, folder: Path) -> None:
    """Words match in any order and case. Without a match the page says so and offers to show all jobs."""
    await page.open(batch(folder).as_uri())
    await page.run("document.getElementById('search').focus()")
    await page.write("VEO3_fast harbour")
    assert 0 < len(await page.run(SHOWN)) < 31
    assert await page.run(
        "[...document.querySelectorAll('.card:not([hidden])')].every(c => c.textContent.includes('Harbour'))"
    )
    await page.write(" unmatched")
    assert await page.run(SHOWN) == []
    assert await page.run("document.querySelector('.no-matches').checkVisibility()")
    await page.run("document.querySelector('.clear').click()")
    assert len(await page.run(SHOWN)) == 31


async def test_page_is_usable_by_keyboard(page: Page, folder: Path) -> None:
    """Tab visits skip link, buttons, search, clips and downloads with a visible focus; / searches, Escape clears."""
    await page.open(batch(folder).as_uri())
    focused = []
    for _ in range(12):
        await page.press("Tab", code=9)
        focused.append(await page.run(FOCUS))
        if await page.run("document.activeElement.matches(':focus')"):  # otherwise it is one of a video's own controls
            assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", focused[-1]
    assert focused[0] == "skip"
    assert focused[1:8] == ["a", "button", "saved", "in_doubt", "refused", "failed", "search"]
    assert focused[8:11] == ["play", "download", "summary"]
    for selector in (".play", "summary", "button[data-state=failed]", "main"):
        await page.run(f"document.querySelector('{selector}').focus()")
        await page.press("/", text="/", code=191)
        assert await page.run(FOCUS) == "search", selector
    assert await page.run("document.activeElement.value") == ""
    await page.write("watchmaker")
    assert len(await page.run(SHOWN)) < 31
    await page.press("Escape", code=27)
    assert len(await page.run(SHOWN)) == 31
    assert await page.run(FOCUS) == "search"
    await page.press("Escape", code=27)
    assert await page.run(FOCUS) == "body"
    await page.run("document.querySelector('button[data-state=failed]').focus()")
    await page.press(" ", text=" ", code=32)
    assert set(await page.run(SHOWN)) == {"failed"}


def _contrast(ink: str, paper: str) -> float:
    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    brighter, darker = sorted((light(ink), light(paper)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("width", [360, 1280])
async def test_both_colour_schemes_are_readable(page: Page, folder: Path, tmp_path: Path, width: int) -> None:
    """Text has enough contrast in light and in dark, and the page is never wider than the window."""
    url = batch(folder).as_uri()
    papers, screenshots = [], []
    for scheme in ("light", "dark"):
        await page.set_window(width, 1000, scheme=scheme)
        await page.open(url)
        await wait_until(page, f"{STILLS}[0].complete", "the first poster is not shown")
        screenshots.append(await page.screenshot(tmp_path / f"{scheme}-{width}.png"))
        paper = (await colours(page, "body"))["paper"]
        papers.append(paper)
        for selector in ("body", ".lead", ".shown", ".prompt", ".download", ".more-details summary", ".totals dt"):
            assert _contrast((await colours(page, selector))["ink"], paper) >= 4.5, (scheme, selector)
        sheet = (await colours(page, ".message"))["paper"]
        for selector in (".message .reason", ".message .remedy", ".message .badge", ".message .prompt"):
            assert _contrast((await colours(page, selector))["ink"], sheet) >= 4.5, (scheme, selector)
        invisible = await colours(page, ".invisible")
        assert _contrast(invisible["ink"], invisible["paper"]) >= 4.5, scheme
        assert await page.run("document.documentElement.scrollWidth") <= width
    assert papers[0] != papers[1]
    assert screenshots[0] != screenshots[1]
    assert [struct.unpack(">II", png[16:24]) for png in screenshots] == [(width, 1000)] * 2


async def test_without_script_all_cards_are_shown(page: Page, folder: Path) -> None:
    """Only the filter bar stays hidden, and a click on a clip opens its file."""
    await page.send("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(batch(folder).as_uri())
    await page.send("Emulation.setScriptExecutionDisabled", value=False)
    assert len(await page.run(SHOWN)) == 31
    assert not await page.run("document.querySelector('.bar').checkVisibility()")
    assert not await page.run("document.querySelector('.player').checkVisibility()")
    await page.run("document.querySelectorAll('.play')[1].click()")
    await wait_until(page, "location.pathname.endsWith('/job-0000.mp4')", "the file is not opened")


async def test_page_with_a_thousand_jobs_stays_usable(page: Page, folder: Path) -> None:
    """It opens and filters quickly, loads videos down to the end of the page, and keeps few of them loaded."""
    clips = [clip_into(folder, f"clip-{number}.mp4", number=number) for number in range(4)]
    shown = [
        Card(key=card.key, prompt=card.prompt, state=card.state, file=clips[number % 4] if card.file else None)
        for number, card in enumerate(cards(1000))
    ]
    written = folder / "index.html"
    written.write_text(render_gallery(shown, title="A thousand"))  # without posters: stills are frames of the videos
    began_at = time.perf_counter()
    await page.open(written.as_uri())
    assert time.perf_counter() - began_at < 10  # well below a second on an idle machine
    took_ms = await page.run(
        "(() => { const began = performance.now(); const search = document.getElementById('search');"
        "search.value = 'watchmaker'; search.dispatchEvent(new Event('input')); document.body.offsetHeight;"
        "return performance.now() - began; })()"
    )
    assert took_ms < 1000
    assert 0 < len(await page.run(SHOWN)) < 300
    await page.run("document.querySelector('.states button').click()")
    await page.run("(f => { f.value = ''; f.dispatchEvent(new Event('input')); })(document.getElementById('search'))")
    for part in range(12):
        await page.run(f"scrollTo(0, document.body.scrollHeight * {part / 11})")
        await asyncio.sleep(0.1)
    await page.run("document.querySelector('.clips .clip:last-child').scrollIntoView()")
    videos = "[...document.querySelectorAll('.play video')]"
    await wait_until(page, f"{videos}.at(-1).readyState >= 1", "the last video is not loaded")
    await wait_until(page, f"{videos}.filter(f => f.readyState).length < 40", "too many videos are loaded")
    assert page.complaints == []
