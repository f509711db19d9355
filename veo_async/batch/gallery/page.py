"""The gallery's page: a single HTML file that needs nothing but the clips in its folder.

It shows text from other people and is opened with a double click. So its content security policy allows only videos
from its own folder, and exactly the one script and the one style sheet whose digests it names. Markup that escaped our
quoting could neither load nor run anything.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

from veo_async._base.atomic_write import write_atomically
from veo_async._base.numbers import format_number

from .card_html import card_html, tone
from .cards import Card, Totals, quantile, totals
from .charts import histogram, stages_in, timeline, times_summary
from .formatting import counted_noun, seconds, state_label, time_element, to_attribute, to_html

NAME = "index.html"
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
        f"default-src 'none'; media-src 'self' file:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _lead(total: Totals) -> str:
    """Return the line below the title: number of jobs, duration, begin and end."""
    jobs = counted_noun(total.jobs, "job")
    if total.from_at is None or total.to_at is None:
        return jobs
    length = seconds(total.to_at - total.from_at)
    return f"{jobs} in {length}, from {time_element(total.from_at)} to {time_element(total.to_at)}"


def _numbers(total: Totals) -> str:
    """Return the figures at the top of the page."""
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
    return f"<figure><figcaption><h2>{heading}</h2>{legend if chart else ''}</figcaption>{content}</figure>"


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


def render_gallery(cards: Sequence[Card], *, title: str) -> str:
    """Return the whole page as text, with the cards in the order given."""
    total = totals(cards)
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        policy=policy(style, script),
        style=style,
        script=script,
        title_plain=to_attribute(title),
        title=to_html(title[:400]),
        lead=_lead(total),
        numbers=_numbers(total),
        figures=_figures(cards, total),
        buttons=_buttons(total),
        cards="\n".join(card_html(card) for card in cards),
        jobs=f"{total.jobs:,}",
    )


def write_gallery(folder: Path, cards: Sequence[Card], *, title: str) -> Path:
    """Write ``index.html`` into *folder*, which holds the clips of *cards*, and return its path.

    An existing page is replaced atomically, so a reader never gets half a page. Writing blocks; an event loop calls
    this in a thread.

    Raises:
        OSError: the folder is missing, full or not writable. An existing page is unchanged.
    """
    page = folder / NAME
    write_atomically(page, render_gallery(cards, title=title).encode())
    return page
