"""When to poll which task: both schedules, with single events and with any sequence of events."""

import json
import math
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from veo_async._rules.polling.plan import MAX_FIRST_S, MAX_GAP_S, MAX_GAP_WITH_CALLBACKS_S, MIN_GAP_S
from veo_async._rules.polling.schedule import (
    MAX_MISSED_CALLBACKS,
    MAX_PRICE_S,
    MIN_PRICE_S,
    MIN_PRICE_WITH_CALLBACKS_S,
    FixedSchedule,
    LearnedSchedule,
    PollBudget,
    PollSchedule,
    TaskClass,
)

VEO3 = TaskClass("kie", "veo3")
FAST = TaskClass("kie", "veo3_fast")


def start(schedule: LearnedSchedule, count: int, cls: TaskClass = VEO3, now: float = 0.0) -> LearnedSchedule:
    """Start tasks 0, 1, 2, … at the same moment; return the schedule."""
    for key in range(count):
        schedule.started(key, cls, now)
    return schedule


def test_both_schedules_implement_the_interface() -> None:
    """The watcher needs to know only one interface."""
    schedules: list[PollSchedule] = [LearnedSchedule(), FixedSchedule(30, random.Random(0))]
    for schedule in schedules:
        schedule.started("t", VEO3, 0.0)
        assert schedule.next_poll("t", 0.0) > 0
        schedule.still_running("t", 60.0)
        assert schedule.next_poll("t", 60.0) > 60
        assert schedule.eta("t", 60.0).p50 > 0
        schedule.ended("t", 90.0, 85.0)
        schedule.forget("t")


@pytest.mark.parametrize("schedule", [LearnedSchedule(), FixedSchedule(30, random.Random(0))])
def test_unknown_task_raises_except_in_forget(schedule: PollSchedule) -> None:
    """Asking about an unknown task is an error; forgetting one is not."""
    for method in (schedule.next_poll, schedule.still_running, schedule.eta):
        with pytest.raises(KeyError):
            method("unknown", 0.0)
    with pytest.raises(KeyError):
        schedule.ended("unknown", 0.0, None)
    schedule.forget("unknown")


def test_repr_and_length_count_running_tasks() -> None:
    """Ended and forgotten tasks are not counted."""
    schedule = start(LearnedSchedule(), 3)
    schedule.ended(0, 100.0, None)
    schedule.forget(1)
    assert len(schedule) == 1
    assert repr(schedule) == "<LearnedSchedule running=1 classes=1>"


def test_task_that_starts_twice_counts_once() -> None:
    """A task that is attached again counts from the later event."""
    schedule = start(LearnedSchedule(), 1)
    schedule.still_running(0, 100.0)
    schedule.started(0, FAST, 50.0)
    assert len(schedule) == 1
    assert schedule.next_poll(0, 100.0) >= 50.0 + MIN_GAP_S


def test_task_of_an_earlier_session_is_due_immediately() -> None:
    """A task that was accepted ten minutes ago is overdue."""
    schedule = LearnedSchedule()
    schedule.started("old", VEO3, -600.0)
    assert schedule.next_poll("old", 0.0) < 0


def test_fixed_schedule_keeps_the_interval() -> None:
    """After the first poll the gap is the configured interval, counted from the poll itself."""
    schedule = FixedSchedule(30.0, random.Random(0))
    schedule.started("t", VEO3, 0.0)
    schedule.still_running("t", 41.0)
    assert schedule.next_poll("t", 41.0) == 71.0
    schedule.still_running("t", 75.5)
    assert schedule.next_poll("t", 75.5) == 105.5


def test_fixed_schedule_spreads_first_polls() -> None:
    """A hundred tasks that start together are first polled between half an interval and one and a half later."""
    schedule = FixedSchedule(30.0, random.Random(3))
    first = []
    for key in range(100):
        schedule.started(key, VEO3, 1000.0)
        first.append(schedule.next_poll(key, 1000.0) - 1000.0)
    assert min(first) < 20
    assert max(first) > 40
    assert all(15 <= gap < 45 for gap in first)
    schedule.forget(0)
    assert not schedule._first.keys() - range(1, 100)


