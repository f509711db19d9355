"""`Card`: what the gallery shows of one job, and the totals over many cards.

Cards are plain values, so a gallery can be made from a session that has just closed, from an old ledger or in a test.
Nothing in this module knows HTML.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import Any

import attrs

from veo_async.types import JobState

#: The order in which states are shown. Unknown states follow, sorted by name.
ORDER: tuple[str, ...] = (
    *(JobState.SAVED, JobState.READY),
    *(JobState.RUNNING, JobState.SENDING, JobState.QUEUED),
    *(JobState.IN_DOUBT, JobState.REFUSED, JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED),
)
#: The states of a job whose clip was generated.
HAS_VIDEO: frozenset[str] = frozenset({JobState.SAVED, JobState.READY})
#: The states of a job that continues without the user's help.
IN_PROGRESS: frozenset[str] = frozenset({JobState.QUEUED, JobState.SENDING, JobState.RUNNING})

#: Longest prompt that is its own title, and how much of a longer one makes a title, in characters.
_MAX_TITLE, _TITLE_CHARACTERS = 90, 60
#: Larger numbers of seconds (30,000 years) or credits are damaged data.
_MAX_NUMBER = 1e12


def _as_relative(value: str | PurePath | None) -> str | None:
    """Return a path with forward slashes, as a URL needs them."""
    return value.as_posix() if isinstance(value, PurePath) else value or None


def _as_string(value: str) -> str:
    """Return a plain string for a member of a string enumeration."""
    return str(value)


def _as_tuple(value: Sequence[str]) -> Sequence[str]:
    return tuple(value)


def _as_numbers(value: Sequence[int]) -> Sequence[int]:
    return tuple(value)


def _as_finite(value: float | None) -> float | None:
    """Return None for values that no chart could show: NaN, infinity and absurdly large numbers."""
    return value if value is not None and abs(value) < _MAX_NUMBER else None


def beginning(prompt: str) -> str:
    """Return the first words of *prompt* as a title, or all of a short one."""
    line = " ".join(prompt.split())
    if len(line) <= _MAX_TITLE:
        return line
    return line[:_TITLE_CHARACTERS].rsplit(" ", 1)[0].rstrip(" .,;:") + "…"


def _as_web_url(value: str | None) -> str | None:
    """Return None for anything but a web page, because the page links to it."""
    return value if value and value.startswith(("https://", "http://")) else None


def _is_inside(card: "Card", field: "attrs.Attribute[str | None]", value: str | None) -> None:
    """Refuse a path outside the gallery's folder, because people pass the folder on as a whole."""
    if value is not None and (PurePath(value).anchor or ".." in PurePath(value).parts):
        raise ValueError(f"{field.name} of card {card.key!r} must be relative to the gallery's folder; it is {value!r}")


def _number() -> float | None:
    return attrs.field(default=None, converter=_as_finite)


_INSTANTS = ("submitted_at", "sent_at", "accepted_at", "finished_at", "saved_at")


