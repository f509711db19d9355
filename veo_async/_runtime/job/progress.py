"""Reporting the progress of a job to one caller who waits for it."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from veo_async._base.numbers import format_count, format_duration
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.durations import Eta
from veo_async._runtime.clock import loop_time
from veo_async._runtime.log import logger_for
from veo_async._runtime.status import StatusReporter
from veo_async._runtime.uncancelled import is_cancellation
from veo_async.errors import VeoError
from veo_async.progress import Progress, ProgressCallback

from .events import Paused
from .live_job import EventStream, LiveJob

logger = logger_for(__name__)

#: Seconds between two calls if nothing changes.
EVERY_S = 1.0
#: Seconds after which a call of an async callback is cancelled.
_CALLBACK_TIMEOUT_S = 10.0


def progress_of(job: LiveJob, status: StatusReporter, elapsed_s: float) -> Progress:
    """Return the progress of *job* now."""
    event, eta, position = status.status_of(job), status.eta_of(job), status.position_of(job)
    reason = event.reason if isinstance(event, Paused) else None
    return Progress(
        key=job.key,
        state=job.state,
        elapsed_s=elapsed_s,
        eta=eta,
        queue_position=position,
        pause_reason=reason,
        text=str(job.outcome) if job.outcome is not None else _text(job.state, reason, position, eta),
        is_finished=job.outcome is not None,
    )


def _text(state: JobState, pause_reason: str | None, position: int | None, eta: Eta | None) -> str:
    if pause_reason is not None:
        reason = pause_reason.replace("-", " ")
        return reason if reason.startswith("waiting") else f"paused: {reason}"
    left = f", about {format_duration(eta.p50)} left" if eta is not None and eta.p50 > 0 else ""
    match state:
        case JobState.QUEUED:
            ahead = f" behind {format_count(position, 'job')}" if position else ""
            return f"queued{ahead}{left}"
        case JobState.SENDING:
            return f"sending{left}"
        case JobState.READY:
            return "saving"
        case JobState.IN_DOUBT:
            return "in doubt: waiting for a callback"
        case _:
            return f"generating{left}"


@asynccontextmanager
async def reporting(job: LiveJob, status: StatusReporter, callback: ProgressCallback | None) -> AsyncIterator[None]:
    """Report the progress of *job* to *callback* for as long as the block lasts, which waits for its outcome."""
    if callback is None:
        yield
        return
    reporter = _Reporter(job, status, callback)
    task = asyncio.create_task(reporter.run(), name=f"veo.progress:{job.key}")
    try:
        yield
        await asyncio.wait([task], timeout=_CALLBACK_TIMEOUT_S)  # it ends with the job, after a last call
    finally:
        task.cancel()
        try:
            await asyncio.wait([task], timeout=_CALLBACK_TIMEOUT_S)
        finally:
            reporter.close()


class _Reporter:
    """Calls one callback, until the job has finished or the callback has raised."""

    def __init__(self, job: LiveJob, status: StatusReporter, callback: ProgressCallback) -> None:
        self._job, self._status, self._callback = job, status, callback

    async def run(self) -> None:
        """Call the callback now, at every change, and every second; the last time when the job has finished."""
        began_at = loop_time()
        changes = self._job.subscribe(self._status.status_of(self._job))
        is_open = True
        while is_open:
            is_open = await _changed(changes)
            is_finished = self._job.outcome is not None
            if not await self._call(loop_time() - began_at) or is_finished:
                return

    def close(self) -> None:
        """Call the callback's ``close``, if it has one."""
        close = getattr(self._callback, "close", None)
        if callable(close):
            try:
                close()
            except Exception:  # the user's function must not affect a job
                logger.exception("close() of the progress callback raised", extra=self._job.log_extra("hook"))

    async def _call(self, elapsed_s: float) -> bool:
        """Call the callback; return False if it raised."""
        try:
            result = self._callback(progress_of(self._job, self._status, elapsed_s))
            if inspect.isawaitable(result):
                async with asyncio.timeout(_CALLBACK_TIMEOUT_S):
                    await result
        except (Exception, asyncio.CancelledError) as error:  # the user's function must not affect a job
            if is_cancellation(error):
                raise
            logger.exception("the progress callback raised; it is not called again", extra=self._job.log_extra("hook"))
            return False
        return True


async def _changed(changes: EventStream) -> bool:
    """Wait for the next change, or for a second; return False after the last one."""
    with suppress(TimeoutError):
        async with asyncio.timeout(EVERY_S):
            try:
                await anext(changes)
            except (StopAsyncIteration, VeoError):  # the job has finished, or the session has ended
                return False
    return True
