"""Text from other people made safe and visible in HTML, and numbers made readable.

Prompts and reasons come from anywhere. Markup in them is escaped. Characters that could mislead the *reader*, such as
an override of the reading direction or an invisible character, are shown as escape sequences.
"""

import html
import re
from datetime import UTC, datetime

from veo_async._base.numbers import format_count
from veo_async.errors import printable

#: Invisible characters, and those that change how their neighbours are shown. Joiners (U+200C, U+200D) are not among
#: them, because Persian words and emoji need them; nor are line breaks and tabs.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
    "|[" + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17)) + "]"
)

#: A text with more characters or lines than this is folded.
FOLD_CHARACTERS, FOLD_LINES = 320, 8
#: How much of a folded text is shown.
_EXCERPT_CHARACTERS, _EXCERPT_LINES = 220, 5
#: Longest text that is written to the page in full, in characters; a page with a thousand of them still opens.
FULL_CHARACTERS = 20_000


def _escape_sequence(match: re.Match[str]) -> str:
    return f'<i class="invisible">{match[0].encode("unicode_escape").decode("ascii")}</i>'


def to_html(text: str) -> str:
    """Return *text* as HTML in which nothing is markup and nothing is invisible."""
    return _INVISIBLE.sub(_escape_sequence, html.escape(text.replace("\r\n", "\n")))


def to_attribute(text: str, limit: int = 200) -> str:
    """Return *text* for an attribute or an SVG title: a single line of at most *limit* characters, without markup."""
    return html.escape(printable(text, limit))


def foldable(text: str, css_class: str) -> str:
    """Return a paragraph of *text*; a long one as an excerpt that unfolds."""
    if len(text) <= FOLD_CHARACTERS and text.count("\n") < FOLD_LINES:
        return f'<p class="{css_class}" dir="auto" data-search>{to_html(text)}</p>'
    excerpt = "\n".join(text[:_EXCERPT_CHARACTERS].split("\n")[:_EXCERPT_LINES]).rstrip()
    left_out = len(text) - FULL_CHARACTERS
    note = f'<p class="note">{format_count(left_out, "more character")} not shown.</p>' if left_out > 0 else ""
    return (
        f'<details class="{css_class}"><summary><span class="excerpt" dir="auto">{to_html(excerpt)}…</span>'
        f'<span class="more">Show all {len(text):,} characters</span></summary>'
        f'<p dir="auto" data-search>{to_html(text[:FULL_CHARACTERS])}</p>{note}</details>'
    )


def seconds(value: float) -> str:
    """Return a span of time for people: ``8 s``, ``1 min 20 s`` or ``2 h 5 min``."""
    if value < 10 and value != round(value):
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600:,} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


def clock(value: float) -> str:
    """Return a span of time as a clock shows it, short enough for an axis: ``1:30``."""
    if value != round(value):
        return seconds(value)
    minutes, rest = divmod(round(value), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _to_datetime(at: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def time_element(at: float) -> str:
    """Return a ``<time>`` element. It is in UTC until the page's script shows it in the reader's time zone."""
    moment = _to_datetime(at)
    if moment is None:
        return "an invalid time"
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


def date_element(at: float) -> str:
    """Return a ``<time>`` element with the date only: ``30 November 2026``."""
    moment = _to_datetime(at)
    if moment is None:
        return "an invalid date"
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}" data-date>{moment.day} {moment:%B %Y}</time>'


def readable(name: str) -> str:
    """Return a file's name or a key as a title: ``spring_campaign-2`` as ``Spring campaign 2``."""
    words = " ".join(re.split(r"[\s_-]+", name)).strip()
    return words[:1].upper() + words[1:]


def state_label(state: str) -> str:
    """Return a state or stage in sentence case: ``in_doubt`` as ``In doubt``."""
    label = state.replace("_", " ")
    return label[:1].upper() + label[1:]
