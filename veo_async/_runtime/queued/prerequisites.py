"""Jobs that wait for an upload or a source clip before they enter the queue.

Such a job is queued on the ledger, but not in the queue; it holds no slot. When its prerequisite is met it enters the
queue; when that fails the job is refused, without affecting others; when the ledger fails or the session closes it
remains queued on the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable

import attrs

from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.log import logger_for
from veo_async._runtime.recovery import Recovery
from veo_async.errors import ClientClosed, LedgerError, SessionEnded, VeoError

logger = logger_for(__name__)


@attrs.define(eq=False, repr=False)
class Prerequisites:
    """The jobs that wait, each with a task that prepares it."""

    #: Called with a job that may enter the queue.
    _on_ready: Callable[[LiveJob], None]
    #: Finishes a job that will never be sent.
    _refuse: Callable[[LiveJob, VeoError], Awaitable[None]]
    _recovery: Recovery
    _waiting: dict[LiveJob, asyncio.Task[None]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job: LiveJob) -> bool:
        return job in self._waiting

    def wait_for(self, job: LiveJob, prepare: Callable[[LiveJob], Awaitable[None]]) -> None:
        """Let *job* enter the queue after *prepare* has returned."""
        task = self._waiting[job] = self._recovery.start(job, self._prepare(job, prepare), f"prepare:{job.key}")
        task.add_done_callback(lambda _: self._waiting.pop(job, None))

    def withdraw(self, job: LiveJob) -> bool:
        """Stop preparing *job*; return whether it waited."""
        task = self._waiting.pop(job, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def _prepare(self, job: LiveJob, prepare: Callable[[LiveJob], Awaitable[None]]) -> None:
        try:
            await prepare(job)
        except (LedgerError, SessionEnded, ClientClosed) as error:
            logger.warning("job %s remains queued: %s", job.key, error, extra={"job_key": job.key})
            job.release_waiters(error)
        except VeoError as error:
            self._waiting.pop(job, None)
            await self._refuse(job, copy_error(error))
        else:
            self._waiting.pop(job, None)
            self._on_ready(job)
