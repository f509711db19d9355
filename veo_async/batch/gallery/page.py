"""The gallery's page: a single HTML file that needs nothing but the clips in its folder.

The clips come first, then the jobs without one, then the numbers. A page for a client has the clips only.

It shows text from other people and is opened with a double click. So its content security policy allows only videos
from its own folder, images in the page itself, and exactly the one script and the one style sheet whose digests it
names. Markup that escaped our quoting could neither load nor run anything.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

import attrs

from veo_async._base.atomic_write import write_atomically
from veo_async._base.numbers import format_count, format_number

from .card_html import clip_html, ratio_class, tone, unfinished_html
from .cards import Card, Totals, quantile, totals
from .charts import histogram, stages_in, timeline, times_summary
from .client_cards import to_client_cards
from .formatting import date_element, seconds, state_label, to_attribute, to_html
from .posters import add_posters

#: The page, and the page for a client.
NAME, CLIENT_NAME = "index.html", "client.html"
#: With fewer cards than this there is nothing to search.
_SEARCH_FROM = 7
#: Shown in place of a total that is not known.
_UNKNOWN = "–"


@cache
def _asset(name: str) -> str:
    """Return a file of this package with ``\\n`` line ends, so that its digest matches what the page contains."""
    return resources.files("veo_async.batch.gallery").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def digest(text: str) -> str:
    """Return the digest of an inline script or style sheet, as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str, script: str) -> str:
    """Return the content security policy. It has ``file:`` because a page opened from disk has no origin."""
    return (
        f"default-src 'none'; media-src 'self' file:; img-src data:; style-src {digest(style)}; "
        f"script-src {digest(script)}; base-uri 'none'; form-action 'none'"
    )


def _lead(cards: Sequence[Card], total: Totals) -> str:
    """Return the line below the title: the date, the number of clips and their length, and what is missing."""
    clips = [card for card in cards if card.file is not None]
    missing, length_s = len(cards) - len(clips), math.fsum(card.duration_s or 0.0 for card in clips)
    parts = (
        date_element(total.to_at) if total.to_at is not None else "",
        format_count(len(clips), "clip"),
        seconds(length_s) if length_s else "",
        f'<a href="#unfinished">{missing:,} without a clip</a>' if missing else "",
    )
    return " · ".join(part for part in parts if part)


def _numbers(total: Totals) -> str:
    """Return the totals."""
    times = total.generation_s
    rows = (
        ("Clips", f"{total.clips:,} <small>of {total.jobs:,}</small>"),
        ("Footage", seconds(total.video_s) if total.video_s else _UNKNOWN),
        ("Credits", format_number(total.credits) if total.credits is not None else _UNKNOWN),
        ("Median generation time", seconds(quantile(times, 0.5)) if times else _UNKNOWN),
    )
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)


def _figure(heading: str, chart: str, legend: str, placeholder: str) -> str:
    """Return *chart* with its legend, or *placeholder* if the chart is empty."""
    content = chart or f'<p class="absent">{placeholder}</p>'
    return f"<figure><figcaption><h3>{heading}</h3>{legend if chart else ''}</figcaption>{content}</figure>"


def _figures(cards: Sequence[Card], total: Totals) -> str:
    """Return both charts with their legends."""
    stages = "".join(
        f'<li class="{stage.replace(" ", "-")}">{state_label(stage)}</li>'
        for stage in stages_in(cards, total.to_at or 0.0)
    )
    times = times_summary(total) if total.generation_s else ""
    return _figure(
        "Timeline", timeline(cards, total), f'<ul class="legend">{stages}</ul>', "No times recorded."
    ) + _figure("Generation time", histogram(total), f"<p>{times}</p>", "No generation times recorded.")


def _button(state: str, label: str, count: int, colour: str, *, is_pressed: bool) -> str:
    return (
        f'<button type="button" data-state="{to_attribute(state, 60)}" data-tone="{colour}" '
        f'aria-pressed="{str(is_pressed).lower()}">{to_html(label[:60])} <span class="count">{count:,}</span></button>'
    )


