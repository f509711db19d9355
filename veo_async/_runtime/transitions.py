"""The one way from state to state.

`_rules.lifecycle` says where a job may go; the table of handlers in `engine` says what happens there; this module says
how it goes. No other module changes a job's state. It does so for one of two reasons.

**Something happened to the job** (`Transitions.apply`):

1. the journal writes the transition to the ledger, retrying until it succeeds;
2. the old state's handler gives back what the job held there (`StateHandler.leave`), and the state changes;
3. the new state's handler begins (`StateHandler.enter`); a state without a handler is final;
4. waiters, subscribers and the ``on_event`` hook are notified.

**Another session changed the job**, and the ledger shows where it is now (`Transitions.follow`): steps 2 to 4.

Steps 2 to 4 never raise: where a handler raises an unexpected exception, they are done again later (`recovery`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypedDict, TypeVar, Unpack

from veo_async._base.kill_points import kill_point
from veo_async._ports import JobRow, Scalar, TaskAlreadyBound
from veo_async._rules.lifecycle import Event, JobState
from veo_async.errors import JobUnreadable, LedgerError, LedgerIOError, VeoError

from .background import BackgroundTasks
from .job.endings import credits_after
from .job.live_job import LiveJob
from .job.log_lines import action_of, log_line
from .job.outcome import Done, InDoubt, Outcome, Refused
from .job.rows import error_evidence, outcome_to_json, update_from_row
from .journal import Journal
from .log import logger_for
from .recovery import Recovery

logger = logger_for(__name__)

T = TypeVar("T")

#: After these events nothing more happens to the job's task.
_FINISHING = (Event.COMPLETE, Event.REFUSE, Event.FAIL, Event.EXPIRE, Event.ABANDON)
#: These events continue a job in doubt; the ledger decides which session owns it then.
_CONTINUING = (Event.BIND, Event.RESUBMIT)


class StateHandler(Protocol):
    """What a session does for the jobs in one state. Each job that it owns is entered once and left once."""

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        """Begin the work for *job*; return False if there is none, so that the job has finished.

        *event* is None if the session found the job in this state.
        """
        ...

    def withdraw(self, job: LiveJob) -> bool:
        """Stop the work for *job*, if there is any, so that it can be abandoned; return False if that is impossible."""
        ...

    def leave(self, job: LiveJob, event: Event | None) -> None:
        """Give back everything that *job* holds in this state; that may be nothing.

        *event* is None if another session changed it, or if its work begins again.
        """
        ...


class Details(TypedDict, total=False):
    """What the ledger stores with a transition."""

    #: Columns of the job's row.
    changes: Mapping[str, Scalar]
    #: Facts for the job's timeline.
    evidence: Mapping[str, Scalar]
    #: Until when the rate limit is closed (wall clock), for the other sessions.
    closed_until: float


class Transitions:
    """Changes the states of the jobs of one session.

    Args:
        on_outcome: sets a job's outcome and notifies everyone who follows the job.
        tasks: owns the background tasks of the jobs.
        log_page: the provider's page with the account's tasks, for outcomes without a clip.
    """

    def __init__(
        self,
        journal: Journal,
        on_outcome: Callable[[LiveJob, Outcome], None],
        tasks: BackgroundTasks | None = None,
        log_page: str | None = None,
    ) -> None:
        self._journal, self._on_outcome, self._log_page = journal, on_outcome, log_page
        #: What happens after an unexpected exception.
        self.recovery: Recovery = Recovery(tasks or BackgroundTasks(), stop=self.withdraw, restart=self._restart)
        #: The handler of each state that is not final.
        self.handlers: Mapping[JobState, StateHandler] = {}
        self._shielded = BackgroundTasks()

    # --- something happened to the job --------------------------------------------------------------------------

    async def apply(
        self, job: LiveJob, event: Event, outcome: Outcome | None = None, **details: Unpack[Details]
    ) -> bool:
        """Write *event* to the ledger, then act on it. Return False if another session changed the job before.

        Raises:
            BudgetExceeded: another request of the job exceeds the shared budget; nothing was written.
            TaskAlreadyBound: the task in *details* belongs to another job.
            LedgerError: the session is closing, and the ledger could not be written.
        """
        self._link_log_page(job, outcome)
        before, credits = job.state, credits_after(job, event, outcome)
        columns = self._columns(job, event, outcome, details.get("changes", {}))
        if credits != job.credits:
            columns |= {"price": job.price, "credits": credits}
        is_task_end = before is JobState.RUNNING and event is not Event.ABANDON
        if is_task_end:
            kill_point("finish:before-write")
        evidence, closed_until = details.get("evidence", {}), details.get("closed_until", 0.0)
        is_written = await self._journal.record(job, event, columns, evidence, closed_until=closed_until)  # 1
        if is_task_end:
            kill_point("finish:after-write")
        if job.state is not before:
            pass  # `follow` was faster
        elif not is_written or (job.is_remote and event in _CONTINUING):
            await self.resync(job, columns.get("task_id") if event is Event.ACCEPT else None)
        else:
            job.credits = credits
            self.arrive(job, event, outcome, task_id=columns.get("task_id"))  # 2, 3, 4
        return is_written

    async def try_apply(
        self, job: LiveJob, event: Event, outcome: Outcome | None = None, **details: Unpack[Details]
    ) -> None:
        """Do the same as `apply`, but only log a ledger error: the next session reads the ledger and continues."""
        try:
            await self.apply(job, event, outcome, **details)
        except LedgerError as error:
            extra = job.log_extra("task-not-recorded")
            logger.warning(
                "the session closes without recording %r of job %s: %s", event.value, job.key, error, extra=extra
            )

    async def refuse(self, job: LiveJob, error: VeoError) -> None:
        """Finish a queued job that will never be sent."""
        error.add_evidence(job_key=job.key, attempts=job.attempts)
        refused, changes = Refused(job.key, error), {"attempts": job.attempts}
        await self.try_apply(job, Event.REFUSE, refused, changes=changes, evidence=error_evidence(error))

    def begin_sending(self, job: LiveJob) -> bool:
        """Change a queued job to sending. `Journal.send` records that, with the permit, before a byte is sent.

        Return False after an unexpected exception: the job is still queued, and enters the queue again later.
        """
        with self.recovery.guard(job):
            self._leave(job, Event.SEND)
            job.apply(Event.SEND)
            job.awaits_permit = True
        return job.state is JobState.SENDING

    def arrive(
        self, job: LiveJob, event: Event, outcome: Outcome | None = None, *, task_id: Scalar | None = None
    ) -> None:
        """Do steps 2 to 4 for an *event* that the ledger has, or that cannot be written any more."""
        before = None if job.is_remote else self.handlers.get(job.state)
        job.apply(event)
        if isinstance(task_id, str):
            job.task_id = task_id
        level, text = log_line(job, event, outcome, self._journal.now())
        logger.log(level, "job %s: %s", job.key, text, extra=job.log_extra(action_of(event)))
        if outcome is not None and not isinstance(outcome, Done):
            logger.debug("job %s: %s", job.key, outcome.detail, extra=job.log_extra("detail"))
        self._change(job, before, event, outcome)  # 2, 3, 4

    # --- the ledger shows where the job is ----------------------------------------------------------------------

    def follow(self, job: LiveJob, row: JobRow) -> None:
        """Do steps 2 to 4 for a job that another session changed, or that this session takes over."""
        with self.recovery.guard(job, partial(self.follow, job, row)):
            self._leave(job, None)
            try:
                update_from_row(job, row)
            except JobUnreadable as error:
                self._give_up(job, error)
                return
            job.is_remote = row.owner != self._journal.ledger.session_id
            self._continue(job, row)

    def _continue(self, job: LiveJob, row: JobRow) -> None:
        is_being_saved = job.state is JobState.READY and row.save_to is not None
        if not job.is_remote:
            self._enter(job, None, job.outcome)
        elif job.outcome is not None and not is_being_saved:
            self.set_outcome(job, job.outcome)
        else:
            job.reopen()
            job.wake()

    def resume(self, job: LiveJob) -> None:
        """Begin the work for a new job, or for one that the session found on the ledger."""
        self._enter(job, None, job.outcome)

    async def resync(self, job: LiveJob, new_task_id: Scalar = None) -> None:
        """Read from the ledger where *job* is, and continue there.

        Args:
            new_task_id: the task in the response to this session's request. Another session that considered this one
                dead has the job in doubt: it is bound to the task before anyone here is notified.

        Raises:
            LedgerError: the session is closing, and the ledger could not be read.
        """
        before, row = job.state, await self._journal.read(job)
        if new_task_id is not None and row is not None and row.state == JobState.IN_DOUBT:
            changes, evidence = {"task_id": new_task_id, "outcome": None}, {"proof": "response", "task_id": new_task_id}
            with suppress(TaskAlreadyBound):
                await self._journal.record(job, Event.BIND, changes, evidence, before=JobState.IN_DOUBT)
            row = await self._journal.read(job)
        if job.state is not before:
            return  # `follow` was faster
        logger.warning("another session changed job %s", job.key, extra=job.log_extra("changed-elsewhere"))
        if row is None:
            self._leave(job, None)
            remedy = "Submit it again if it is still needed."
            self._give_up(job, LedgerIOError("this job is no longer on the ledger", remedy=remedy))
            return
        self.follow(job, row)
        if job.state is JobState.SENDING and job.awaits_permit and not job.is_remote:
            # Its intent was written although the ledger reported an error; nothing was sent.
            await self.try_apply(job, Event.REQUEUE)

    def _give_up(self, job: LiveJob, error: LedgerError) -> None:
        """Do nothing more for a job that the ledger does not have, or whose row cannot be read."""
        job.is_remote = True
        logger.error("job %s: %s", job.key, error, extra=job.log_extra("job-unreadable"))
        job.release_waiters(error)

    # --- shared steps -------------------------------------------------------------------------------------------

    def _leave(self, job: LiveJob, event: Event | None) -> None:
        """Step 2: give back what the job holds in its state."""
        handler = self.handlers.get(job.state)
        if handler is not None and not job.is_remote:
            handler.leave(job, event)

    def _change(self, job: LiveJob, before: StateHandler | None, event: Event, outcome: Outcome | None) -> None:
        """Do steps 2 to 4; if giving back raises an unexpected exception, do all of them again later."""
        with self.recovery.guard(job, partial(self._change, job, before, event, outcome)):
            if before is not None:
                before.leave(job, event)
            self._enter(job, event, outcome)

    def _enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> None:
        """Steps 3 and 4: let the handler of the new state begin, then notify."""
        job.reopen()
        job.entered_with = outcome
        with self.recovery.guard(job):
            handler = self.handlers.get(job.state)
            if handler is not None and handler.enter(job, event, outcome):
                job.wake()
            elif outcome is not None:
                self._on_outcome(job, outcome)

    def _restart(self, job: LiveJob) -> None:
        """Begin the work for *job* in its state again, after an unexpected exception."""
        if not job.is_remote:
            self.withdraw(job)
            self._leave(job, None)
            self._enter(job, None, job.entered_with)

    def set_outcome(self, job: LiveJob, outcome: Outcome) -> None:
        """Set the outcome of a job that stays in its state, and notify."""
        self._link_log_page(job, outcome)
        with self.recovery.guard(job, partial(self.set_outcome, job, outcome)):
            self._on_outcome(job, outcome)

    def _link_log_page(self, job: LiveJob, outcome: Outcome | None) -> None:
        """Note in *outcome* where the provider shows the job's task, unless there certainly is none."""
        may_have_task = job.task_id is not None or isinstance(outcome, InDoubt)
        if outcome is not None and not isinstance(outcome, Done) and may_have_task:
            outcome.error.add_evidence(log_url=self._log_page)

    def withdraw(self, job: LiveJob) -> bool:
        """Stop all work for *job* so that it can be abandoned; return False if that is impossible now."""
        handler = self.handlers.get(job.state)
        return handler is None or handler.withdraw(job)

    def _columns(
        self, job: LiveJob, event: Event, outcome: Outcome | None, changes: Mapping[str, Scalar]
    ) -> dict[str, Scalar]:
        columns = dict(changes)
        if outcome is not None:
            columns["outcome"] = outcome_to_json(outcome)
        elif event in _CONTINUING:
            columns["outcome"] = None
        if event in _FINISHING:
            columns["ended_at"] = self._journal.now()
            if job.credits_consumed is not None:
                columns["credits_consumed"] = job.credits_consumed
        return columns

    # --- actions of a user, who may be cancelled ----------------------------------------------------------------

    async def run_shielded(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Run *work* in its own task, which finishes even if the caller is cancelled."""
        return await asyncio.shield(self._shielded.start(work, name))

    async def wait_idle(self) -> None:
        """Wait for the tasks of `run_shielded`."""
        await self._shielded.wait()
