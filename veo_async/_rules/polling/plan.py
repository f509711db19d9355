"""When to poll a task that ends at an unknown time, if each poll has a price.

Theory of operation
-------------------
A poll costs ``price`` (in seconds: how long a finished video may stay undetected to save one poll), and so does every
second between the end of a task and the poll that finds it. Minimizing the expected sum is the classical problem of
optimal inspection. Two solutions are used:

*Dense* (many polls): near an age with hazard h the best gap is ``sqrt(2 * price / h)``. Without calculating gaps: with
``C(age)`` the integral of ``sqrt(h / 2)``, each poll is due when C has grown by ``sqrt(price)`` since the last one,
and the first one when it has grown by half of that. This costs two searches in a table.

*Sparse* (few polls per task, where the dense solution is 7 to 34 % worse): the exact solution by dynamic programming.
With S the share of tasks that still run, M its integral and eps the probability that no callback arrives, polling at
age i and next at age j costs, per started task:

    eps * ((t_j - t_i) * S_i - (M_j - M_i)) + price * (S_j + eps * (S_i - S_j)) + V_j

that is, the delay of tasks that end in between; the polls of tasks that have not ended, and of those that have and
whose callback was lost; and the rest. For a fixed i the terms with j are ``A_j + eps * S_i * t_j``: a straight line in
``eps * S_i`` for every j, of which the lowest is needed. Slopes fall and the argument grows as i decreases, so the
lower hull is built and read from its two ends, and the plan takes O(n), 0.2 ms, not O(n^2). Ages are taken every
second, then every 2 % (about 270 of them): a finer grid changes no cost by 1 %.

Bounds on the gaps, for both: at least 1.5 s, because the provider asks for 2 to 5 s between polls of one task; at most
a minute, or 30 % of the age beyond 200 s, so that a schedule with a wrong model still finds out. The first poll may
wait for two minutes: before that most tasks have not ended, and a bound of one minute wasted a poll for each ``veo3``
task (cost +6 % at a price of 1.5 s, +11 % at 4 s). With callbacks the bound is ten minutes: then a poll is only a
safety net, and ten minutes is when users give up.
"""

from bisect import bisect_left
from collections import deque
from itertools import pairwise
from typing import Final

from .durations import EDGES, HazardCurve

MIN_GAP_S: Final = 1.5
MAX_GAP_S: Final = 60.0
MAX_FIRST_S: Final = 120.0
MAX_GAP_SHARE: Final = 0.3
MAX_GAP_WITH_CALLBACKS_S: Final = 600.0


def _ages() -> tuple[float, ...]:
    ages = [0.0]
    while ages[-1] < EDGES[-1]:
        ages.append(ages[-1] + max(1.0, 0.02 * ages[-1]))
    return tuple(ages)


AGES: Final = _ages()


def clamp(age: float, next_age: float, *, callbacks: bool = False) -> float:
    """Return the age of the poll after the one at *age*, within the bounds on gaps."""
    max_gap = MAX_GAP_WITH_CALLBACKS_S if callbacks else MAX_GAP_S if age else MAX_FIRST_S
    return min(max(next_age, age + MIN_GAP_S), age + max(max_gap, MAX_GAP_SHARE * age))


def plan_gaps(curve: HazardCurve, price: float, loss_rate: float = 1.0) -> list[float]:
    """Return the best gap to the next poll, after a poll at each of `AGES`.

    Args:
        price: the price of one poll in seconds; positive.
        loss_rate: the probability that no callback reports a task's end (eps above); 1 without callbacks.
    """
    survival = [curve.survival(age) for age in AGES]
    alive = [0.0]  # M: mean seconds spent running up to an age
    for (t0, t1), (s0, s1) in zip(pairwise(AGES), pairwise(survival), strict=True):
        alive.append(alive[-1] + (t1 - t0) * (s0 + s1) / 2)
    gaps = [MAX_GAP_WITH_CALLBACKS_S] * len(AGES)
    last = len(AGES) - 1
    # Each line is a slope and an intercept.
    lines = deque([(AGES[last], price * (1 - loss_rate) * survival[last] - loss_rate * alive[last])])
    for i in range(last - 1, -1, -1):
        age, s = AGES[i], survival[i]
        x = loss_rate * s
        while len(lines) > 1 and lines[1][0] * x + lines[1][1] <= lines[0][0] * x + lines[0][1]:
            lines.popleft()
        slope, intercept = lines[0]
        gaps[i] = slope - age
        value = intercept + x * slope + loss_rate * (alive[i] - age * s) + price * x
        _add_line(lines, age, value + price * (1 - loss_rate) * s - loss_rate * alive[i])
    return gaps


def _add_line(lines: deque[tuple[float, float]], slope: float, intercept: float) -> None:
    """Append a line of smaller slope to a lower hull; drop lines that are nowhere the lowest any more."""
    while len(lines) > 1:
        (m1, c1), (m2, c2) = lines[-2], lines[-1]
        if (c2 - c1) * (m1 - slope) < (intercept - c1) * (m1 - m2):
            break
        lines.pop()
    lines.append((slope, intercept))


def planned_poll(gaps: list[float], age: float) -> float:
    """Return the age of the poll after one at *age*, by a plan of `plan_gaps`."""
    return age + gaps[min(bisect_left(AGES, age), len(gaps) - 1)]
