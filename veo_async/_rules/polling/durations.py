"""How long tasks take: what is assumed, what was learned, and what follows for a running task.

Theory of operation
-------------------
Everything follows from the *hazard* ``h(age)``: the probability per second that a task which has run for ``age``
seconds ends now. It is kept in bands of age, because counts in bands can be added up, forgotten and stored, and because
a poll only shows "ended between these two ages" or "not ended by this age".

* Bands: 4 s at first, then each 15 % longer than the last, up to almost an hour; the last one is open.
* Learning: ``h = (ended + assumed ended) / (at risk + assumed at risk)``, band by band. ``ended`` counts tasks, ``at
  risk`` counts the seconds that tasks were known to run in the band. A task that still runs is at risk up to its last
  poll; without it all tasks would seem fast, because at the start of a batch only quick tasks have ended.
* A task ends at the server's own duration (completion minus creation, both by the server's clock); without one, in the
  middle between the last poll that found it running and the one that found it ended. The duration is trusted only
  within these two polls, so that a clock that jumped cannot teach nonsense.
* Forgetting: each completion makes everything older count 2 % less, a memory of about fifty tasks.
* Smoothing: with weights 1, 4, 6, 4, 1, because a band contains few tasks and its neighbours are nearly the same.
* The assumption counts as four tasks. It is log-normal, with a spread that allows for an error of its median by a
  factor of 1.46, and 5 % of its tasks are spread evenly over the logarithm of 4 s to 30 min: some tasks fail
  immediately, and some hang. The medians and spreads are in the table of models and at `prior_for`, each with its
  source.

From the hazard follow its integral H, the share of tasks that still run ``S = exp(-H)``, and the integral of that
share, M, whose end is the mean duration.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Final, Literal, NamedTuple

from veo_async._wire.models import MODELS, RenderTime, VideoModel, find_model

Kind = Literal["generate", "upgrade", "extend"]

#: The age at which each band begins.
EDGES: Final[tuple[float, ...]] = (0.0, *(4.0 * 1.15**n for n in range(49)))
_WIDTHS: Final = (*(high - low for low, high in pairwise(EDGES)), 3 * EDGES[-1])
_PRIOR_TASKS: Final = 4.0
#: The standard deviation of the error of the assumed median, as a logarithm.
_PRIOR_ERROR: Final = 0.38
_STRAY_SHARE: Final = 0.05
DECAY: Final = 0.98
_MIN_HAZARD: Final = 1e-6
#: Of four tasks: so that a band that no task reaches has a hazard of nearly zero, not an undefined one.
_MIN_SHARE_AT_RISK: Final = 1e-3
_SHARE_P50, _SHARE_P90 = 0.5, 0.1


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


def prior_for(cls: TaskClass, models: Iterable[VideoModel] = MODELS) -> RenderTime:
    """Return the assumed durations of a class; unknown models get a wide range."""
    if cls.kind == "extend":
        return RenderTime(360.0, 0.54)  # documented: "several minutes to over ten minutes"
    if cls.kind == "upgrade":  # documented: 1-3 minutes and 5-10 minutes
        return RenderTime(424.0, 0.30) if cls.resolution == "4k" else RenderTime(104.0, 0.43)
    model = find_model(cls.model, models)
    base = model.expected if model else RenderTime(150.0, 0.70)
    return RenderTime(base.median_s + _EXTRA_BY_RESOLUTION_S.get(cls.resolution, 0.0), base.sigma)


#: What a higher resolution adds to the median: about an upgrade, finished before the task ends.
_EXTRA_BY_RESOLUTION_S: Final[Mapping[str, float]] = {"1080p": 60.0, "4k": 300.0}


def band_of(age: float) -> int:
    """Return the band that contains *age*."""
    return bisect_right(EDGES, age) - 1 if age > 0 else 0


class DurationTable:
    """What is assumed and known of one class. `refresh` computes what follows from it."""

    def __init__(self, prior: RenderTime) -> None:
        self._prior = _prior_counts(prior)
        self._ended = [0.0] * len(EDGES)
        self._at_risk = [0.0] * len(EDGES)
        #: How many ends were observed.
        self.ends = 0
        self.refresh()

    def observe_running(self, since: float, until: float) -> None:
        """Note a task that was running at age *until*; it was last known to run at age *since*."""
        for band in range(band_of(since), band_of(until) + 1):
            end = EDGES[band] + _WIDTHS[band]
            self._at_risk[band] += min(until, end) - max(since, EDGES[band])

    def observe_ended(self, since: float, polled: float, duration: float | None) -> float:
        """Note a task that had ended at age *polled* and was running at age *since*; return its age at the end."""
        at = (since + polled) / 2 if duration is None or math.isnan(duration) else duration
        at = min(max(at, since), max(polled, since), EDGES[-1] + _WIDTHS[-1])
        self._ended = [DECAY * count for count in self._ended]
        self._at_risk = [DECAY * seconds for seconds in self._at_risk]
        self.observe_running(since, at)
        self._ended[band_of(at)] += 1.0
        self.ends += 1
        return at

    def refresh(self) -> None:
        """Compute what follows from the table."""
        prior_ended, prior_at_risk = self._prior
        ended = _smoothed([a + b for a, b in zip(self._ended, prior_ended, strict=True)])
        at_risk = _smoothed([a + b for a, b in zip(self._at_risk, prior_at_risk, strict=True)])
        self._hazard = [max(_MIN_HAZARD, a / b) for a, b in zip(ended, at_risk, strict=True)]
        self._hazard_sums = [0.0, *accumulate(map(float.__mul__, self._hazard, _WIDTHS))]
        self._survival = [math.exp(-min(total, 600.0)) for total in self._hazard_sums]
        lived = [(a - b) / h for (a, b), h in zip(pairwise(self._survival), self._hazard, strict=True)]
        self._lived_sums = [0.0, *accumulate(lived)]
        self.mean_s = self._lived_sums[-1]
        #: The polls that a task takes if each may cost a second of latency. At a price of p seconds it takes
        #: ``1 / sqrt(p)`` times as many.
        self.polls_at_one_second = sum(math.sqrt(h / 2) * s for h, s in zip(self._hazard, lived, strict=True))

    def hazard_sum(self, age: float) -> float:
        """Return H, the integral of the hazard up to *age*: where it grows fast, a task is likely to end."""
        band = band_of(age)
        return self._hazard_sums[band] + self._hazard[band] * (age - EDGES[band])

    def poll_after(self, age: float, price: float, longest: float) -> float:
        """Return after how many seconds a task that was seen running at *age* is worth a poll, at most *longest*.

        That is when the latency that has built up, per poll that would find nothing, reaches *price*:
        ``(M(t) - M(age)) / S(t) - (t - age)``. Its root grows nearly in a straight line within a band.
        """
        goal, root, at = math.sqrt(price), 0.0, age
        lived = self._lived_sum(age)
        for band in range(band_of(age) + 1, len(EDGES)):
            edge, before = EDGES[band], root
            root = math.sqrt(max(0.0, (self._lived_sums[band] - lived) / self._survival[band] - (edge - age)))
            if root >= goal:
                return min(at + (edge - at) * (goal - before) / (root - before) - age, longest)
            if edge >= age + longest:
                break
            at = edge
        return longest

    def _lived_sum(self, age: float) -> float:
        band = band_of(age)
        hazard = self._hazard[band]
        within = self._survival[band] * -math.expm1(-hazard * (age - EDGES[band])) / hazard
        return self._lived_sums[band] + within

    def eta(self, age: float) -> Eta:
        """Return how much longer a task of this age will run."""
        passed = self.hazard_sum(age)
        p50, p90 = (self._age_at(passed - math.log(share)) - age for share in (_SHARE_P50, _SHARE_P90))
        return Eta(max(0.0, p50), max(0.0, p90))

    def _age_at(self, hazard_sum: float) -> float:
        band = min(len(EDGES), bisect_right(self._hazard_sums, hazard_sum)) - 1
        return EDGES[band] + (hazard_sum - self._hazard_sums[band]) / self._hazard[band]

    def to_state(self) -> dict[str, object]:
        """Return what was learned, as values that JSON can store."""
        ended, at_risk = ([round(value, 3) for value in row] for row in (self._ended, self._at_risk))
        return {"ends": self.ends, "ended": ended, "at_risk": at_risk}

    def from_state(self, state: Mapping[str, object]) -> bool:
        """Restore the result of `to_state`. Return False, and change nothing, if it does not fit."""
        ends, ended, at_risk = state.get("ends"), _numbers(state.get("ended")), _numbers(state.get("at_risk"))
        if type(ends) is not int or ends < 0 or ended is None or at_risk is None:
            return False
        self.ends, self._ended, self._at_risk = ends, ended, at_risk
        self.refresh()
        return True


@cache
def _prior_counts(prior: RenderTime) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the assumed ends and seconds at risk, by band."""
    survival = [1.0, *(_survival(prior, age) for age in EDGES[1:]), 0.0]
    ended = tuple(_PRIOR_TASKS * (a - b) for a, b in pairwise(survival))
    shares = [max((a + b) / 2, _MIN_SHARE_AT_RISK) for a, b in pairwise(survival)]
    return ended, tuple(_PRIOR_TASKS * share * width for share, width in zip(shares, _WIDTHS, strict=True))


def _survival(prior: RenderTime, age: float) -> float:
    """Return the share of tasks that are assumed to take longer than *age*."""
    sigma = math.hypot(prior.sigma, _PRIOR_ERROR)
    body = math.erfc(math.log(age / prior.median_s) / sigma / math.sqrt(2)) / 2
    stray = max(0.0, 1 - math.log(age / 4.0) / math.log(1800.0 / 4.0))
    return (1 - _STRAY_SHARE) * body + _STRAY_SHARE * stray


def _smoothed(counts: Sequence[float]) -> Sequence[float]:
    for _ in range(2):  # twice 1, 2, 1 is 1, 4, 6, 4, 1
        padded = [counts[0], *counts, counts[-1]]
        counts = [a + 2 * b + c for a, b, c in zip(padded, padded[1:], padded[2:], strict=False)]
    return counts


def _numbers(values: object) -> list[float] | None:
    """Return *values* if they are one non-negative number for each band; else None."""
    if not isinstance(values, list) or len(values) != len(EDGES):
        return None
    if not all(type(value) in (int, float) and 0 <= value < math.inf for value in values):
        return None
    return [float(value) for value in values]
