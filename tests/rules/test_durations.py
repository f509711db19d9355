"""What is believed and learned of completion times, and the best moments to look."""

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
    """The age by which *share* of the tasks have ended, by bisection."""
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
        (TaskClass("kie", "of tomorrow"), 60, 370),
        (TaskClass("kie", "veo3", "1080p"), 155, 400),
        (TaskClass("kie", "veo3", "1080p", "upgrade"), 60, 180),
        (TaskClass("kie", "veo3", "4k", "upgrade"), 290, 620),
        (TaskClass("kie", "veo3", "720p", "extend"), 180, 720),
    ],
)
def test_priors_put_the_middle_where_the_documents_do(cls: TaskClass, low: float, high: float) -> None:
    """Before anything is learned, about 80 % of the tasks end between the documented times."""
    curve = DurationModel(prior_for(cls)).curve()
    assert 0.65 <= curve.survival(low) - curve.survival(high) <= 0.85


def test_a_prior_says_what_it_was_made_of() -> None:
    """The curve of an empty learner has the survival of its prior, at every edge of a bin."""
    prior = Prior(190.0, 0.36)
    curve = DurationModel(prior).curve()
    assert prior.survival(0) == curve.survival(0) == 1
    for edge in EDGES[1:]:
        assert curve.survival(edge) == pytest.approx(prior.survival(edge), abs=0.005)


def test_bins_cover_every_age() -> None:
    """Every age has a bin, also nonsense before 0 and years after the last edge."""
    assert [bin_of(age) for age in (-1.0, 0.0, 3.9, 4.0, 4.5, 1e9)] == [0, 0, 0, 1, 2, BINS - 1]


def test_what_is_learned_outweighs_the_prior() -> None:
    """After forty tasks of about 60 s, half of the next are expected around 60 s, not 190 s."""
    learner = DurationModel(prior_for(VEO3))
    rng = random.Random(1)
    for _ in range(40):
        learner.observe_ended(0.0, 100.0, 60.0 * math.exp(0.2 * rng.gauss(0, 1)))
    assert quantile(learner.curve(), 0.5) == pytest.approx(60, rel=0.12)


def test_running_tasks_count_as_running() -> None:
    """At the start of a batch only quick tasks have ended; the others are not forgotten over them."""
    seen, blind = DurationModel(prior_for(VEO3)), DurationModel(prior_for(VEO3))
    for learner in (seen, blind):
        for _ in range(10):
            learner.observe_ended(0.0, 100.0, 80.0)
    for _ in range(90):
        seen.observe_running(0.0, 100.0)
    assert seen.curve().survival(100) == pytest.approx(0.9, abs=0.03)
    assert blind.curve().survival(100) < 0.4


def test_exposure_is_the_same_in_one_piece_or_many() -> None:
    """Looking often teaches the same as looking once."""
    once, often = DurationModel(prior_for(VEO3)), DurationModel(prior_for(VEO3))
    once.observe_running(0.0, 300.0)
    for second in range(300):
        often.observe_running(second, second + 1.0)
    assert once.to_state()["at_risk"] == pytest.approx(often.to_state()["at_risk"])
    once.observe_running(300.0, 300.0)
    once.observe_running(300.0, 200.0)
    assert sum(once.to_state()["at_risk"]) == pytest.approx(300.0)


def test_a_drift_is_followed() -> None:
    """When tasks begin to take twice as long, the belief has moved after a hundred of them."""
    learner = DurationModel(prior_for(VEO3))
    rng = random.Random(2)
    for median in [100.0] * 200 + [200.0] * 100:
        learner.observe_ended(0.0, 999.0, median * math.exp(0.3 * rng.gauss(0, 1)))
    assert quantile(learner.curve(), 0.5) == pytest.approx(200, rel=0.15)


@pytest.mark.parametrize(
    ("since", "found", "duration", "at"),
    [
        (60.0, 90.0, 80.0, 80.0),
        (60.0, 90.0, None, 75.0),
        (60.0, 90.0, 500.0, 90.0),
        (60.0, 90.0, -5.0, 60.0),
        (60.0, 90.0, math.nan, 75.0),
        (60.0, 50.0, 55.0, 60.0),
    ],
)
def test_a_duration_is_trusted_between_the_two_looks(
    since: float, found: float, duration: float | None, at: float
) -> None:
    """No clock, however wrong, moves an end out of the span in which it must have happened."""
    assert DurationModel(prior_for(VEO3)).observe_ended(since, found, duration) == at


def test_a_long_life_does_not_overflow() -> None:
    """Ten thousand completions leave the learner with about fifty tasks' worth of memory."""
    learner = DurationModel(prior_for(VEO3))
    for _ in range(10_000):
        learner.observe_ended(0.0, 100.0, 100.0)
    assert sum(learner.to_state()["ended"]) == pytest.approx(49, abs=2)


def test_learned_state_survives_json() -> None:
    """What was learned comes back from text as it went."""
    learner, restored = DurationModel(prior_for(VEO3)), DurationModel(prior_for(VEO3))
    for duration in (80.0, 90.0, 400.0):
        learner.observe_ended(30.0, 500.0, duration)
    assert restored.from_state(json.loads(json.dumps(learner.to_state())))
    assert restored.curve().hazard == pytest.approx(learner.curve().hazard)


