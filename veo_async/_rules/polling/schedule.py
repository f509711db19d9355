"""When to poll which running task: the schedules that the watcher uses.

Theory of operation
-------------------
The watcher keeps a heap of due times. It notifies a `PollSchedule` when a task started, when a poll found it running
and when it has ended (found by a poll or reported by a callback), and asks for the time of the next poll. `next_poll`
depends on these events and on the current model, and calling it changes nothing visible. It is meant to be called once
after each event. Calling it again when the poll is due, and postponing the poll if the result is later now, seems
harmless but is not: the model fluctuates, only the later results would take effect, and early failures are missed
(simulated with 6 % of them, ``veo3``: latency x polls 94 instead of 80).

`FixedSchedule` (``poll_every=``) polls at a fixed interval. Its first poll is at a random time between half an
interval and one and a half, so that tasks that started together are not polled together forever; on average this means
neither more polls nor more delay than a first poll after one interval.

`LearnedSchedule` polls when it is worthwhile. `durations` models completion times, and `plan` calculates gaps from
them; this module sets the *price* of a poll, in seconds of latency, so that all polls together fit into the budget of
B polls per second::

    price = max(0.02 s, (sum over running tasks of sqrt(h / 2) / (0.92 * B)) ** 2)

because at price p a task takes ``sqrt(h / 2) / sqrt(p)`` polls per second. It is calculated from the planned gaps (a
task takes ``1 / gap`` polls per second, so ``price *= (polls per second / (0.92 * B)) ** 2``), because this includes
the bounds on gaps, exact plans and callbacks. 0.92, because a queue at full load grows without end. 0.02 s, because
users do not notice a fiftieth of a second; with it a single task is polled every two seconds when it is likeliest to
end. At most 60 s, so that a price that a burst drove up recovers within a few steps. The sum is taken over bins of age
(a task counts at the age when it was last seen running), so it costs the same for ten tasks and for a hundred
thousand.

Model, price and plans are refreshed every 2 s. Plans are used with callbacks, and when the price is 0.5 s or more;
below that they save few polls and their grid of 1 s begins to matter. (Simulated, 300 tasks: at 0.9 s a plan is 4-7 %
cheaper than the dense rule, at 0.1 s equal, at 0.05 s 7 % more expensive.)

With callbacks a poll is a safety net and is not made only because the budget allows it: its price is at least 1.5 s,
which finds lost callbacks with at most 1.3 polls per task (``veo3``). If callbacks were not announced, but are
received, the minimum is 0.4 s: a lost one is then found sooner than by polls alone (300 tasks, 10 % of the callbacks
lost: 0.8 of their p95), while at 1.5 s it would be found later (1.5 times). The probability that a callback is lost
starts as Beta(1, 19), 5 %, and is learned: a callback is lost if a poll found the task more than 10 s after its end.
Old observations fade as in `durations`, so a receiver that breaks is detected.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Final, Protocol

from veo_async._rules.rng import Rng

from .budget import PollBudget
from .durations import DECAY, EDGES, Eta, Kind, TaskClass
from .plan import clamp, plan_gaps, planned_poll
from .running_tasks import EndSource, RunningTasks, TaskGroup

__all__ = [
    "EndSource",
    "Eta",
    "FixedSchedule",
    "Kind",
    "LearnedSchedule",
    "PollBudget",
    "PollSchedule",
    "TaskClass",
]

MIN_PRICE_S: Final = 0.02
MAX_PRICE_S: Final = 60.0
MIN_PRICE_WITH_CALLBACKS_S: Final = 1.5
MIN_PRICE_CALLBACKS_SEEN_S: Final = 0.4
SPARSE_FROM_S: Final = 0.5
TARGET_LOAD: Final = 0.92
LOST_AFTER_S: Final = 10.0
#: With 10 % of callbacks lost, four in a row happen by accident once in ten thousand tasks.
MAX_MISSED_CALLBACKS: Final = 4


class PollSchedule(Protocol):
    """The interface that the watcher uses. Times are monotonic seconds; unknown tasks raise KeyError."""

    def started(self, task_key: Hashable, task_class: TaskClass, now: float) -> None:
        """Note that a task was accepted at *now*, which is in the past for a task of an earlier session."""
        ...

    def next_poll(self, task_key: Hashable, now: float) -> float:
        """Return when to poll it next: possibly in the past, never before the last poll."""
        ...

    def still_running(self, task_key: Hashable, now: float) -> None:
        """Note that a poll found it running."""
        ...

    def ended(self, task_key: Hashable, now: float, duration: float | None, via: EndSource = "poll") -> None:
        """Note that it has ended, after *duration* seconds by the server's clock, and forget it."""
        ...

    def forget(self, task_key: Hashable) -> None:
        """Stop scheduling it."""
        ...

    def eta(self, task_key: Hashable, now: float) -> Eta:
        """Return how much longer it will run."""
        ...

    def to_state(self) -> dict[str, object]:
        """Return what was learned, as values that JSON can store."""
        ...

    def from_state(self, state: Mapping[str, object]) -> int:
        """Restore the result of `to_state`, possibly of an earlier session; return how many classes were usable."""
        ...


