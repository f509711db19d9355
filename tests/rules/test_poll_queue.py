"""Which task is polled next and when: with single events, and with any sequence of events."""

import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.durations import TaskClass
from veo_async._rules.polling.poll_queue import (
    MAX_FIRST_S,
    MAX_GAP_S,
    MAX_GAP_SHARE,
    MAX_GAP_WITH_CALLBACKS_S,
    MIN_GAP_S,
    PollQueue,
)

VEO3 = TaskClass("kie", "veo3")
FAST = TaskClass("kie", "veo3_fast")


def queue(rate: float = 10.0, **options: Any) -> PollQueue[Any]:
    return PollQueue(PollBudget(rate, rate), **options)


def start(polls: PollQueue[Any], count: int, cls: TaskClass = VEO3, now: float = 0.0) -> PollQueue[Any]:
    """Start tasks 0, 1, 2, … at the same moment; return the queue."""
    for key in range(count):
        polls.started(key, cls, now)
    return polls


def known() -> PollQueue[Any]:
    """Return a queue that knows how long tasks take."""
    polls = queue(50.0)
    for number in range(40):
        polls.started(number, VEO3, 0.0)
        polls.ended(number, 400.0, 120.0 + 4 * number)
    return polls


def gap_after(polls: PollQueue[Any], key: Any, now: float) -> float:
    """Return how long after *now*, when a poll found it running, the only task in the queue is due."""
    polls.still_running(key, now)
    polls.take(now)  # refreshes the prices
    return polls.next_at(now) - now


def polls_of_one_task(polls: PollQueue[Any], until: float) -> int:
    """Count the polls of the only task in the queue while it runs."""
    now, count = 0.0, 0
    while (now := polls.next_at(now)) < until:
        if (key := polls.take(now)) is not None:
            polls.still_running(key, now)
            count += 1
    return count


def test_unknown_task_raises_except_in_forget() -> None:
    """Asking about an unknown task is an error; forgetting one is not."""
    polls = queue()
    for method in (polls.still_running, polls.eta):
        with pytest.raises(KeyError):
            method("unknown", 0.0)
    with pytest.raises(KeyError):
        polls.ended("unknown", 0.0, None)
    polls.forget("unknown")


def test_repr_and_length_count_running_tasks() -> None:
    """Ended and forgotten tasks are not counted."""
    polls = start(queue(), 3)
    polls.ended(0, 100.0, None)
    polls.forget(1)
    assert len(polls) == 1
    assert repr(polls) == "<PollQueue running=1 classes=1>"


def test_empty_queue_has_nothing_to_poll() -> None:
    """And will not have anything until a task starts."""
    polls = queue()
    assert polls.take(0.0) is None
    assert polls.next_at(0.0) == math.inf


def test_task_that_was_taken_is_not_taken_again() -> None:
    """Until its poll has found it running."""
    polls = start(queue(), 1)
    due = polls.next_at(0.0)
    assert polls.take(due - 0.1) is None
    assert polls.take(due) == 0
    assert polls.take(due + 1000.0) is None
    polls.still_running(0, due + 1.0)
    assert polls.take(polls.next_at(due + 1.0)) == 0


def test_task_that_starts_twice_counts_once() -> None:
    """A task that is attached again counts from the later event."""
    polls = start(queue(), 1)
    polls.still_running(0, 100.0)
    polls.started(0, FAST, 50.0)
    assert len(polls) == 1
    assert polls.next_at(50.0) >= 50.0 + MIN_GAP_S


def test_task_of_an_earlier_session_is_polled_first() -> None:
    """A task that was accepted ten minutes ago is overdue, even if it is found after those that were just accepted."""
    polls = start(queue(), 3)
    polls.started("old", VEO3, -600.0)
    assert polls.next_at(0.0) == 0.0
    assert polls.take(0.0) == "old"
    assert polls.late_s > 300


def test_task_that_has_most_probably_ended_is_polled_first() -> None:
    """Of two that are due: not the one that was due first."""
    polls = queue()
    polls.started("slow", VEO3, 0.0)
    polls.started("quick", TaskClass("kie", "veo3_lite"), 100.0)
    polls.still_running("slow", 30.0)
    assert polls.take(260.0) == "quick"
    assert polls.take(260.0) == "slow"


