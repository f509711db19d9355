"""The HTML of clips and outcomes in a notebook.

A video comes from the first of these that a notebook can show: a small file, embedded, so that the saved notebook shows
it too; a file below the working directory, by its relative path, which Jupyter serves; else the provider's URL. What
one cell embeds is bounded, so that a notebook stays small.

The styles are inline because a notebook keeps each output on its own. They set no text colour: dark themes have theirs.
"""

import base64
import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs

from .outcome import Clip, Done, Outcome

#: Bytes of video that one output may embed.
MAX_EMBEDDED_BYTES: Final = 1024 * 1024
#: The cards of a grid; a player each is all that a browser can take.
MAX_CARDS: Final = 100
#: The longer side of a player, in pixels.
_SIDE_PX: Final = 320
_MAX_PROMPT: Final = 200

_CARD = "display:inline-block;vertical-align:top;margin:4px;max-width:{width}px"
_BAD = "border-left:3px solid #c62828;padding-left:8px"
_PROMPT = "opacity:.75"


def clip_html(clip: Clip, *, max_embedded: int = MAX_EMBEDDED_BYTES) -> str:
    """Return all videos of *clip* with its key and prompt."""
    share = max_embedded // max(1, len(clip.urls))
    sizes = [_player_size(clip, index) for index in range(len(clip.urls))]
    players = "".join(
        f'<video controls preload="metadata" width="{width}" height="{height}" src="{_to_html(source)}"></video>'
        for (width, height), source in zip(sizes, _sources(clip, share), strict=True)
    )
    card = _CARD.format(width=max(width for width, _ in sizes))
    return f'<div style="{card}">{players}<div>{_caption(clip)}</div></div>'


def without_clip_html(sentence: str, detail: str, unsaved: Clip | None) -> str:
    """Return why there is no clip, with *detail* folded away; and the clip if only saving it failed."""
    player = "" if unsaved is None else clip_html(attrs.evolve(unsaved, files=(), sizes=()))
    details = f"<details><summary>Details</summary>{_to_html(detail)}</details>"
    card = _CARD.format(width=_SIDE_PX)
    return f'<div style="{card}">{player}<div style="{_BAD}">{_to_html(sentence)}{details}</div></div>'


def outcomes_html(outcomes: Sequence[Outcome], summary: str) -> str:
    """Return a grid of the first *outcomes* below their *summary*."""
    shown = outcomes[:MAX_CARDS]
    share = MAX_EMBEDDED_BYTES // max(1, len(shown))
    cards = "".join(
        clip_html(outcome.clip, max_embedded=share) if isinstance(outcome, Done) else outcome._repr_html_()
        for outcome in shown
    )
    more = f"; the first {MAX_CARDS} are shown" if len(outcomes) > MAX_CARDS else ""
    return f"<div><div>{_to_html(summary)}{more}</div>{cards}</div>"


def job_html(key: str, state: str, prompt: str) -> str:
    """Return a job that has not finished."""
    return f"<div><b>{_to_html(key)}</b> <i>{_to_html(state)}</i> {_prompt(prompt)}</div>"


def _sources(clip: Clip, max_embedded: int) -> list[str]:
    """Return the source of each video, whether saved or not."""
    files = [*clip.files, *[None] * len(clip.urls)]
    return [_source(file, max_embedded) or url for url, file in zip(clip.urls, files, strict=False)]


def _source(file: Path | None, max_embedded: int) -> str | None:
    """Return how a notebook reaches *file*; None if it does not."""
    try:
        if file is None or not (size := file.stat().st_size):
            return None
        if size <= max_embedded:
            return f"data:video/mp4;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"
        relative = file.resolve().relative_to(Path.cwd())
    except (OSError, ValueError):  # it was moved, or is outside the folder that Jupyter serves
        return None
    return quote(os.fsencode(relative.as_posix()))


def _player_size(clip: Clip, index: int) -> tuple[int, int]:
    """Return the width and height of a player. The browser knows a video's shape only once it has loaded."""
    measured = clip.sizes[index] if index < len(clip.sizes) else None
    width, height = measured or _requested_shape(clip)
    scale = _SIDE_PX / max(width, height, 1)
    return round(width * scale), round(height * scale)


def _requested_shape(clip: Clip) -> tuple[int, int]:
    return (9, 16) if getattr(clip.request, "aspect_ratio", None) == "9:16" else (16, 9)


def _caption(clip: Clip) -> str:
    return f"<b>{_to_html(clip.key)}</b> {_prompt(getattr(clip.request, 'prompt', '') or '')}"


def _prompt(prompt: str) -> str:
    shown = prompt if len(prompt) <= _MAX_PROMPT else f"{prompt[: _MAX_PROMPT - 1]}…"
    return f'<span style="{_PROMPT}">{_to_html(shown)}</span>' if shown else ""


def _to_html(text: str) -> str:
    return html.escape(text, quote=True)
