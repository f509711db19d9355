"""How long tasks take: the prior, what is learned, and what follows for a running task.

Theory of operation
-------------------
Everything is expressed by the *hazard* ``h(age)``: the probability per second that a task which has run for ``age``
seconds ends now. It is stored in bins of age, because counts in bins can be added up, forgotten and stored, and
because a poll only shows "ended between these two ages" or "not ended by this age".

* Bins: 4 s at first, then each 10 % longer than the last, up to an hour; the last one is open. Videos take from half a
  minute to ten; 10 % of the age is finer than any schedule needs, and 73 bins are quick to iterate.
* Learning: ``h = (ended + 4 * prior ended) / (at risk + 4 * prior at risk)``, bin by bin. ``ended`` counts tasks, ``at
  risk`` counts the seconds that tasks were known to run in the bin. A task that still runs is at risk up to its last
  poll; leaving it out would make all tasks seem fast (at the start of a batch only quick tasks have ended) and doubles
  the polls.
* A task ends at the server's own duration (completion minus creation, both by the server's clock); without one, in the
  middle between the last poll that found it running and the one that found it ended. The duration is trusted only
  within these two polls, so that a clock that jumped cannot teach nonsense.
* Four prior tasks: enough that the first few completions do not make the schedule jump, and outweighed by data after
  about ten. A wrong prior affects the first five tasks only.
* Forgetting: each completion makes everything older count 2 % less, a memory of about fifty tasks. On a provider that
  never changes this costs 1 %; when its load drifts it was the best of the tested values.
* Smoothing: bin by bin with weights 1/4, 1/2, 1/4, because a bin contains few tasks and its neighbours are nearly the
  same.

Priors are log-normal with a tail, because some tasks fail immediately and some hang: 9.5 % are spread evenly over the
logarithm of 4 s to 30 min, 0.5 % up to 4 h, so that the hazard is never zero. The medians and spreads are in the table
of models and at `prior_for`, each with its source. They are assumptions, meant to be outweighed by data.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import attrs

from veo_async._wire.models import MODELS, RenderTime, VideoModel, find_model

Kind = Literal["generate", "upgrade", "extend"]

EDGES: Final[tuple[float, ...]] = (0.0, *(4.0 * 1.1**n for n in range(72)))
BINS: Final = len(EDGES)  # the last one is open to the right
PRIOR_TASKS: Final = 4.0
DECAY: Final = 0.98
_RESCALE_AT: Final = 1e9


class TaskClass(NamedTuple):
    """A class of tasks that are expected to take about equally long."""

    provider: str
    model: str
    resolution: str = "720p"
    kind: Kind = "generate"


class Eta(NamedTuple):
    """Seconds until a running task has ended, with a probability of 50 % and of 90 %."""

    p50: float
    p90: float


@attrs.frozen
class Prior:
    """The assumed distribution of a class before its first task has ended."""

    median_s: float
    sigma: float  #: standard deviation of the logarithm

    def survival(self, age: float) -> float:
        """Return the share of tasks that take longer than *age*."""
        if age <= 0:
            return 1.0
        body = 0.5 * math.erfc(math.log(age / self.median_s) / (self.sigma * math.sqrt(2)))
        return 0.9 * body + 0.095 * _log_uniform(age, 1800.0) + 0.005 * _log_uniform(age, 14400.0)


def _log_uniform(age: float, max_age: float) -> float:
    return min(1.0, max(0.0, math.log(max_age / age) / math.log(max_age / 4.0)))


def prior_for(cls: TaskClass, models: Iterable[VideoModel] = MODELS) -> Prior:
    """Return the prior of a class; unknown models get a wide one."""
    if cls.kind == "extend":
        return Prior(360.0, 0.54)  # documented: "several minutes to over ten minutes"
    if cls.kind == "upgrade":  # documented: 1-3 minutes and 5-10 minutes
        return Prior(424.0, 0.30) if cls.resolution == "4k" else Prior(104.0, 0.43)
    model = find_model(cls.model, models)
    base = model.expected if model else RenderTime(150.0, 0.70)
    return Prior(base.median_s + _EXTRA_BY_RESOLUTION_S.get(cls.resolution, 0.0), base.sigma)


#: What a higher resolution adds to the median: about an upgrade, finished before the task ends.
_EXTRA_BY_RESOLUTION_S: Final[Mapping[str, float]] = {"1080p": 60.0, "4k": 300.0}


@cache
def _prior_table(prior: Prior) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return per bin the share of tasks that end in it, and the mean seconds at risk in it (Simpson's rule)."""
    ended, at_risk = [], []
    for low, high in pairwise((*EDGES, 4 * EDGES[-1])):
        step = (high - low) / 8
        s = [prior.survival(low + step * n) for n in range(9)]
        ended.append(s[0] - s[8])
        at_risk.append(step / 3 * (s[0] + s[8] + 4 * sum(s[1:8:2]) + 2 * sum(s[2:8:2])))
    return tuple(ended), tuple(at_risk)


def bin_of(age: float) -> int:
    """Return the bin that contains *age*."""
    return bisect_right(EDGES, age) - 1 if age > 0 else 0