@pytest.mark.parametrize(
    "damage", [None, [], "x" * BINS, [0.0] * (BINS - 1), [-1.0] * BINS, [math.nan] * BINS, [True] * BINS]
)
def test_damaged_state_is_left_out(damage: object) -> None:
    """State of another version or with nonsense in it is refused and changes nothing."""
    learner = DurationModel(prior_for(VEO3))
    before = learner.curve().hazard
    assert not learner.from_state({"ended": damage, "at_risk": [1.0] * BINS})
    assert not learner.from_state({"ended": [1.0] * BINS, "at_risk": damage})
    assert learner.curve().hazard == before


@given(st.lists(st.tuples(ages, ages, st.none() | st.floats()), max_size=30), ages)
def test_the_eta_is_ordered_and_never_negative(seen: list[tuple[float, float, float | None]], age: float) -> None:
    """Whatever was learned: 0 <= p50 <= p90, finite, and true to the curve's survival."""
    learner = DurationModel(prior_for(VEO3))
    for since, found, duration in seen:
        learner.observe_ended(since, found, duration)
    curve = learner.curve()
    eta = curve.eta(age)
    assert 0 <= eta.p50 <= eta.p90 < math.inf
    if curve.survival(age) > 1e-9:
        assert curve.survival(age + eta.p50) == pytest.approx(curve.survival(age) / 2, rel=1e-3)


@given(ages, st.floats(0.01, 100))
def test_the_dense_rule_spends_the_same_step_everywhere(age: float, step: float) -> None:
    """The next look lies later, and a larger step never makes it earlier."""
    curve = DurationModel(prior_for(VEO3)).curve()
    assert age <= curve.next_poll(age, step) <= curve.next_poll(age, 2 * step) < math.inf


def test_the_dense_rule_is_the_square_root_law() -> None:
    """Where the hazard is h, the gap is sqrt(2 * price / h)."""
    curve = HazardCurve([0.02] * BINS)
    assert curve.next_poll(50.0, math.sqrt(0.5)) - 50.0 == pytest.approx(math.sqrt(2 * 0.5 / 0.02))


def cost_of(gaps: list[float], curve: HazardCurve, price: float, eps: float) -> float:
    """Expected cost of a plan, walked from age 0; the plan's gaps all end on `AGES`."""
    at = {age: n for n, age in enumerate(AGES)}
    survival = [curve.survival(age) for age in AGES]
    alive = [0.0]
    for n in range(1, len(AGES)):
        alive.append(alive[-1] + (AGES[n] - AGES[n - 1]) * (survival[n] + survival[n - 1]) / 2)
    cost, i = 0.0, 0
    while i < len(AGES) - 1:
        j = at[min(AGES, key=lambda age, i=i: abs(age - AGES[i] - gaps[i]))]  # type: ignore[misc]
        waiting = (AGES[j] - AGES[i]) * survival[i] - (alive[j] - alive[i])
        cost += eps * waiting + price * (survival[j] + eps * (survival[i] - survival[j]))
        i = j
    return cost


@pytest.mark.parametrize("eps", [1.0, 0.05])
@pytest.mark.parametrize("price", [0.5, 4.0])
def test_the_plan_is_as_good_as_trying_everything(price: float, eps: float) -> None:
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
            eps * ((AGES[j] - AGES[i]) * s - alive[j] + alive[i])
            + price * (survival[j] + eps * (s - survival[j]))
            + best[j]
            for j in range(i + 1, len(AGES))
        )
    assert cost_of(plan_gaps(curve, price, eps), curve, price, eps) == pytest.approx(best[0], rel=1e-6)


def test_plans_look_less_when_looks_are_dear_or_callbacks_help() -> None:
    """A higher price or a trusted callback puts the first look off."""
    curve = DurationModel(prior_for(VEO3)).curve()
    cheap, dear, helped = plan_gaps(curve, 0.5), plan_gaps(curve, 8.0), plan_gaps(curve, 0.5, 0.05)
    assert cheap[0] < dear[0]
    assert cheap[0] < helped[0]


def test_a_plan_answers_for_any_age() -> None:
    """Between the ages of a plan and beyond them there is an answer, too."""
    gaps = plan_gaps(DurationModel(prior_for(VEO3)).curve(), 1.0)
    for age in (0.0, 33.3, AGES[-1], 1e6):
        assert planned_poll(gaps, age) > age


@settings(max_examples=50)
@given(ages, ages, st.booleans())
def test_gaps_stay_within_their_bounds(age: float, following: float, callbacks: bool) -> None:
    """Never within 1.5 s, never beyond the bound for the age."""
    gap = clamp(age, following, callbacks=callbacks) - age
    longest = MAX_GAP_WITH_CALLBACKS_S if callbacks else MAX_GAP_S if age else MAX_FIRST_S
    assert MIN_GAP_S - 1e-9 <= gap <= max(longest, 0.3 * age) + 1e-9
