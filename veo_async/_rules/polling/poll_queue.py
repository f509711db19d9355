"""Which running task is polled next, and when.

Theory of operation
-------------------
A poll is worth most where a task has probably ended. `DurationTable` says how probable that is at any age; this module
sets the *price* of a poll, in seconds of latency, and gives each poll to the task that needs it most::

    price = max(0.02 s, (polls at a price of 1 s / (15 - 1)) ** 2, load)
    load = (polls per second that all tasks take at a price of 1 s / polls per second of the budget) ** 2, at most 1 s

At the price in the middle a task takes 15 polls, one of which finds its end: a fair use of someone else's server. It
may take 20 until eight tasks of its class have ended, because then its table is wider than the truth. `load` is the
price at which the polls of all tasks, spread evenly over their lives, just fit the budget. It falls slowly, over the
longest mean duration. While a job waits for a slot, a late poll is lost throughput: then 21 polls, and no load.

* Tasks of one class that were last seen running in one band of age form a group, in the order in which they were seen.
  The tasks that were not polled yet form another group, in the order in which they started.
* All tasks of a group are due equally long after they were last seen: when the latency that has built up, per poll that
  would find nothing, reaches the price. At least after 1.5 s; at most after 60 s, or 30 % of the age.
* Whenever a poll may begin, it goes to the first task of a group, among those that are due, that has most probably
  ended. Every 1000 s that it was not polled count as much as one sure end, so that none is forgotten.

The first four tasks of a class of which little is known, the scouts, are polled after 2, 4, 8, … seconds as well: if
tasks take much less time than assumed, the others need not wait for their late first poll. Each scout is polled a
quarter of a step later than the one before, so one of them shows the end of equally long tasks within about a quarter
of their duration.

Nothing is reserved in advance, so a poll is decided with all that is known when it begins. A poll takes as many steps
as there are groups, however many tasks there are.

With callbacks (`CallbackShare`) a poll is a safety net: its price is higher, and is divided by the share of ends that a
poll has to find.

With a fixed interval (``poll_every=``) all tasks are due after that interval, and the rest is the same.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs

from .budget import PollBudget
from .callbacks import CallbackShare, EndSource
from .durations import EDGES, DurationTable, Eta, TaskClass, band_of, prior_for

K = TypeVar("K", bound=Hashable)

MIN_PRICE_S: Final = 0.02
MAX_LOAD_S: Final = 1.0
POLLS_PER_TASK: Final = 15.0
POLLS_PER_UNKNOWN_TASK: Final = 20.0
POLLS_PER_TASK_WITHOUT_SLOTS: Final = 21.0
#: The number of ends after which a class is known.
_KNOWN_AFTER: Final = 8
#: How many tasks of an unknown class are polled early, and when first.
_SCOUTS: Final = 4
_SCOUT_FIRST_S: Final = 2.0
MIN_GAP_S: Final = 1.5
MAX_GAP_S: Final = 60.0
MAX_GAP_SHARE: Final = 0.3
MAX_FIRST_S: Final = 240.0
MAX_GAP_WITH_CALLBACKS_S: Final = 600.0
_SURE_AFTER_S: Final = 1000.0
REFRESH_S: Final = 2.0
STATE_VERSION: Final = 2
#: The band of the tasks that were not polled yet.
_NOT_POLLED: Final = -1


@attrs.define(eq=False)
class _Class:
    """The running tasks of one class."""

    table: DurationTable
    price: float
    running: int = 0
    #: How many tasks were polled early.
    scouts: int = 0
    #: By band and scout number.
    groups: "dict[tuple[int, int], _Group]" = attrs.field(factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether enough of its tasks have ended."""
        return self.table.ends >= _KNOWN_AFTER


@attrs.define(eq=False)
class _Group:
    """The tasks of one class that were last seen in one band, each with the moment when it was seen."""

    of: _Class
    band: int
    #: Counts the tasks that are polled early from 1; 0 for the others, which are together in one group.
    scout: int
    tasks: "OrderedDict[Any, float]" = attrs.field(factory=OrderedDict)
    #: How long after they were seen its tasks are due; None until it is computed.
    gap_s: float | None = None
    #: When its first task is due.
    due: float = math.inf

    @property
    def age(self) -> float:
        """The age at which its tasks were seen, on average."""
        if self.band == _NOT_POLLED:
            return 0.0
        low = EDGES[self.band]
        return (low + EDGES[self.band + 1]) / 2 if self.band + 1 < len(EDGES) else 1.5 * low


