"""Between being taken in and the queue: jobs that are held back until something is there.

Such a job is on the ledger, as queued, and in no queue; it holds no slot and no place at the gate. What it waits for
is the business of whoever prepares it (`sources`, `uploading`): once that is done the job waits for its turn; when it
fails the job is refused, alone and never sent; and when the ledger or the session ends meanwhile it stays queued.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.log import logger_for
from veo_async.errors import LedgerError, SessionEnded, VeoError

logger = logger_for(__name__)


class Prerequisites:
    """Holds jobs back.

    Args:
        go_on: it waits for its turn from now on.
        refuse: it will never be sent, and why.
        spawn: runs work as a task that ends with the session.
    """

    def __init__(
        self,
        *,
        on_ready: Callable[[LiveJob], None],
        refuse: Callable[[LiveJob, VeoError], Awaitable[None]],
        spawn: Callable[[Any], "asyncio.Task[None]"],
    ) -> None:
        self._go_on, self._refuse, self._spawn = on_ready, refuse, spawn
        self._waiting: dict[LiveJob, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait_for(self, job: LiveJob, prepare: Callable[[LiveJob], Awaitable[None]]) -> None:
        """Let *entry* go when *prepare* has made it ready."""
        task = self._waiting[job] = self._spawn(self._prepare(job, prepare))
        task.add_done_callback(lambda _: self._waiting.pop(job, None))

    def withdraw(self, job: LiveJob) -> bool:
        """*entry* is not wanted any more; whether it was held back."""
        task = self._waiting.pop(job, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def _prepare(self, job: LiveJob, prepare: Callable[[LiveJob], Awaitable[None]]) -> None:
        try:
            await prepare(job)
        except (LedgerError, SessionEnded) as error:
            logger.warning("job %s stays queued: %s", job.key, error, extra={"job_key": job.key})
            job.release_waiters(error)
        except VeoError as why:
            self._waiting.pop(job, None)
            await self._refuse(job, copy_error(why))
        else:
            self._waiting.pop(job, None)
            self._go_on(job)
