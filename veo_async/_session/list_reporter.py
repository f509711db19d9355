"""`ListReporter`: the progress of `VeoSession.map` and `VeoSession.gather`."""

import inspect
from collections import Counter
from collections.abc import Callable, Sized

from veo_async._base.checks import reject
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.clock import loop_time
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Outcome
from veo_async._runtime.job.outcomes import describe_counts
from veo_async._runtime.log import logger_for
from veo_async.progress import ListProgress, ProgressCallback, callback_of

logger = logger_for(__name__)


class ListReporter:
    """Calls one function at the start, for every job that finishes, and at the end.

    It is called in the session's event loop. If it raises, it is not called again; no job is affected.
    """

    def __init__(self, progress: bool | ProgressCallback, requests: object) -> None:
        if inspect.iscoroutinefunction(progress):
            reject("progress", progress, "must be a plain function for many requests, not an async one")
        self._callback = callback_of(progress)
        self._close = getattr(self._callback, "close", None)
        self._length = len(requests) if isinstance(requests, Sized) else None
        self._submitted = 0
        #: Only numbers: a long list must not keep its outcomes.
        self._counts = Counter[type]()
        self._began_at = self._elapsed_s = 0.0
        self._is_reported = False

    @property
    def is_active(self) -> bool:
        """Whether there is anything to call."""
        return self._callback is not None

    def submitting(self) -> None:
        """Count a request that is about to be submitted."""
        self._submitted += 1
        if self._submitted == 1:
            self._began_at = loop_time()
            self._report()

    def follow(self, job: LiveJob) -> None:
        """Report when *job* finishes."""
        job.on_finished(lambda job: None if job.outcome is None else self.finished(job.outcome))

    def finished(self, outcome: Outcome) -> None:
        """Report that a job has finished."""
        self._counts[type(outcome)] += 1
        self._report()

    def close(self) -> None:
        """Report the end of a generator, and no more. It may be called in any thread."""
        if not self._is_reported and self._counts.total() == self._submitted:
            self._show(is_last=True)
        self._callback = None
        if callable(self._close):
            close, self._close = self._close, None
            self._call(close)

    def _report(self) -> None:
        self._elapsed_s = loop_time() - self._began_at
        self._show(is_last=self._counts.total() == self._length)

    def _show(self, *, is_last: bool) -> None:
        self._is_reported = is_last
        if self._callback is not None and not self._call(self._callback, self._progress(is_last)):
            self._callback = None

    def _progress(self, is_last: bool) -> ListProgress:
        finished = self._counts.total()
        total = max(self._submitted, self._length or 0)
        counts = f": {describe_counts(self._counts)}" if finished else ""
        return ListProgress(
            key="",
            state=JobState.RUNNING,
            elapsed_s=self._elapsed_s,
            text=f"{finished:,} of {total:,} finished{counts}",
            is_finished=is_last and finished == total,
            finished=finished,
            total=total,
        )

    @staticmethod
    def _call(function: Callable[..., object], *arguments: object) -> bool:
        """Call the user's function; return False if it raised."""
        try:
            function(*arguments)
        except Exception:  # it must not affect a job
            logger.exception("the progress callback raised; it is not called again", extra={"action": "hook"})
            return False
        return True
