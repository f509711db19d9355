"""The two pictures of the summary, as inline SVG: how the batch went, and how long clips took.

Shapes are drawn in a nested picture that stretches with the page, while words sit beside it at their own size: so both
pictures fit a telephone and a wide screen without a line of script. Colours are the style sheet's business.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from .cards import Card, Span, Stage, Totals, quantile, spans
from .formatting import clock, seconds, to_attribute

#: Up to so many jobs get a row each; of more, only the bands tell something.
_ROWS_AT_MOST = 24
#: The bands are looked at this many times.
_SAMPLES = 160
#: Pixels: the whole picture, and where the shapes end and the axis begins.
_HEIGHT, _FLOOR = 214, 186
#: The width that shapes are drawn in; the page stretches it.
_WIDTH = 1000
#: From the bottom of the bands to their top.
_STACK = (Stage.SAVED, Stage.READY, Stage.NO_CLIP, Stage.RENDERING, Stage.SENT, Stage.QUEUED)
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def step_s(span_s: float, most: int) -> float:
    """The smallest step that a person would choose to divide *span_s* into at most so many."""
    for step in _STEPS_S:
        if span_s <= step * most:
            return step
    return float(10 ** math.ceil(math.log10(span_s / most)))


def _css(stage: Stage) -> str:
    return stage.replace(" ", "-")


def _n(value: float) -> str:
    """A coordinate, as short as it can be written."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _chart(name: str, title: str, description: str, shapes: str, axis: str, words: str = "") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" width="100%" height="{_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-told"><title id="{name}-title">{title}</title>'
        f'<desc id="{name}-told">{description}</desc>{axis}'
        f'<svg x="0" y="0" width="100%" height="{_FLOOR}" viewBox="0 0 {_WIDTH} {_FLOOR}" preserveAspectRatio="none">'
        f"{shapes}</svg>{words}</svg>"
    )


def _axis(from_s: float, to_s: float) -> str:
    """Lines and words under the shapes, for the seconds between."""
    step = step_s(to_s - from_s, 5)
    ticks = [number * step for number in range(math.ceil(from_s / step), math.floor(to_s / step) + 1)]
    return "".join(_tick(100 * (tick - from_s) / (to_s - from_s), clock(tick)) for tick in ticks)


def _tick(percent: float, word: str) -> str:
    anchor = "start" if percent < 4 else "end" if percent > 93 else "middle"
    x = _n(percent)
    return (
        f'<line class="grid" x1="{x}%" x2="{x}%" y1="4" y2="{_FLOOR + 5}"/>'
        f'<text x="{x}%" y="{_HEIGHT - 8}" text-anchor="{anchor}">{word}</text>'
    )


# --- how the batch went ------------------------------------------------------------------------------------------


def _rows(cards: Sequence[Card], from_at: float, to_at: float) -> str:
    """A row for each job, in the order of their first instants; each span says what it is when pointed at."""
    scale = _WIDTH / (to_at - from_at)
    description = [(card, spans(card, to_at)) for card in cards]
    rows = sorted(((card, row) for card, row in description if row), key=lambda pair: pair[1][0].from_at)
    height = min(20.0, (_FLOOR - 8) / len(rows))
    return "".join(
        _bar(card, span, (span.from_at - from_at) * scale, 6 + number * height, scale, 0.76 * height)
        for number, (card, row) in enumerate(rows)
        for span in row
        if span.to_at > span.from_at
    )


def _bar(card: Card, span: Span, x: float, y: float, scale: float, height: float) -> str:
    length_s = span.to_at - span.from_at
    return (
        f'<rect class="{_css(span.stage)}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(1.5, length_s * scale))}" '
        f'height="{_n(height)}"><title>{to_attribute(card.key, 80)}: {span.stage} {seconds(length_s)}</title></rect>'
    )


def _counts(description: Iterable[Span], instants: Sequence[float]) -> dict[Stage, list[int]]:
    """How many jobs are at each stage at each of the instants."""
    entered: dict[Stage, list[float]] = {stage: [] for stage in Stage}
    left: dict[Stage, list[float]] = {stage: [] for stage in Stage}
    for span in description:
        entered[span.stage].append(span.from_at)
        if span.to_at < math.inf:
            left[span.stage].append(span.to_at)
    for stage in Stage:
        entered[stage].sort()
        left[stage].sort()
    return {
        stage: [bisect_right(entered[stage], at) - bisect_right(left[stage], at) for at in instants] for stage in Stage
    }