def test_no_task_is_forgotten() -> None:
    """Even if others are always more likely to have ended, every task is polled."""
    polls = start(queue(0.5), 5, TaskClass("kie", "veo3", "4k"))
    polled: list[Any] = []
    for second in range(0, 1200, 2):
        if second % 20 == 0:
            polls.started(f"fast {second}", FAST, float(second) - 80.0)
        key = polls.take(float(second))
        if key is not None:
            polled.append(key)
            polls.still_running(key, float(second))
    assert set(range(5)) <= set(polled)


@pytest.mark.parametrize("every_s", [1.0, 30.0, 3600.0])
def test_fixed_interval_is_kept(every_s: float) -> None:
    """From the start and from each poll, whatever was learned."""
    polls = start(queue(every_s=every_s), 1)
    assert polls.next_at(0.0) == every_s
    polls.still_running(0, 41.0)
    assert polls.next_at(41.0) == 41.0 + every_s
    for key in range(1, 20):
        polls.started(key, VEO3, 0.0)
        polls.ended(key, 30.0, 20.0)
    assert gap_after(polls, 0, 75.5) == every_s


def test_task_takes_about_fifteen_polls() -> None:
    """However many the budget allows; twenty while nothing is known of its class."""
    assert 12 <= polls_of_one_task(start(queue(50.0), 1), 190.0) <= 24
    assert 6 <= polls_of_one_task(start(known(), 1), 190.0) <= 15


def polled_before(polls: PollQueue[Any], until: float) -> list[tuple[float, Any]]:
    """Return which task was polled when; all of them are still running."""
    now, polled = 0.0, []
    while (now := polls.next_at(now)) < until:
        if (key := polls.take(now)) is not None:
            polled.append((now, key))
            polls.still_running(key, now)
    return polled


def test_first_tasks_of_an_unknown_class_are_polled_early() -> None:
    """After 2, 4, 8, … seconds, because they may take much less time than assumed; four of them only."""
    polled = polled_before(start(queue(1000.0), 30), 17.0)
    assert {key for _, key in polled} == {0, 1, 2, 3}
    assert [now for now, key in polled if key == 0] == pytest.approx([2, 4, 8, 16], abs=1)
    assert polled_before(start(known(), 30, now=0.0), 17.0) == []


def test_early_polls_of_several_tasks_show_an_end_within_a_quarter_of_their_duration() -> None:
    """They are spread over the ages. If all were polled at the same ages, tasks of 17 s would be found after 32 s."""
    polled = polled_before(start(queue(1000.0), 30), 36.0)
    for duration in range(2, 26):
        assert min(now for now, _ in polled if now >= duration) <= 1.25 * duration, duration


def test_quick_tasks_are_found_soon_although_long_ones_were_assumed() -> None:
    """Once the first have ended early, the others are polled at once."""
    polls, found = start(queue(), 100), 0
    now = 0.0
    while found < 100:
        now = polls.next_at(now)
        if (key := polls.take(now)) is not None:
            if now >= 3.0:
                polls.ended(key, now, 3.0)
                found += 1
            else:
                polls.still_running(key, now)
        else:
            now += 0.1
    assert now < 20


def test_polls_are_denser_while_a_job_waits_for_a_slot() -> None:
    """A late poll is lost throughput then."""
    relaxed, urgent = known(), known()
    urgent.are_slots_short = True
    for polls in (relaxed, urgent):
        start(polls, 1, now=1000.0)
    assert gap_after(urgent, 0, 1190.0) < 0.8 * gap_after(relaxed, 0, 1190.0)


def test_many_tasks_are_polled_less_often() -> None:
    """Their polls have to fit into the budget. Once they have ended, a new task is polled as if it was alone."""
    alone, crowded = start(queue(2.0), 1), start(queue(2.0), 300)
    first = gap_after(alone, 0, 190.0)
    for key in range(300):
        crowded.still_running(key, 190.0)
    crowded.take(190.0)
    assert crowded.next_at(190.0) - 190.0 > 1.5 * first
    for key in range(300):
        crowded.forget(key)
    for polls in (alone, crowded):
        polls.forget(0)
        polls.started("next", FAST, 1500.0)
    assert gap_after(crowded, "next", 1580.0) == pytest.approx(gap_after(alone, "next", 1580.0), rel=0.05)


