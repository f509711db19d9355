"""The scribe: whatever happens to a job is on the disk before anybody acts upon it or is told.

Two kinds of writing, and two ways to fail:

- *Before money is spent* (`insert`, `send`) a ledger that does not answer is a reason not to begin: the error goes up,
  and not a byte leaves.
- *Afterwards* (`record`) there is no way back: the task is made, the answer is here. So the scribe insists: it writes
  again, at longer and longer distances, until the ledger takes it; meanwhile nobody is told, and `is_blocked` keeps
  new requests from leaving. Only when the session ends does it give up, `CLOSE_TIMEOUT_S` later, with the task id in the
  error and in the log.

A step that the ledger refuses, because the job has been moved by somebody else, is no failure: `record` says so, and
whoever asked catches up with what is there.
"""

import asyncio
from collections.abc import Callable, Mapping

from veo_async._ports import JobRow, LedgerSession, RateClaim, Scalar, SendPermit, TaskAlreadyBound, Transition
from veo_async._rules.lifecycle import Event, JobState, next_state
from veo_async.errors import LedgerError

from .job.live_job import LiveJob
from .job.rows import row_of
from .log import logger_for

logger = logger_for(__name__)

#: Waits between two tries to write what has happened: 0.5, 1, 2 … s.
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
#: How long the end of a session waits for a ledger that does not take what has happened.
CLOSE_TIMEOUT_S = 5.0
#: A ledger that does not tell of a job is asked again after so long.
AGAIN_S = 1.0


class Journal:
    """Writes one session's jobs into its book.

    Args:
        now: the wall clock.
        holder_of: the job of this session whose task that is.
        on_blocked: the ledger does not take what has happened, or takes it again.
    """

    def __init__(
        self,
        ledger: LedgerSession,
        *,
        account: str,
        now: Callable[[], float],
        job_of_task: Callable[[str], LiveJob | None],
        on_blocked: Callable[[bool], None],
    ) -> None:
        self.ledger, self.account, self.now = ledger, account, now
        self._job_of_task = job_of_task
        self._on_stuck = on_blocked
        self._stuck = 0
        self._ending = asyncio.Event()

    @property
    def is_blocked(self) -> bool:
        """Something has happened that could not be written down yet."""
        return self._stuck > 0

    def stop_retrying(self) -> None:
        """The session ends: do not insist for longer than `CLOSE_TIMEOUT_S`."""
        self._ending.set()

    async def insert(self, job: LiveJob, *, instead: JobRow | None = None) -> JobRow:
        """Put *entry* down; the row that is there now, which may be another's."""
        return await self.ledger.insert(row_of(job, account=self.account, at=self.now()), replaces=instead)

    async def send(self, job: LiveJob, claim: RateClaim) -> SendPermit | None:
        """Its request is about to leave, with its token; see `Book.send`. For the ledger it is still queued."""
        job.sent_at = self.now()
        record = Transition(
            key=job.key,
            event=Event.SEND,
            before=JobState.QUEUED,
            after=JobState.SENDING,
            at=job.sent_at,
            changes={"token": job.token, "sent_at": job.sent_at},
            evidence={"attempt": job.attempts + 1},
        )
        return await self.ledger.begin_send(record, claim)

    async def record(
        self,
        job: LiveJob,
        event: Event,
        changes: Mapping[str, Scalar] | None = None,
        evidence: Mapping[str, Scalar] | None = None,
        *,
        closed_until: float = 0.0,
    ) -> bool:
        """Write down what has happened to *entry*, however long it takes; False when somebody else has moved it.

        Raises:
            TaskAlreadyBound: the task is another job's.
            LedgerError: the session has ended, and the ledger still does not take it.
        """
        record = self._step(job, event, changes or {}, evidence or {})
        self._check_task_is_free(job, record.changes.get("task_id"))
        try:
            return await self.ledger.apply(record, closed_until=closed_until)
        except LedgerError as error:
            return await self._retry_until_written(record, closed_until, error)

    async def read(self, job: LiveJob) -> JobRow | None:
        """What the ledger says of *entry*, however long it takes to say it.

        Raises:
            LedgerError: the session has ended, and the ledger still does not say it.
        """
        while True:
            is_last = self._ending.is_set()
            try:
                return await self.ledger.get(job.key)
            except LedgerError as error:
                if is_last:
                    raise
                extra = {"action": "changed-elsewhere", "job_key": job.key, "task_id": job.task_id}
                logger.warning("the ledger does not tell of job %s: %s", job.key, error, extra=extra)
            await self._pause(AGAIN_S)

    def _step(
        self, job: LiveJob, event: Event, changes: Mapping[str, Scalar], evidence: Mapping[str, Scalar]
    ) -> Transition:
        return Transition(
            key=job.key,
            event=event,
            before=job.state,
            after=next_state(job.state, event),
            at=self.now(),
            changes=changes,
            evidence=evidence,
        )

    def _check_task_is_free(self, job: LiveJob, task_id: Scalar) -> None:
        """No task is two jobs', whatever the ledger: this session knows its own."""
        holder = self._job_of_task(task_id) if isinstance(task_id, str) else None
        if holder is not None and holder is not job:
            raise TaskAlreadyBound(holder.key)

    async def _retry_until_written(self, record: Transition, closed_until: float, error: LedgerError) -> bool:
        self._count_blocked(+1)
        try:
            wait_s = RETRY_FIRST_S
            while True:
                logger.error(
                    "cannot write down %s of job %s: %s", record.event, record.key, error, extra=_extra(record)
                )
                is_last = self._ending.is_set()
                await self._pause(min(wait_s, CLOSE_TIMEOUT_S) if is_last else wait_s)
                wait_s = min(2 * wait_s, RETRY_MAX_S)
                try:
                    return await self.ledger.apply(record, closed_until=closed_until) or await self._was_written(record)
                except LedgerError as again:
                    if is_last:
                        raise again.with_traceback(None) from None
                    error = again
        finally:
            self._count_blocked(-1)

    async def _was_written(self, record: Transition) -> bool:
        """Whether an earlier try came to be after all, though it was told that it failed."""
        row = await self.ledger.get(record.key)
        return row is not None and row.owner == self.ledger.session_id and row.state == record.after

    async def _pause(self, wait_s: float) -> None:
        """Sleep, and wake early when the session ends: then the last try comes."""
        if self._ending.is_set():
            await asyncio.sleep(wait_s)
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._ending.wait()
        except TimeoutError:
            pass

    def _count_blocked(self, more: int) -> None:
        was_stuck = self.is_blocked
        self._stuck += more
        if self.is_blocked != was_stuck:
            self._on_stuck(self.is_blocked)


def _extra(record: Transition) -> dict[str, object]:
    return {"action": "write-failed", "job_key": record.key, "task_id": record.changes.get("task_id")}


__all__ = ["Journal", "TaskAlreadyBound"]