def _bands(cards: Sequence[Card], from_at: float, to_at: float) -> str:
    """How many jobs were at which stage, stacked over time: what is done grows from the floor."""
    instants = [from_at + (to_at - from_at) * sample / _SAMPLES for sample in range(_SAMPLES + 1)]
    counts = _counts((span for card in cards for span in spans(card, math.inf)), instants)
    scale = (_FLOOR - 6) / len(cards)
    base = [0] * len(instants)
    drawn: list[str] = []
    for stage in _STACK:
        top = [below + count for below, count in zip(base, counts[stage], strict=True)]
        if top != base:
            drawn.append(_band(stage, base, top, scale, max(counts[stage])))
        base = top
    return "".join(drawn)


def _band(stage: Stage, base: Sequence[int], top: Sequence[int], scale: float, most: int) -> str:
    def line(heights: Sequence[int]) -> list[str]:
        return [
            f"{_n(_WIDTH * number / _SAMPLES)} {_n(_FLOOR - height * scale)}" for number, height in enumerate(heights)
        ]

    outline = "L".join([*line(top), *reversed(line(base))])
    return f'<path class="{_css(stage)}" d="M{outline}Z"><title>{stage}: at most {most:,} at once</title></path>'


def stages_in(cards: Sequence[Card], to_at: float) -> list[Stage]:
    """The stages that the timeline shows, for its legend."""
    shown = {span.stage for card in cards for span in spans(card, to_at) if span.to_at > span.from_at}
    return [stage for stage in Stage if stage in shown]


def timeline(cards: Sequence[Card], counted: Totals) -> str:
    """How the batch went, from its first known instant to its last; empty when no instant is known."""
    if counted.from_at is None or counted.to_at is None:
        return ""
    from_at, to_at = counted.from_at, max(counted.to_at, counted.from_at + 1.0)
    shapes = (_rows if len(cards) <= _ROWS_AT_MOST else _bands)(cards, from_at, to_at)
    length = seconds(counted.to_at - from_at)
    description = (
        f"{counted.jobs:,} jobs over {length}, each queued, sent, rendering and saved; {counted.clips:,} clips."
    )
    return _chart("timeline", "Timeline of the batch", description, shapes, _axis(0.0, to_at - from_at))


# --- how long clips took -----------------------------------------------------------------------------------------


def bins(values: Sequence[float]) -> tuple[float, float, list[int]]:
    """Where the first bin begins, how wide each is, and how many of the sorted *values* lie in each."""
    width = step_s(max(values[-1] - values[0], 1.0), 16)
    lowest = max(0, math.floor(values[0] / width) - 1)
    counts = [0] * max(6, math.floor(values[-1] / width) - lowest + 2)
    for value in values:
        counts[math.floor(value / width) - lowest] += 1
    return lowest * width, width, counts


def histogram(counted: Totals) -> str:
    """How long the provider took over clips; empty when it is known of none."""
    values = counted.generation_s
    if not values:
        return ""
    from_s, width_s, counts = bins(values)
    bar, scale = _WIDTH / len(counts), (_FLOOR - 24) / max(counts)
    shapes = "".join(
        f'<rect class="times" x="{_n(number * bar + bar * 0.05)}" y="{_n(_FLOOR - count * scale)}" '
        f'width="{_n(bar * 0.9)}" height="{_n(count * scale)}"><title>{seconds(from_s + number * width_s)} to '
        f"{seconds(from_s + (number + 1) * width_s)}: {count:,}</title></rect>"
        for number, count in enumerate(counts)
        if count
    )
    to_s = from_s + len(counts) * width_s
    words = _peak_label(max(counts)) + _median(100 * (quantile(values, 0.5) - from_s) / (to_s - from_s))
    return _chart(
        "times", "Histogram of generation times", f"{times_summary(counted)}.", shapes, _axis(from_s, to_s), words
    )


def _peak_label(count: int) -> str:
    """What the tallest bar stands for: the only height that needs a number."""
    return f'<line class="grid" x1="0%" x2="100%" y1="24" y2="24"/><text x="0%" y="18">{count:,}</text>'


def _median(percent: float) -> str:
    x = _n(percent)
    anchor = "end" if percent > 50 else "start"
    return (
        f'<line class="median" x1="{x}%" x2="{x}%" y1="4" y2="{_FLOOR}"/>'
        f'<text class="median" x="{x}%" dx="{-6 if percent > 50 else 6}" y="14" text-anchor="{anchor}">median</text>'
    )


def times_summary(counted: Totals) -> str:
    """The same in a sentence."""
    values = counted.generation_s
    half, most = (seconds(quantile(values, share)) for share in (0.5, 0.9))
    return f"{len(values):,} clips: median {half}, nine in ten within {most}"
