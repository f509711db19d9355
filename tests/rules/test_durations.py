"""Assumed and learned completion times, and when a poll is worth its price."""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._rules.polling.durations import EDGES, DurationTable, TaskClass, band_of, prior_for

BANDS = len(EDGES)
VEO3 = TaskClass("kie", "veo3")
ages = st.floats(0, 20_000)


def table(cls: TaskClass = VEO3) -> DurationTable:
    return DurationTable(prior_for(cls))


def share_after(known: DurationTable, age: float) -> float:
    """Return the share of tasks that take longer than *age*."""
    return math.exp(-known.hazard_sum(age))


@pytest.mark.parametrize(
    ("cls", "low", "high"),
    [
        (VEO3, 120, 301),
        (TaskClass("kie", "veo3_fast"), 50, 190),
        (TaskClass("kie", "veo3_lite"), 40, 175),
        (TaskClass("kie", "unknown"), 60, 370),
        (TaskClass("kie", "veo3", "1080p"), 155, 400),
        (TaskClass("kie", "", "1080p", "upgrade"), 60, 180),
        (TaskClass("kie", "", "4k", "upgrade"), 290, 620),
        (TaskClass("kie", "fast", "720p", "extend"), 180, 720),
    ],
)
def test_prior_covers_the_documented_times(cls: TaskClass, low: float, high: float) -> None:
    """Before anything is learned, most tasks are expected between the documented times, and some on either side.

    The documented spans are taken as the middle 80 %; the prior allows for an error of its median, so it is wider.
    """
    known = table(cls)
    assert 0.5 <= share_after(known, low) - share_after(known, high) <= 0.85


def test_bands_cover_every_age() -> None:
    """Every age has a band, even a negative one and years after the last edge."""
    assert [band_of(age) for age in (-1.0, 0.0, 3.9, 4.0, 4.7, 1e9)] == [0, 0, 0, 1, 2, BANDS - 1]


def test_observations_outweigh_the_prior() -> None:
    """After forty tasks of about 60 s, half of the next are expected within 60 s, not 190 s."""
    known = table()
    rng = random.Random(1)
    for _ in range(40):
        known.observe_ended(0.0, 100.0, 60.0 * math.exp(0.2 * rng.gauss(0, 1)))
    known.refresh()
    assert known.eta(0.0).p50 == pytest.approx(60, rel=0.12)
    assert known.mean_s < 100


def test_running_tasks_are_included() -> None:
    """At the start of a batch only quick tasks have ended; the others count too."""
    observed, blind = table(), table()
    for known in (observed, blind):
        for _ in range(10):
            known.observe_ended(0.0, 100.0, 80.0)
    for _ in range(90):
        observed.observe_running(0.0, 100.0)
    for known in (observed, blind):
        known.refresh()
    assert share_after(observed, 100) == pytest.approx(0.9, abs=0.05)
    assert share_after(blind, 100) < 0.5


def at_risk(known: DurationTable) -> Any:
    return known.to_state()["at_risk"]


def test_time_at_risk_does_not_depend_on_the_number_of_polls() -> None:
    """Many polls teach the same as one; a poll at the same age teaches nothing."""
    once, often = table(), table()
    once.observe_running(0.0, 300.0)
    for second in range(300):
        often.observe_running(second, second + 1.0)
    assert at_risk(once) == pytest.approx(at_risk(often), abs=0.002)
    once.observe_running(300.0, 300.0)
    assert sum(at_risk(once)) == pytest.approx(300.0, abs=0.1)


def test_drift_is_followed() -> None:
    """When tasks begin to take twice as long, the table has adapted after a hundred of them."""
    known = table()
    rng = random.Random(2)
    for median in [100.0] * 200 + [200.0] * 100:
        known.observe_ended(0.0, 999.0, median * math.exp(0.3 * rng.gauss(0, 1)))
    known.refresh()
    assert known.eta(0.0).p50 == pytest.approx(200, rel=0.15)