@pytest.mark.parametrize("nonsense", [0, -1.0, math.inf, math.nan])
def test_fixed_interval_must_be_positive(nonsense: float) -> None:
    """An interval of zero would be a busy loop."""
    with pytest.raises(ValueError, match="every_s must be"):
        FixedSchedule(nonsense, random.Random(0))


def test_single_task_is_polled_often() -> None:
    """It has the whole budget: near its likeliest end it is polled every few seconds."""
    schedule = start(LearnedSchedule(), 1)
    schedule.still_running(0, 190.0)
    assert schedule.price == MIN_PRICE_S
    assert 1.5 <= schedule.next_poll(0, 190.0) - 190.0 < 4


def test_many_tasks_share_the_budget() -> None:
    """The price rises with the number of tasks until their polls fit, and falls when they have ended."""
    schedule = start(LearnedSchedule(PollBudget(5.0)), 300)
    now = 0.0
    for now in range(150, 190, 2):
        for key in range(300):
            schedule.still_running(key, float(now))
            schedule.next_poll(key, float(now))
    gaps = [schedule.next_poll(key, float(now)) - now for key in range(300)]
    assert sum(1 / gap for gap in gaps) == pytest.approx(0.92 * 5.0, rel=0.25)
    crowded = schedule.price
    for key in range(1, 300):
        schedule.ended(key, now + 1.0, None)
    for later in range(20):
        schedule.next_poll(0, now + 2.0 * later)
    assert schedule.price == MIN_PRICE_S < crowded


def test_price_has_a_maximum() -> None:
    """If the bounds on gaps alone exceed the budget, the price stops at a value from which it can recover."""
    schedule = start(LearnedSchedule(PollBudget(1.0)), 5000)
    for step in range(30):
        schedule.next_poll(0, 2.0 * step)
    assert schedule.price == MAX_PRICE_S


def test_reduced_budget_raises_the_price() -> None:
    """After a refused poll the schedule plans for the remaining rate."""
    budget = PollBudget(5.0)
    schedule = start(LearnedSchedule(budget), 200)
    for key in range(200):
        schedule.still_running(key, 180.0)
    for step in range(10):
        schedule.next_poll(0, 180.0 + 2 * step)
    before = schedule.price
    for step in range(3):
        budget.rate_limited(200.0 + 10 * step)
    for step in range(10):
        schedule.next_poll(0, 220.0 + 2 * step)
    assert schedule.price > 1.5 * before


def test_new_class_is_planned_immediately() -> None:
    """A class that appears between two refreshes does not wait for the next one."""
    schedule = start(LearnedSchedule(price=4.0), 1)
    schedule.next_poll(0, 0.0)
    schedule.started("fast", FAST, 0.1)
    schedule.next_poll("fast", 0.1)
    assert all(group.gaps is not None for group in schedule._groups.values())


def test_callbacks_make_polls_rare() -> None:
    """With callbacks the first poll is late and the next far off, although the budget allows more."""
    schedule = start(LearnedSchedule(callbacks=True), 1)
    assert schedule.next_poll(0, 0.0) > 150 > start(LearnedSchedule(), 1).next_poll(0, 0.0)
    schedule.still_running(0, 190.0)
    assert schedule.next_poll(0, 190.0) > 190 + 45
    assert schedule.price == MIN_PRICE_WITH_CALLBACKS_S
    assert schedule.loss_rate == pytest.approx(0.05)


def test_broken_receiver_is_detected() -> None:
    """When callbacks stop arriving, polls come sooner; when they arrive again, fewer are made."""
    schedule = start(LearnedSchedule(callbacks=True), 161)
    before = schedule.next_poll(160, 0.0)
    for key in range(60):
        schedule.ended(key, 500.0, 120.0 + key % 10 * 20)
    assert schedule.loss_rate > 0.4
    assert schedule.next_poll(160, 500.0) < before - 30
    for key in range(60, 160):
        schedule.ended(key, 301.0, 120.0 + key % 10 * 20, via="callback")
    assert schedule.loss_rate < 0.15


def test_poll_shortly_after_the_end_is_not_a_lost_callback() -> None:
    """A poll within 10 s of the end proves nothing about callbacks; without callbacks nothing is counted."""
    schedule = start(LearnedSchedule(callbacks=True), 1)
    schedule.ended(0, 205.0, 200.0)
    assert schedule.loss_rate == pytest.approx(0.05)
    plain = start(LearnedSchedule(), 1)
    plain.ended(0, 300.0, 200.0)
    assert plain.loss_rate == 1.0


