"""The tasks that run, and what is learned from watching them: what the poll schedules have in common.

A task's state is three things beside its key: its class's group, when it started, and its age when it was
last seen running. The group counts its running tasks by the bin of that age, so that whoever wants a sum
over all tasks sums over the bins. The curve of a group, which answers questions, is made anew from what
was learned at most every 2 s, since that takes some 40 us and one completion changes little.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Final, Literal

import attrs

from .durations import BINS, DurationModel, Eta, HazardCurve, TaskClass, bin_of, prior_for

REFRESH_S: Final = 2.0
STATE_VERSION: Final = 1

#: How a task's end came to be known.
EndSource = Literal["look", "callback"]


@attrs.define(eq=False)
class TaskGroup:
    """The running tasks of one class, and what is believed of it."""

    learner: DurationModel
    curve: HazardCurve
    running: list[int] = attrs.field(factory=lambda: [0] * BINS)  #: by the bin of their last look
    gaps: list[float] | None = None  #: the exact plan, while one is in use
    is_stale: bool = False  #: something was learned since the curve was made


@attrs.define(eq=False, weakref_slot=False)  # there are many: every eight bytes count
class RunningTask:
    """What is kept of one running task."""

    group: TaskGroup
    started_at: float
    age: float = 0.0  #: at the last look; 0 before the first


class RunningTasks:
    """The running tasks, and what is learned from them: what both schedules share."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, RunningTask] = {}
        self._groups: dict[TaskClass, TaskGroup] = {}
        self._refresh_at = -math.inf

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} running={len(self._tasks)} classes={len(self._groups)}>"

    def started(self, task_key: Hashable, cls: TaskClass, now: float) -> None:
        self.forget(task_key)
        group = self._group(cls)
        group.running[0] += 1
        self._tasks[task_key] = RunningTask(group, now)

    def still_running(self, task_key: Hashable, now: float) -> None:
        task = self._tasks[task_key]
        group, age = task.group, now - task.started_at
        if age <= task.age:
            return
        group.learner.observe_running(task.age, age)
        group.running[bin_of(task.age)] -= 1
        group.running[bin_of(age)] += 1
        group.is_stale = True
        task.age = age

    def ended(self, task_key: Hashable, now: float, duration: float | None, via: EndSource = "look") -> None:
        task = self._tasks[task_key]
        found = now - task.started_at
        at = task.group.learner.observe_ended(task.age, found, duration)
        task.group.is_stale = True
        self._note_source(via, found - at)
        self.forget(task_key)

    def forget(self, task_key: Hashable) -> None:
        task = self._tasks.pop(task_key, None)
        if task is not None:
            task.group.running[bin_of(task.age)] -= 1

    def eta(self, task_key: Hashable, now: float) -> Eta:
        task = self._tasks[task_key]
        self._refresh(now)
        return task.group.curve.eta(max(task.age, now - task.started_at))

    def expected_duration(self, cls: TaskClass) -> Eta:
        """How long a task of this class will run that begins now."""
        return self._group(cls).curve.eta(0.0)

    def to_state(self) -> dict[str, object]:
        """What was learned, as values that JSON can hold."""
        classes = [{"class": list(cls), **group.learner.to_state()} for cls, group in self._groups.items()]
        return {"version": STATE_VERSION, "classes": classes}

    def from_state(self, state: Mapping[str, object]) -> int:
        """Take over what `to_state` gave, perhaps another day; returns how many classes were usable.

        What does not fit (another version, damage) is left out: it is experience, not truth.
        """
        classes = state.get("classes")
        if state.get("version") != STATE_VERSION or not isinstance(classes, list):
            return 0
        return sum(self._restore(row) for row in classes)

    def _restore(self, row: object) -> bool:
        words = row.get("class") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(words, list) or len(words) != len(TaskClass._fields):
            return False
        if not all(isinstance(word, str) for word in words):
            return False
        group = self._group(TaskClass(*words))
        group.is_stale = True
        return group.learner.from_state(row)

    def _group(self, cls: TaskClass) -> TaskGroup:
        group = self._groups.get(cls)
        if group is None:
            learner = DurationModel(prior_for(cls))
            group = self._groups[cls] = TaskGroup(learner, learner.curve())
            self._refresh_at = -math.inf
        return group

    def _note_source(self, via: EndSource, late: float) -> None:
        """A task's end came to be known, *late* seconds after it: for schedules that learn from this too."""

    def _refresh(self, now: float) -> bool:
        """Bring belief up to date; whether that was due."""
        if now < self._refresh_at:
            return False
        self._refresh_at = now + REFRESH_S
        for group in self._groups.values():
            if group.is_stale:
                group.curve = group.learner.curve()
                group.is_stale = False
        return True
