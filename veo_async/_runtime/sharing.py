"""One ledger, several sessions: what did the others do?

Each job has one owner. A session takes over the jobs of an owner that died, and follows the jobs of living ones if a
caller here waits for them. Once a second it reads from the ledger what changed.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from veo_async._ports import JobRow, LedgerChanges
from veo_async._rules.lifecycle import JobState
from veo_async.errors import JobUnreadable, LedgerError

from .clock import loop_time, wait_for_event
from .in_doubt.hints import HintFollower
from .job.live_job import LiveJob
from .job.registry import JobRegistry
from .job.rows import job_from_row
from .journal import Journal
from .log import logger_for
from .sending.scheduler import Scheduler
from .transitions import Transitions

logger = logger_for(__name__)

#: A callback that another session received, or a task of a dead one, is noticed after this time at the latest.
CHECK_EVERY_S = 1.0


@attrs.define(eq=False, repr=False)
class LedgerWatcher:
    """Reads changes from the ledger and applies them to the jobs of this session."""

    _journal: Journal
    _registry: JobRegistry
    _hints: HintFollower
    _scheduler: Scheduler
    _transitions: Transitions
    #: Returns where the clip of a job is saved that names no destination.
    _default_target: Callable[[LiveJob], str | None]
    #: Called after each check.
    _on_check: Callable[[], None]
    _woken: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def check_now(self) -> None:
        """Read the changes now: there is a new hint."""
        self._woken.set()

    async def run(self) -> None:
        """Read and apply changes every `CHECK_EVERY_S` until cancelled."""
        while True:
            await wait_for_event(self._woken, loop_time() + CHECK_EVERY_S)
            self._woken.clear()
            try:
                changes = await self._journal.ledger.changes(self._journal.now())
            except LedgerError as error:
                message, extra = "could not read changes from the ledger: %s", {"action": "ledger-read-failed"}
                logger.warning(message, error, extra=extra)
            except Exception:  # the next second may be better
                logger.exception("could not read changes from the ledger", extra={"action": "ledger-read-failed"})
            else:
                self.apply_changes(changes)
                self._on_check()

    def apply_changes(self, changes: LedgerChanges) -> None:
        """Apply *changes*: account activity, jobs taken over, jobs changed elsewhere, and hints."""
        self._scheduler.apply_account_activity(changes.gate)
        for row in changes.taken_over:
            with _isolated(row.key):
                self._take_over(row)
        for row in changes.changed:
            job = self._registry.by_key.get(row.key)
            # Another session may change a job that this session owns only while it is in doubt.
            if job is not None and job.state != row.state and (job.is_remote or job.state is JobState.IN_DOUBT):
                self._transitions.follow(job, row)  # which never raises
        for hint in changes.hints:
            job = self._registry.by_key.get(hint.key)
            if job is not None:
                with _isolated(hint.key):
                    self._hints.on_hint(job, hint)

    def _take_over(self, row: JobRow) -> None:
        """Become the owner of a job whose owner died."""
        known: LiveJob | None = self._registry.by_key.get(row.key)
        try:
            job = known or job_from_row(row)
        except JobUnreadable as error:
            extra = {"action": "job-unreadable", "job_key": row.key, "task_id": row.task_id}
            logger.error("a job is left alone: %s", error, extra=extra)
            self._registry.unreadable.add(row.key)
            return
        job.save_to = job.save_to or self._default_target(job)
        self._registry.add(job)
        if known is None:
            self._transitions.resume(job)
        else:
            self._transitions.follow(job, row)


@contextmanager
def _isolated(key: str) -> Iterator[None]:
    """Log an unexpected exception that concerns one job only."""
    try:
        yield
    except Exception:  # the others must not suffer
        logger.exception("could not apply a change of job %s", key, extra={"action": "unexpected", "job_key": key})
