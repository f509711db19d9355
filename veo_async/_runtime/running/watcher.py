"""The watcher polls any number of tasks with one queue, one timer and a few workers in a `TaskGroup`.

`PollQueue` decides which task is polled next, `PollBudget` when a poll may begin, and `poll_result` what a poll means;
this module polls. A task costs an item in the queue, not a coroutine: ten thousand running tasks are ten thousand small
objects and sixteen workers.

Hints and failed polls ask for a poll at a certain time. They are in a heap of ``(due, number, job)``, which goes before
the queue. A job that is requested again gets a new number, so its old item is recognized as stale and discarded when it
reaches the top. A job that is being polled is in neither; a hint that arrives in the meantime is applied after the
poll, so a task is never polled twice at the same time.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable, Iterator

import attrs

from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.callbacks import EndSource
from veo_async._rules.polling.durations import TaskClass
from veo_async._rules.polling.outage import Outage
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.polling.poll_result import (
    BACKOFF_MAX_S,
    NotFinished,
    PollAgain,
    PollFailed,
    PollHistory,
    PollResult,
    SlowDown,
    Succeeded,
    Unsuccessful,
    interpret,
)
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._runtime.uncancelled import is_cancellation
from veo_async._wire import Record, TaskState
from veo_async.errors import ClientClosed, NotReady, VeoError

from .watched_task import HINT_BACKOFF_MAX_S, WatchedTask, WatcherStatistics, duration_of

logger = logger_for(__name__)

#: Concurrent polls: at 5 polls per second of one second each, five; the rest is for slow responses.
WORKERS = 16
#: Polls due within this many seconds begin together: waking the loop for each costs a tenth of a poll, and a delay of a
#: hundredth of a second does not matter.
BATCH_WINDOW_S = 0.01


@attrs.define(eq=False, repr=False)
class Watcher:
    """Polls running tasks until each has ended."""

    #: Reads the record of a task, in one attempt.
    _read_record: Callable[[LiveJob], Awaitable[Record]]
    #: Awaited with a job and the end of its task, by the worker that polled it. The job is no longer watched then:
    #: hints and `forget` have no effect, and a cancellation does not return it to the heap.
    _on_end: Callable[[LiveJob, Succeeded | Unsuccessful], Awaitable[None]]
    _queue: PollQueue[LiveJob]
    _budget: PollBudget
    #: Called with a job and an unexpected exception; the job is not watched any more.
    _on_unexpected: Callable[[LiveJob, BaseException], None] = attrs.field(alias="on_unexpected", kw_only=True)
    #: Called when our own HTTP client is closed.
    _on_client_closed: Callable[[VeoError], None] = attrs.field(alias="on_client_closed", kw_only=True)
    #: Called with a job and the first record that says what its task costs.
    _on_cost: Callable[[LiveJob, Record], None] = attrs.field(
        alias="on_cost", default=lambda job, record: None, kw_only=True
    )
    _workers: int = WORKERS
    #: The longest delay after a failed poll.
    _max_backoff_s: float = attrs.field(alias="max_backoff_s", default=BACKOFF_MAX_S, kw_only=True)
    _outage: Outage = attrs.field(factory=Outage, init=False)
    _watched: dict[LiveJob, WatchedTask] = attrs.field(factory=dict, init=False)
    #: Requested polls.
    _heap: list[tuple[float, int, LiveJob]] = attrs.field(factory=list, init=False)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    #: The workers that wait for a job, in the order in which they began to wait.
    _idle: dict[asyncio.Future[LiveJob], None] = attrs.field(factory=dict, init=False)
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False)
    #: When the timer fires. Not every loop's handle can say that.
    _wakes_at: float = attrs.field(default=math.inf, init=False)
    _woke_at: float = attrs.field(default=-math.inf, init=False)
    _polls: int = attrs.field(default=0, init=False)
    _failed_polls: int = attrs.field(default=0, init=False)

    def __repr__(self) -> str:
        return f"<Watcher running={len(self._watched)} idle={len(self._idle)}>"

    @property
    def statistics(self) -> WatcherStatistics:
        """The present counts."""
        return WatcherStatistics(len(self._watched), self._polls, self._failed_polls)

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"veo.watcher:{number}")
        finally:
            self._disarm()

    def watch(self, job: LiveJob, cls: TaskClass, *, age_s: float = 0.0) -> None:
        """Begin to poll the task of *job*, which the provider created *age_s* seconds ago."""
        now = loop_time()
        self._queue.started(job, cls, now - age_s)
        self._watched[job] = WatchedTask(PollHistory(started_at=now - age_s, is_age_known=job.attempts > 0))
        self._arm()

    def poll_now(self, job: LiveJob) -> None:
        """Poll the task of *job* now, because of a hint.

        Repeated hints about a task that still runs have less and less effect: a flood of hints causes only a few polls.
        """
        watched = self._watched.get(job)
        if watched is None:
            return
        if watched.is_being_polled:
            watched.has_hint = True
        else:
            self._apply_hint(job, watched)

    def _apply_hint(self, job: LiveJob, watched: WatchedTask) -> None:
        now = loop_time()
        watched.was_hinted = True
        if now < watched.hints_ignored_until:
            self._request(job, min(watched.due, watched.hints_ignored_until))
            return
        watched.hints_ignored_until, watched.hint_backoff_s = (
            now + watched.hint_backoff_s,
            min(2 * watched.hint_backoff_s, HINT_BACKOFF_MAX_S),
        )
        self._request(job, now)

    def forget(self, job: LiveJob) -> bool:
        """Stop polling the task of *job*; return whether it was being polled."""
        was_watched = self._watched.pop(job, None) is not None
        if was_watched:
            self._queue.forget(job)
        return was_watched

    # --- the next poll and its timer ----------------------------------------------------------------------------

    def _request(self, job: LiveJob, due: float) -> None:
        """Have the task of *job* polled at *due*; it may still be polled earlier if it is in the queue."""
        watched = self._watched[job]
        watched.number, watched.due = next(self._numbers), due
        heapq.heappush(self._heap, (due, watched.number, job))
        self._arm()

    def _take(self, now: float) -> LiveJob | None:
        """Take the next task to poll; return None if none is due or no poll may begin."""
        if now + max(BATCH_WINDOW_S, TIMER_SLACK_S) < self._may_begin_at(now):
            return None
        job, late_s = self._take_requested(now), 0.0
        if job is None:
            job, late_s = self._queue.take(now + TIMER_SLACK_S), self._queue.late_s
        if job is not None:
            self._watched[job].begin_poll()
            self._budget.begin(now, late_s)
            self._outage.poll_begins(now)
        return job

    def _take_requested(self, now: float) -> LiveJob | None:
        while self._heap:
            due, number, job = self._heap[0]
            watched = self._watched.get(job)
            if watched is not None and watched.number == number:
                if due > now + TIMER_SLACK_S:
                    return None
                self._queue.remove(job)
                heapq.heappop(self._heap)
                return job
            heapq.heappop(self._heap)
        return None

    def _may_begin_at(self, now: float) -> float:
        return max(self._budget.ready_at(now), self._outage.next_poll_at)

    def _next_at(self, now: float) -> float:
        """Return when `_take` will have a job, if nothing happens until then."""
        requested = self._heap[0][0] if self._heap else math.inf
        return max(min(requested, self._queue.next_at(now)), self._may_begin_at(now))

    def _arm(self) -> None:
        """Set the timer for the next poll, but only while a worker is idle."""
        at = max(self._next_at(loop_time()), self._woke_at + BATCH_WINDOW_S) if self._idle else math.inf
        if self._timer is not None and self._wakes_at == at:
            return
        self._disarm()
        if at < math.inf:
            self._timer, self._wakes_at = asyncio.get_running_loop().call_at(at, self._wake), at

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        """Pass jobs that are due to idle workers."""
        self._timer = None
        now = self._woke_at = loop_time()
        for waiter in self._idle:
            if not waiter.done():
                try:
                    job = self._take(now)
                except Exception as error:  # noqa: BLE001  # a worker raises it; a timer would only log it
                    waiter.set_exception(error)
                    return
                if job is None:
                    break
                waiter.set_result(job)
        self._arm()

    # --- the workers --------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            job = await self._next_job()
            watched = self._watched.get(job)
            if watched is None:
                continue  # forgotten before the worker woke
            try:
                await self._poll(job, watched)
            except ClientClosed as error:  # neither this poll nor a later one says anything about the task
                self._on_client_closed(error)
                return
            except (Exception, asyncio.CancelledError) as error:
                if is_cancellation(error):
                    raise
                self.forget(job)
                self._on_unexpected(job, error)
            finally:
                if watched.is_being_polled:
                    self._poll_again(job, watched)
                del job, watched  # a finished job must not stay in memory until the worker has another one

    async def _poll(self, job: LiveJob, watched: WatchedTask) -> None:
        watched.has_hint = False  # hints from now on are newer than this poll
        result = await self._poll_once(job)
        if self._watched.get(job) is watched:
            watched.is_being_polled = False
            await self._handle_result(job, watched, result)

    async def _next_job(self) -> LiveJob:
        job = self._take(loop_time())
        if job is not None:
            return job
        waiter: asyncio.Future[LiveJob] = asyncio.get_running_loop().create_future()
        self._idle[waiter] = None
        self._arm()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and (watched := self._watched.get(waiter.result())) is not None:
                self._poll_again(waiter.result(), watched)
            raise
        finally:
            del self._idle[waiter]

    def _poll_again(self, job: LiveJob, watched: WatchedTask) -> None:
        """Poll *job* again after its worker was cancelled."""
        if self._watched.get(job) is watched:
            watched.is_being_polled = False
            self._request(job, loop_time())

    async def _poll_once(self, job: LiveJob) -> Record | VeoError:
        self._polls += 1
        try:
            return await self._read_record(job)
        except ClientClosed:
            raise
        except VeoError as error:
            return error

    def _retry_within_s(self) -> float:
        """Return the longest delay after a failed poll: while the provider is down, the probes set the pace."""
        return min(self._max_backoff_s, self._outage.probe_every_s) if self._outage.is_down else self._max_backoff_s

    def _note_outage(self, found: PollResult, now: float) -> None:
        was_down = self._outage.is_down
        if isinstance(found, PollFailed) and found.is_shared:
            self._outage.poll_failed(now)
        else:
            self._outage.responded()
        if was_down and not self._outage.is_down:
            logger.info("polls work again", extra={"action": "polls-resumed"})
            self._arm()

    async def _handle_result(self, job: LiveJob, watched: WatchedTask, result: Record | VeoError) -> None:
        now = loop_time()
        found = interpret(watched.polls, result, now)
        self._note_outage(found, now)
        if isinstance(result, Record) and result.credits_consumed is not None and job.credits_consumed is None:
            self._on_cost(job, result)
        match found:
            case NotFinished():
                watched.was_hinted = False
                self._queue.still_running(job, now)
            case PollAgain(after=after):
                self._log_failed_poll(job, watched, result)
                self._request(job, now + after)
            case PollFailed(after=after):
                self._log_failed_poll(job, watched, result)
                self._request(job, now + min(after, self._retry_within_s()))
            case SlowDown(after=after):
                self._budget.rate_limited(now, after)
                logger.info("polls were rate limited; slowing down", extra=job.log_extra("slow-down"))
                self._request(job, now)
            case Succeeded() | Unsuccessful() as end:
                self._finish(job, end, now, "callback" if watched.was_hinted else "poll")
                await self._on_end(job, end)
                return
        if watched.has_hint:
            self._apply_hint(job, watched)

    def _finish(self, job: LiveJob, end: Succeeded | Unsuccessful, now: float, via: EndSource = "poll") -> None:
        record = end.record if isinstance(end, Succeeded) else None
        self._queue.ended(job, now, duration_of(record), via)
        del self._watched[job]

    def _log_failed_poll(self, job: LiveJob, watched: WatchedTask, result: Record | VeoError) -> None:
        if isinstance(result, NotReady) and not watched.polls.failures:
            return  # an upgrade that is not finished yet
        if isinstance(result, VeoError):
            self._failed_polls += 1
            logger.debug("poll failed: %s", result, extra=job.log_extra("poll-failed"))
        elif result.state is TaskState.UNKNOWN:
            self._failed_polls += 1
            if watched.polls.failures == 1:  # the following polls will return the same state
                extra = job.log_extra("unknown-flag")
                logger.warning("unknown task state: successFlag %r", result.flag, extra=extra)