@pytest.mark.parametrize(
    ("since", "polled", "duration", "at"),
    [
        (60.0, 90.0, 80.0, 80.0),
        (60.0, 90.0, None, 75.0),
        (60.0, 90.0, 500.0, 90.0),
        (60.0, 90.0, -5.0, 60.0),
        (60.0, 90.0, math.nan, 75.0),
        (60.0, 50.0, 55.0, 60.0),
    ],
)
def test_duration_is_trusted_only_between_two_polls(
    since: float, polled: float, duration: float | None, at: float
) -> None:
    """A wrong clock cannot move an end out of the span in which it must have happened."""
    assert table().observe_ended(since, polled, duration) == at


def test_many_completions_do_not_overflow() -> None:
    """Forty thousand completions leave a memory of about fifty tasks, and every band a usable hazard."""
    known = table()
    for _ in range(40_000):
        known.observe_ended(0.0, 100.0, 100.0)
    known.refresh()
    ended: Any = known.to_state()["ended"]
    assert sum(ended) == pytest.approx(50, abs=2)
    assert 0 < known.mean_s < 200
    assert known.poll_after(1000.0, 1.0, 60.0) > 0


def test_learned_state_survives_json() -> None:
    """The next session continues with the same table."""
    known, restored = table(), table()
    for duration in (80.0, 90.0, 400.0):
        known.observe_ended(30.0, 500.0, duration)
    known.refresh()
    assert restored.from_state(json.loads(json.dumps(known.to_state())))
    assert restored.ends == 3
    assert restored.eta(50.0) == pytest.approx(known.eta(50.0), rel=1e-3)


@pytest.mark.parametrize(
    "damage", [None, [], "x" * BANDS, [0.0] * (BANDS - 1), [-1.0] * BANDS, [math.nan] * BANDS, [True] * BANDS]
)
def test_damaged_state_is_rejected(damage: object) -> None:
    """State of another version, or with invalid values, is rejected and changes nothing."""
    known = table()
    before = known.eta(0.0)
    good = [1.0] * BANDS
    assert not known.from_state({"ends": 1, "ended": damage, "at_risk": good})
    assert not known.from_state({"ends": 1, "ended": good, "at_risk": damage})
    assert not known.from_state({"ends": damage, "ended": good, "at_risk": good})
    assert not known.from_state({"ends": -1, "ended": good, "at_risk": good})
    assert known.eta(0.0) == before
    assert known.ends == 0


@given(st.lists(st.tuples(ages, ages, st.none() | st.floats()), max_size=30), ages)
def test_eta_is_ordered_and_never_negative(observed: list[tuple[float, float, float | None]], age: float) -> None:
    """For any observations: 0 <= p50 <= p90, finite, and consistent with the share of tasks that still run."""
    known = table()
    for since, polled, duration in observed:
        known.observe_ended(since, polled, duration)
    known.refresh()
    eta = known.eta(age)
    assert 0 <= eta.p50 <= eta.p90 < math.inf
    assert known.hazard_sum(age + eta.p50) - known.hazard_sum(age) == pytest.approx(math.log(2), rel=1e-6)


@given(ages, st.floats(0.01, 100))
def test_higher_price_never_makes_a_poll_earlier(age: float, price: float) -> None:
    """The next poll is later than the age, and no later than the bound."""
    known = table()
    assert 0 <= known.poll_after(age, price, 600.0) <= known.poll_after(age, 2 * price, 600.0) <= 600.0


@pytest.mark.parametrize(("age", "price"), [(0.0, 0.5), (100.0, 0.5), (190.0, 0.1), (190.0, 2.0), (400.0, 1.0)])
def test_poll_comes_when_the_latency_reaches_the_price(age: float, price: float) -> None:
    """The latency that has built up, per poll that would find nothing, integrated in small steps."""
    known = table()
    gap = known.poll_after(age, price, 600.0)
    step = gap / 4000
    running = [share_after(known, age + step * (n + 0.5)) for n in range(4000)]
    built_up = sum(running) * step / share_after(known, age + gap) - gap
    assert built_up == pytest.approx(price, rel=0.15)


def test_first_poll_of_a_task_is_late_and_then_they_are_dense() -> None:
    """Few tasks end early; around the median many do."""
    known = table()
    assert known.poll_after(0.0, 1.0, 600.0) > 50
    assert known.poll_after(190.0, 1.0, 600.0) < 20
