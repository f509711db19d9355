"""The journal: writes each transition to the ledger before anyone acts on it or is notified.

There are two kinds of writes, which fail differently:

- *Before money is spent* (`insert`, `send`): if the ledger fails, the error is raised and not a byte is sent.
- *Afterwards* (`record`): the request was sent or the task has ended, so there is no way back. The write is retried
  with growing delays until the ledger accepts it. Until then no one is notified, and submission is paused. Only while
  the session closes does the journal give up, after `CLOSE_TIMEOUT_S`; the task id is then in the error and in the log.

If the ledger rejects a transition because another session changed the job, that is not an error: `record` returns
False, and the caller continues from what the ledger contains.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from veo_async._ports import (
    JobRow,
    LedgerSession,
    NewJob,
    RateClaim,
    Scalar,
    SendPermit,
    TaskAlreadyBound,
    Transition,
)
from veo_async._rules.lifecycle import Event, JobState, next_state
from veo_async.errors import BudgetExceeded, LedgerError, LedgerIOError

from .clock import loop_time, wait_for_event
from .job.live_job import LiveJob
from .job.rows import row_of
from .log import logger_for
from .queued.spending import SharedBudget

logger = logger_for(__name__)

_Values = Mapping[str, Scalar]

#: Delays between two attempts to record a transition: 0.5, 1, 2 … s.
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
#: How long a closing session waits for a ledger that cannot be written.
CLOSE_TIMEOUT_S = 5.0
#: Delay between two attempts to read a job.
READ_AGAIN_S = 1.0


@attrs.define(eq=False, repr=False)
class Journal:
    """Writes the jobs of one session to its ledger."""

    ledger: LedgerSession
    account: str
    #: Returns the wall-clock time.
    now: Callable[[], float]
    #: The budget that the session shares with others on the ledger.
    budget: SharedBudget | None = attrs.field(default=None, kw_only=True)
    #: The jobs of this session by task id.
    _jobs_by_task: Mapping[str, LiveJob] = attrs.field(alias="jobs_by_task")
    #: Called when the ledger cannot be written after a request was sent.
    _on_blocked: Callable[[], None] = attrs.field(alias="on_blocked", default=lambda: None)
    #: The number of transitions that could not be recorded yet.
    _blocked: int = attrs.field(default=0, init=False)
    _closing: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def stop_retrying(self) -> None:
        """Retry for no longer than `CLOSE_TIMEOUT_S` from now on, because the session closes."""
        self._closing.set()

    async def insert(self, job: LiveJob, *, replaces: JobRow | None = None) -> JobRow:
        """Insert a new job; return the row with its key, which may be another job's."""
        return await self.ledger.insert(self._row_of(job), replaces=replaces, budget_limit=self._limit)

    async def insert_all(self, jobs: Sequence[tuple[LiveJob, JobRow | None]]) -> list[JobRow]:
        """Insert all new ones of several jobs, each with the row that it replaces, or none; return the rows.

        Raises:
            BudgetExceeded: together they exceed the shared budget.
        """
        new = [NewJob(row=self._row_of(job), replaces=replaces) for job, replaces in jobs]
        return await self.ledger.insert_all(new, budget_limit=self._limit)

    @property
    def _limit(self) -> float | None:
        return None if self.budget is None else self.budget.limit

    def _row_of(self, job: LiveJob) -> JobRow:
        job.budget = None if self.budget is None else self.budget.name
        return row_of(job, account=self.account, at=self.now())

    async def send(self, job: LiveJob, claim: RateClaim) -> SendPermit | None:
        """Record the intent to send *job* with its token; see `LedgerSession.begin_send`."""
        job.sent_at = self.now()
        changes: dict[str, Scalar] = {"token": job.token, "sent_at": job.sent_at, "route": job.route}
        evidence = {"attempt": job.attempts + 1}
        joined = self._joined_by(job)
        if joined is not None:
            changes["budget"] = joined.name
        record = self._transition(job, Event.SEND, JobState.QUEUED, changes, evidence)
        permit = await self.ledger.begin_send(record, claim)
        if joined is not None and permit is not None and permit.is_granted:
            job.budget = joined.name
            joined.release(job)
        return permit

    async def record(
        self,
        job: LiveJob,
        event: Event,
        changes: _Values,
        evidence: _Values,
        *,
        before: JobState | None = None,
        closed_until: float = 0.0,
    ) -> bool:
        """Record what happened to *job*, retrying until it succeeds; return False if another session changed the job.

        Args:
            before: the state in which the ledger has the job, if that differs from the state in memory.

        Raises:
            BudgetExceeded: another request of the job exceeds the shared budget; nothing was written.
            TaskAlreadyBound: the task belongs to another job.
            LedgerError: the session is closing, and the ledger could not be written.
        """
        joined = self._joined_by(job) if event is Event.RESUBMIT else None
        if joined is not None:
            changes = {**changes, "budget": joined.name}
        record = self._transition(job, event, before or job.state, changes, evidence)
        self._check_task_is_free(job, record.changes.get("task_id"))
        limit = self._limit_for(job) if event is Event.RESUBMIT else None
        try:
            is_written = await self._apply(record, closed_until, limit)
        except LedgerError as error:
            is_written = await self._retry_until_written(record, closed_until, limit, error)
        if joined is not None and is_written:
            job.budget = joined.name
        return is_written

    async def read(self, job: LiveJob) -> JobRow | None:
        """Read the row of *job*, retrying until it succeeds.

        Raises:
            LedgerError: the session is closing, and the ledger could not be read.
        """
        while True:
            is_last = self._closing.is_set()
            try:
                return await self._get(job.key)
            except LedgerError as error:
                if is_last:
                    raise
                extra = job.log_extra("changed-elsewhere")
                logger.warning("could not read job %s from the ledger: %s", job.key, error, extra=extra)
            await self._pause(READ_AGAIN_S)

    def _transition(
        self, job: LiveJob, event: Event, before: JobState, changes: _Values, evidence: _Values
    ) -> Transition:
        after, at = next_state(before, event), self.now()
        return Transition(
            key=job.key, event=event, before=before, after=after, at=at, changes=changes, evidence=evidence
        )

    def _joined_by(self, job: LiveJob) -> SharedBudget | None:
        """Return the shared budget if sending *job* makes it a part: a job keeps the budget of its submission."""
        return self.budget if job.budget is None else None

    def _limit_for(self, job: LiveJob) -> float | None:
        """Return the limit that another request of *job* must respect."""
        is_ours = self.budget is not None and job.budget in (None, self.budget.name)
        return self._limit if is_ours else None

    def _check_task_is_free(self, job: LiveJob, task_id: Scalar) -> None:
        """Raise if the task belongs to another job of this session. Not every ledger checks that."""
        owner = self._jobs_by_task.get(task_id) if isinstance(task_id, str) else None
        if owner is not None and owner is not job:
            raise TaskAlreadyBound(owner.key)

    async def _retry_until_written(
        self, record: Transition, closed_until: float, budget_limit: float | None, error: LedgerError
    ) -> bool:
        extra = {"action": "write-failed", "job_key": record.key, "task_id": record.changes.get("task_id")}
        if not self._blocked:
            self._on_blocked()
        self._blocked += 1
        try:
            delay_s = RETRY_FIRST_S
            while True:
                message = "could not record %r of job %s, retrying: %s"
                logger.error(message, str(record.event), record.key, error, extra=extra)
                is_last = self._closing.is_set()
                await self._pause(min(delay_s, CLOSE_TIMEOUT_S) if is_last else delay_s)
                delay_s = min(2 * delay_s, RETRY_MAX_S)
                try:
                    return await self._apply(record, closed_until, budget_limit) or await self._was_written(record)
                except LedgerError as again:
                    if is_last:
                        raise again.with_traceback(None) from None
                    error = again
        finally:
            self._blocked -= 1

    async def _apply(self, record: Transition, closed_until: float, budget_limit: float | None) -> bool:
        with _as_ledger_errors():
            return await self.ledger.apply(record, closed_until=closed_until, budget_limit=budget_limit)

    async def _get(self, key: str) -> JobRow | None:
        with _as_ledger_errors():
            return await self.ledger.get(key)

    async def _was_written(self, record: Transition) -> bool:
        """Whether an earlier attempt was committed although it raised an error."""
        row = await self._get(record.key)
        return row is not None and row.owner == self.ledger.session_id and row.state == record.after

    async def _pause(self, delay_s: float) -> None:
        """Sleep; wake early for the last attempt when the session begins to close."""
        if self._closing.is_set():
            await asyncio.sleep(delay_s)
            return
        await wait_for_event(self._closing, loop_time() + delay_s)


@contextmanager
def _as_ledger_errors() -> Iterator[None]:
    """Raise `LedgerIOError` for an unexpected exception of the ledger, so that what happened is written again."""
    try:
        yield
    except (BudgetExceeded, LedgerError, TaskAlreadyBound):
        raise
    except Exception as error:
        logger.exception("unexpected error of the ledger", extra={"action": "unexpected"})
        raise LedgerIOError(f"unexpected {type(error).__name__} of the ledger") from error
