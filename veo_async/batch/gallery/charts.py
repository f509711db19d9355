"""The two charts of the summary as inline SVG: a timeline of the batch, and a histogram of generation times.

Shapes are drawn in a nested SVG that stretches with the page, while labels are drawn outside of it at their own size.
So both charts fit narrow and wide screens without a script. The style sheet sets the colours.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from veo_async._base.numbers import format_count

from .cards import Card, Span, Stage, Totals, quantile, spans
from .formatting import clock, seconds, to_attribute

#: Up to this many jobs get a row each in the timeline; more are shown as stacked bands.
_MAX_ROWS = 24
#: Number of intervals at whose ends the bands are computed.
_SAMPLES = 160
#: Pixels from the top: the end of the chart, and the base line of its shapes. The axis labels are in between.
_HEIGHT, _BASE_LINE = 214, 186
#: The width in which shapes are drawn; the page stretches it.
_WIDTH = 1000
#: The stages from the bottom of the stack to its top.
_STACK = (Stage.SAVED, Stage.READY, Stage.NO_VIDEO, Stage.RENDERING, Stage.SENT, Stage.QUEUED)
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def step_s(span_s: float, max_steps: int) -> float:
    """Return the smallest round step that divides *span_s* into at most *max_steps* parts."""
    for step in _STEPS_S:
        if span_s <= step * max_steps:
            return step
    return float(10 ** math.ceil(math.log10(span_s / max_steps)))


def _css_class(stage: Stage) -> str:
    return stage.replace(" ", "-")


def _coordinate(value: float) -> str:
    """Return *value* with at most two decimals, as short as possible."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _chart(name: str, title: str, description: str, shapes: str, axis: str, labels: str = "") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="100%" height="{_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-description"><title id="{name}-title">{title}</title>'
        f'<desc id="{name}-description">{description}</desc>{axis}<svg x="0" y="0" width="100%" height="{_BASE_LINE}" '
        f'viewBox="0 0 {_WIDTH} {_BASE_LINE}" preserveAspectRatio="none">{shapes}</svg>{labels}</svg>'
    )


def _axis(from_s: float, to_s: float) -> str:
    """Return the grid lines and labels of a time axis."""
    step = step_s(to_s - from_s, 5)
    ticks = [number * step for number in range(math.ceil(from_s / step), math.floor(to_s / step) + 1)]
    return "".join(_tick(100 * (tick - from_s) / (to_s - from_s), clock(tick)) for tick in ticks)


def _tick(percent: float, label: str) -> str:
    anchor = "start" if percent < 4 else "end" if percent > 93 else "middle"
    x = _coordinate(percent)
    return (
        f'<line class="grid" x1="{x}%" x2="{x}%" y1="4" y2="{_BASE_LINE + 5}"/>'
        f'<text x="{x}%" y="{_HEIGHT - 8}" text-anchor="{anchor}">{label}</text>'
    )


# --- timeline ----------------------------------------------------------------------------------------------------


def timeline(cards: Sequence[Card], total: Totals) -> str:
    """Return the timeline of the batch, from its first recorded instant to its last; empty if there is none."""
    if total.from_at is None or total.to_at is None:
        return ""
    from_at, to_at = total.from_at, max(total.to_at, total.from_at + 1.0)
    shapes = (_rows if len(cards) <= _MAX_ROWS else _bands)(cards, from_at, to_at)
    description = (
        f"{format_count(total.jobs, 'job')} over {seconds(total.to_at - from_at)}, "
        f"by stage (queued, sent, rendering, saved); {format_count(total.clips, 'clip')}."
    )
    return _chart("timeline", "Timeline of the batch", description, shapes, _axis(0.0, to_at - from_at))


def stages_in(cards: Sequence[Card], to_at: float) -> list[Stage]:
    """Return the stages that the timeline shows, for its legend."""
    shown = {span.stage for card in cards for span in spans(card, to_at) if span.to_at > span.from_at}
    return [stage for stage in Stage if stage in shown]


def _rows(cards: Sequence[Card], from_at: float, to_at: float) -> str:
    """Return a row for each job, sorted by first instant. Every bar has a tooltip with its stage and length."""
    scale = _WIDTH / (to_at - from_at)
    with_spans = [(card, spans(card, to_at)) for card in cards]
    rows = sorted(((card, row) for card, row in with_spans if row), key=lambda pair: pair[1][0].from_at)
    height = min(20.0, (_BASE_LINE - 8) / len(rows))
    return "".join(
        _bar(card, span, (span.from_at - from_at) * scale, 6 + number * height, scale, 0.76 * height)
        for number, (card, row) in enumerate(rows)
        for span in row
        if span.to_at > span.from_at
    )


def _bar(card: Card, span: Span, x: float, y: float, scale: float, height: float) -> str:
    length_s = span.to_at - span.from_at
    width = max(1.5, length_s * scale)
    return (
        f'<rect class="{_css_class(span.stage)}" x="{_coordinate(x)}" y="{_coordinate(y)}" '
        f'width="{_coordinate(width)}" height="{_coordinate(height)}">'
        f"<title>{to_attribute(card.key, 80)}: {span.stage} {seconds(length_s)}</title></rect>"
    )