def test_refused_polls_make_all_polls_rarer() -> None:
    """The budget is smaller then."""
    budget = PollBudget(8.0, 8.0)
    polls: PollQueue[Any] = PollQueue(budget)
    start(polls, 60)
    for key in range(60):
        polls.still_running(key, 180.0)
    polls.take(180.0)
    before = polls.next_at(180.0) - 180.0
    for step in range(3):
        budget.rate_limited(180.0 + 10 * step)
    for key in range(60):
        polls.still_running(key, 210.0)
    polls.take(210.0)
    assert polls.next_at(210.0) - 210.0 > 1.5 * before


def test_callbacks_make_polls_rare() -> None:
    """With callbacks the first poll is late and the next far off, although the budget allows more."""
    polls = start(queue(callbacks=True), 1)
    assert polls.next_at(0.0) > 120 > start(queue(), 1).next_at(0.0)
    assert gap_after(polls, 0, 190.0) > 45


def test_first_callback_makes_polls_rare() -> None:
    """Callbacks were not announced, so until then every end had to be found by a poll."""
    polls = start(queue(callbacks=None), 3)
    before = gap_after(polls, 0, 190.0)
    polls.ended(1, 191.0, 188.0, "callback")
    assert gap_after(polls, 2, 192.0) > before
    polls.forget(0)
    assert polls.next_at(192.0) - 192.0 > 1.5 * before


def test_broken_receiver_is_detected() -> None:
    """When callbacks stop arriving, polls come sooner."""
    polls = start(queue(callbacks=True), 161)
    before = polls.next_at(0.0)
    for key in range(60):
        polls.ended(key, 500.0, 120.0 + key % 10 * 20)
    polls.take(500.0)
    assert polls.next_at(0.0) < before - 20


def test_eta_decreases_with_age_and_with_quick_tasks() -> None:
    """A task that has run for a while is expected sooner; after quick ones, sooner still."""
    polls = start(queue(), 60)
    fresh, later = polls.eta(0, 0.0), polls.eta(0, 100.0)
    assert fresh.p50 == pytest.approx(187, abs=15)
    assert later.p50 < fresh.p50
    for key in range(1, 60):
        polls.ended(key, 120.0, 40.0)
    polls.started("next", VEO3, 130.0)
    assert polls.eta("next", 130.0).p50 < 60


def test_expected_duration_is_known_before_the_start() -> None:
    """A queued job has an estimate: that of a task of its class that starts now."""
    polls = queue()
    expected = polls.expected_duration(VEO3)
    assert 100 < expected.p50 < expected.p90 < 600
    start(polls, 1)
    assert polls.eta(0, 0.0) == expected


def test_mean_duration_is_that_of_the_running_tasks() -> None:
    """Weighted by how many of each class are running; unknown if none is."""
    polls = queue()
    assert polls.mean_duration_s() is None
    start(polls, 3)
    slow = polls.mean_duration_s()
    assert slow is not None
    for key in "abc":
        polls.started(key, FAST, 0.0)
    both = polls.mean_duration_s()
    for key in range(3):
        polls.forget(key)
    quick = polls.mean_duration_s()
    assert both is not None
    assert quick is not None
    assert quick < both < slow
    assert both == pytest.approx((slow + quick) / 2)


def test_learned_durations_are_restored_in_the_next_session() -> None:
    """They survive JSON. Classes of which nothing was learned are not stored."""
    polls = start(queue(), 40)
    polls.expected_duration(FAST)
    for key in range(40):
        polls.ended(key, 100.0, 60.0)
    state = json.loads(json.dumps(polls.to_state()))
    assert [row["class"] for row in state["classes"]] == [list(VEO3)]
    restored = queue()
    assert restored.from_state(state) == 1
    for attached in (polls, restored):
        attached.started("t", VEO3, 200.0)
        attached.take(200.0)
    assert restored.eta("t", 200.0) == pytest.approx(polls.eta("t", 200.0), rel=1e-3)
    assert restored.next_at(200.0) == pytest.approx(polls.next_at(200.0), abs=0.1)
    assert restored.expected_duration(FAST) == queue().expected_duration(FAST)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"version": 99, "classes": []},
        {"version": 2, "classes": "none"},
        {"version": 2, "classes": [None]},
        {"version": 2, "classes": [{"class": ["kie", "veo3"]}]},
        {"version": 2, "classes": [{"class": ["kie", "veo3", 720, "generate"]}]},
        {"version": 2, "classes": [{"class": ["kie", "veo3", "720p", "generate"], "ended": []}]},
    ],
)
def test_state_that_does_not_fit_is_ignored(state: dict[str, object]) -> None:
    """Damaged or unknown state must not cause an error."""
    polls = queue()
    expected = polls.expected_duration(VEO3)
    assert polls.from_state(state) == 0
    assert polls.expected_duration(VEO3) == expected