class HazardCurve:
    """The hazard at one moment, with precomputed sums. Immutable."""

    __slots__ = ("_hazard_sums", "_poll_sums", "hazard", "poll_rate")

    def __init__(self, hazard: Sequence[float]) -> None:
        #: Probability per second of ending, by bin.
        self.hazard = tuple(hazard)
        #: ``sqrt(h / 2)``, by bin: the ideal polls per second of a task of that age, for a price of 1 s.
        self.poll_rate = tuple(math.sqrt(h / 2) for h in hazard)
        self._hazard_sums = _integrate(self.hazard)
        self._poll_sums = _integrate(self.poll_rate)

    def survival(self, age: float) -> float:
        """Return the share of tasks that take longer than *age*."""
        return math.exp(-_integral(self._hazard_sums, self.hazard, age))

    def next_poll(self, age: float, step: float) -> float:
        """Return the age at which the integral of `poll_rate` has grown by *step* since *age*."""
        return _solve(self._poll_sums, self.poll_rate, _integral(self._poll_sums, self.poll_rate, age) + step)

    def eta(self, age: float) -> Eta:
        """Return how much longer a task of this age will run."""
        passed = _integral(self._hazard_sums, self.hazard, age)
        p50, p90 = (_solve(self._hazard_sums, self.hazard, passed - math.log(q)) - age for q in (0.5, 0.1))
        return Eta(max(0.0, p50), max(0.0, p90))


def _integrate(rates: Sequence[float]) -> tuple[float, ...]:
    sums = [0.0]
    for rate, (low, high) in zip(rates, pairwise(EDGES), strict=False):
        sums.append(sums[-1] + rate * (high - low))
    return tuple(sums)


def _integral(sums: Sequence[float], rates: Sequence[float], age: float) -> float:
    b = bisect_right(EDGES, age) - 1 if age > 0 else 0
    return sums[b] + rates[b] * (age - EDGES[b])


def _solve(sums: Sequence[float], rates: Sequence[float], value: float) -> float:
    b = bisect_right(sums, value) - 1
    return EDGES[b] + (value - sums[b]) / rates[b]


class DurationModel:
    """What was observed of one class.

    Newer completions weigh more. Instead of shrinking all old ones, the unit in which new ones are counted grows, and
    everything is divided by it when it is read.
    """

    def __init__(self, prior: Prior) -> None:
        self._prior_ended, self._prior_at_risk = _prior_table(prior)
        self._ended = [0.0] * BINS
        self._at_risk = [0.0] * BINS
        self._unit = 1.0

    def observe_running(self, since: float, until: float) -> None:
        """Note a task that was running at age *until*; it was last known to run at age *since*."""
        b, at_risk, unit = bin_of(since), self._at_risk, self._unit
        while b < BINS - 1 and EDGES[b + 1] < until:
            at_risk[b] += (EDGES[b + 1] - since) * unit
            b += 1
            since = EDGES[b]
        if until > since:
            at_risk[b] += (until - since) * unit

    def observe_ended(self, since: float, polled: float, duration: float | None) -> float:
        """Note a task that had ended at age *polled* and was running at age *since*; return its age at the end."""
        at = (since + polled) / 2 if duration is None or math.isnan(duration) else duration
        at = min(max(at, since), max(polled, since))
        self.observe_running(since, at)
        self._ended[bin_of(at)] += self._unit
        self._unit /= DECAY
        if self._unit > _RESCALE_AT:
            self._ended, self._at_risk = self._in_tasks(self._ended), self._in_tasks(self._at_risk)
            self._unit = 1.0
        return at

    def curve(self) -> HazardCurve:
        """Return the current hazard."""
        ended, at_risk = (_smooth(self._in_tasks(counts)) for counts in (self._ended, self._at_risk))
        return HazardCurve(
            [
                (d + PRIOR_TASKS * d0) / (t + PRIOR_TASKS * t0)
                for d, t, d0, t0 in zip(ended, at_risk, self._prior_ended, self._prior_at_risk, strict=True)
            ]
        )

    def to_state(self) -> dict[str, list[float]]:
        """Return what was learned, as plain numbers that JSON can store."""
        return {"ended": self._in_tasks(self._ended), "at_risk": self._in_tasks(self._at_risk)}

    def from_state(self, state: Mapping[str, object]) -> bool:
        """Restore the result of `to_state`. Return False, and change nothing, if it does not fit."""
        ended, at_risk = _numbers(state.get("ended")), _numbers(state.get("at_risk"))
        if ended is None or at_risk is None:
            return False
        self._ended, self._at_risk, self._unit = ended, at_risk, 1.0
        return True

    def _in_tasks(self, counts: Sequence[float]) -> list[float]:
        return [value / self._unit for value in counts]


def _smooth(counts: Sequence[float]) -> list[float]:
    padded = [counts[0], *counts, counts[-1]]
    return [(a + 2 * b + c) / 4 for a, b, c in zip(padded, padded[1:], padded[2:], strict=False)]


def _numbers(values: object) -> list[float] | None:
    """Return *values* if they are one non-negative number for each bin; else None."""
    if not isinstance(values, list) or len(values) != BINS:
        return None
    if not all(type(v) in (int, float) and 0 <= v < math.inf for v in values):
        return None
    return [float(v) for v in values]
