"""QUEUED: wait for images or a source clip, then for a slot and the rate limit; refused after the deadline."""

import asyncio
from collections.abc import Callable

import attrs

from veo_async._rules.lifecycle import Event
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import WallClock
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.job.outcome import Outcome
from veo_async._runtime.sending.scheduler import Scheduler
from veo_async._runtime.transitions import Transitions
from veo_async._wire.images import local_images
from veo_async.errors import DeadlineExceeded, VeoError

from .image_uploads import ImageUploads
from .prerequisites import Prerequisites
from .source_clip import SourceClips
from .spending import Spending


@attrs.define(eq=False, repr=False)
class QueuedState:
    """The handler of `JobState.QUEUED`. A job holds a place in the queue, its price and a timer for its deadline."""

    _transitions: Transitions
    _scheduler: Scheduler
    _spending: Spending
    _clock: WallClock
    _announcer: Announcer
    _sources: SourceClips
    _uploads: ImageUploads
    #: Called with a job that the queue has put on hold.
    _on_hold: Callable[[LiveJob], None]
    #: The jobs that are not in the queue yet.
    prerequisites: Prerequisites = attrs.field(init=False)
    _queue: FairQueue[LiveJob] = attrs.field(init=False)
    _deadlines: dict[LiveJob, asyncio.TimerHandle] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._queue = self._scheduler.queue
        self.prerequisites = Prerequisites(self._line_up, self._transitions.refuse, self._transitions.recovery)

    def __contains__(self, job: LiveJob) -> bool:
        """Whether *job* holds a place or a timer here."""
        return job in self._queue or job in self.prerequisites or job in self._deadlines

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        if event is Event.REQUEUE:
            self._line_up(job, is_requeued=True)
            return True
        self._spending.confirm(job)
        if job.follow_up is not None:
            self.prerequisites.wait_for(job, self._sources.prepare)
        elif local_images(job.request):
            self.prerequisites.wait_for(job, self._uploads.prepare)
        else:
            self._line_up(job)
        return True

    def withdraw(self, job: LiveJob) -> bool:
        if job in self._queue:
            self._queue.remove(job)
            return True
        return self.prerequisites.withdraw(job)

    def leave(self, job: LiveJob, event: Event | None) -> None:
        if event is not Event.SEND:  # then `Sent` announces it, once the ledger has recorded the attempt
            self._announcer.queue_changed()
            self._scheduler.wake()  # the next job may be one that leaves the minimum balance
        if (timer := self._deadlines.pop(job, None)) is not None:
            timer.cancel()

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._deadlines.values():
            timer.cancel()

    def _line_up(self, job: LiveJob, *, is_requeued: bool = False) -> None:
        """Queue a job that has everything it needs."""
        if (locked_out := self._scheduler.locked_out) is not None:
            self._refuse(job, copy_error(locked_out))
        elif job.deadline is not None and self._clock.now() >= job.deadline:
            self._refuse(job, DeadlineExceeded("not sent before its deadline"))
        elif (problem := self._scheduler.problem_of(job)) is not None:
            self._refuse(job, problem)
        else:
            self._push(job, is_requeued=is_requeued)
            self._scheduler.wake()

    def _push(self, job: LiveJob, *, is_requeued: bool) -> None:
        if not is_requeued or not self._is_pushed_front(job):
            self._queue.push(job, tenant=job.tenant, priority=job.priority)
        if job.deadline is not None:
            at = self._clock.to_loop(job.deadline)
            self._deadlines[job] = asyncio.get_running_loop().call_at(at, self._deadline_passed, job)
        if job in self._queue.on_hold:
            self._on_hold(job)
        else:
            # A new job has at most all others before it; computing its exact place costs O(queue) for each job.
            self._announcer.queued(job, position=None if is_requeued else len(self._queue) - 1)

    def _is_pushed_front(self, job: LiveJob) -> bool:
        try:
            self._queue.push_front(job)
        except KeyError:  # the queue has forgotten its place, because too many others were sent since
            return False
        return True

    def _deadline_passed(self, job: LiveJob) -> None:
        self._deadlines.pop(job, None)
        with self._transitions.recovery.guard(job):
            if job in self._queue:
                self._queue.remove(job)
                self._refuse(job, DeadlineExceeded("not sent before its deadline"))

    def _refuse(self, job: LiveJob, error: VeoError) -> None:
        _ = self._transitions.recovery.start(job, self._transitions.refuse(job, error), f"refuse:{job.key}")
