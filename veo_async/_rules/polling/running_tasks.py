"""The running tasks, and what is learned from polling them: the common part of the poll schedules.

The state of a task is its class's group, when it started, and its age when it was last seen running. A group counts
its running tasks by the bin of that age, so that a sum over all tasks is a sum over the bins. The curve of a group is
recalculated from what was learned at most every 2 s, because that takes about 40 us and one completion changes little.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Final, Literal

import attrs

from .durations import BINS, DurationModel, Eta, HazardCurve, TaskClass, bin_of, prior_for

REFRESH_S: Final = 2.0
STATE_VERSION: Final = 1

#: How the end of a task was detected.
EndSource = Literal["poll", "callback"]


@attrs.define(eq=False)
class TaskGroup:
    """The running tasks of one class, and what is known about the class."""

    learner: DurationModel
    curve: HazardCurve
    running: list[int] = attrs.field(factory=lambda: [0] * BINS)  #: by the bin of their last poll
    gaps: list[float] | None = None  #: the exact plan, while one is used
    is_stale: bool = False  #: something was learned since the curve was calculated


@attrs.define(eq=False, weakref_slot=False)  # there are many, so every eight bytes count
class RunningTask:
    """The state of one running task."""

    group: TaskGroup
    started_at: float
    age: float = 0.0  #: at the last poll; 0 before the first


class RunningTasks:
    """The running tasks and what is learned from them. Both schedules inherit this."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, RunningTask] = {}
        self._groups: dict[TaskClass, TaskGroup] = {}
        self._refresh_at = -math.inf

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} running={len(self._tasks)} classes={len(self._groups)}>"

    def started(self, task_key: Hashable, task_class: TaskClass, now: float) -> None:
        self.forget(task_key)
        group = self._group(task_class)
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

    def ended(self, task_key: Hashable, now: float, duration: float | None, via: EndSource = "poll") -> None:
        task = self._tasks[task_key]
        polled = now - task.started_at
        at = task.group.learner.observe_ended(task.age, polled, duration)
        task.group.is_stale = True
        self._note_source(via, polled - at)
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
        """Return how long a task of this class runs if it starts now."""
        return self._group(cls).curve.eta(0.0)

    def to_state(self) -> dict[str, object]:
        """Return what was learned, as values that JSON can store."""
        classes = [{"class": list(cls), **group.learner.to_state()} for cls, group in self._groups.items()]
        return {"version": STATE_VERSION, "classes": classes}

    def from_state(self, state: Mapping[str, object]) -> int:
        """Restore the result of `to_state`, possibly of an earlier session; return how many classes were usable.

        Anything that does not fit (another version, damage) is ignored.
        """
        classes = state.get("classes")
        if state.get("version") != STATE_VERSION or not isinstance(classes, list):
            return 0
        return sum(self._restore(row) for row in classes)

    def _restore(self, row: object) -> bool:
        fields = row.get("class") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(fields, list) or len(fields) != len(TaskClass._fields):
            return False
        if not all(isinstance(field, str) for field in fields):
            return False
        group = self._group(TaskClass(*fields))
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
        """Note that a task's end was detected *late* seconds after it. Schedules that learn from it override this."""

    def _refresh(self, now: float) -> bool:
        """Recalculate the curves if that is due; return whether it was."""
        if now < self._refresh_at:
            return False
        self._refresh_at = now + REFRESH_S
        for group in self._groups.values():
            if group.is_stale:
                group.curve = group.learner.curve()
                group.is_stale = False
        return True