def test_eta_decreases_with_age_and_with_quick_tasks() -> None:
    """A task that has run for a while is expected sooner; after quick ones, sooner still."""
    schedule = start(LearnedSchedule(), 60)
    fresh, later = schedule.eta(0, 0.0), schedule.eta(0, 100.0)
    assert fresh.p50 == pytest.approx(187, abs=10)
    assert later.p50 < fresh.p50
    for key in range(1, 60):
        schedule.ended(key, 120.0, 40.0)
    schedule.started("next", VEO3, 130.0)
    assert schedule.eta("next", 130.0).p50 < 60


def test_learned_state_is_restored_in_the_next_session() -> None:
    """State survives JSON and gives the next session the same model of tasks and callbacks."""
    schedule = start(LearnedSchedule(callbacks=True), 40)
    for key in range(40):
        schedule.ended(key, 100.0, 60.0)
    restored = LearnedSchedule(callbacks=True)
    assert restored.from_state(json.loads(json.dumps(schedule.to_state()))) == 1
    assert restored.loss_rate == pytest.approx(schedule.loss_rate)
    for attached in (schedule, restored):
        attached.started("t", VEO3, 200.0)
    assert restored.eta("t", 200.0) == pytest.approx(schedule.eta("t", 200.0))
    fixed = FixedSchedule(30.0, random.Random(0))
    assert fixed.from_state(schedule.to_state()) == 1


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"version": 99, "classes": []},
        {"version": 1, "classes": "none"},
        {"version": 1, "classes": [None]},
        {"version": 1, "classes": [{"class": ["kie", "veo3"]}]},
        {"version": 1, "classes": [{"class": ["kie", "veo3", 720, "generate"]}]},
        {"version": 1, "classes": [{"class": ["kie", "veo3", "720p", "generate"], "ended": []}]},
        {"version": 1, "classes": [], "callbacks": [1.0]},
        {"version": 1, "classes": [], "callbacks": [0.0, 19.0]},
        {"version": 1, "classes": [], "callbacks": [1.0, math.nan]},
        {"version": 1, "classes": [], "callbacks": ["1", 2]},
    ],
)
def test_state_that_does_not_fit_is_ignored(state: dict[str, object]) -> None:
    """Damaged or unknown state must not cause an error."""
    schedule = LearnedSchedule(callbacks=True)
    assert schedule.from_state(state) == 0
    assert schedule.loss_rate == pytest.approx(0.05)