def _bands(cards: Sequence[Card], from_at: float, to_at: float) -> str:
    """Return the number of jobs by stage over time as stacked bands, finished jobs at the bottom."""
    instants = [from_at + (to_at - from_at) * sample / _SAMPLES for sample in range(_SAMPLES + 1)]
    counts = _counts((span for card in cards for span in spans(card, math.inf)), instants)
    scale = (_BASE_LINE - 6) / len(cards)
    base = [0] * len(instants)
    bands: list[str] = []
    for stage in _STACK:
        top = [below + count for below, count in zip(base, counts[stage], strict=True)]
        if top != base:
            bands.append(_band(stage, base, top, scale, max(counts[stage])))
        base = top
    return "".join(bands)


def _counts(all_spans: Iterable[Span], instants: Sequence[float]) -> dict[Stage, list[int]]:
    """Return the number of jobs in each stage at each of the instants."""
    entered: dict[Stage, list[float]] = {stage: [] for stage in Stage}
    left: dict[Stage, list[float]] = {stage: [] for stage in Stage}
    for span in all_spans:
        entered[span.stage].append(span.from_at)
        if span.to_at < math.inf:
            left[span.stage].append(span.to_at)
    for stage in Stage:
        entered[stage].sort()
        left[stage].sort()
    return {
        stage: [bisect_right(entered[stage], at) - bisect_right(left[stage], at) for at in instants] for stage in Stage
    }


def _band(stage: Stage, base: Sequence[int], top: Sequence[int], scale: float, peak: int) -> str:
    def line(heights: Sequence[int]) -> list[str]:
        return [
            f"{_coordinate(_WIDTH * number / _SAMPLES)} {_coordinate(_BASE_LINE - height * scale)}"
            for number, height in enumerate(heights)
        ]

    outline = "L".join([*line(top), *reversed(line(base))])
    return f'<path class="{_css_class(stage)}" d="M{outline}Z"><title>{stage}: peak {peak:,}</title></path>'


# --- generation times --------------------------------------------------------------------------------------------


def histogram(total: Totals) -> str:
    """Return the histogram of generation times; empty if none is recorded."""
    values = total.generation_s
    if not values:
        return ""
    from_s, width_s, counts = bins(values)
    shapes = "".join(
        _column(number, count, counts, from_s + number * width_s, width_s)
        for number, count in enumerate(counts)
        if count
    )
    to_s = from_s + len(counts) * width_s
    labels = _peak_label(max(counts)) + _median(100 * (quantile(values, 0.5) - from_s) / (to_s - from_s))
    return _chart(
        "times", "Histogram of generation times", f"{times_summary(total)}.", shapes, _axis(from_s, to_s), labels
    )


def bins(values: Sequence[float]) -> tuple[float, float, list[int]]:
    """Count the sorted *values* in bins; return where the first bin begins, how wide each is, and the counts."""
    width = step_s(max(values[-1] - values[0], 1.0), 16)
    lowest = max(0, math.floor(values[0] / width) - 1)
    counts = [0] * max(6, math.floor(values[-1] / width) - lowest + 2)
    for value in values:
        counts[math.floor(value / width) - lowest] += 1
    return lowest * width, width, counts


def times_summary(total: Totals) -> str:
    """Return the generation times in one sentence, without a full stop."""
    values = total.generation_s
    median, p90 = (seconds(quantile(values, share)) for share in (0.5, 0.9))
    return f"{format_count(len(values), 'clip')}: median {median}, 90 % within {p90}"


def _column(number: int, count: int, counts: Sequence[int], from_s: float, width_s: float) -> str:
    """Return the column of bin *number*, which begins at *from_s*."""
    width, height = _WIDTH / len(counts), count * (_BASE_LINE - 24) / max(counts)
    return (
        f'<rect class="times" x="{_coordinate(number * width + width * 0.05)}" y="{_coordinate(_BASE_LINE - height)}" '
        f'width="{_coordinate(width * 0.9)}" height="{_coordinate(height)}">'
        f"<title>{seconds(from_s)} to {seconds(from_s + width_s)}: {count:,}</title></rect>"
    )


def _peak_label(count: int) -> str:
    """Return the count of the tallest column, which gives the chart its scale."""
    return f'<line class="grid" x1="0%" x2="100%" y1="24" y2="24"/><text x="0%" y="18">{count:,}</text>'


def _median(percent: float) -> str:
    x = _coordinate(percent)
    anchor = "end" if percent > 50 else "start"
    return (
        f'<line class="median" x1="{x}%" x2="{x}%" y1="4" y2="{_BASE_LINE}"/>'
        f'<text class="median" x="{x}%" dx="{-6 if percent > 50 else 6}" y="14" text-anchor="{anchor}">median</text>'
    )
