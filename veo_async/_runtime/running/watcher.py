"""The watcher: one heap of due times, one timer, a bounded set of workers, any number of tasks.

When to look is the schedule's business, what a look means is `looking`'s; here is only the looking. A task costs a
heap entry, not a coroutine: ten thousand running tasks are ten thousand tuples and sixteen workers.

The heap holds ``(due, number, entry)``. An entry that is planned again gets a new number, so what is left of its old
place is recognised as stale and thrown away when it comes up. While a worker has an entry it has no place in the heap;
a hint that comes meanwhile is noted and followed after the look, so nobody is looked at twice at once.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable

import attrs

from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.poll_result import (
    NotFinished,
    PollAgain,
    PollHistory,
    SlowDown,
    Succeeded,
    Unsuccessful,
    interpret,
)
from veo_async._rules.polling.schedule import EndSource, PollSchedule, TaskClass
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._wire import Record, TaskState
from veo_async.errors import ClientClosed, NotReady, VeoError

logger = logger_for(__name__)

#: Looks under way at once: with 5 looks a second and a second each, five; the rest is for slow answers.
WORKERS = 16
#: Looks that fall due within so many seconds of the last begin together: to wake the loop for each costs a tenth of a
#: look, and nobody sees a hundredth of a second.
BATCH_WINDOW_S = 0.01
#: After a look that a hint had asked for, the next hint waits so long, and longer each time.
HINT_BACKOFF_FIRST_S = 1.0
HINT_BACKOFF_MAX_S = 300.0
#: A loop's timers go off up to its clock's resolution early; a look is none the worse for it.
_TIMER_SLACK_S = 0.0001


@attrs.define(eq=False)
class _WatchedTask:
    polls: PollHistory
    number: int = 0
    #: A worker has it.
    is_being_polled: bool = False
    #: Somebody hinted meanwhile that there is news.
    has_hint: bool = False
    due: float = math.inf
    #: A hint said that it has ended; before when no other is followed, and how long the one after will have to wait.
    was_hinted: bool = False
    hints_ignored_until: float = -math.inf
    hint_backoff_s: float = HINT_BACKOFF_FIRST_S


@attrs.frozen
class WatcherStatistics:
    """The watcher, looked into."""

    #: Tasks that are being watched.
    tasks: int
    #: Looks made so far, and how many of them told nothing.
    polls: int
    failed_polls: int


class Watcher:
    """Looks at running tasks until each has ended.

    Args:
        look: reads one task's record; one attempt.
        on_end: awaited with an entry and what its end was, by the worker that saw it. The entry is not watched any
            more by then: hints and `forget` find nothing, and a cancellation does not bring it back.
    """

    def __init__(
        self,
        read_record: Callable[[str], Awaitable[Record]],
        on_end: Callable[[LiveJob, Succeeded | Unsuccessful], Awaitable[None]],
        *,
        schedule: PollSchedule,
        budget: PollBudget,
        workers: int = WORKERS,
    ) -> None:
        self._look, self._on_end = read_record, on_end
        self._schedule, self._budget = schedule, budget
        self._workers = workers
        self._watched: dict[LiveJob, _WatchedTask] = {}
        self._heap: list[tuple[float, int, LiveJob]] = []
        self._numbers = itertools.count(1)
        self._idle: dict[asyncio.Future[LiveJob], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._woke_at = -math.inf
        self._looks = self._bad_looks = 0

    def __repr__(self) -> str:
        return f"<Watcher running={len(self._watched)} idle={len(self._idle)}>"

    @property
    def statistics(self) -> WatcherStatistics:
        return WatcherStatistics(len(self._watched), self._looks, self._bad_looks)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"veo.watcher:{number}")
        finally:
            self._disarm()

    def watch(self, job: LiveJob, cls: TaskClass, *, age_s: float = 0.0) -> None:
        """Begin to watch *entry*'s task, which the provider has made *age_s* seconds ago; once for each entry."""
        now = _now()
        self._schedule.started(job, cls, now - age_s)
        self._watched[job] = _WatchedTask(PollHistory(started_at=now - age_s))
        self._plan(job, self._schedule.next_poll(job, now))

    def poll_now(self, job: LiveJob) -> None:
        """Somebody hints that there is news of *entry*: look at once.

        Told again and again while it still runs, it is looked at ever more seldom: a flood of hints is a few looks.
        """
        watched = self._watched.get(job)
        if watched is None:
            return
        if watched.is_being_polled:
            watched.has_hint = True
        else:
            self._apply_hint(job, watched)

    def _apply_hint(self, job: LiveJob, watched: _WatchedTask) -> None:
        now = _now()
        watched.was_hinted = True
        if now < watched.hints_ignored_until:
            self._plan(job, min(watched.due, watched.hints_ignored_until))
            return
        watched.hints_ignored_until, watched.hint_backoff_s = (
            now + watched.hint_backoff_s,
            min(2 * watched.hint_backoff_s, HINT_BACKOFF_MAX_S),
        )
        self._plan(job, now)

    def forget(self, job: LiveJob) -> bool:
        """Nobody wants to know any more, and what is left in the heap is stale; whether it was watched."""
        was_watched = self._watched.pop(job, None) is not None
        if was_watched:
            self._schedule.forget(job)
        return was_watched

    # --- the heap and its timer ---------------------------------------------------------------------------------

    def _plan(self, job: LiveJob, due: float) -> None:
        watched = self._watched[job]
        watched.number, watched.due = next(self._numbers), due
        heapq.heappush(self._heap, (due, watched.number, job))
        self._arm()

    def _take_due(self, now: float) -> LiveJob | None:
        """The entry whose turn has come, out of the heap; None when none has."""
        while self._heap:
            due, number, job = self._heap[0]
            watched = self._watched.get(job)
            if watched is None or watched.number != number:
                heapq.heappop(self._heap)
            elif due <= now + _TIMER_SLACK_S:
                heapq.heappop(self._heap)
                watched.is_being_polled = True
                return job
            else:
                return None
        return None

    def _arm(self) -> None:
        """One timer, for the head of the heap, and only while somebody is idle."""
        due = max(self._heap[0][0], self._woke_at + BATCH_WINDOW_S) if self._heap and self._idle else None
        if self._timer is not None and self._timer.when() == due:
            return
        self._disarm()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._wake)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        """Hand what is due to those who are idle."""
        self._timer = None
        now = self._woke_at = _now()
        for waiter in self._idle:
            if not waiter.done():
                job = self._take_due(now)
                if job is None:
                    break
                waiter.set_result(job)
        self._arm()

    # --- the workers --------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            job = await self._next_due()
            watched = self._watched.get(job)
            if watched is None:
                continue  # forgotten while it was handed over
            try:
                await self._poll(job, watched)
            finally:
                if watched.is_being_polled:
                    self._return_to_heap(job, watched)

    async def _poll(self, job: LiveJob, watched: _WatchedTask) -> None:
        if wait := self._budget.reserve(_now()):
            await asyncio.sleep(wait)
        if self._watched.get(job) is not watched:
            return  # forgotten while it waited for its turn
        watched.has_hint = False  # what comes from now on is news to this look
        result = await self._poll_once(job)
        if self._watched.get(job) is watched:
            watched.is_being_polled = False
            await self._handle_result(job, watched, result)

    async def _next_due(self) -> LiveJob:
        job = self._take_due(_now())
        if job is not None:
            return job
        waiter: asyncio.Future[LiveJob] = asyncio.get_running_loop().create_future()
        self._idle[waiter] = None
        self._arm()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and (watched := self._watched.get(waiter.result())) is not None:
                self._return_to_heap(waiter.result(), watched)
            raise
        finally:
            del self._idle[waiter]

    def _return_to_heap(self, job: LiveJob, watched: _WatchedTask) -> None:
        """A worker was cut off with *entry* in hand."""
        if self._watched.get(job) is watched:
            watched.is_being_polled = False
            self._plan(job, _now())

    async def _poll_once(self, job: LiveJob) -> Record | VeoError:
        self._looks += 1
        assert job.task_id is not None  # noqa: S101  # who is watched has been accepted
        try:
            return await self._look(job.task_id)
        except ClientClosed:
            raise  # somebody closed what we look through: that tells nothing of the task, nor will any later look
        except VeoError as error:
            return error

    async def _handle_result(self, job: LiveJob, watched: _WatchedTask, result: Record | VeoError) -> None:
        now = _now()
        match interpret(watched.polls, result, now):
            case NotFinished():
                watched.was_hinted = False
                self._schedule.still_running(job, now)
                self._plan_again(job, watched, self._schedule.next_poll(job, now))
            case PollAgain(after=after):
                self._log_failed_poll(job, watched, result)
                self._plan_again(job, watched, now + after)
            case SlowDown(after=after):
                self._budget.rate_limited(now, after)
                logger.info("looks are refused and slow down", extra=_extra("slow-down", job))
                self._plan(job, now)
            case Succeeded() | Unsuccessful() as end:
                self._finish(job, end, now, "callback" if watched.was_hinted else "poll")
                await self._on_end(job, end)

    def _plan_again(self, job: LiveJob, watched: _WatchedTask, due: float) -> None:
        self._plan(job, due)
        if watched.has_hint:
            self._apply_hint(job, watched)

    def _finish(self, job: LiveJob, end: Succeeded | Unsuccessful, now: float, via: EndSource = "poll") -> None:
        record = end.record if isinstance(end, Succeeded) else None
        self._schedule.ended(job, now, _duration(record), via)
        del self._watched[job]

    def _log_failed_poll(self, job: LiveJob, watched: _WatchedTask, result: Record | VeoError) -> None:
        if isinstance(result, NotReady) and not watched.polls.failures:
            return  # an upgrade that is being made
        if isinstance(result, VeoError):
            self._bad_looks += 1
            logger.info("a look told nothing: %s", result, extra=_extra("poll-failed", job))
        elif result.state is TaskState.UNKNOWN:
            self._bad_looks += 1
            if watched.polls.failures == 1:  # it will say so again and again
                logger.warning("a state that nobody knows: flag %r", result.flag, extra=_extra("unknown-flag", job))


def _extra(action: str, job: LiveJob) -> dict[str, object]:
    return {"action": action, "job_key": job.key, "task_id": job.task_id}


def _duration(record: Record | None) -> float | None:
    """Seconds by the server's own clock, which is exact however late we looked."""
    if record is None or record.created_at is None or record.completed_at is None:
        return None
    seconds = (record.completed_at - record.created_at).total_seconds()
    return seconds if seconds > 0 else None


def _now() -> float:
    return asyncio.get_running_loop().time()
