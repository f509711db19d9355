"""The HTML of one card."""

import os
from urllib.parse import quote

from veo_async._base.numbers import format_number
from veo_async.types import JobState

from .cards import HAS_VIDEO, IN_PROGRESS, Card
from .formatting import foldable, seconds, state_label, time_element, to_attribute, to_html

#: What to do about a job without a clip if the card has neither a reason nor a remedy.
_DEFAULT_REMEDIES: dict[str, str] = {
    JobState.READY: "Generated but not saved yet. Download links expire after a few days: save it soon.",
    JobState.RUNNING: "Still generating. The clip will appear when you run the batch again.",
    JobState.SENDING: "The request is being sent.",
    JobState.QUEUED: "Not sent yet; nothing was charged.",
    JobState.IN_DOUBT: "The connection was lost before the provider confirmed the request, so it may have been "
    "charged. Run veo-async ledger in-doubt before sending it again.",
    JobState.REFUSED: "Reword the prompt or change the image, then try again. Not charged.",
    JobState.FAILED: "Not charged. Run the list again to retry.",
    JobState.EXPIRED: "The provider no longer has this task (14 days). Generate it again if you need it.",
    JobState.ABANDONED: "Abandoned on request.",
}

#: Characters shown of a state, a key, a model or a task id, of an aspect ratio, and of a URL or a remedy. They bound
#: the page; real values are far shorter.
_MAX_STATE, _MAX_NAME, _MAX_MODEL, _MAX_RATIO, _MAX_TEXT = 60, 400, 200, 40, 2000


def tone(state: str) -> str:
    """Return the colour class of *state*. The text carries the meaning; the colour makes it quicker to find."""
    if state in HAS_VIDEO:
        return "good"
    if state in IN_PROGRESS:
        return "busy"
    if state == JobState.IN_DOUBT:
        return "doubt"
    return "quiet" if state == JobState.ABANDONED or state not in _DEFAULT_REMEDIES else "bad"


def orientation_class(card: Card) -> str:
    """Return ``tall`` or ``wide``, the space to reserve until the browser knows the video's size."""
    width, _, height = card.aspect_ratio.partition(":")
    return "tall" if width.isdecimal() and height.isdecimal() and int(height[:9]) > int(width[:9]) else "wide"


def relative_url(file: str) -> str:
    """Return the URL of *file* relative to the page, with all special bytes quoted."""
    return "./" + quote(os.fsencode(file), safe="/")


def _reason_html(card: Card) -> str:
    """Return why there is no clip, and what to do."""
    remedy = card.remedy or ("" if card.reason else _DEFAULT_REMEDIES.get(card.state, ""))
    reason = foldable(card.reason, "reason") if card.reason else ""
    if not remedy or card.reason.rstrip().endswith(remedy.rstrip()):
        return reason
    return f'{reason}<p class="remedy" dir="auto" data-search>{to_html(remedy[:_MAX_TEXT])}</p>'


def _media(card: Card) -> str:
    """Return the upper part: the video, or why there is none."""
    if card.file is None:
        reason = _reason_html(card) or '<p class="reason">No further details.</p>'
        return f'<div class="media message"><p class="state">{to_html(state_label(card.state))}</p>{reason}</div>'
    return (
        f'<div class="media"><video controls preload="none" playsinline muted src="{relative_url(card.file)}"'
        f' aria-label="Clip of {to_attribute(card.key)}"></video></div>'
    )


def _facts(card: Card) -> list[tuple[str, str]]:
    """Return the short facts below the prompt, in the order in which they are shown."""
    generation_s = card.generation_s
    facts = (
        ("Model", f"<span data-search>{to_html(card.model[:_MAX_MODEL])}</span>" if card.model else ""),
        ("Length", seconds(card.duration_s) if card.duration_s is not None else ""),
        ("Aspect ratio", to_html(card.aspect_ratio[:_MAX_RATIO])),
        ("Credits", format_number(card.credits) if card.credits is not None else ""),
        ("Generated in", seconds(generation_s) if generation_s is not None else ""),
    )
    return [(name, value) for name, value in facts if value]


def _details(card: Card) -> list[tuple[str, str]]:
    """Return the details that are folded away, in the order in which they are shown."""
    instants = (
        ("Submitted", card.submitted_at),
        ("Sent", card.sent_at),
        ("Accepted", card.accepted_at),
        ("Finished", card.finished_at),
        ("Saved", card.saved_at),
    )
    return [
        *([("Task", f"<code data-search>{to_html(card.task_id[:_MAX_NAME])}</code>")] if card.task_id else []),
        *([("File", f"<code data-search>{to_html(card.file)}</code>")] if card.file else []),
        *((name, time_element(at)) for name, at in instants if at is not None),
        *(("Link", f"<code>{to_html(url[:_MAX_TEXT])}</code>") for url in card.urls),
    ]


def _definition_list(rows: list[tuple[str, str]], css_class: str) -> str:
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f'<dl class="{css_class}">{items}</dl>'


def _details_html(card: Card) -> str:
    rows = _details(card)
    if not rows:
        return ""
    return f'<details class="more-details"><summary>Details</summary>{_definition_list(rows, "details")}</details>'


def _note(card: Card) -> str:
    """Return the reason for a card that has a video although its job did not succeed."""
    return _reason_html(card) if card.file is not None and (card.reason or card.state not in HAS_VIDEO) else ""


def _badge(card: Card) -> str:
    """Return the state next to the key; a card without a video shows it in its upper part."""
    if card.file is None:
        return ""
    return f'<span class="badge">{to_html(state_label(card.state)[:_MAX_STATE])}</span>'


def card_html(card: Card) -> str:
    """Return the whole card, as an item of a list."""
    return "".join(
        (
            f'<li class="card {orientation_class(card)}" data-state="{to_attribute(card.state, _MAX_STATE)}"',
            f' data-tone="{tone(card.state)}"><article>',
            _media(card),
            '<div class="body">',
            f"<header><h3 data-search><bdi>{to_html(card.key[:_MAX_NAME])}</bdi></h3>{_badge(card)}</header>",
            foldable(card.prompt, "prompt") if card.prompt else "",
            _note(card),
            _definition_list(_facts(card), "facts"),
            _details_html(card),
            "</div></article></li>",
        )
    )
