"""Looking at a ledger and mending it by hand, without driving any job: what the command line does.

A job that is mended here is left for whoever drives it: the session that runs on this ledger, or the next that opens
it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from veo_async._ports import LedgerSession
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.hooks import Hooks
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.registry import JobRegistry
from veo_async._runtime.job.rows import job_from_row
from veo_async._runtime.journal import Journal
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.sending.callback_tokens import CallbackTokens
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Record
from veo_async._wire.validation import task_id_problems
from veo_async.errors import InvalidRequest, KeyReused, UsageError

from .in_doubt_jobs import InDoubtJobs


class LedgerRepair:
    """Ends doubts on a ledger whose sessions may be running or not.

    Args:
        book: opened for no account, so that nothing is taken over.
        look: reads a task's record; None where the user's word has to do.
        now: the wall clock.
    """

    def __init__(
        self, ledger: LedgerSession, read_record: Callable[[str], Awaitable[Record]] | None, now: Callable[[], float]
    ) -> None:
        self._ledger, self._now = ledger, now
        self._journal = Journal(ledger, account="", now=now, job_of_task=lambda _: None, on_blocked=lambda _: None)
        self._journal.stop_retrying()  # a person waits: nothing is insisted upon
        self._in_doubt = InDoubtJobs(
            self._journal,
            CallbackTokens(ledger.secret, None, lambda _: b""),
            Transitions(self._journal, Announcer(Hooks(None), JobRegistry())),
            Spending({}, None, None),
            look=read_record or _empty_record,
            watcher=None,
            policy="hold",
            spawn=_never,
        )

    async def resolve(self, key: str, task_id: str) -> LiveJob:
        """*task_id* is the task of the job in doubt called *key*."""
        if faults := tuple(task_id_problems(task_id)):
            raise InvalidRequest.of(*faults)
        job = await self._job(key)
        _require_taken(await self._in_doubt.resolve(job, task_id))
        return job

    async def resubmit(self, key: str) -> LiveJob:
        """The job in doubt called *key* is to be sent again, and paid for again if the first was accepted after all."""
        job = await self._job(key)
        _require_taken(await self._in_doubt.resubmit(job))
        return job

    async def abandon(self, key: str) -> LiveJob:
        """The job called *key* is not wanted any more."""
        job = await self._job(key)
        _require_taken(await self._in_doubt.abandon(job))
        return job

    async def adopt(self, task_id: str, *, key: str, account: str) -> LiveJob:
        """Put a task down that was made elsewhere; the next session of *account* watches it."""
        if faults := tuple(task_id_problems(task_id)):
            raise InvalidRequest.of(*faults)
        holder = await self._ledger.job_of_task(task_id)
        if holder is not None and holder.key == key:
            return job_from_row(holder)
        job = LiveJob(key, None, state=JobState.RUNNING, task_id=task_id, sent_at=self._now())
        journal = Journal(
            self._ledger, account=account, now=self._now, job_of_task=lambda _: None, on_blocked=lambda _: None
        )
        if holder is not None or (await journal.insert(job)).task_id != task_id:
            told = f"the key {key!r} or the task {task_id!r} belongs to another job"
            raise KeyReused(told, job_key=key, task_id=task_id, remedy="Use that job, or another key.")
        return job

    async def _job(self, key: str) -> LiveJob:
        row = await self._ledger.get(key)
        if row is None:
            raise UsageError(f"there is no job {key!r} on this ledger", job_key=key)
        return job_from_row(row)


def _require_taken(is_taken: bool) -> None:
    if not is_taken:
        raise UsageError("a session that is running drives this job: do it there, or end that session first")


async def _empty_record(task_id: str) -> Record:
    """A record that proves nothing and denies nothing."""
    return Record(task_id=task_id)


def _never(work: Coroutine[Any, Any, None]) -> None:
    work.close()
    raise AssertionError(asyncio.current_task())