class FixedSchedule(RunningTasks):
    """Polls every *every_s* seconds; the first time at a random moment around that.

    Args:
        every_s: seconds between polls of one task, set by the user.

    Raises:
        ValueError: *every_s* is not a positive number.
    """

    def __init__(self, every_s: float, rng: Rng) -> None:
        super().__init__()
        if not 0 < every_s < math.inf:
            msg = f"every_s must be a positive number of seconds, not {every_s!r}"
            raise ValueError(msg)
        self._every_s = every_s
        self._rng = rng
        self._first: dict[Hashable, float] = {}

    def started(self, task_key: Hashable, task_class: TaskClass, now: float) -> None:
        super().started(task_key, task_class, now)
        self._first[task_key] = (0.5 + self._rng.random()) * self._every_s

    def next_poll(self, task_key: Hashable, now: float) -> float:
        task = self._tasks[task_key]
        return task.started_at + task.age + self._first.get(task_key, self._every_s)

    def still_running(self, task_key: Hashable, now: float) -> None:
        super().still_running(task_key, now)
        self._first.pop(task_key, None)

    def forget(self, task_key: Hashable) -> None:
        super().forget(task_key)
        self._first.pop(task_key, None)


class LearnedSchedule(RunningTasks):
    """Polls when it is worthwhile, by what was learned, within a budget.

    Args:
        budget: the budget for the polls of all tasks together.
        callbacks: whether the provider reports ended tasks by callback, so that polls are only a safety net. With None
            this is assumed as soon as a callback arrives, and until `MAX_MISSED_CALLBACKS` in a row were missed.
        price: a fixed price of a poll in seconds; None derives it from the budget.
    """

    def __init__(
        self, budget: PollBudget | None = None, *, callbacks: bool | None = False, price: float | None = None
    ) -> None:
        super().__init__()
        self._budget = budget or PollBudget()
        self._callbacks = bool(callbacks)
        self._detects_callbacks = callbacks is None
        self._min_price = MIN_PRICE_CALLBACKS_SEEN_S if callbacks is None else MIN_PRICE_WITH_CALLBACKS_S
        #: Ends in a row that a poll had to find.
        self._missed_callbacks = 0
        self._fixed_price = price
        self._lost = 1.0
        self._kept = 19.0
        self.price = price or MIN_PRICE_S

    @property
    def loss_rate(self) -> float:
        """The probability that a poll has to find a task's end."""
        return self._lost / (self._lost + self._kept) if self._callbacks else 1.0

    def next_poll(self, task_key: Hashable, now: float) -> float:
        task = self._tasks[task_key]
        if now >= self._refresh_at:
            self._refresh(now)
        return task.started_at + self._next_age(task.group, task.age)

    def to_state(self) -> dict[str, object]:
        return {**super().to_state(), "callbacks": [self._lost, self._kept]}

    def from_state(self, state: Mapping[str, object]) -> int:
        counts = state.get("callbacks")
        if isinstance(counts, list) and len(counts) == 2 and all(type(v) in (int, float) for v in counts):
            lost, kept = counts
            if 0 < lost < math.inf and 0 < kept < math.inf:
                self._lost, self._kept = float(lost), float(kept)
        return super().from_state(state)

    def _next_age(self, group: TaskGroup, age: float) -> float:
        """Return the age of the poll after one at *age*."""
        if group.gaps is not None:
            next_age = planned_poll(group.gaps, age)
        else:
            step = math.sqrt(self.price)
            next_age = group.curve.next_poll(age, step if age else step / 2)
        return clamp(age, next_age, callbacks=self._callbacks)

    def _note_source(self, via: EndSource, late: float) -> None:
        is_lost = via == "poll" and late > LOST_AFTER_S
        self._missed_callbacks = 0 if via == "callback" else self._missed_callbacks + is_lost
        if self._detects_callbacks and (via == "callback" or self._missed_callbacks >= MAX_MISSED_CALLBACKS):
            self._set_callbacks(via == "callback")
        if self._callbacks and (is_lost or via == "callback"):
            self._lost = 1.0 + (self._lost - 1.0) * DECAY + is_lost
            self._kept = 19.0 + (self._kept - 19.0) * DECAY + (not is_lost)

    def _set_callbacks(self, are_received: bool) -> None:
        """Note that callbacks begin to arrive, or have stopped; earlier observations of them no longer apply."""
        if self._callbacks != are_received:
            self._callbacks, self._lost, self._kept, self._refresh_at = are_received, 1.0, 19.0, -math.inf

    def _refresh(self, now: float) -> bool:
        if not super()._refresh(now):
            return False
        if self._fixed_price is None:
            load = self._polls_per_s() / (TARGET_LOAD * self._budget.current_rate(now))
            floor = self._min_price if self._callbacks else MIN_PRICE_S
            self.price = min(max(floor, self.price * load * load), MAX_PRICE_S)
        is_sparse = self._callbacks or self.price >= SPARSE_FROM_S
        for group in self._groups.values():
            group.gaps = plan_gaps(group.curve, self.price, self.loss_rate) if is_sparse else None
        return True

    def _polls_per_s(self) -> float:
        """Return how often the running tasks are polled with the current price and plans."""
        return sum(
            count / (self._next_age(group, age) - age)
            for group in self._groups.values()
            for age, count in zip(EDGES, group.running, strict=True)
            if count
        )
