"""Foreign text made safe and visible in HTML, and numbers made readable.

Prompts and reasons come from anywhere. What could steer the page is escaped; what could steer the *reader*, an
override that turns the reading direction or a character nobody sees, is spelled out where it stands.
"""

import html
import re
from datetime import UTC, datetime

from veo_async.errors import printable

#: Characters that are not seen, or change what is seen around them. Joiners (U+200C, U+200D) stay: Persian words and
#: emoji are made with them. So do line breaks and tabs.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
    "|[" + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17)) + "]"
)

#: A text longer than this, or of more lines, is folded.
FOLD_CHARACTERS, FOLD_LINES = 320, 8
#: What is shown of a folded text.
_EXCERPT_CHARACTERS, _EXCERPT_LINES = 220, 5
#: No text is written in full beyond this: a thousand of them must still open.
FULL_CHARACTERS = 20_000


def _spelled(match: re.Match[str]) -> str:
    return f'<i class="odd">{match[0].encode("unicode_escape").decode("ascii")}</i>'


def to_html(text: str) -> str:
    """*text* as HTML: nothing in it is markup, nothing in it is hidden."""
    return _INVISIBLE.sub(_spelled, html.escape(text.replace("\r\n", "\n")))


def to_attribute(text: str, limit: int = 200) -> str:
    """*text* for an attribute or an SVG title, where no markup can stand: one line, bounded."""
    return html.escape(printable(text, limit))


def foldable(text: str, css_class: str) -> str:
    """A paragraph of *text*, or an excerpt that unfolds when it is long."""
    if len(text) <= FOLD_CHARACTERS and text.count("\n") < FOLD_LINES:
        return f'<p class="{css_class}" dir="auto" data-find>{to_html(text)}</p>'
    excerpt = "\n".join(text[:_EXCERPT_CHARACTERS].split("\n")[:_EXCERPT_LINES]).rstrip()
    left_out = len(text) - FULL_CHARACTERS
    ending = f'<p class="note">{left_out:,} characters more are not on this page.</p>' if left_out > 0 else ""
    return (
        f'<details class="{css_class}"><summary><span class="excerpt" dir="auto">{to_html(excerpt)}…</span>'
        f'<span class="more">All {len(text):,} characters</span></summary>'
        f'<p dir="auto" data-find>{to_html(text[:FULL_CHARACTERS])}</p>{ending}</details>'
    )


def number(value: float) -> str:
    """With thousands separated, and no decimals that say nothing."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def seconds(value: float) -> str:
    """A span of time, as one would say it."""
    if value < 10 and value != round(value):
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600:,} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


def clock(value: float) -> str:
    """A span as a clock counts it, short enough for an axis: ``1:30``."""
    if value != round(value):
        return seconds(value)
    minutes, rest = divmod(round(value), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _moment(at: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def time_element(at: float, pattern: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """A ``<time>`` element; UTC, so that the page says the same wherever it is opened."""
    moment = _moment(at)
    if moment is None:
        return "at a time out of range"
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment.strftime(pattern)}</time>'


def state_label(state: str) -> str:
    """``in_doubt`` as a reader has it: in doubt."""
    return state.replace("_", " ")
