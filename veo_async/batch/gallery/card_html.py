"""The card of one job, as HTML."""

import os
from urllib.parse import quote

from veo_async._rules.lifecycle import JobState

from .cards import HAS_VIDEO, IN_PROGRESS, Card
from .formatting import foldable, number, seconds, state_label, time_element, to_attribute, to_html

#: What to do, where the card itself does not say.
_DEFAULT_REMEDIES: dict[str, str] = {
    JobState.READY: "The clip was made and is not saved yet. Its links end some days after it was made: save it soon.",
    JobState.RUNNING: "The provider is at work. Nothing needs to be done; a later gallery will have the clip.",
    JobState.SENDING: "Its request is on the way.",
    JobState.QUEUED: "It was not sent yet, and has cost nothing.",
    JobState.IN_DOUBT: "The request may have been accepted although no answer came. Look for its task before sending "
    "it again: a repeat may pay for a second video.",
    JobState.REFUSED: "Reword the prompt or change the image, then send it again. Nothing was made.",
    JobState.FAILED: "Generate it again if you like.",
    JobState.EXPIRED: "The provider has forgotten this task. Generate it anew if you still need it.",
    JobState.ABANDONED: "Somebody decided not to wait for it.",
}


def tone(state: str) -> str:
    """The colour of a state: the words carry the meaning, the colour only finds them faster."""
    if state in HAS_VIDEO:
        return "good"
    if state in IN_PROGRESS:
        return "busy"
    if state == JobState.IN_DOUBT:
        return "doubt"
    return "quiet" if state == JobState.ABANDONED or state not in _DEFAULT_REMEDIES else "bad"


def orientation_class(card: Card) -> str:
    """``tall`` or ``wide``: what the page leaves room for until the film says its size."""
    width, _, height = card.aspect_ratio.partition(":")
    return "tall" if width.isdecimal() and height.isdecimal() and int(height[:9]) > int(width[:9]) else "wide"


def address(file: str) -> str:
    """A file's address relative to the page. Every byte that means something in an address is quoted."""
    return "./" + quote(os.fsencode(file), safe="/")


def _reason_html(card: Card) -> str:
    """Why there is no clip to play, and what to do."""
    remedy = card.remedy or ("" if card.reason else _DEFAULT_REMEDIES.get(card.state, ""))
    value = foldable(card.reason, "reason") if card.reason else ""
    if remedy and not card.reason.rstrip().endswith(remedy.rstrip()):
        value += f'<p class="remedy" dir="auto" data-find>{to_html(remedy[:2000])}</p>'
    return value


def _stage(card: Card) -> str:
    """The upper part: the film, or why there is none."""
    if card.file is None:
        why = _reason_html(card) or '<p class="reason">No more is known.</p>'
        return f'<div class="stage told"><p class="word">{to_html(state_label(card.state))}</p>{why}</div>'
    video = (
        f'<video controls preload="none" playsinline muted src="{address(card.file)}"'
        f' aria-label="Clip of {to_attribute(card.key)}"></video>'
    )
    return f'<div class="stage">{video}</div>'


def _facts(card: Card) -> list[tuple[str, str]]:
    """What is known in a word or two, in the order it is shown."""
    took_s = card.generation_s
    return [
        (name, value)
        for name, value in (
            ("Model", f"<span data-find>{to_html(card.model[:200])}</span>" if card.model else ""),
            ("Length", seconds(card.duration_s) if card.duration_s is not None else ""),
            ("Format", to_html(card.aspect_ratio[:40])),
            ("Credits", number(card.credits) if card.credits is not None else ""),
            ("Made in", seconds(took_s) if took_s is not None else ""),
        )
        if value
    ]


def _details(card: Card) -> list[tuple[str, str]]:
    """What only somebody who looks for it wants to know."""
    instants = (
        ("Planned", card.submitted_at),
        ("Sent", card.sent_at),
        ("Accepted", card.accepted_at),
        ("Ended", card.ended_at),
        ("Saved", card.saved_at),
    )
    return [
        *([("Task", f"<code data-find>{to_html(card.task_id[:400])}</code>")] if card.task_id else []),
        *([("File", f"<code data-find>{to_html(card.file)}</code>")] if card.file else []),
        *((name, time_element(at)) for name, at in instants if at is not None),
        *(("Link", f"<code>{to_html(url[:2000])}</code>") for url in card.urls),
    ]


def _listed(rows: list[tuple[str, str]], css_class: str) -> str:
    inner = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f'<dl class="{css_class}">{inner}</dl>'


def _note(card: Card) -> str:
    """A film that has something to be said about all the same: kept, though its job did not end well."""
    return _reason_html(card) if card.file is not None and (card.reason or card.state not in HAS_VIDEO) else ""


def _badge(card: Card) -> str:
    """The status beside the key; a card without a film has it in its upper part already."""
    return f'<span class="badge">{to_html(state_label(card.state)[:60])}</span>' if card.file is not None else ""


def card_html(card: Card) -> str:
    """The whole card, as an item of the list."""
    particulars = _details(card)
    more = f'<details class="more-of"><summary>Particulars</summary>{_listed(particulars, "particulars")}</details>'
    return (
        f'<li class="card {orientation_class(card)}" data-state="{to_attribute(card.state, 60)}" data-tone="{tone(card.state)}"><article>'
        f'{_stage(card)}<div class="body"><header><h3 data-find><bdi>{to_html(card.key[:400])}</bdi></h3>'
        f"{_badge(card)}</header>"
        f"{foldable(card.prompt, 'prompt') if card.prompt else ''}{_note(card)}"
        f"{_listed(_facts(card), 'facts')}{more if particulars else ''}</div></article></li>"
    )
