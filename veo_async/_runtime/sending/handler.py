"""SENDING: the request is being sent; `sender` acts on the response."""

from veo_async._rules.lifecycle import Event
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Outcome
from veo_async._runtime.queued.image_uploads import ImageUploads

from .scheduler import Scheduler


class SendingState:
    """The handler of `JobState.SENDING`. A job holds a slot."""

    def __init__(self, scheduler: Scheduler, uploads: ImageUploads) -> None:
        self._scheduler, self._uploads = scheduler, uploads

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        self._scheduler.take_slot(job)  # only for a job that was found here: others took it when they left the queue
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return False

    def leave(self, job: LiveJob, event: Event | None) -> None:
        if event is not Event.ACCEPT:  # otherwise the slot stays taken until the task ends
            self._scheduler.free_slot(job)
        if event is not Event.REQUEUE:
            self._scheduler.queue.confirm(job)
            self._uploads.forget(job)
