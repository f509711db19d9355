"""The gallery's page: one file that needs nothing but the clips beside it.

It is made of foreign words and opened with a double click, so the page carries its own law: a policy that lets it load
films from its own folder and nothing from anywhere else, and run exactly the one script and the one style sheet whose
digests it names. Markup that slipped through would be dead.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

from veo_async._base.atomic_write import write_atomically

from .card_html import card_html, tone
from .cards import Card, Totals, quantile, totals
from .charts import histogram, stages_in, timeline, times_summary
from .formatting import number, seconds, state_label, time_element, to_attribute, to_html

NAME = "index.html"


@cache
def _piece(name: str) -> str:
    """One of the files beside this module. Line ends are unified: the digests are made of what stands in the page."""
    return resources.files("veo_async.batch.gallery").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def digest(text: str) -> str:
    """How a policy names an inline script or style sheet."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str, script: str) -> str:
    """What the page may do. ``file:`` stands beside ``'self'`` because a page on disk has no origin of its own."""
    return (
        f"default-src 'none'; media-src 'self' file:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _lead(counted: Totals) -> str:
    """When it was."""
    if counted.from_at is None or counted.to_at is None:
        return f"{_many(counted.jobs, 'job')}"
    length = seconds(counted.to_at - counted.from_at)
    return f"{_many(counted.jobs, 'job')} in {length}, from {time_element(counted.from_at)} to {time_element(counted.to_at)}"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _numbers(counted: Totals) -> str:
    """The figures at the top."""
    times = counted.generation_s
    rows = (
        ("Clips", f"{counted.clips:,} <small>of {counted.jobs:,}</small>"),
        ("Film", seconds(counted.video_s) if counted.video_s else "–"),
        ("Credits", number(counted.credits) if counted.credits is not None else "–"),
        ("Median time to a clip", seconds(quantile(times, 0.5)) if times else "–"),
    )
    return "".join(f"<div><dt>{name}</dt><dd>{told}</dd></div>" for name, told in rows)


def _figure(picture: str, heading: str, told: str, absent: str) -> str:
    inner = picture or f'<p class="absent">{absent}</p>'
    return f"<figure><figcaption><h2>{heading}</h2>{told if picture else ''}</figcaption>{inner}</figure>"


def _figures(cards: Sequence[Card], counted: Totals) -> str:
    """Both pictures with their legends."""
    keys = "".join(
        f'<li class="{stage.replace(" ", "-")}">{stage}</li>' for stage in stages_in(cards, counted.to_at or 0.0)
    )
    times = times_summary(counted) if counted.generation_s else ""
    return _figure(
        timeline(cards, counted), "How the batch went", f'<ul class="legend">{keys}</ul>', "No times are known."
    ) + _figure(histogram(counted), "Time to a clip", f"<p>{times}</p>", "No clip tells how long it took.")


def _buttons(counted: Totals) -> str:
    """One for all cards, one for each state that occurs."""

    def button(state: str, word: str, count: int, colour: str, *, pressed: bool) -> str:
        return (
            f'<button type="button" data-state="{to_attribute(state, 60)}" data-tone="{colour}" '
            f'aria-pressed="{str(pressed).lower()}">{to_html(word[:60])} <span class="count">{count:,}</span></button>'
        )

    return button("", "all", counted.jobs, "all", pressed=True) + "".join(
        button(state, state_label(state), count, tone(state), pressed=False) for state, count in counted.states.items()
    )


def render_gallery(cards: Sequence[Card], *, title: str) -> str:
    """The whole page as text, the cards in the order given."""
    counted = totals(cards)
    style, script = _piece("page.css"), _piece("page.js")
    return Template(_piece("page.html")).substitute(
        policy=policy(style, script),
        style=style,
        script=script,
        title_plain=to_attribute(title),
        title=to_html(title[:400]),
        lead=_lead(counted),
        numbers=_numbers(counted),
        figures=_figures(cards, counted),
        buttons=_buttons(counted),
        cards="\n".join(card_html(card) for card in cards),
        jobs=f"{counted.jobs:,}",
    )


def write_gallery(folder: Path, cards: Sequence[Card], *, title: str) -> Path:
    """Write ``index.html`` into *folder*, beside the clips that *cards* name, and say where it is.

    Whoever has the page open never sees half of one: it is written under another name and moved into place. A page
    of the same name is replaced. Writing blocks, so an event loop calls this in a thread.

    Raises:
        OSError: The folder is missing, full or not writable; an older page is as it was.
    """
    page = folder / NAME
    write_atomically(page, render_gallery(cards, title=title).encode())
    return page
