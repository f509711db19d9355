"""The one way from state to state.

Only here does a job change its state, and for one of two reasons. Something has happened to it (`Transitions.apply`):

1. the ledger takes it, however long that takes; nobody acts or is told before;
2. the job leaves its state for the next one;
3. the handler of the next state begins its work (`states`; a state without one is an end);
4. whoever waits or listens is told.

Or somebody else has moved it, and the ledger says so (`Transitions.follow`): steps 2 to 4 from where the ledger has it.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from veo_async._base.kill_points import kill_point
from veo_async._ports import JobRow, Scalar
from veo_async._rules.lifecycle import Event, JobState
from veo_async.errors import LedgerError, LedgerIOError, VeoError

from .announcer import Announcer
from .job.live_job import LiveJob
from .job.outcome import Done, Outcome, Refused
from .job.rows import error_evidence as evidence_of
from .job.rows import outcome_to_json, update_from_row
from .journal import Journal
from .log import logger_for

logger = logger_for(__name__)

T = TypeVar("T")

#: Nothing more will come of a job's task.
_ENDS = (Event.COMPLETE, Event.REFUSE, Event.FAIL, Event.EXPIRE, Event.ABANDON)
#: What ends a doubt and lets the job go on; whose it is the ledger says.
_CONTINUES = (Event.BIND, Event.RESUBMIT)


class StateHandler(Protocol):
    """What a session does for the jobs in one state. For each job that is its own it is entered and left once."""

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        """Begin; False when there is nothing to do and the job has ended. *event* None: it was found in this state."""
        ...

    def withdraw(self, job: LiveJob) -> bool:
        """Let go of *entry*, which is to be abandoned; False when it is being worked on just now."""
        ...

    def leave(self, job: LiveJob, event: Event | None) -> None:
        """Give back what *entry* holds in this state. *event* None: somebody else has moved it."""
        ...


class Transitions:
    """Moves the jobs of one session from state to state."""

    def __init__(self, journal: Journal, announcer: Announcer) -> None:
        self._journal, self._announcer = journal, announcer
        self.handlers: Mapping[JobState, StateHandler] = {}
        self._shielded: set[asyncio.Task[Any]] = set()

    # --- something has happened ---------------------------------------------------------------------------------

    async def apply(
        self,
        job: LiveJob,
        event: Event,
        outcome: Outcome | None = None,
        *,
        changes: Mapping[str, Scalar] | None = None,
        evidence: Mapping[str, Scalar] | None = None,
        closed_until: float = 0.0,
    ) -> bool:
        """*event* has happened to *entry*; False when somebody else has moved it before.

        Raises:
            TaskAlreadyBound: the task that *changes* names is another job's.
            LedgerError: the session has ended, and the ledger does not take it.
        """
        before, columns = job.state, self._columns(job, event, outcome, changes)
        is_end = before is JobState.RUNNING and event is not Event.ABANDON
        if is_end:
            kill_point("finish:before-write")
        is_written = await self._journal.record(job, event, columns, evidence, closed_until=closed_until)  # 1
        if is_end:
            kill_point("finish:after-write")
        if job.state is not before:
            pass  # the ledger's news of it were faster
        elif not is_written or (job.is_remote and event in _CONTINUES):
            await self.resync(job)
        else:
            self.arrive(job, event, outcome, task_id=columns.get("task_id"))  # 2, 3, 4
        return is_written

    async def try_apply(
        self,
        job: LiveJob,
        event: Event,
        outcome: Outcome | None = None,
        *,
        changes: Mapping[str, Scalar] | None = None,
        evidence: Mapping[str, Scalar] | None = None,
        closed_until: float = 0.0,
    ) -> None:
        """The same where nobody is to be told that the session ends without: the next one goes by the ledger."""
        try:
            await self.apply(job, event, outcome, changes=changes, evidence=evidence, closed_until=closed_until)
        except LedgerError as error:
            extra = {"action": "task-not-recorded", "job_key": job.key, "task_id": job.task_id}
            logger.warning("the session ends without %s of job %s: %s", event.value, job.key, error, extra=extra)

    async def refuse(self, job: LiveJob, error: VeoError) -> None:
        """*entry* waited, and will never be sent."""
        error.add_evidence(job_key=job.key, attempts=job.attempts)
        refused, changes = Refused(job.key, error.message, error), {"attempts": job.attempts}
        await self.try_apply(job, Event.REFUSE, refused, changes=changes, evidence=evidence_of(error))

    def begin_sending(self, job: LiveJob) -> None:
        """It is *entry*'s turn. The ledger takes that with its permit (`Scribe.send`), before a byte leaves."""
        self._leave(job, Event.SEND)
        job.apply(Event.SEND)

    def arrive(
        self, job: LiveJob, event: Event, outcome: Outcome | None = None, *, task_id: Scalar | None = None
    ) -> None:
        """Steps 2 to 4 for *event*, which the ledger knows or cannot be told."""
        self._leave(job, event)  # 2
        job.apply(event)
        if isinstance(task_id, str):
            job.task_id = task_id
        why = "" if outcome is None or isinstance(outcome, Done) else f" ({outcome.error.message})"
        extra = {"action": event.value, "job_key": job.key, "task_id": job.task_id}
        logger.info("job %s: %s%s", job.key, event.value, why, extra=extra)
        self._enter(job, event, outcome)  # 3, 4

    # --- the ledger says where it is ----------------------------------------------------------------------------

    def follow(self, job: LiveJob, row: JobRow) -> None:
        """Steps 2 to 4 for a job that somebody else has moved, or that nobody drives any more."""
        self._leave(job, None)
        update_from_row(job, row)
        job.is_remote = row.owner != self._journal.ledger.session_id
        is_being_saved = job.state is JobState.READY and row.save_to is not None
        if not job.is_remote:
            self._enter(job, None, job.outcome)
        elif job.outcome is not None and not is_being_saved:
            self.end(job, job.outcome)
        else:
            job.reopen()
            job.wake()

    def resume(self, job: LiveJob) -> None:
        """*entry* was found where it is: begin there."""
        self._enter(job, None, job.outcome)

    async def resync(self, job: LiveJob) -> None:
        """*entry* is not where we thought.

        Raises:
            LedgerError: the session has ended, and the ledger does not say where it is.
        """
        before, row = job.state, await self._journal.read(job)
        if job.state is not before:
            return  # its news were faster
        extra = {"action": "changed-elsewhere", "job_key": job.key, "task_id": job.task_id}
        logger.warning("job %s goes by the ledger", job.key, extra=extra)
        if row is None:
            self._leave(job, None)
            job.is_remote = True  # nothing is done for it here any more
            job.release_waiters(
                LedgerIOError(
                    "the ledger does not know this job any more", remedy="Submit it again if it is still needed."
                )
            )
            return
        self.follow(job, row)
        if job.state is JobState.SENDING and not job.is_remote:
            # Its intent was written after all, though that was told to have failed: not a byte has left.
            await self.try_apply(job, Event.REQUEUE)

    # --- what both do -------------------------------------------------------------------------------------------

    def _leave(self, job: LiveJob, event: Event | None) -> None:
        """Step 2: what it held in its state is given back."""
        handler = self.handlers.get(job.state)
        if handler is not None and not job.is_remote:
            handler.leave(job, event)

    def _enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> None:
        """Steps 3 and 4: its handler begins; everyone is told that it goes on (`wake`) or has ended (`end`)."""
        job.reopen()
        handler = self.handlers.get(job.state)
        if handler is not None and handler.enter(job, event, outcome):  # 3
            job.wake()  # 4
        elif outcome is not None:
            self.end(job, outcome)  # 4

    def end(self, job: LiveJob, outcome: Outcome) -> None:
        """This is how it ended, or stands; everyone who waits or listens is told."""
        self._announcer.finished(job, outcome)

    def withdraw(self, job: LiveJob) -> bool:
        """Take *entry* out of whatever is done for it, to be abandoned; False when that cannot be just now."""
        handler = self.handlers.get(job.state)
        return handler is None or handler.withdraw(job)

    def _columns(
        self, job: LiveJob, event: Event, outcome: Outcome | None, changes: Mapping[str, Scalar] | None
    ) -> dict[str, Scalar]:
        columns = {**(changes or {})}
        if outcome is not None:
            columns["outcome"] = outcome_to_json(outcome)
        elif event in _CONTINUES:
            columns["outcome"] = None
        if event in _ENDS:
            columns["ended_at"] = self._journal.now()
        return columns

    # --- a user's wish, who may be cancelled --------------------------------------------------------------------

    async def run_shielded(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Run *work* in a task of its own: whoever waits may be cancelled, what was begun comes to its end."""
        task = asyncio.create_task(work, name=name)
        self._shielded.add(task)
        task.add_done_callback(self._shielded.discard)
        return await asyncio.shield(task)

    async def wait_idle(self) -> None:
        """Wait until what was begun has come to its end."""
        if self._shielded:
            await asyncio.wait(self._shielded)
