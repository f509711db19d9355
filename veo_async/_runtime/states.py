"""What a session does for a job in each state, and what the job holds meanwhile.

======== ==================================================================== ====================================
state    while it is there                                                    it holds
======== ==================================================================== ====================================
queued   wait for what it is made of, then for its turn; refused past its     a place in the queue, its price,
         deadline                                                             a timer for its deadline
sending  its request is on the way (`sending`)                                a slot
running  its task is watched                                                  a slot
ready    its clip is saved, where somebody wants that                         nothing
in doubt `doubts`                                                             a timer for its callback
======== ==================================================================== ====================================
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from veo_async._rules.lifecycle import Event
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._wire.images import local_images
from veo_async.errors import DeadlineExceeded

from .announcer import Announcer
from .clock import WallClock
from .in_doubt.in_doubt_jobs import InDoubtJobs
from .job.live_job import LiveJob, copy_error
from .job.outcome import Done, Outcome
from .job.registry import JobRegistry
from .queued.image_uploads import ImageUploads
from .queued.prerequisites import Prerequisites
from .queued.source_clip import SourceClips
from .queued.spending import Spending
from .ready.saving import JobSaver
from .running.watcher import Watcher
from .sending.scheduler import Scheduler
from .status import StatusReporter
from .transitions import Transitions

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class QueuedState:
    """It waits."""

    def __init__(
        self,
        transitions: Transitions,
        scheduler: Scheduler,
        spending: Spending,
        clock: WallClock,
        announcer: Announcer,
        *,
        sources: SourceClips,
        uploading: ImageUploads,
        spawn: Spawn,
    ) -> None:
        self._transitions, self._scheduler, self._spending, self._clock = transitions, scheduler, spending, clock
        self._queue: FairQueue[LiveJob] = scheduler.queue
        self._announcer, self._sources, self._uploading, self._spawn = announcer, sources, uploading, spawn
        self.prerequisites = Prerequisites(on_ready=self._line_up, refuse=transitions.refuse, spawn=spawn)
        #: When jobs that wait will be passed over.
        self._deadlines: dict[LiveJob, asyncio.TimerHandle] = {}

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        if event is Event.REQUEUE:
            self._line_up(job, is_back=True)
            return True
        if event is Event.RESUBMIT:
            job.task_id, job.unsent_attempts = None, 0
        self._spending.confirm(job)
        if job.follow_up is not None:
            self.prerequisites.wait_for(job, self._sources.prepare)
        elif local_images(job.request):
            self.prerequisites.wait_for(job, self._uploading.prepare)
        else:
            self._line_up(job)
        return True

    def withdraw(self, job: LiveJob) -> bool:
        if job in self._queue:
            self._queue.remove(job)
            return True
        return self.prerequisites.withdraw(job)

    def leave(self, job: LiveJob, event: Event | None) -> None:
        if event is not Event.SEND:  # else `Sender` says so once the ledger knows
            self._announcer.queue_moved()
        if (timer := self._deadlines.pop(job, None)) is not None:
            timer.cancel()

    def close(self) -> None:
        """Nothing will be sent any more."""
        for timer in self._deadlines.values():
            timer.cancel()

    def _line_up(self, job: LiveJob, *, is_back: bool = False) -> None:
        """It has all it needs: from now on it waits for its turn alone."""
        if (why := self._scheduler.locked_out) is not None:
            _ = self._spawn(self._transitions.refuse(job, copy_error(why)))
        elif job.deadline is not None and self._clock.now() >= job.deadline:
            self._pass_over(job)
        else:
            self._push(job, is_back=is_back)
            self._scheduler.wake()

    def _push(self, job: LiveJob, *, is_back: bool) -> None:
        if not is_back or not self._is_taken_back(job):
            self._queue.push(job, tenant=job.tenant, priority=job.priority)
        if job.deadline is not None:
            at = self._clock.to_loop(job.deadline)
            self._deadlines[job] = asyncio.get_running_loop().call_at(at, self._deadline_passed, job)
        # Whoever has just come has at most all others before them; its true place would cost O(queue) for each.
        self._announcer.queued(job, position=None if is_back else len(self._queue) - 1)

    def _is_taken_back(self, job: LiveJob) -> bool:
        try:
            self._queue.push_front(job)
        except KeyError:  # so many were granted since that its place is forgotten
            return False
        return True

    def _deadline_passed(self, job: LiveJob) -> None:
        del self._deadlines[job]
        if job in self._queue:
            self._queue.remove(job)
            self._pass_over(job)

    def _pass_over(self, job: LiveJob) -> None:
        _ = self._spawn(self._transitions.refuse(job, DeadlineExceeded("it could not be sent before its deadline")))


class SendingState:
    """Its request is on the way; `sending` follows it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        self._scheduler.take_slot(job)  # found here; who is sent has taken it before it left the queue
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return False

    def leave(self, job: LiveJob, event: Event | None) -> None:
        if event is not Event.ACCEPT:  # else its slot stays taken until its task has ended
            self._scheduler.free_slot(job)


class RunningState:
    """Its task is watched; it has its slot from its request, or takes one now."""

    def __init__(
        self,
        scheduler: Scheduler,
        watcher: Watcher,
        in_doubt: InDoubtJobs,
        registry: JobRegistry,
        spending: Spending,
        clock: WallClock,
        status: StatusReporter,
        announcer: Announcer,
    ) -> None:
        self._scheduler, self._watcher, self._in_doubt, self._registry = scheduler, watcher, in_doubt, registry
        self._spending, self._clock, self._status, self._announcer = spending, clock, status, announcer

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        assert job.task_id is not None  # noqa: S101  # it was accepted
        if event is not Event.ACCEPT:
            self._scheduler.adopt(job)
        self._registry.by_task[job.task_id] = job
        self._spending.accepted(job)
        age_s = 0.0 if job.sent_at is None else max(0.0, self._clock.now() - job.sent_at)
        self._watcher.watch(job, self._status.task_class_of(job), age_s=age_s)
        self._announcer.running(job)
        self._in_doubt.on_accepted(job)
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return self._watcher.forget(job)

    def leave(self, job: LiveJob, event: Event | None) -> None:
        self._watcher.forget(job)
        self._scheduler.release(job)


class ReadyState:
    """Its clip is there; it has ended unless somebody wants it in a file."""

    def __init__(self, saving: JobSaver, spawn: Spawn) -> None:
        self._saving, self._spawn = saving, spawn

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        if job.save_to is None or not isinstance(outcome, Done):
            return False
        _ = self._spawn(self._saving.save(job, outcome.clip))
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return False

    def leave(self, job: LiveJob, event: Event | None) -> None:
        pass
