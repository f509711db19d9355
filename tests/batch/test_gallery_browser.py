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

from veo_async.batch.gallery import Card, write_gallery

from .chromium import Page, chromium
from .gallery_support import cards, clip_into

pytestmark = [pytest.mark.realtime, pytest.mark.browser]

HOSTILE = "</script><script>window.broken = 1</script><img src=https://example.com/x onerror='window.broken = 1'>\u202e"
SHOWN = "[...document.querySelectorAll('.card')].filter(card => !card.hidden).map(card => card.dataset.state)"
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
    await wait_until(page, "document.querySelector('video').readyState >= 2", "the first video shows no frame")
    assert page.complaints == []
    for url in page.requested:
        if not url.startswith("data:"):  # the browser's own video controls
            assert urlsplit(url).scheme == "file"
            assert url.startswith(folder.as_uri() + "/")
    assert await page.run("window.broken") is None
    assert await page.run("document.querySelectorAll('.card').length") == 31
    assert await page.run("document.querySelectorAll('img, iframe, object, link').length") == 0


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


async def test_starting_a_video_pauses_the_other(page: Page, folder: Path) -> None:
    """Videos play from disk inside the page, one at a time, also with a file name that needs quoting."""
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelectorAll('video')[1].play()")
    await wait_until(page, "document.querySelectorAll('video')[1].currentTime > 0.2", "it does not play")
    ready, width = await page.run("(f => [f.readyState, f.videoWidth])(document.querySelectorAll('video')[1])")
    assert ready >= 3
    assert width == 320
    await page.run("document.querySelectorAll('video')[0].play()")
    await wait_until(page, "document.querySelectorAll('video')[1].paused", "two videos play")
    await wait_until(
        page, "document.querySelectorAll('video')[0].currentTime > 0.2", "a video with a quoted name does not play"
    )


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
    """Tab visits skip link, buttons, search and videos with a visible focus; / searches, Escape clears."""
    await page.open(batch(folder).as_uri())
    focused = []
    for _ in range(12):
        await page.press("Tab", code=9)
        focused.append(await page.run(FOCUS))
        if await page.run("document.activeElement.matches(':focus')"):  # otherwise it is one of a video's own controls
            assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", focused[-1]
    assert focused[0] == "skip"
    assert focused[1:7] == ["button", "saved", "in_doubt", "refused", "failed", "search"]
    assert focused[7] == "video"
    for selector in ("video", "summary", "button[data-state=failed]", "main"):
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
        await wait_until(page, "document.querySelector('video').readyState >= 2", "the first video shows no frame")
        screenshots.append(await page.screenshot(tmp_path / f"{scheme}-{width}.png"))
        paper = (await colours(page, "body"))["paper"]
        papers.append(paper)
        for selector in ("body", ".lead", ".shown", ".badge", ".facts"):
            assert _contrast((await colours(page, selector))["ink"], paper) >= 4.5, (scheme, selector)
        media = (await colours(page, ".message"))["paper"]
        for selector in (".message .reason", ".message .remedy", ".message .state", ".invisible"):
            assert _contrast((await colours(page, selector))["ink"], media) >= 4.5, (scheme, selector)
        assert await page.run("document.documentElement.scrollWidth") <= width
    assert papers[0] != papers[1]
    assert screenshots[0] != screenshots[1]
    assert [struct.unpack(">II", png[16:24]) for png in screenshots] == [(width, 1000)] * 2


async def test_without_script_all_cards_are_shown(page: Page, folder: Path) -> None:
    """Only the filter bar stays hidden."""
    await page.send("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(batch(folder).as_uri())
    await page.send("Emulation.setScriptExecutionDisabled", value=False)
    assert len(await page.run(SHOWN)) == 31
    assert not await page.run("document.querySelector('.bar').checkVisibility()")


async def test_page_with_a_thousand_jobs_stays_usable(page: Page, folder: Path) -> None:
    """It opens and filters quickly, loads videos down to the end of the page, and keeps few of them loaded."""
    clips = [clip_into(folder, f"clip-{number}.mp4", number=number) for number in range(4)]
    shown = [
        Card(key=card.key, prompt=card.prompt, state=card.state, file=clips[number % 4] if card.file else None)
        for number, card in enumerate(cards(1000))
    ]
    written = write_gallery(folder, shown, title="A thousand")
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
    videos = "[...document.querySelectorAll('video')]"
    await wait_until(page, f"{videos}.at(-1).readyState >= 1", "the last video is not loaded")
    await wait_until(page, f"{videos}.filter(f => f.readyState).length < 40", "too many videos are loaded")
    assert page.complaints == []