def _buttons(total: Totals) -> str:
    """Return a filter button for all jobs, and one for each state that occurs."""
    return _button("", "All", total.jobs, "all", is_pressed=True) + "".join(
        _button(state, state_label(state), count, tone(state), is_pressed=False)
        for state, count in total.states.items()
    )


def _clips(clips: Sequence[Card]) -> str:
    items = "\n".join(clip_html(card, card.file) for card in clips if card.file is not None)
    return items or '<li class="absent">No clips yet.</li>'


def _layout(clips: Sequence[Card]) -> str:
    """Return the layout: columns for clips of one shape, rows of equal height for several."""
    shapes = {card.ratio for card in clips}
    if len(shapes) > 1:
        return "mixed"
    return "portrait" if any(shape < 1 for shape in shapes) else "landscape"


def _shapes(clips: Sequence[Card]) -> str:
    """Return the style rules for the shapes that occur, because the policy forbids ``style`` attributes."""
    shapes = {ratio_class(card): card.ratio for card in clips}
    return "".join(f"\n.{name} {{ --ratio: {ratio}; }}" for name, ratio in sorted(shapes.items()))


def _section(name: str, heading: str, content: str) -> str:
    label = f"{name}-heading"
    return f'<section id="{name}" aria-labelledby="{label}"><h2 id="{label}">{heading}</h2>{content}</section>'


def _unfinished(cards: Sequence[Card]) -> str:
    """Return the section of the jobs without a clip; empty if all have one."""
    if not cards:
        return ""
    items = "\n".join(map(unfinished_html, cards))
    return _section("unfinished", "Without a clip", f'<ul class="messages">\n{items}\n</ul>')


def _statistics(cards: Sequence[Card], total: Totals) -> str:
    """Return the section with the totals and the charts."""
    content = f'<dl class="totals">{_numbers(total)}</dl><div class="figures">{_figures(cards, total)}</div>'
    return _section("numbers", "Numbers", content)


def render_gallery(cards: Sequence[Card], *, title: str, for_client: bool = False) -> str:
    """Return the whole page as text, with the cards in the order given.

    Args:
        for_client: show the clips with their names and prompts only: no costs, no ids, no times, no failures.
    """
    total = totals(cards)
    if for_client:
        cards = to_client_cards(cards)
        total = attrs.evolve(totals(cards), to_at=total.to_at)
    clips = [card for card in cards if card.file is not None]
    style = _asset("page.css") + ("" if for_client else _asset("report.css")) + _shapes(clips)
    script = _asset("page.js")
    return Template(_asset("page.html")).substitute(
        policy=policy(style, script),
        style=style,
        script=script,
        title_plain=to_attribute(title),
        title=to_html(title[:400]),
        lead=_lead(cards, total),
        buttons=_buttons(total) if len(total.states) > 1 else "",
        bar="" if len(total.states) > 1 or len(cards) >= _SEARCH_FROM else "short",
        layout=_layout(clips),
        clips=_clips(clips),
        unfinished=_unfinished([card for card in cards if card.file is None]),
        statistics="" if for_client else _statistics(cards, total),
    )


def write_gallery(folder: Path, cards: Sequence[Card], *, title: str, for_client: bool = False) -> Path:
    """Write ``index.html`` into *folder*, which holds the clips of *cards*, and return its path.

    An existing page is replaced atomically, so a reader never gets half a page. Writing blocks; an event loop calls
    this in a thread.

    Args:
        for_client: write ``client.html``, which shows the clips only; see `render_gallery`.

    Raises:
        OSError: the folder is missing, full or not writable. An existing page is unchanged.
    """
    page = folder / (CLIENT_NAME if for_client else NAME)
    content = render_gallery(add_posters(folder, cards), title=title, for_client=for_client)
    write_atomically(page, content.encode())
    return page