def test_task_uses_few_bytes() -> None:
    """Ten thousand running tasks take at most 150 bytes each, including the item in the dict."""
    keys = [f"{n:032x}" for n in range(10_000)]
    schedule = LearnedSchedule(price=1.0)
    schedule.started("warm up", VEO3, 0.0)
    tracemalloc.start()
    for n, key in enumerate(keys):
        schedule.started(key, VEO3, n / 7)
    for key in keys:
        schedule.still_running(key, 1500.0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / len(keys) <= 150


class Watching(RuleBasedStateMachine):
    """Any sequence of events that a watcher can report, for a schedule of either kind."""

    @initialize(
        kind=st.sampled_from(["learned", "callbacks", "priced", "fixed"]),
        budget=st.sampled_from([0.5, 5, 50]),
    )
    def open(self, kind: str, budget: float) -> None:
        self.kind = kind
        self.now = 0.0
        self.polled_at: dict[int, float] = {}
        self.started_at: dict[int, float] = {}
        self.next = 0
        self.schedule: LearnedSchedule | FixedSchedule
        if kind == "fixed":
            self.schedule = FixedSchedule(30.0, random.Random(0))
        else:
            price = 1.0 if kind == "priced" else None
            self.schedule = LearnedSchedule(PollBudget(budget), callbacks=kind == "callbacks", price=price)

    @rule(count=st.integers(1, 40), cls=st.sampled_from([VEO3, FAST]), before=st.floats(0, 900))
    def starts(self, count: int, cls: TaskClass, before: float) -> None:
        for _ in range(count):
            self.schedule.started(self.next, cls, self.now - before)
            self.polled_at[self.next] = self.started_at[self.next] = self.now - before
            self.next += 1

    @rule(seconds=st.floats(0, 100))
    def waits(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.polled_at)
    @rule(share=st.sampled_from([0.2, 1.0]))
    def polls(self, share: float) -> None:
        for key in list(self.polled_at)[: max(1, int(share * len(self.polled_at)))]:
            self.schedule.still_running(key, self.now)
            self.polled_at[key] = self.now

    @precondition(lambda self: self.polled_at)
    @rule(data=st.data(), duration=st.none() | st.floats(), via=st.sampled_from(["poll", "callback"]))
    def ends(self, data: st.DataObject, duration: float | None, via: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.polled_at)))
        self.schedule.ended(key, self.now, duration, via=via)  # type: ignore[arg-type]
        del self.polled_at[key]

    @precondition(lambda self: self.polled_at)
    @rule(data=st.data())
    def forgets(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.polled_at)))
        self.schedule.forget(key)
        del self.polled_at[key]

    @invariant()
    def every_task_is_due_in_time_and_counted_once(self) -> None:
        if not hasattr(self, "schedule"):
            return
        assert len(self.schedule) == len(self.polled_at)
        assert sum(sum(group.running) for group in self.schedule._groups.values()) == len(self.polled_at)
        assert all(count >= 0 for group in self.schedule._groups.values() for count in group.running)
        for key, polled_at in list(self.polled_at.items())[::7]:
            due = self.schedule.next_poll(key, self.now)
            age = polled_at - self.started_at[key]
            max_gap = max(MAX_FIRST_S, MAX_GAP_S, 0.3 * age)
            if self.kind == "callbacks":
                max_gap = max(MAX_GAP_WITH_CALLBACKS_S, max_gap)
            assert MIN_GAP_S - 1e-6 <= due - polled_at <= max_gap + 1e-6
            assert self.schedule.next_poll(key, self.now) == due
            eta = self.schedule.eta(key, self.now)
            assert 0 <= eta.p50 <= eta.p90 < math.inf


TestWatching = Watching.TestCase
TestWatching.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


@given(st.floats(1.5, 1e4), st.integers(0, 2**32))
def test_fixed_first_poll_is_within_half_an_interval(every_s: float, seed: int) -> None:
    """For any interval and any random number."""
    schedule = FixedSchedule(every_s, random.Random(seed))
    schedule.started("t", VEO3, 0.0)
    assert 0.5 * every_s <= schedule.next_poll("t", 0.0) <= 1.5 * every_s


def test_expected_duration_is_known_before_the_start() -> None:
    """A queued job has an estimate: that of a task of its class that starts now."""
    schedule = LearnedSchedule()
    expected = schedule.expected_duration(VEO3)
    assert 100 < expected.p50 < expected.p90 < 600
    start(schedule, 1)
    assert schedule.eta(0, 0.0) == expected


def test_callbacks_are_assumed_from_the_first_until_four_are_missed() -> None:
    """The first one makes polls rare; four ends in a row without one make them frequent again."""
    schedule = start(LearnedSchedule(callbacks=None), 40)
    assert schedule.loss_rate == 1.0
    schedule.ended(0, 60.0, 55.0, "callback")
    assert schedule.loss_rate < 0.1
    for number in range(1, MAX_MISSED_CALLBACKS):
        schedule.ended(number, 100.0, 60.0)
    assert schedule.loss_rate < 1.0
    schedule.ended(10, 110.0, 108.0)  # polled in time, so it proves nothing about callbacks
    assert schedule.loss_rate < 1.0
    schedule.ended(11, 120.0, 60.0)
    assert schedule.loss_rate == 1.0
    schedule.ended(12, 130.0, 125.0, "callback")
    assert schedule.loss_rate < 0.1


def test_callback_resets_the_count_of_missed_ones() -> None:
    """The count starts again with every callback."""
    schedule = start(LearnedSchedule(callbacks=None), 200)
    for number in range(100):
        schedule.ended(number, 100.0, 60.0, "poll" if number % 3 else "callback")
    assert schedule.loss_rate < 1.0


def test_announced_callbacks_are_always_assumed() -> None:
    """If callbacks are configured, missed ones only change the loss rate."""
    schedule = start(LearnedSchedule(callbacks=True), 40)
    for number in range(20):
        schedule.ended(number, 100.0, 60.0)
    assert schedule.loss_rate < 1.0