@attrs.define(eq=False, weakref_slot=False)  # there are many, so every eight bytes count
class _Task:
    group: _Group
    started_at: float
    #: At the last poll; 0 before the first.
    age: float = 0.0


class PollQueue(Generic[K]):
    """The running tasks of one session. Times are monotonic seconds; unknown tasks raise KeyError.

    Args:
        budget: the budget for the polls of all tasks together.
        every_s: a fixed interval between two polls of a task; None decides by what was learned.
        callbacks: whether the provider reports ended tasks by callback; None finds out.
    """

    def __init__(self, budget: PollBudget, *, every_s: float | None = None, callbacks: bool | None = False) -> None:
        self._budget, self._every_s = budget, every_s
        self._callbacks = CallbackShare(callbacks)
        self._classes: dict[TaskClass, _Class] = {}
        self._tasks: dict[K, _Task] = {}
        self._groups: list[_Group] = []
        #: When the first of all tasks is due; None until it is computed.
        self._first_due: float | None = None
        self._load, self._refreshed_at = 0.0, -math.inf
        #: Whether an end was learned since: then other tasks may be due earlier than was computed.
        self._is_stale = False
        #: Whether a job waits for the slot of a running task.
        self.are_slots_short = False
        #: For how long the task that was taken last had been due.
        self.late_s = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<PollQueue running={len(self._tasks)} classes={len(self._classes)}>"

    # --- what has happened --------------------------------------------------------------------------------------

    def started(self, key: K, cls: TaskClass, now: float) -> None:
        """Note that a task was accepted at *now*, which is in the past for a task of an earlier session."""
        self.forget(key)
        of = self._class(cls)
        of.running += 1
        scout = 0
        if of.scouts < _SCOUTS and not of.is_known:
            scout = of.scouts = of.scouts + 1
        task = self._tasks[key] = _Task(self._group(of, _NOT_POLLED, scout), now)
        self._append(key, task)

    def still_running(self, key: K, now: float) -> None:
        """Note that a poll found it running."""
        self.remove(key)
        task = self._tasks[key]
        of, age = task.group.of, max(task.age, now - task.started_at)
        of.table.observe_running(task.age, age)
        task.group, task.age = self._group(of, band_of(age), task.group.scout), age
        self._append(key, task)

    def ended(self, key: K, now: float, duration: float | None, via: EndSource = "poll") -> None:
        """Note that it has ended, after *duration* seconds by the server's clock, and forget it."""
        task = self._tasks[key]
        polled = now - task.started_at
        at = task.group.of.table.observe_ended(task.age, polled, duration)
        self._is_stale = True
        if self._callbacks.task_ended(via, polled - at):
            self._refreshed_at = -math.inf
        self.forget(key)

    def remove(self, key: K) -> None:
        """Do not return it from `take` until `still_running`: its poll was requested."""
        self._remove(key, self._tasks[key].group)

    def forget(self, key: K) -> None:
        """Forget the task, if it is known."""
        task = self._tasks.pop(key, None)
        if task is not None:
            self._remove(key, task.group)
            task.group.of.running -= 1

    # --- what follows -------------------------------------------------------------------------------------------

    def take(self, now: float) -> K | None:
        """Return the task that a poll which begins now goes to, and remove it; None if none is due."""
        self._refresh(now)
        if self._due() > now:
            return None
        due = (group for group in self._groups if group.due <= now)
        group = max(due, key=lambda group: self._need(group, now))
        self.late_s = now - group.due
        key: K = next(iter(group.tasks))
        self.remove(key)
        return key

    def _need(self, group: _Group, now: float) -> float:
        """Return how much the first task of *group* needs a poll."""
        key, seen_at = next(iter(group.tasks.items()))
        table, started_at = group.of.table, self._tasks[key].started_at
        ended = table.hazard_sum(now - started_at) - table.hazard_sum(seen_at - started_at)
        return ended + (now - seen_at) / _SURE_AFTER_S

    def next_at(self, now: float) -> float:
        """Return when `take` will have a task, if nothing happens until then."""
        due = self._due()
        if self._is_stale and due < math.inf:
            due = min(due, self._refreshed_at + REFRESH_S)
        return max(now, due)

    def eta(self, key: K, now: float) -> Eta:
        """Return how much longer it will run."""
        task = self._tasks[key]
        self._refresh(now)
        return task.group.of.table.eta(max(task.age, now - task.started_at))

    def expected_duration(self, cls: TaskClass) -> Eta:
        """Return how long a task of this class runs if it starts now."""
        return self._class(cls).table.eta(0.0)

    def mean_duration_s(self) -> float | None:
        """Return how long the running tasks take on average; None if none is running."""
        running = sum(of.running for of in self._classes.values())
        return sum(of.running * of.table.mean_s for of in self._classes.values()) / running if running else None

    # --- what was learned ---------------------------------------------------------------------------------------

    def to_state(self) -> dict[str, object]:
        """Return what was learned, as values that JSON can store."""
        classes = [{"class": list(cls), **of.table.to_state()} for cls, of in self._classes.items() if of.table.ends]
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
        names = row.get("class") if isinstance(row, Mapping) else None
        if not isinstance(row, Mapping) or not isinstance(names, list) or len(names) != len(TaskClass._fields):
            return False
        return all(isinstance(name, str) for name in names) and self._class(TaskClass(*names)).table.from_state(row)

    # --- groups and prices --------------------------------------------------------------------------------------

    def _class(self, cls: TaskClass) -> _Class:
        of = self._classes.get(cls)
        if of is None:
            table = DurationTable(prior_for(cls))
            of = self._classes[cls] = _Class(table, self._price(table))
            self._refreshed_at = -math.inf  # it changes the load
        return of

    def _group(self, of: _Class, band: int, scout: int) -> _Group:
        group = of.groups.get((band, scout))
        if group is None:
            group = of.groups[band, scout] = _Group(of, band, scout)
            self._groups.append(group)
        return group

    def _append(self, key: K, task: _Task) -> None:
        tasks, seen_at = task.group.tasks, task.started_at + task.age
        is_first = bool(tasks) and seen_at < next(iter(tasks.values()))
        tasks[key] = seen_at
        if is_first:  # a task of an earlier session
            tasks.move_to_end(key, last=False)
        if is_first or len(tasks) == 1:
            self._update_due(task.group)

    def _remove(self, key: K, group: _Group) -> None:
        if group.tasks.pop(key, None) is not None:
            self._update_due(group)

    def _update_due(self, group: _Group) -> None:
        group.due = next(iter(group.tasks.values())) + self._gap(group) if group.tasks else math.inf
        self._first_due = None

    def _due(self) -> float:
        if self._first_due is None:
            self._first_due = min((group.due for group in self._groups), default=math.inf)
        return self._first_due

    def _gap(self, group: _Group) -> float:
        """Return how long after they were seen the tasks of *group* are due."""
        if group.gap_s is None:
            group.gap_s = self._every_s or self._learned_gap(group)
        return group.gap_s

    def _learned_gap(self, group: _Group) -> float:
        age = group.age
        if self._callbacks.are_expected:
            longest = MAX_GAP_WITH_CALLBACKS_S
        elif group.scout and not group.of.is_known:
            longest = min(max(_SCOUT_FIRST_S * 2 ** ((group.scout - 1) / _SCOUTS), age), MAX_GAP_S)
        else:
            longest = MAX_FIRST_S if group.band == _NOT_POLLED else max(MAX_GAP_S, MAX_GAP_SHARE * age)
        return max(MIN_GAP_S, group.of.table.poll_after(age, group.of.price, longest))

    def _price(self, table: DurationTable) -> float:
        if self._callbacks.are_expected:
            return max(self._callbacks.min_price_s, self._load) / self._callbacks.share_to_find
        if self.are_slots_short:
            polls, load = POLLS_PER_TASK_WITHOUT_SLOTS, 0.0
        else:
            polls, load = (POLLS_PER_TASK if table.ends >= _KNOWN_AFTER else POLLS_PER_UNKNOWN_TASK), self._load
        return max(MIN_PRICE_S, (table.polls_at_one_second / (polls - 1)) ** 2, load)

    def _refresh(self, now: float) -> None:
        """Compute tables, prices and gaps again, if that is due."""
        if now < self._refreshed_at + REFRESH_S:
            return
        busy = [of for of in self._classes.values() if of.running]
        for of in busy:
            of.table.refresh()
        polls_per_s = sum(of.running * of.table.polls_at_one_second / of.table.mean_s for of in busy)
        longest_s = max((of.table.mean_s for of in busy), default=1.0)
        load = (polls_per_s * math.sqrt(self._callbacks.share_to_find) / self._budget.rate) ** 2
        faded = self._load * math.exp((self._refreshed_at - now) / longest_s) if self._load else 0.0
        self._load = max(min(load, MAX_LOAD_S), faded)
        self._refreshed_at, self._is_stale = now, False
        for of in self._classes.values():
            of.price = self._price(of.table)
            of.groups = {name: group for name, group in of.groups.items() if group.tasks}
        self._groups = [group for of in self._classes.values() for group in of.groups.values()]
        for group in self._groups:
            group.gap_s = None
            self._update_due(group)
