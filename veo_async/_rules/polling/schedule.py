"""When to look at which running task: the schedules that the watcher asks.

Theory of operation
-------------------
The watcher keeps a heap of due times. It tells a `PollSchedule` when a task started, when a look found it
still running and when it had ended (found by a look or told by a callback), and asks for the time of the
next look. `next_poll` follows from what was told and from the present belief, and asking changes nothing
that is seen from outside. One asking after each thing told is meant; to ask again when its turn comes,
and to put it back if the answer is later now, looks harmless and is not. The belief wavers, only the
later ones of its answers would count, and early failures go unseen (simulated with 6 % of them, ``veo3``:
latency x polls 94 instead of 80).

`FixedSchedule` (``poll_every=``) looks every so many seconds. Its first look comes at a random moment
between half and one and a half such spans, so that tasks that were started together are not looked at
together for ever; on average that is neither more looks nor more delay than a first look after one span.

`LearnedSchedule` looks when it is worth while. What it believes of completion times is in `hazard`, what to
make of it in `inspection`; here the *price* of a look is set, in seconds of latency, so that all looks
together fit into the budget of B polls per second::

    price = max(0.02 s, (sum over running tasks of sqrt(h / 2) / (0.92 * B)) ** 2)

since at price p a task takes ``sqrt(h / 2) / sqrt(p)`` looks per second. It is reckoned from the gaps
that really are planned (a task takes ``1 / gap`` looks per second, so ``price *= (looks per second /
(0.92 * B)) ** 2``), because then bounds on gaps, exact plans and callbacks are in it too. 0.92, because a
queue that is filled to the brim grows without end. 0.02 s, because nobody sees a fiftieth of a second;
with it a task alone is looked at every two seconds when it is likeliest to end. At most 60 s, so that a
price driven up by a burst comes down in a few steps. The sum is taken over bins of age (a task counts
where it was last seen running), so it costs the same for ten tasks and for a hundred thousand.

Belief, price and plans are refreshed every 2 s. Plans are used when callbacks are at work and when the
price is 0.5 s or more; below that they save few looks and their grid of 1 s begins to show. (Simulated,
300 tasks: at 0.9 s a plan is 4-7 % cheaper than the simple rule, at 0.1 s equal, at 0.05 s 7 % dearer.)

With callbacks a look is a safety net, and is not taken just because the budget would allow it: its price
is at least 1.5 s, which finds the lost ones at 1.3 looks per task (``veo3``) or less. Where nobody has said that
they come, and they are merely heard, it is 0.4 s: a lost one is then found sooner than looks alone would find it
(300 tasks, one callback in ten lost: 0.8 of their p95), at 1.5 s it would be found later (1.5 times). The chance that
a callback is lost starts as Beta(1, 19), one in twenty, and learns: lost is a task that a look found more
than 10 s after its end. It forgets like the hazard does, so a receiver that breaks is noticed.
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
#: With one callback in ten lost, four in a row are by chance once in ten thousand tasks.
MAX_MISSED_CALLBACKS: Final = 4


class PollSchedule(Protocol):
    """What the watcher needs to know. Times are monotonic seconds; unknown tasks raise KeyError."""

    def started(self, task_key: Hashable, task_class: TaskClass, now: float) -> None:
        """A task was accepted at *now*: for one that is re-attached, the earlier moment when it was."""
        ...

    def next_poll(self, task_key: Hashable, now: float) -> float:
        """When to look at it next: perhaps in the past, never before the last look."""
        ...

    def still_running(self, task_key: Hashable, now: float) -> None:
        """A look found it running."""
        ...

    def ended(self, task_key: Hashable, now: float, duration: float | None, via: EndSource = "look") -> None:
        """It has ended, well or not; *duration*: seconds it took, by the server's clock. It is forgotten."""
        ...

    def forget(self, task_key: Hashable) -> None:
        """Nobody wants to know any more."""
        ...

    def eta(self, task_key: Hashable, now: float) -> Eta:
        """How much longer it will run."""
        ...

    def to_state(self) -> dict[str, object]:
        """What was learned, as values that JSON can hold."""
        ...

    def from_state(self, state: Mapping[str, object]) -> int:
        """Take over what `to_state` gave, perhaps another day; returns how many classes were usable."""
        ...


