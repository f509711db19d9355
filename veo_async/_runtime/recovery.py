"""Recovery: an unexpected exception while one job is handled is that job's problem alone.

Code that handles one job runs under `Recovery.guard`, or in a task of `Recovery.start`. Where an exception ends there,
it is logged with its traceback, and the job stays where it is. Its work stops, and begins again after a delay that
doubles each time, up to `MAX_DELAY_S`; its waiters keep waiting. The seams are the transitions, the task of each
request, each poll, the timers and the background tasks of a job.

A `CancelledError` that the called code raised itself is an exception like any other: our task was not cancelled.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from veo_async._rules.lifecycle import JobState

from .background import BackgroundTasks
from .job.live_job import LiveJob
from .log import logger_for
from .uncancelled import is_cancellation

logger = logger_for(__name__)

T = TypeVar("T")

#: Delays before a job is tried again: 1, 2, 4 … s.
FIRST_DELAY_S = 1.0
MAX_DELAY_S = 60.0

#: Continues a job; may return an awaitable.
Again = Callable[[], object]


class Recovery:
    """Continues jobs after unexpected exceptions.

    Args:
        tasks: owns the tasks of the jobs; they end with the session.
        stop: stops the work for a job, so that nothing happens to it until it is tried again.
        restart: begins the work for a job again.
    """

    def __init__(
        self, tasks: BackgroundTasks, *, stop: Callable[[LiveJob], object], restart: Callable[[LiveJob], object]
    ) -> None:
        self._tasks, self._stop, self._restart = tasks, stop, restart
        #: How each job that failed will be continued.
        self._pending: dict[LiveJob, Again] = {}

    def __contains__(self, job: LiveJob) -> bool:
        """Whether *job* failed and will be tried again."""
        return job in self._pending

    @contextmanager
    def guard(self, job: LiveJob, again: Again | None = None) -> Iterator[None]:
        """End an unexpected exception here, and call *again* later; by default the work for *job* begins again."""
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            if is_cancellation(error):
                raise
            self.failed(job, error, again)

    def start(self, job: LiveJob, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run *work* for *job* as the task ``veo.<name>``."""
        return self._tasks.start(work, name, on_crash=lambda crash: self.failed(job, crash))

    def failed(self, job: LiveJob, error: BaseException, again: Again | None = None) -> None:
        """Log *error* with its traceback, stop the work for *job*, and call *again* later."""
        delay_s = min(FIRST_DELAY_S * 2.0 ** min(job.unexpected_errors, 10), MAX_DELAY_S)
        job.unexpected_errors += 1
        message, extra = "unexpected %s while handling job %s; trying again in %g s", job.log_extra("unexpected")
        logger.error(message, type(error).__name__, job.key, delay_s, exc_info=error, extra=extra)
        self._try_to_stop(job)
        is_waiting = job in self._pending
        if again is not None or not is_waiting:
            self._pending[job] = again or (lambda: self._restart(job))
        if not is_waiting:
            _ = self._tasks.start(self._try_again(job, job.state, delay_s), f"recover:{job.key}")

    def _try_to_stop(self, job: LiveJob) -> None:
        try:
            self._stop(job)
        except Exception:  # it is tried again anyway
            logger.exception("could not stop the work for job %s", job.key, extra=job.log_extra("unexpected"))

    async def _try_again(self, job: LiveJob, state: JobState, delay_s: float) -> None:
        try:
            await asyncio.sleep(delay_s)
        finally:
            again = self._pending.pop(job)
        if job.state is not state:
            return  # the user or another session has moved it on
        with self.guard(job, again):
            result = again()
            if inspect.isawaitable(result):
                await result
