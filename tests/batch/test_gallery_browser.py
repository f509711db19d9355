"""The gallery in a real Chromium, from disk: what it loads, shows, plays and does at the keyboard.

Without a Chromium these tests fail: a page that no browser has opened is not checked.
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
        await page.look(1280, 1000)
        yield page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its name is what addresses choke on."""
    folder = tmp_path / "my clips #1 100%?"
    folder.mkdir()
    return folder


def batch(folder: Path) -> Path:
    """Thirty believable jobs and one that would like to be more than a job."""
    name = clip_into(folder, 'a "b"#?%.mp4')
    hostile = Card(key=HOSTILE, prompt=HOSTILE, model=HOSTILE, state="saved", file=name, urls=(HOSTILE,))
    return write_gallery(folder, [hostile, *cards(30, folder=folder)], title="Thirty and one")


async def until(page: Page, script: str, why: str) -> None:
    """Ask until it is so."""
    for _ in range(100):
        if await page.run(script):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{why}: {await page.run(script)}")


async def colours(page: Page, path: str) -> dict[str, Any]:
    told: dict[str, Any] = await page.run(
        f"(s => ({{ink: s.color, paper: s.backgroundColor}}))(getComputedStyle(document.querySelector('{path}')))"
    )
    return told


async def test_it_loads_nothing_from_elsewhere(page: Page, folder: Path) -> None:
    """Every address asked for lies in the clips' folder, hostile words included, and nothing is complained about."""
    await page.open(batch(folder).as_uri())
    await until(page, "document.querySelector('video').readyState >= 2", "the first film shows no picture")
    assert page.complaints == []
    for address in page.requested:
        if not address.startswith("data:"):  # the browser's own buttons on a film
            assert urlsplit(address).scheme == "file"
            assert address.startswith(folder.as_uri() + "/")
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
async def test_markup_that_slipped_through_would_be_dead(page: Page, folder: Path, markup: str) -> None:
    """The page's own policy refuses it, and no request is made."""
    await page.open(batch(folder).as_uri())
    refused = await page.run(
        "new Promise(done => { document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));"
        f'document.body.insertAdjacentHTML("beforeend", "{markup}"); }})'
    )
    assert refused in ("img-src", "media-src", "frame-src", "style-src-attr")
    assert not [address for address in page.requested if "example.com" in address]


async def test_a_film_plays(page: Page, folder: Path) -> None:
    """From disk, muted, inside the page; another one's start stops it."""
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelectorAll('video')[1].play()")
    await until(page, "document.querySelectorAll('video')[1].currentTime > 0.2", "it does not play")
    ready, width = await page.run("(f => [f.readyState, f.videoWidth])(document.querySelectorAll('video')[1])")
    assert ready >= 3
    assert width == 320
    await page.run("document.querySelectorAll('video')[0].play()")
    await until(page, "document.querySelectorAll('video')[1].paused", "two films at once")
    await until(page, "document.querySelectorAll('video')[0].currentTime > 0.2", "a film of a difficult name")


async def test_the_status_filter(page: Page, folder: Path) -> None:
    """A button shows its own, tells that it is pressed, and a second press shows all again."""
    await page.open(batch(folder).as_uri())
    await page.run("document.querySelector('button[data-state=refused]').click()")
    assert await page.run(SHOWN) == ["refused"]
    pressed = "[...document.querySelectorAll('.states [aria-pressed=true]')].map(b => b.dataset.state)"
    assert await page.run(pressed) == ["refused"]
    assert await page.run("document.querySelector('.shown').textContent") == "1 of 31 shown"
    await page.run("document.querySelector('button[data-state=refused]').click()")
    assert len(await page.run(SHOWN)) == 31
    assert await page.run(pressed) == [""]


async def test_the_text_filter(page: Page, folder: Path) -> None:
    """Every word must occur, in whatever order; status and text together; nothing found is said, with a way back."""
    await page.open(batch(folder).as_uri())
    await page.run("document.getElementById('find').focus()")
    await page.write("VEO3_fast harbour")
    found = await page.run(SHOWN)
    assert 0 < len(found) < 31
    assert await page.run(
        "[...document.querySelectorAll('.card:not([hidden])')].every(c => c.textContent.includes('Harbour'))"
    )
    await page.write(" nowhere to be found")
    assert await page.run(SHOWN) == []
    assert await page.run("document.querySelector('.nothing').checkVisibility()")
    await page.run("document.querySelector('.clear').click()")
    assert len(await page.run(SHOWN)) == 31


