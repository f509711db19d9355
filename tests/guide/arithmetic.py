"""What a rate limit does to many clips: computed from the default settings and the usual time of a clip."""

import heapq

from veo_async.cli.formatting import format_duration
from veo_async.models import DEFAULT_MODEL, find_model
from veo_async.settings import Limits

from .markdown import table

_NUMBERS = (1, 20, 100, 500, 1000)


def rate_limit_table() -> str:
    """Return when many clips are sent and finished, one after the other and at the documented limit."""
    model = find_model(DEFAULT_MODEL)
    assert model is not None
    seconds = model.expected.median_s
    rows = []
    for number in _NUMBERS:
        _, slow = finish_times(number, seconds, slots=1)
        _, finished = finish_times(number, seconds, slots=100)
        more_sent, more_finished = finish_times(number, seconds, slots=200)
        rows.append([str(number), *map(format_duration, (slow, finished, more_finished)), _at(more_sent)])
    header = ["clips", "one after the other", "100 at a time (default)", "200 at a time", "of these, sending takes"]
    return table(header, rows)


def _at(seconds: float) -> str:
    return format_duration(seconds) if seconds else "0 s"


def finish_times(number: int, seconds: float, *, slots: int) -> tuple[float, float]:
    """Return when the last of *number* clips is sent and when the last is finished.

    Each takes *seconds*, at most *slots* run at the same time, and the documented rate limit holds.
    """
    allowed, window = Limits().rate
    sent: list[float] = []
    running: list[float] = []
    for _ in range(number):
        at = sent[-1] if sent else 0.0
        if len(sent) >= allowed:
            at = max(at, sent[-allowed] + window)
        if len(running) == slots:
            at = max(at, heapq.heappop(running))
        sent.append(at)
        heapq.heappush(running, at + seconds)
    return sent[-1], max(running)
