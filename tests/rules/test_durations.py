"""Assumed and learned completion times, and the best moments to poll."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_async._rules.polling.durations import (
    BINS,
    EDGES,
    DurationModel,
    HazardCurve,
    Prior,
    TaskClass,
    bin_of,
    prior_for,
)
from veo_async._rules.polling.plan import (
    AGES,
    MAX_FIRST_S,
    MAX_GAP_S,
    MAX_GAP_WITH_CALLBACKS_S,
    MIN_GAP_S,
    clamp,
    plan_gaps,
    planned_poll,
)

VEO3 = TaskClass("kie", "veo3")
ages = st.floats(0, 20_000)


def quantile(curve: HazardCurve, share: float) -> float:
    """Return the age by which *share* of the tasks have ended, by bisection."""
    low, high = 0.0, 20_000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if curve.survival(middle) > 1 - share else (low, middle)
    return low


@pytest.mark.parametrize(
    ("cls", "low", "high"),
    [
        (VEO3, 120, 301),
        (TaskClass("kie", "veo3_fast"), 50, 190),
        (TaskClass("kie", "veo3_lite"), 40, 175),
        (TaskClass("kie", "unknown"), 60, 370),
        (TaskClass("kie", "veo3", "1080p"), 155, 400),
        (TaskClass("kie", "veo3", "1080p", "upgrade"), 60, 180),
        (TaskClass("kie", "veo3", "4k", "upgrade"), 290, 620),
        (TaskClass("kie", "veo3", "720p", "extend"), 180, 720),
    ],
)
def test_prior_matches_the_documented_times(cls: TaskClass, low: float, high: float) -> None:
    """Before anything is learned, about 80 % of the tasks end between the documented times."""
    curve = DurationModel(prior_for(cls)).curve()
    assert 0.65 <= curve.survival(low) - curve.survival(high) <= 0.85


def test_curve_of_an_empty_model_matches_its_prior() -> None:
    """It has the survival of the prior at every edge of a bin."""
    prior = Prior(190.0, 0.36)
    curve = DurationModel(prior).curve()
    assert prior.survival(0) == curve.survival(0) == 1
    for edge in EDGES[1:]:
        assert curve.survival(edge) == pytest.approx(prior.survival(edge), abs=0.005)


def test_bins_cover_every_age() -> None:
    """Every age has a bin, even a negative one and years after the last edge."""
    assert [bin_of(age) for age in (-1.0, 0.0, 3.9, 4.0, 4.5, 1e9)] == [0, 0, 0, 1, 2, BINS - 1]


def test_observations_outweigh_the_prior() -> None:
    """After forty tasks of about 60 s, half of the next are expected within 60 s, not 190 s."""
    model = DurationModel(prior_for(VEO3))
    rng = random.Random(1)
    for _ in range(40):
        model.observe_ended(0.0, 100.0, 60.0 * math.exp(0.2 * rng.gauss(0, 1)))
    assert quantile(model.curve(), 0.5) == pytest.approx(60, rel=0.12)


def test_running_tasks_are_included() -> None:
    """At the start of a batch only quick tasks have ended; the others count too."""
    observed, blind = DurationModel(prior_for(VEO3)), DurationModel(prior_for(VEO3))
    for model in (observed, blind):
        for _ in range(10):
            model.observe_ended(0.0, 100.0, 80.0)
    for _ in range(90):
        observed.observe_running(0.0, 100.0)
    assert observed.curve().survival(100) == pytest.approx(0.9, abs=0.03)
    assert blind.curve().survival(100) < 0.4


def test_time_at_risk_does_not_depend_on_the_number_of_polls() -> None:
    """Many polls teach the same as one."""
    once, often = DurationModel(prior_for(VEO3)), DurationModel(prior_for(VEO3))
    once.observe_running(0.0, 300.0)
    for second in range(300):
        often.observe_running(second, second + 1.0)
    assert once.to_state()["at_risk"] == pytest.approx(often.to_state()["at_risk"])
    once.observe_running(300.0, 300.0)
    once.observe_running(300.0, 200.0)
    assert sum(once.to_state()["at_risk"]) == pytest.approx(300.0)


def test_drift_is_followed() -> None:
    """When tasks begin to take twice as long, the model has adapted after a hundred of them."""
    model = DurationModel(prior_for(VEO3))
    rng = random.Random(2)
    for median in [100.0] * 200 + [200.0] * 100:
        model.observe_ended(0.0, 999.0, median * math.exp(0.3 * rng.gauss(0, 1)))
    assert quantile(model.curve(), 0.5) == pytest.approx(200, rel=0.15)


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
    assert DurationModel(prior_for(VEO3)).observe_ended(since, polled, duration) == at


def test_many_completions_do_not_overflow() -> None:
    """Ten thousand completions leave the model with a memory of about fifty tasks."""
    model = DurationModel(prior_for(VEO3))
    for _ in range(10_000):
        model.observe_ended(0.0, 100.0, 100.0)
    assert sum(model.to_state()["ended"]) == pytest.approx(49, abs=2)


def test_learned_state_survives_json() -> None:
    """The state is the same after a round trip through text."""
    model, restored = DurationModel(prior_for(VEO3)), DurationModel(prior_for(VEO3))
    for duration in (80.0, 90.0, 400.0):
        model.observe_ended(30.0, 500.0, duration)
    assert restored.from_state(json.loads(json.dumps(model.to_state())))
    assert restored.curve().hazard == pytest.approx(model.curve().hazard)


@pytest.mark.parametrize(
    "damage", [None, [], "x" * BINS, [0.0] * (BINS - 1), [-1.0] * BINS, [math.nan] * BINS, [True] * BINS]
)
def test_damaged_state_is_rejected(damage: object) -> None:
    """State of another version, or with invalid values, is rejected and changes nothing."""
    model = DurationModel(prior_for(VEO3))
    before = model.curve().hazard
    assert not model.from_state({"ended": damage, "at_risk": [1.0] * BINS})
    assert not model.from_state({"ended": [1.0] * BINS, "at_risk": damage})
    assert model.curve().hazard == before


@given(st.lists(st.tuples(ages, ages, st.none() | st.floats()), max_size=30), ages)
def test_eta_is_ordered_and_never_negative(observed: list[tuple[float, float, float | None]], age: float) -> None:
    """For any observations: 0 <= p50 <= p90, finite, and consistent with the curve's survival."""
    model = DurationModel(prior_for(VEO3))
    for since, polled, duration in observed:
        model.observe_ended(since, polled, duration)
    curve = model.curve()
    eta = curve.eta(age)
    assert 0 <= eta.p50 <= eta.p90 < math.inf
    if curve.survival(age) > 1e-9:
        assert curve.survival(age + eta.p50) == pytest.approx(curve.survival(age) / 2, rel=1e-3)