async def test_it_is_usable_by_keyboard(page: Page, folder: Path) -> None:
    """Tab goes from the skip link over the buttons and the filter to the films; / finds, Escape clears, focus shows."""
    await page.open(batch(folder).as_uri())
    way = []
    for _ in range(12):
        await page.press("Tab", code=9)
        way.append(await page.run(FOCUS))
        if await page.run("document.activeElement.matches(':focus')"):  # else it is one of a film's own buttons
            assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", way[-1]
    assert way[0] == "skip"
    assert way[1:7] == ["button", "saved", "in_doubt", "refused", "failed", "find"]
    assert way[7] == "video"
    for path in ("video", "summary", "button[data-state=failed]", "main"):
        await page.run(f"document.querySelector('{path}').focus()")
        await page.press("/", text="/", code=191)
        assert await page.run(FOCUS) == "find", path
    assert await page.run("document.activeElement.value") == ""
    await page.write("watchmaker")
    assert len(await page.run(SHOWN)) < 31
    await page.press("Escape", code=27)
    assert len(await page.run(SHOWN)) == 31
    assert await page.run(FOCUS) == "find"
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
async def test_it_is_light_and_dark_and_fits(page: Page, folder: Path, tmp_path: Path, width: int) -> None:
    """By the reader's preference, readable in both, and never wider than the window."""
    address = batch(folder).as_uri()
    papers, pictures = [], []
    for scheme in ("light", "dark"):
        await page.look(width, 1000, scheme=scheme)
        await page.open(address)
        await until(page, "document.querySelector('video').readyState >= 2", "the first film shows no picture")
        pictures.append(await page.picture(tmp_path / f"{scheme}-{width}.png"))
        paper = (await colours(page, "body"))["paper"]
        papers.append(paper)
        for path in ("body", ".lead", ".shown", ".badge", ".facts"):
            assert _contrast((await colours(page, path))["ink"], paper) >= 4.5, (scheme, path)
        stage = (await colours(page, ".told"))["paper"]
        for path in (".told .reason", ".told .remedy", ".told .word", ".odd"):
            assert _contrast((await colours(page, path))["ink"], stage) >= 4.5, (scheme, path)
        assert await page.run("document.documentElement.scrollWidth") <= width
    assert papers[0] != papers[1]
    assert pictures[0] != pictures[1]
    assert [struct.unpack(">II", picture[16:24]) for picture in pictures] == [(width, 1000)] * 2


async def test_without_its_script_everything_is_still_there(page: Page, folder: Path) -> None:
    """Only the bar stays away."""
    await page.send("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(batch(folder).as_uri())
    await page.send("Emulation.setScriptExecutionDisabled", value=False)
    assert len(await page.run(SHOWN)) == 31
    assert not await page.run("document.querySelector('.bar').checkVisibility()")


async def test_a_thousand_jobs_stay_usable(page: Page, folder: Path) -> None:
    """It opens and filters at once, also with films to the end of the page, and holds few of them ready."""
    clips = [clip_into(folder, f"clip-{number}.mp4", number=number) for number in range(4)]
    told = [
        Card(key=card.key, prompt=card.prompt, state=card.state, file=clips[number % 4] if card.file else None)
        for number, card in enumerate(cards(1000))
    ]
    written = write_gallery(folder, told, title="A thousand")
    began_at = time.perf_counter()
    await page.open(written.as_uri())
    assert time.perf_counter() - began_at < 10  # some tenths of a second on a quiet machine
    took_ms = await page.run(
        "(() => { const began = performance.now(); const find = document.getElementById('find');"
        "find.value = 'watchmaker'; find.dispatchEvent(new Event('input')); document.body.offsetHeight;"
        "return performance.now() - began; })()"
    )
    assert took_ms < 1000
    assert 0 < len(await page.run(SHOWN)) < 300
    await page.run("document.querySelector('.states button').click()")
    await page.run("(f => { f.value = ''; f.dispatchEvent(new Event('input')); })(document.getElementById('find'))")
    for part in range(12):
        await page.run(f"scrollTo(0, document.body.scrollHeight * {part / 11})")
        await asyncio.sleep(0.1)
    await until(page, "[...document.querySelectorAll('video')].at(-1).readyState >= 1", "the last film is not read")
    await until(page, "[...document.querySelectorAll('video')].filter(f => f.readyState).length < 40", "too many films")
    assert page.complaints == []
