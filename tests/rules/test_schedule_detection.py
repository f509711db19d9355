"""How soon and with how many polls the end of a task is detected, compared with fixed intervals and ideal plans.

The schedule does not know the true distribution: ``veo3`` takes 120 to 301 s and ``veo3_fast`` 54 to 118 s (the middle
80 %, log-normal); 300 tasks start at 20 per 10 s. Its priors differ from that, so learning is part of the score. A
fixed interval of 30 s is the pattern of the provider's own samples: a first poll after 30 s, then every 30 s.
"""

import heapq
import math
import random
from collections.abc import Callable, Hashable
from functools import cache
from itertools import pairwise

import pytest

from veo_async._rules.polling.durations import EDGES, HazardCurve, TaskClass
from veo_async._rules.polling.plan import plan_gaps, planned_poll
from veo_async._rules.polling.schedule import LearnedSchedule, PollBudget

TRUTH = {"veo3": (190.0, 0.36), "veo3_fast": (79.8, 0.305)}
START, DUE, POLL, CALLBACK = range(4)
SEEDS = 4


class FixedInterval:
    """A schedule with a fixed interval."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.polled_at: dict[Hashable, float] = {}

    def started(self, task_key: Hashable, cls: TaskClass, now: float) -> None:
        self.polled_at[task_key] = now

    def next_poll(self, task_key: Hashable, now: float) -> float:
        return self.polled_at[task_key] + self.every_s

    def still_running(self, task_key: Hashable, now: float) -> None:
        self.polled_at[task_key] = now

    def ended(self, task_key: Hashable, now: float, duration: float | None, via: str = "poll") -> None:
        del self.polled_at[task_key]


class BestPlan(FixedInterval):
    """The best possible plan, calculated from the true distribution."""

    def __init__(self, model: str, price: float) -> None:
        super().__init__(0.0)
        self.gaps = plan_gaps(true_curve(*TRUTH[model]), price)
        self.began: dict[Hashable, float] = {}

    def started(self, task_key: Hashable, cls: TaskClass, now: float) -> None:
        super().started(task_key, cls, now)
        self.began[task_key] = now

    def next_poll(self, task_key: Hashable, now: float) -> float:
        began = self.began[task_key]
        return began + planned_poll(self.gaps, self.polled_at[task_key] - began)


@cache
def true_curve(median: float, sigma: float) -> HazardCurve:
    """Return the hazard of a log-normal distribution without the tail of our priors."""

    def survival(age: float) -> float:
        return 0.5 * math.erfc(math.log(max(age, 1e-9) / median) / (sigma * math.sqrt(2)))

    hazard = []
    for low, high in pairwise([*EDGES, 4 * EDGES[-1]]):
        at = [survival(low + (high - low) * n / 16) for n in range(17)]
        at_risk = (high - low) / 16 * (sum(at) - (at[0] + at[-1]) / 2)
        hazard.append(max(at[0] - at[-1], 1e-12) / max(at_risk, 1e-9))
    return HazardCurve(hazard)


def fails_early(rng: random.Random) -> float:
    """Return the duration of a task that fails within half a minute."""
    return rng.uniform(4, 30)


def hangs(rng: random.Random) -> float:
    """Return the duration of a task that takes five to twenty-five minutes."""
    return rng.uniform(300, 1500)


def batch(
    schedule: LearnedSchedule | FixedInterval,
    model: str,
    seed: int,
    *,
    count: int = 300,
    lost: float = 1.0,
    skip: int = 0,
    budget: PollBudget | None = None,
    outlier_share: float = 0.0,
    outlier: Callable[[random.Random], float] = fails_early,
) -> tuple[float, float, list[float]]:
    """Return mean latency, polls per task and the times of all polls, for the tasks after the first *skip*.

    A callback that is not *lost* arrives 1.3 s after the end, on average. A share of *outlier_share* takes as long as
    *outlier* returns.
    """
    rng = random.Random(seed)
    median, sigma = TRUTH[model]
    lasts = [median * math.exp(sigma * rng.gauss(0, 1)) for _ in range(count)]
    lasts = [outlier(rng) if rng.random() < outlier_share else usual for usual in lasts]
    cls = TaskClass("kie", model)
    began, latency, polls, polled = [0.0] * count, [math.nan] * count, [0] * count, []
    events = [(key / 2.0, START, key) for key in range(count)]
    while events:
        now, what, key = heapq.heappop(events)
        ended = began[key] + lasts[key] if what != START else math.inf
        if not math.isnan(latency[key]):
            continue
        if what == START:
            schedule.started(key, cls, now)
            began[key] = now
            heapq.heappush(events, (schedule.next_poll(key, now), DUE, key))
            if rng.random() >= lost:
                heapq.heappush(events, (now + lasts[key] + 0.3 + rng.expovariate(1.0), CALLBACK, key))
        elif what == DUE and budget is not None:
            heapq.heappush(events, (now + budget.reserve(now), POLL, key))
        elif what == CALLBACK or now >= ended:
            polls[key] += what != CALLBACK
            polled += [now] * (what != CALLBACK)
            latency[key] = now - ended
            schedule.ended(key, now, float(round(lasts[key])), via="callback" if what == CALLBACK else "poll")
        else:
            polls[key] += 1
            polled.append(now)
            schedule.still_running(key, now)
            heapq.heappush(events, (schedule.next_poll(key, now), DUE, key))
    return sum(latency[skip:]) / (count - skip), sum(polls[skip:]) / (count - skip), sorted(polled)


def means(rows: list[tuple[float, float, list[float]]]) -> tuple[float, float]:
    """Return mean latency and mean polls per task of several batches."""
    return sum(row[0] for row in rows) / len(rows), sum(row[1] for row in rows) / len(rows)


@pytest.mark.parametrize(("model", "price", "better"), [("veo3", 1.2, 1.4), ("veo3_fast", 2.5, 1.8)])
def test_batch_beats_fixed_polling(model: str, price: float, better: float) -> None:
    """With about the polls of fixed 30 s, learning included, latency x polls is 1.4 and 1.8 times better.

    Measured over 20 seeds: 1.65 (veo3) and 2.03 (fast). With the known distribution it would be 1.84 and 2.23.
    """
    learned, polls = means([batch(LearnedSchedule(price=price), model, seed) for seed in range(SEEDS)])
    fixed, fixed_polls = means([batch(FixedInterval(30.0), model, seed) for seed in range(SEEDS)])
    assert fixed == pytest.approx(15.0, abs=0.7)
    assert polls == pytest.approx(fixed_polls, rel=0.15)
    assert learned < 0.7 * fixed
    assert fixed * fixed_polls >= better * learned * polls


@pytest.mark.parametrize(
    ("model", "price", "outlier_share", "outlier", "better"),
    [
        ("veo3", 1.2, 0.06, fails_early, 1.2),
        ("veo3_fast", 2.5, 0.06, fails_early, 1.4),
        ("veo3", 1.2, 0.04, hangs, 1.25),
        ("veo3_fast", 2.5, 0.04, hangs, 1.5),
    ],
)
def test_batch_with_outliers_beats_fixed_polling(
    model: str, price: float, outlier_share: float, outlier: Callable[[random.Random], float], better: float
) -> None:
    """With early failures or hanging tasks a batch still beats fixed polling, but by less.

    The targets of 1.4 and 1.8 are for distributions without such tasks. Over 20 seeds 1.30 and 1.51 were measured with
    6 % early failures, 1.39 and 1.69 with 4 % hanging tasks: a task that ends at an unusual age is detected late, or
    causes more polls of all tasks.
    """
    learned, polls = means(
        [
            batch(LearnedSchedule(price=price), model, s, outlier_share=outlier_share, outlier=outlier)
            for s in range(SEEDS)
        ]
    )
    fixed, fixed_polls = means(
        [batch(FixedInterval(30.0), model, s, outlier_share=outlier_share, outlier=outlier) for s in range(SEEDS)]
    )
    assert fixed * fixed_polls >= better * learned * polls


@pytest.mark.parametrize("model", TRUTH)
@pytest.mark.parametrize("price", [0.3, 1.5, 4.0])
def test_learning_costs_little(model: str, price: float) -> None:
    """After 50 tasks the cost is within 15 % of the best plan for the known distribution.

    Measured over 20 seeds: 1.03 to 1.06.
    """
    latency, polls = means([batch(LearnedSchedule(price=price), model, seed, skip=50) for seed in range(SEEDS)])
    known, known_polls = means([batch(BestPlan(model, price), model, seed, skip=50) for seed in range(SEEDS)])
    assert latency + price * polls <= 1.15 * (known + price * known_polls)


@pytest.mark.parametrize("model", TRUTH)
def test_lost_callbacks_are_found_cheaply(model: str) -> None:
    """With 5 % of callbacks lost, ends are detected after 3.5 s on average, with at most 1.5 polls per task.

    Measured over 20 seeds: 3.02 s at 1.27 polls (veo3), 2.42 s at 0.51 polls (fast).
    """
    rows = [batch(LearnedSchedule(callbacks=True), model, seed, lost=0.05) for seed in range(SEEDS)]
    latency, polls = means(rows)
    assert latency <= 3.5
    assert polls <= 1.5


@pytest.mark.parametrize("model", TRUTH)
def test_receiver_that_gets_no_callbacks_is_detected(model: str) -> None:
    """When every callback is lost the schedule falls back to polling within the batch."""
    latency, polls, _ = batch(LearnedSchedule(callbacks=True), model, 1, lost=1.0, skip=200)
    assert latency < 25
    assert polls > 2


def test_budget_is_used_and_kept() -> None:
    """300 tasks at 5 polls per second: no span exceeds the budget, and a fixed interval is beaten."""
    budget = PollBudget(5.0)
    latency, _, polled = batch(LearnedSchedule(budget), "veo3_fast", 3, budget=budget)
    for n in range(len(polled) - 50):
        assert polled[n + 50] - polled[n] >= (51 - 5) / 5.0 - 1e-6
    fixed_budget = PollBudget(5.0)
    fixed, _, _ = batch(FixedInterval(5.0), "veo3_fast", 3, budget=fixed_budget)
    assert latency < 0.7 * fixed
    busy = [now for now in polled if 100 <= now < 150]
    assert len(busy) >= 0.75 * 5 * 50


def test_every_end_is_detected() -> None:
    """FixedInterval task of a batch is seen to end, with at least one poll if there are no callbacks."""
    schedule = LearnedSchedule()
    latency, polls, _ = batch(schedule, "veo3", 5, count=100)
    assert len(schedule) == 0
    assert not math.isnan(latency)
    assert polls >= 1