@attrs.frozen(kw_only=True)
class Card:
    """One job as the gallery shows it. Instants are wall-clock seconds; None means unknown or not happened."""

    key: str
    #: Whether the key is a digest, which says nothing to people: the beginning of the prompt is shown in its place.
    is_key_automatic: bool = False
    prompt: str = ""
    model: str = ""
    aspect_ratio: str = "16:9"
    #: A job state such as ``saved``, ``refused`` or ``in_doubt``, or ``on_hold``. Other texts are shown unchanged.
    state: str = attrs.field(converter=_as_string)
    #: Why there is no clip, as a short phrase.
    reason: str = ""
    #: What the reader can do.
    remedy: str = ""
    #: The long text, with the provider's words and codes; folded.
    detail: str = ""
    #: The provider's page with the account's tasks, if one of them may belong to a card without a clip.
    log_url: str | None = attrs.field(default=None, converter=_as_web_url)
    #: The saved clip, relative to the gallery's folder.
    file: str | None = attrs.field(default=None, converter=_as_relative, validator=_is_inside)
    #: The size of the clip in pixels; the aspect ratio of the request is used if it is unknown.
    width: int | None = None
    height: int | None = None
    #: A still of the clip as a WebP image; see `add_posters`.
    poster: bytes = attrs.field(default=b"", repr=False)
    #: The provider's URLs of the clip. They are shown as text, because they expire after days.
    urls: Sequence[str] = attrs.field(default=(), converter=_as_tuple)
    task_id: str | None = None
    seeds: Sequence[int] = attrs.field(default=(), converter=_as_numbers)
    #: What the card's tasks have cost: by the price table, and according to the provider.
    credits: float | None = _number()
    credits_consumed: float | None = _number()
    #: Playing time of the clip in seconds.
    duration_s: float | None = _number()
    submitted_at: float | None = _number()
    sent_at: float | None = _number()
    accepted_at: float | None = _number()
    finished_at: float | None = _number()
    saved_at: float | None = _number()

    @property
    def title(self) -> str:
        """What the card is called: its key, or the beginning of its prompt."""
        return (self.is_key_automatic and beginning(self.prompt)) or self.key

    @property
    def ratio(self) -> float:
        """Width by height of the clip, rounded and between 0.4 and 2.5; damaged values count as 16:9."""
        width, _, height = self.aspect_ratio.partition(":")
        if self.width and self.height:
            ratio = self.width / self.height
        elif width.isdecimal() and height.isdecimal() and int(height[:9]):
            ratio = int(width[:9]) / int(height[:9])
        else:
            ratio = 16 / 9
        return round(min(2.5, max(0.4, ratio)), 2)

    @property
    def has_clip(self) -> bool:
        """Whether the clip was generated, saved or not."""
        return self.file is not None or self.state in HAS_VIDEO

    @property
    def generation_s(self) -> float | None:
        """Seconds that the provider took to generate the clip; None without a clip or if the clocks disagree."""
        began_at = self.sent_at if self.accepted_at is None else self.accepted_at
        if not self.has_clip or began_at is None or self.finished_at is None or self.finished_at < began_at:
            return None
        return self.finished_at - began_at

    def convert_instants(self, convert: Callable[[float], float]) -> "Card":
        """Return the card with every instant converted."""
        instants = {name: getattr(self, name) for name in _INSTANTS}
        converted: dict[str, Any] = {name: convert(at) for name, at in instants.items() if at is not None}
        return attrs.evolve(self, **converted)


class Stage(StrEnum):
    """What a job was doing during a span of the timeline."""

    QUEUED = "queued"
    SENT = "sent"
    RENDERING = "rendering"
    READY = "ready"
    SAVED = "saved"
    NO_VIDEO = "no video"


@attrs.frozen
class Span:
    """The time that a job spent in *stage*."""

    stage: Stage
    from_at: float
    to_at: float


def _stage_starts(card: Card) -> list[tuple[Stage, float]]:
    """Return when the job entered each stage. Instants never decrease, even if the wall clock was set back."""
    last_stage = Stage.READY if card.has_clip else Stage.NO_VIDEO
    stages = (
        (Stage.QUEUED, card.submitted_at),
        (Stage.SENT, card.sent_at),
        (Stage.RENDERING, card.accepted_at),
        (last_stage, card.finished_at),
        (Stage.SAVED, card.saved_at),
    )
    starts: list[tuple[Stage, float]] = []
    for stage, at in stages:
        if at is not None:
            starts.append((stage, max(at, starts[-1][1]) if starts else at))
    return starts


def spans(card: Card, until_at: float) -> list[Span]:
    """Return the job's stages as consecutive spans, the last one up to *until_at*."""
    starts = _stage_starts(card)
    ends = [*(at for _, at in starts[1:]), until_at][: len(starts)]
    return [Span(stage, at, max(at, end)) for (stage, at), end in zip(starts, ends, strict=True)]


@attrs.frozen(kw_only=True)
class Totals:
    """Totals over all cards."""

    #: Number of cards by state, in the order in which they are shown.
    states: dict[str, int]
    jobs: int
    clips: int
    #: Playing time of all clips, in seconds.
    video_s: float
    #: None if no card has credits.
    credits: float | None
    #: Generation times of the clips in seconds, sorted.
    generation_s: tuple[float, ...]
    #: The earliest and the latest instant on any card.
    from_at: float | None
    to_at: float | None


def _in_order(states: Iterable[str]) -> dict[str, int]:
    counted = Counter(states)
    known = [state for state in ORDER if state in counted]
    return {str(state): counted[state] for state in (*known, *sorted(counted.keys() - set(ORDER)))}


def totals(cards: Sequence[Card]) -> Totals:
    """Return the totals over *cards*."""
    credits = [card.credits for card in cards if card.credits is not None]
    instants = [at for card in cards for _, at in _stage_starts(card)]
    with_clip = [card for card in cards if card.has_clip]
    return Totals(
        states=_in_order(card.state for card in cards),
        jobs=len(cards),
        clips=len(with_clip),
        video_s=math.fsum(card.duration_s or 0.0 for card in with_clip),
        credits=math.fsum(credits) if credits else None,
        generation_s=tuple(sorted(card.generation_s for card in with_clip if card.generation_s is not None)),
        from_at=min(instants, default=None),
        to_at=max(instants, default=None),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the *ordered* values that at least *share* of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