def test_task_uses_few_bytes() -> None:
    """Ten thousand running tasks take at most 280 bytes each, including the items in the dicts."""
    keys = [f"{n:032x}" for n in range(10_000)]
    polls = queue()
    polls.started("warm up", VEO3, 0.0)
    tracemalloc.start()
    for n, key in enumerate(keys):
        polls.started(key, VEO3, n / 7)
    for key in keys:
        polls.still_running(key, 1500.0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / len(keys) <= 280


class Watching(RuleBasedStateMachine):
    """Any sequence of events that a watcher can report, with each kind of queue."""

    @initialize(kind=st.sampled_from(["learned", "callbacks", "fixed"]), rate=st.sampled_from([0.5, 5.0, 50.0]))
    def open(self, kind: str, rate: float) -> None:
        self.kind = kind
        self.now = 0.0
        self.seen_at: dict[int, float] = {}
        self.started_at: dict[int, float] = {}
        self.taken: set[int] = set()
        self.next = 0
        self.polls = queue(rate, every_s=30.0 if kind == "fixed" else None, callbacks=kind == "callbacks")

    @rule(count=st.integers(1, 40), cls=st.sampled_from([VEO3, FAST]), before=st.floats(0, 900))
    def starts(self, count: int, cls: TaskClass, before: float) -> None:
        for _ in range(count):
            self.polls.started(self.next, cls, self.now - before)
            self.seen_at[self.next] = self.started_at[self.next] = self.now - before
            self.next += 1

    @rule(seconds=st.floats(0, 100), are_slots_short=st.booleans())
    def waits(self, seconds: float, are_slots_short: bool) -> None:
        self.now += seconds
        self.polls.are_slots_short = are_slots_short

    @rule(count=st.integers(1, 30))
    def takes(self, count: int) -> None:
        for _ in range(count):
            key = self.polls.take(self.now)
            if key is None:
                break
            assert key not in self.taken
            assert key in self.seen_at
            assert self.now - self.seen_at[key] >= MIN_GAP_S - 1e-6
            self.taken.add(key)

    @precondition(lambda self: self.seen_at)
    @rule(data=st.data())
    def polls_by_request(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.seen_at)))
        self.polls.remove(key)
        self.taken.add(key)

    @precondition(lambda self: self.taken)
    @rule(share=st.sampled_from([0.2, 1.0]))
    def finds_running(self, share: float) -> None:
        for key in sorted(self.taken)[: max(1, int(share * len(self.taken)))]:
            self.polls.still_running(key, self.now)
            self.seen_at[key] = self.now
            self.taken.discard(key)

    @precondition(lambda self: self.seen_at)
    @rule(data=st.data(), duration=st.none() | st.floats(), via=st.sampled_from(["poll", "callback"]))
    def ends(self, data: st.DataObject, duration: float | None, via: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.seen_at)))
        self.polls.ended(key, self.now, duration, via=via)  # type: ignore[arg-type]
        del self.seen_at[key]
        self.taken.discard(key)

    @precondition(lambda self: self.seen_at)
    @rule(data=st.data())
    def forgets(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.seen_at)))
        self.polls.forget(key)
        del self.seen_at[key]
        self.taken.discard(key)

    @invariant()
    def every_task_is_polled_in_time(self) -> None:
        if not hasattr(self, "polls"):
            return
        assert len(self.polls) == len(self.seen_at)
        waiting = self.seen_at.keys() - self.taken
        for key in sorted(waiting)[::7]:
            eta = self.polls.eta(key, self.now)
            assert 0 <= eta.p50 <= eta.p90 < math.inf
        if not waiting:
            assert self.polls.next_at(self.now) == math.inf
            return
        oldest = max(self.seen_at[key] - self.started_at[key] for key in waiting)
        longest = max(MAX_FIRST_S, MAX_GAP_S, 2 * MAX_GAP_SHARE * oldest)
        if self.kind == "callbacks":
            longest = max(longest, MAX_GAP_WITH_CALLBACKS_S)
        assert (
            self.now <= self.polls.next_at(self.now) <= max(self.now, max(self.seen_at[k] for k in waiting) + longest)
        )


TestWatching = Watching.TestCase
TestWatching.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