class FixedSchedule(RunningTasks):
    """Looks every *every_s* seconds; the first time at a random moment around that.

    Args:
        every_s: seconds between looks at one task, as the user wished; ValueError unless positive.
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
    """Looks when it is worth while, by what was learned, within a budget.

    Args:
        budget: the polls that all tasks together should stay within.
        callbacks: whether the provider tells us when a task ends, so that looks are a safety net. None believes so
            as soon as a callback was heard, and no longer when `MAX_MISSED_CALLBACKS` in a row were not.
        price: seconds that a look is worth, fixed; None lets the budget set it.
    """

    def __init__(
        self, budget: PollBudget | None = None, *, callbacks: bool | None = False, price: float | None = None
    ) -> None:
        super().__init__()
        self._budget = budget or PollBudget()
        self._callbacks = bool(callbacks)
        self._detects_callbacks = callbacks is None
        self._min_price = MIN_PRICE_CALLBACKS_SEEN_S if callbacks is None else MIN_PRICE_WITH_CALLBACKS_S
        #: Ends in a row that a look had to find.
        self._missed_callbacks = 0
        self._fixed_price = price
        self._lost = 1.0
        self._kept = 19.0
        self.price = price or MIN_PRICE_S

    @property
    def loss_rate(self) -> float:
        """The chance that a task's end has to be found by a look."""
        return self._lost / (self._lost + self._kept) if self._callbacks else 1.0

    def next_poll(self, task_key: Hashable, now: float) -> float:
        task = self._tasks[task_key]
        if now >= self._refresh_at:
            self._refresh(now)
        return task.started_at + self._following(task.group, task.age)

    def to_state(self) -> dict[str, object]:
        return {**super().to_state(), "callbacks": [self._lost, self._kept]}

    def from_state(self, state: Mapping[str, object]) -> int:
        heard = state.get("callbacks")
        if isinstance(heard, list) and len(heard) == 2 and all(type(v) in (int, float) for v in heard):
            lost, kept = heard
            if 0 < lost < math.inf and 0 < kept < math.inf:
                self._lost, self._kept = float(lost), float(kept)
        return super().from_state(state)

    def _following(self, group: TaskGroup, age: float) -> float:
        """The age for the look that comes after one at *age*."""
        if group.gaps is not None:
            following = planned_poll(group.gaps, age)
        else:
            step = math.sqrt(self.price)
            following = group.curve.next_poll(age, step if age else step / 2)
        return clamp(age, following, callbacks=self._callbacks)

    def _note_source(self, via: EndSource, late: float) -> None:
        is_lost = via == "look" and late > LOST_AFTER_S
        self._missed_callbacks = 0 if via == "callback" else self._missed_callbacks + is_lost
        if self._detects_callbacks and (via == "callback" or self._missed_callbacks >= MAX_MISSED_CALLBACKS):
            self._set_callbacks(is_heard=via == "callback")
        if self._callbacks and (is_lost or via == "callback"):
            self._lost = 1.0 + (self._lost - 1.0) * DECAY + is_lost
            self._kept = 19.0 + (self._kept - 19.0) * DECAY + (not is_lost)

    def _set_callbacks(self, *, is_heard: bool) -> None:
        """Callbacks have begun to come, or have ceased; what was known of them before is of another time."""
        if self._callbacks != is_heard:
            self._callbacks, self._lost, self._kept, self._refresh_at = is_heard, 1.0, 19.0, -math.inf

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
        """How often the running tasks will be looked at, by the present price and plans."""
        return sum(
            count / (self._following(group, age) - age)
            for group in self._groups.values()
            for age, count in zip(EDGES, group.running, strict=True)
            if count
        )