@given(ages, st.floats(0.01, 100))
def test_dense_rule_grows_with_the_step(age: float, step: float) -> None:
    """The next poll is later than the age, and a larger step never makes it earlier."""
    curve = DurationModel(prior_for(VEO3)).curve()
    assert age <= curve.next_poll(age, step) <= curve.next_poll(age, 2 * step) < math.inf


def test_dense_rule_is_the_square_root_law() -> None:
    """If the hazard is h, the gap is sqrt(2 * price / h)."""
    curve = HazardCurve([0.02] * BINS)
    assert curve.next_poll(50.0, math.sqrt(0.5)) - 50.0 == pytest.approx(math.sqrt(2 * 0.5 / 0.02))


def cost_of(gaps: list[float], curve: HazardCurve, price: float, loss_rate: float) -> float:
    """Return the expected cost of a plan from age 0; all its gaps end on `AGES`."""
    at = {age: n for n, age in enumerate(AGES)}
    survival = [curve.survival(age) for age in AGES]
    alive = [0.0]
    for n in range(1, len(AGES)):
        alive.append(alive[-1] + (AGES[n] - AGES[n - 1]) * (survival[n] + survival[n - 1]) / 2)
    cost, i = 0.0, 0
    while i < len(AGES) - 1:
        j = at[min(AGES, key=lambda age, i=i: abs(age - AGES[i] - gaps[i]))]  # type: ignore[misc]
        waiting = (AGES[j] - AGES[i]) * survival[i] - (alive[j] - alive[i])
        cost += loss_rate * waiting + price * (survival[j] + loss_rate * (survival[i] - survival[j]))
        i = j
    return cost


@pytest.mark.parametrize("loss_rate", [1.0, 0.05])
@pytest.mark.parametrize("price", [0.5, 4.0])
def test_plan_is_as_good_as_exhaustive_search(price: float, loss_rate: float) -> None:
    """The hull of lines finds the plan that the quadratic search over all pairs of ages finds."""
    curve = DurationModel(prior_for(VEO3)).curve()
    survival = [curve.survival(age) for age in AGES]
    alive = [0.0]
    for n in range(1, len(AGES)):
        alive.append(alive[-1] + (AGES[n] - AGES[n - 1]) * (survival[n] + survival[n - 1]) / 2)
    best = [0.0] * len(AGES)
    for i in range(len(AGES) - 2, -1, -1):
        s = survival[i]
        best[i] = min(
            loss_rate * ((AGES[j] - AGES[i]) * s - alive[j] + alive[i])
            + price * (survival[j] + loss_rate * (s - survival[j]))
            + best[j]
            for j in range(i + 1, len(AGES))
        )
    assert cost_of(plan_gaps(curve, price, loss_rate), curve, price, loss_rate) == pytest.approx(best[0], rel=1e-6)


def test_plan_polls_later_with_a_higher_price_or_callbacks() -> None:
    """A higher price or reliable callbacks postpone the first poll."""
    curve = DurationModel(prior_for(VEO3)).curve()
    cheap, expensive, helped = plan_gaps(curve, 0.5), plan_gaps(curve, 8.0), plan_gaps(curve, 0.5, 0.05)
    assert cheap[0] < expensive[0]
    assert cheap[0] < helped[0]


def test_plan_covers_any_age() -> None:
    """Ages between the grid points of a plan, and beyond them, have a next poll, too."""
    gaps = plan_gaps(DurationModel(prior_for(VEO3)).curve(), 1.0)
    for age in (0.0, 33.3, AGES[-1], 1e6):
        assert planned_poll(gaps, age) > age


@settings(max_examples=50)
@given(ages, ages, st.booleans())
def test_gaps_stay_within_their_bounds(age: float, next_age: float, callbacks: bool) -> None:
    """Never below 1.5 s, never above the bound for the age."""
    gap = clamp(age, next_age, callbacks=callbacks) - age
    max_gap = MAX_GAP_WITH_CALLBACKS_S if callbacks else MAX_GAP_S if age else MAX_FIRST_S
    assert MIN_GAP_S - 1e-9 <= gap <= max(max_gap, 0.3 * age) + 1e-9
