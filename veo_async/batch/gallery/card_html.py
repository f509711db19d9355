"""The HTML of one card: a clip, or a job without one."""

import base64
import os
import re
from urllib.parse import quote

from veo_async._base.numbers import format_number
from veo_async.types import JobState

from .cards import HAS_VIDEO, IN_PROGRESS, Card
from .formatting import clock, foldable, seconds, state_label, time_element, to_attribute, to_html

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

#: Characters shown of a state, a key, a model or a task id, of an aspect ratio, and of a URL or another text. They
#: bound the page; real values are far shorter.
_MAX_STATE, _MAX_NAME, _MAX_MODEL, _MAX_RATIO, _MAX_TEXT = 60, 400, 200, 40, 2000
_DOWNLOAD_ICON = (
    '<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d="M10 3v10m-4-4 4 4 4-4M4 17h12"/></svg>'
)


def tone(state: str) -> str:
    """Return the colour class of *state*. The text carries the meaning; the colour makes it quicker to find."""
    if state in HAS_VIDEO:
        return "good"
    if state in IN_PROGRESS:
        return "busy"
    if state == JobState.IN_DOUBT:
        return "doubt"
    return "quiet" if state == JobState.ABANDONED or state not in _DEFAULT_REMEDIES else "bad"


def ratio_class(card: Card) -> str:
    """Return the class that gives the card the shape of its clip: ``r178`` for 1.78."""
    return f"r{round(100 * card.ratio)}"


def relative_url(file: str) -> str:
    """Return the URL of *file* relative to the page, with all special bytes quoted."""
    return "./" + quote(os.fsencode(file), safe="/")


def _still(card: Card, url: str) -> str:
    """Return the clip's poster; without one a frame of the video itself, which the script loads when it is in view."""
    if card.poster:
        data = base64.b64encode(card.poster).decode("ascii")
        return f'<img src="data:image/webp;base64,{data}" alt="" loading="lazy" decoding="async">'
    return f'<video preload="none" playsinline muted tabindex="-1" aria-hidden="true" src="{url}#t=0.1"></video>'


def _media(card: Card, url: str) -> str:
    """Return the still as a link to the video, which the script opens in the player."""
    length = f'<span class="length">{clock(round(card.duration_s))}</span>' if card.duration_s is not None else ""
    return (
        f'<a class="play" href="{url}" aria-label="Play {to_attribute(card.title)}">{_still(card, url)}'
        f'<span class="triangle" aria-hidden="true"></span>{length}</a>'
    )


def _reason_html(card: Card) -> str:
    """Return why there is no clip, and what to do."""
    reason = foldable(card.reason, "reason") if card.reason else ""
    remedy = card.remedy or ("" if card.reason else _DEFAULT_REMEDIES.get(card.state, "No further details."))
    return reason + (f'<p class="remedy" dir="auto" data-search>{_with_code(remedy[:_MAX_TEXT])}</p>' if remedy else "")


def _with_code(text: str) -> str:
    """Return *text* as HTML, with what is in backticks as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", to_html(text))


def _log_link(card: Card) -> str:
    if card.log_url is None:
        return ""
    url = to_attribute(card.log_url, _MAX_TEXT)
    return f'<p><a class="log" href="{url}" target="_blank" rel="noopener noreferrer">Provider\'s log</a></p>'


def _details(card: Card) -> list[tuple[str, str]]:
    """Return the details that are folded away, in the order in which they are shown."""
    generation_s = card.generation_s
    instants = (
        ("Submitted", card.submitted_at),
        ("Sent", card.sent_at),
        ("Accepted", card.accepted_at),
        ("Finished", card.finished_at),
        ("Saved", card.saved_at),
    )
    rows = (
        ("Message", f"<span data-search>{to_html(card.detail[:_MAX_TEXT])}</span>" if card.detail else ""),
        ("Key", f"<code data-search>{to_html(card.key[:_MAX_NAME])}</code>" if card.key != card.title else ""),
        ("Model", f"<span data-search>{to_html(card.model[:_MAX_MODEL])}</span>" if card.model else ""),
        ("Size", f"{card.width} × {card.height}" if card.width and card.height else ""),
        ("Aspect ratio", to_html(card.aspect_ratio[:_MAX_RATIO]) if card.model else ""),
        ("Seeds" if len(card.seeds) > 1 else "Seed", ", ".join(map(str, card.seeds))),
        ("Credits", format_number(card.credits) if card.credits is not None else ""),
        ("Credits consumed", format_number(card.credits_consumed) if card.credits_consumed is not None else ""),
        ("Generated in", seconds(generation_s) if generation_s is not None else ""),
        ("Task", f"<code data-search>{to_html(card.task_id[:_MAX_NAME])}</code>" if card.task_id else ""),
        *((name, time_element(at) if at is not None else "") for name, at in instants),
        *(("Link", f"<code>{to_html(url[:_MAX_TEXT])}</code>") for url in card.urls),
    )
    return [(name, value) for name, value in rows if value]


def _details_html(card: Card) -> str:
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _details(card))
    return f'<details class="more-details"><summary>Details</summary><dl>{rows}</dl></details>' if rows else ""


def _download_link(card: Card, url: str) -> str:
    """Return the download link. A browser that opened the page from disk shows the clip in a new tab instead."""
    label = f'aria-label="Download {to_attribute(card.title)}"'
    return f'<a class="download" href="{url}" download target="_blank" title="Download" {label}>{_DOWNLOAD_ICON}</a>'


def _heading(card: Card) -> str:
    return f"<h3 data-search><bdi>{to_html(card.title[:_MAX_NAME])}</bdi></h3>"


def _badge(card: Card) -> str:
    return f'<span class="badge">{to_html(state_label(card.state)[:_MAX_STATE])}</span>'


def _prompt(card: Card) -> str:
    """Return the prompt, unless it is the title already."""
    return foldable(card.prompt, "prompt") if card.prompt and card.prompt.strip() != card.title else ""


def _item(card: Card, classes: str, content: str) -> str:
    return (
        f'<li class="card {classes}" data-state="{to_attribute(card.state, _MAX_STATE)}"'
        f' data-tone="{tone(card.state)}"><article>{content}</article></li>'
    )


def clip_html(card: Card, file: str) -> str:
    """Return the card of a clip in *file*, as an item of a list."""
    url = relative_url(file)
    # A job may have a clip although it did not succeed, for example if its upgrade failed.
    note = _badge(card) + _reason_html(card) if card.reason or card.state not in HAS_VIDEO else ""
    content = (
        _media(card, url),
        f'<div class="body"><header>{_heading(card)}{_download_link(card, url)}</header>',
        _prompt(card),
        note,
        _details_html(card),
        "</div>",
    )
    return _item(card, f"clip {ratio_class(card)}", "".join(content))


def unfinished_html(card: Card) -> str:
    """Return the card of a job without a clip, as an item of a list: why, and what to do."""
    content = (f"<header>{_heading(card)}{_badge(card)}</header>", _reason_html(card), _prompt(card))
    return _item(card, "message", "".join((*content, _log_link(card), _details_html(card))))
