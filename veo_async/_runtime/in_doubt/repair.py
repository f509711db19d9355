"""Repairing a ledger by hand, for the command line: inspect it and resolve jobs without owning any.

A job that was repaired here continues in the session that owns it, or in the next one that opens this ledger.
"""

from collections.abc import Awaitable, Callable

from veo_async._ports import LedgerSession
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.rows import job_from_row
from veo_async._runtime.journal import Journal
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Record, RouteName
from veo_async._wire.validation import task_id_problems
from veo_async.errors import InvalidRequest, KeyReused, UsageError

from .actions import JobActions


class LedgerRepair:
    """Resolves, resubmits, abandons and adopts jobs on a ledger, whether sessions run on it or not.

    Args:
        ledger: opened for no account, so that no job is taken over.
        read_record: reads a task's record; None: the user's word is enough.
        now: returns the wall-clock time.
    """

    def __init__(
        self,
        ledger: LedgerSession,
        read_record: Callable[[str, RouteName | None], Awaitable[Record]] | None,
        now: Callable[[], float],
    ) -> None:
        self._ledger, self._now = ledger, now
        transitions = Transitions(self._journal(account=""), LiveJob.set_outcome)
        self._actions = JobActions(transitions, ledger, read_record, spending=None)

    async def resolve(self, key: str, task_id: str) -> LiveJob:
        """Bind the job in doubt with this key to a task."""
        _check_task_id(task_id)
        job = await self._job(key)
        _require_written(await self._actions.resolve(job, task_id))
        return job

    async def resubmit(self, key: str) -> LiveJob:
        """Queue the job in doubt with this key again. It is charged twice if the first request was accepted."""
        job = await self._job(key)
        _require_written(await self._actions.resubmit(job))
        return job

    async def abandon(self, key: str) -> LiveJob:
        """Give up on the job with this key."""
        job = await self._job(key)
        _require_written(await self._actions.abandon(job))
        return job

    async def adopt(self, task_id: str, *, key: str, account: str, route: RouteName | None = None) -> LiveJob:
        """Store a task that was created outside; the next session of *account* polls it, and finds its route."""
        _check_task_id(task_id)
        owner = await self._ledger.job_of_task(task_id)
        if owner is not None and owner.key == key:
            return job_from_row(owner)
        job = LiveJob(key, None, state=JobState.RUNNING, task_id=task_id, sent_at=self._now(), route=route)
        if owner is not None or (await self._journal(account).insert(job)).task_id != task_id:
            message = f"the key {key!r} or the task {task_id!r} belongs to another job"
            raise KeyReused(message, job_key=key, task_id=task_id, remedy="Use that job, or another key.")
        return job

    def _journal(self, account: str) -> Journal:
        journal = Journal(self._ledger, account=account, now=self._now, jobs_by_task={})
        journal.stop_retrying()  # a person waits for the result
        return journal

    async def _job(self, key: str) -> LiveJob:
        row = await self._ledger.get(key)
        if row is None:
            raise UsageError(f"no job with key {key!r} on this ledger", job_key=key)
        return job_from_row(row)


def _check_task_id(task_id: str) -> None:
    if problems := tuple(task_id_problems(task_id)):
        raise InvalidRequest.of(*problems)


def _require_written(is_written: bool) -> None:
    if not is_written:
        raise UsageError("a running session owns this job; do it there, or stop that session first")
