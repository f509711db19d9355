"""`Card`: what the gallery tells of one job, and what can be counted over many of them.

Cards are plain values, so the page can be made of a session that has just ended, of a ledger read back next month, or
of a test. Nothing in here knows HTML.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import PurePath

import attrs

from veo_async._rules.lifecycle import JobState

#: The states in the order of a job's life; whatever word is not among them is shown after these.
ORDER: tuple[str, ...] = (
    *(JobState.SAVED, JobState.READY),
    *(JobState.RUNNING, JobState.SENDING, JobState.QUEUED),
    *(JobState.IN_DOUBT, JobState.REFUSED, JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED),
)
#: The states in which there is a clip.
HAS_VIDEO: frozenset[str] = frozenset({JobState.SAVED, JobState.READY})
#: The states in which something may still happen by itself.
IN_PROGRESS: frozenset[str] = frozenset({JobState.QUEUED, JobState.SENDING, JobState.RUNNING})

#: Seconds or credits beyond this (thirty thousand years) come from damage, not from a clock.
_BELIEVABLE = 1e12


def _as_relative(value: str | PurePath | None) -> str | None:
    """With forward slashes, as an address has them."""
    return value.as_posix() if isinstance(value, PurePath) else value or None


def _as_string(value: str) -> str:
    """A plain string, whatever enumeration it came from."""
    return str(value)


def _as_tuple(value: Sequence[str]) -> Sequence[str]:
    return tuple(value)


def _as_finite(value: float | None) -> float | None:
    """What is no number, or no believable one, is not known: a picture must not break on it."""
    return value if value is not None and abs(value) < _BELIEVABLE else None


def _is_inside(card: "Card", field: "attrs.Attribute[str | None]", value: str | None) -> None:
    """A page is handed on with its folder, so it may only point into it."""
    if value is not None and (value.startswith("/") or ".." in PurePath(value).parts):
        raise ValueError(f"{field.name} of card {card.key!r} must be relative to the gallery's folder; it is {value!r}")


def _number() -> float | None:
    return attrs.field(default=None, converter=_as_finite)


@attrs.frozen(kw_only=True)
class Card:
    """One job, as the gallery shows it. Instants are wall-clock seconds; None is "not known" or "did not happen"."""

    key: str
    prompt: str = ""
    model: str = ""
    aspect_ratio: str = "16:9"
    #: One of our words: ``saved``, ``refused``, ``in_doubt``… Another word is shown as it is.
    state: str = attrs.field(converter=_as_string)
    #: Why there is no clip; an error's text may hold its remedy already.
    reason: str = ""
    #: What the reader can do; said after the reason unless the reason ends with it.
    remedy: str = ""
    #: The clip beside the page: a path inside the gallery's folder.
    file: str | None = attrs.field(default=None, converter=_as_relative, validator=_is_inside)
    #: Where the provider keeps the clip. Shown as text: links end after days, and this page points nowhere else.
    urls: Sequence[str] = attrs.field(default=(), converter=_as_tuple)
    task_id: str | None = None
    credits: float | None = _number()
    #: How long the clip plays.
    duration_s: float | None = _number()
    submitted_at: float | None = _number()
    sent_at: float | None = _number()
    accepted_at: float | None = _number()
    ended_at: float | None = _number()
    saved_at: float | None = _number()

    @property
    def has_clip(self) -> bool:
        """Was it made, wherever it is now?"""
        return self.file is not None or self.state in HAS_VIDEO

    @property
    def generation_s(self) -> float | None:
        """How long the provider took over a clip; None when there is none or the clocks disagree."""
        began_at = self.sent_at if self.accepted_at is None else self.accepted_at
        if not self.has_clip or began_at is None or self.ended_at is None or self.ended_at < began_at:
            return None
        return self.ended_at - began_at


class Stage(StrEnum):
    """What a job was at, for the timeline."""

    QUEUED = "queued"
    SENT = "sent"
    RENDERING = "rendering"
    READY = "ready"
    SAVED = "saved"
    NO_CLIP = "no clip"


@attrs.frozen
class Span:
    """A job was at *stage* from one instant to another."""

    stage: Stage
    from_at: float
    to_at: float


def _stage_starts(card: Card) -> list[tuple[Stage, float]]:
    """At which instants a job came to its stages; never going back, as wall clocks are set now and then."""
    at_end = Stage.READY if card.has_clip else Stage.NO_CLIP
    stages = (
        (Stage.QUEUED, card.submitted_at),
        (Stage.SENT, card.sent_at),
        (Stage.RENDERING, card.accepted_at),
        (at_end, card.ended_at),
        (Stage.SAVED, card.saved_at),
    )
    marks: list[tuple[Stage, float]] = []
    for stage, at in stages:
        if at is not None:
            marks.append((stage, max(at, marks[-1][1]) if marks else at))
    return marks


def spans(card: Card, until_at: float) -> list[Span]:
    """What the job was at, one span after the other, the last one up to *until_at*."""
    marks = _stage_starts(card)
    ends = [*(at for _, at in marks[1:]), until_at][: len(marks)]
    return [Span(stage, at, max(at, end)) for (stage, at), end in zip(marks, ends, strict=True)]


@attrs.frozen(kw_only=True)
class Totals:
    """What is counted over all cards."""

    #: How many cards stand in each state, in the order to show them.
    states: dict[str, int]
    jobs: int
    clips: int
    #: Seconds of film.
    video_s: float
    #: None when no card says what it cost.
    credits: float | None
    #: Sorted seconds from accepted to ended, of the clips that were made.
    generation_s: tuple[float, ...]
    #: The first and the last instant that any card knows of.
    from_at: float | None
    to_at: float | None


def _in_order(states: Iterable[str]) -> dict[str, int]:
    counted = Counter(states)
    known = [state for state in ORDER if state in counted]
    return {str(state): counted[state] for state in (*known, *sorted(counted.keys() - set(ORDER)))}


def totals(cards: Sequence[Card]) -> Totals:
    """Count over all *cards*."""
    paid = [card.credits for card in cards if card.credits is not None]
    instants = [at for card in cards for _, at in _stage_starts(card)]
    made = [card for card in cards if card.has_clip]
    return Totals(
        states=_in_order(card.state for card in cards),
        jobs=len(cards),
        clips=len(made),
        video_s=math.fsum(card.duration_s or 0.0 for card in made),
        credits=math.fsum(paid) if paid else None,
        generation_s=tuple(sorted(card.generation_s for card in made if card.generation_s is not None)),
        from_at=min(instants, default=None),
        to_at=max(instants, default=None),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that *share* of the *ordered* values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
