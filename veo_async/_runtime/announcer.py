"""Notifications: a job's subscribers, the user's ``on_event`` hook, and callers that wait for room in the queue."""

from collections.abc import Iterator
from contextlib import contextmanager

from .hooks import Hooks
from .job.events import JobEvent, Sent, event_of
from .job.live_job import LiveJob
from .job.outcome import Outcome
from .job.registry import JobRegistry
from .log import logger_for
from .status import StatusReporter

logger = logger_for(__name__)


class Announcer:
    """Notifies everyone who follows a job. A notification that fails is logged, and the job continues.

    Args:
        status: computes a job's place in the queue and its remaining time.
    """

    def __init__(self, hooks: Hooks, registry: JobRegistry, status: StatusReporter) -> None:
        self._hooks, self._registry, self._status = hooks, registry, status

    def notify(self, job: LiveJob, event: JobEvent) -> None:
        """Pass *event* to the job's subscribers and to the hook."""
        if isinstance(event, Sent):
            self.queue_changed()
        if self._hooks or job.has_subscribers:
            with _logged(job):
                if job.outcome is None:
                    job.notify(event)
                self._hooks.notify(event)

    def queued(self, job: LiveJob, *, position: int | None = None) -> None:
        """Announce that *job* waits, if anyone listens; *position* saves computing its place in the queue."""
        if self._hooks or job.has_subscribers:
            with _logged(job):
                at = self._status.position_of(job) if position is None else position
                self.notify(job, self._status.waiting_status(job, at))

    def running(self, job: LiveJob) -> None:
        """Announce that the provider works on *job*'s task."""
        if self._hooks or job.has_subscribers:
            with _logged(job):
                self.notify(job, self._status.status_of(job))

    def finished(self, job: LiveJob, outcome: Outcome) -> None:
        """Set and announce the outcome of *job*."""
        job.set_outcome(outcome)
        self._registry.update(job)
        self._hooks.notify(event_of(outcome))

    def queue_changed(self) -> None:
        """Wake the callers that wait for room in the queue."""
        self._registry.queue_changed.set()


@contextmanager
def _logged(job: LiveJob) -> Iterator[None]:
    try:
        yield
    except Exception:  # the job does not depend on its notifications
        logger.exception("could not announce an event of job %s", job.key, extra=job.log_extra("unexpected"))
