"""The journal: writes each transition to the ledger before anyone acts on it or is notified.

There are two kinds of writes, which fail differently:

- *Before money is spent* (`insert`, `send`): if the ledger fails, the error is raised and not a byte is sent.
- *Afterwards* (`record`): the request was sent or the task has ended, so there is no way back. The write is retried with
  growing delays until the ledger accepts it. Meanwhile nobody is notified, and `is_blocked` keeps new requests from being
  sent. Only while the session closes does the journal give up, after `CLOSE_TIMEOUT_S`; the task id is then in the error
  and in the log.

If the ledger rejects a transition because another session changed the job, that is not an error: `record` returns False,
and the caller continues from what the ledger contains.
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

#: Delays between two attempts to record a transition: 0.5, 1, 2 … s.
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
#: How long a closing session waits for a ledger that cannot be written.
CLOSE_TIMEOUT_S = 5.0
#: Delay between two attempts to read a job.
READ_AGAIN_S = 1.0


class Journal:
    """Writes the jobs of one session to its ledger.

    Args:
        now: returns the wall-clock time.
        jobs_by_task: the jobs of this session by task id.
        on_blocked: called with True when the ledger cannot be written after a request was sent, and with False when it
            can be written again.
    """

    def __init__(
        self,
        ledger: LedgerSession,
        *,
        account: str,
        now: Callable[[], float],
        jobs_by_task: Mapping[str, LiveJob],
        on_blocked: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.ledger, self.account, self.now = ledger, account, now
        self._jobs_by_task, self._on_blocked = jobs_by_task, on_blocked
        self._blocked = 0
        self._closing = asyncio.Event()

    @property
    def is_blocked(self) -> bool:
        """Whether a transition could not be recorded yet."""
        return self._blocked > 0

    def stop_retrying(self) -> None:
        """Retry for no longer than `CLOSE_TIMEOUT_S` from now on, because the session closes."""
        self._closing.set()

    async def insert(self, job: LiveJob, *, replaces: JobRow | None = None) -> JobRow:
        """Insert a new job; return the row with its key, which may be another job's."""
        return await self.ledger.insert(row_of(job, account=self.account, at=self.now()), replaces=replaces)

    async def send(self, job: LiveJob, claim: RateClaim) -> SendPermit | None:
        """Record the intent to send *job* with its token; see `LedgerSession.begin_send`."""
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
        before: JobState | None = None,
        closed_until: float = 0.0,
    ) -> bool:
        """Record what happened to *job*, retrying until it succeeds; return False if another session changed the job.

        Args:
            before: the state in which the ledger has the job, if that differs from the state in memory.

        Raises:
            TaskAlreadyBound: the task belongs to another job.
            LedgerError: the session is closing, and the ledger could not be written.
        """
        before = before or job.state
        record = Transition(
            key=job.key,
            event=event,
            before=before,
            after=next_state(before, event),
            at=self.now(),
            changes=changes or {},
            evidence=evidence or {},
        )
        self._check_task_is_free(job, record.changes.get("task_id"))
        try:
            return await self.ledger.apply(record, closed_until=closed_until)
        except LedgerError as error:
            return await self._retry_until_written(record, closed_until, error)

    async def read(self, job: LiveJob) -> JobRow | None:
        """Read the row of *job*, retrying until it succeeds.

        Raises:
            LedgerError: the session is closing, and the ledger could not be read.
        """
        while True:
            is_last = self._closing.is_set()
            try:
                return await self.ledger.get(job.key)
            except LedgerError as error:
                if is_last:
                    raise
                extra = job.log_extra("changed-elsewhere")
                logger.warning("could not read job %s from the ledger: %s", job.key, error, extra=extra)
            await self._pause(READ_AGAIN_S)

    def _check_task_is_free(self, job: LiveJob, task_id: Scalar) -> None:
        """Raise if the task belongs to another job of this session. Not every ledger checks that."""
        owner = self._jobs_by_task.get(task_id) if isinstance(task_id, str) else None
        if owner is not None and owner is not job:
            raise TaskAlreadyBound(owner.key)

    async def _retry_until_written(self, record: Transition, closed_until: float, error: LedgerError) -> bool:
        extra = {"action": "write-failed", "job_key": record.key, "task_id": record.changes.get("task_id")}
        self._count_blocked(+1)
        try:
            delay_s = RETRY_FIRST_S
            while True:
                message = "could not record %r of job %s, retrying: %s"
                logger.error(message, str(record.event), record.key, error, extra=extra)
                is_last = self._closing.is_set()
                await self._pause(min(delay_s, CLOSE_TIMEOUT_S) if is_last else delay_s)
                delay_s = min(2 * delay_s, RETRY_MAX_S)
                try:
                    return await self.ledger.apply(record, closed_until=closed_until) or await self._was_written(record)
                except LedgerError as again:
                    if is_last:
                        raise again.with_traceback(None) from None
                    error = again
        finally:
            self._count_blocked(-1)

    async def _was_written(self, record: Transition) -> bool:
        """Whether an earlier attempt was committed although it raised an error."""
        row = await self.ledger.get(record.key)
        return row is not None and row.owner == self.ledger.session_id and row.state == record.after

    async def _pause(self, delay_s: float) -> None:
        """Sleep; wake early for the last attempt when the session begins to close."""
        if self._closing.is_set():
            await asyncio.sleep(delay_s)
            return
        try:
            async with asyncio.timeout(delay_s):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _count_blocked(self, change: int) -> None:
        was_blocked = self.is_blocked
        self._blocked += change
        if self.is_blocked != was_blocked:
            self._on_blocked(self.is_blocked)

