"""Taking jobs in: written down first, then queued; and finding those that were there before.

The key decides. A key that nobody has is a new job; a key whose job is of the same request is that job, from whichever
session or run; a key whose job ended without a charge may be used anew. So the same list, submitted again, pays only
for what was not paid.
"""

import asyncio
from collections.abc import Callable

from veo_async._ports import JobRow, TaskAlreadyBound
from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.clock import WallClock
from veo_async._runtime.in_doubt.in_doubt_jobs import InDoubtJobs
from veo_async._runtime.job.endings import ended_without_charge
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.job.outcome import Done
from veo_async._runtime.job.registry import JobRegistry
from veo_async._runtime.job.rows import job_from_row, to_json
from veo_async._runtime.journal import Journal
from veo_async._runtime.log import logger_for
from veo_async._runtime.sending.pauses import Pauses
from veo_async._runtime.transitions import Transitions
from veo_async._wire import AnyRequest
from veo_async._wire.images import by_content
from veo_async.errors import KeyReused

logger = logger_for(__name__)


class Admission:
    """Takes jobs in.

    Args:
        is_lasting: there is a ledger that has to be waited for.
        pauses: know why nothing can be sent any more.
    """

    def __init__(
        self,
        journal: Journal,
        registry: JobRegistry,
        queue: FairQueue[LiveJob],
        clock: WallClock,
        transitions: Transitions,
        in_doubt: InDoubtJobs,
        pauses: Pauses,
        *,
        is_lasting: bool,
    ) -> None:
        self._journal, self._registry, self._queue, self._clock = journal, registry, queue, clock
        self._transitions, self._in_doubt, self._pauses, self._is_lasting = transitions, in_doubt, pauses, is_lasting
        #: Jobs that are being written down, by key.
        self._inserting: dict[str, asyncio.Task[LiveJob]] = {}

    async def wait_idle(self) -> None:
        """Wait until what is being written down is."""
        if self._inserting:
            await asyncio.wait(self._inserting.values())

    def on_admitted(self, key: str, callback: Callable[[], None]) -> None:
        """Call *callback* when nobody is writing down a job called *key* any more, or now."""
        planning = self._inserting.get(key)
        if planning is None:
            callback()
        else:
            planning.add_done_callback(lambda _: callback())

    async def would_be_new(self, key: str) -> bool:
        """Whether a job called *key* would be a new one: there is none, or it ended without a charge."""
        known = await self.find(key)
        return known is None or ended_without_charge(known)

    async def admit(self, job: LiveJob) -> LiveJob:
        """*entry*, written down and queued; or the job that has its key already.

        Raises:
            KeyReused: that job is of another request.
            QueueFull: its tenant has as many jobs waiting as it may.
            LedgerError: it could not be written down; it is not taken in.
        """
        known = self._registry.by_key.get(job.key)
        if known is None or ended_without_charge(known):
            if (why := self._pauses.locked_out) is not None:
                raise copy_error(why)
            known = await self._insert_once(job)
        if not _is_same(known.request, job.request):
            remedy = "Use a different key, or resend the original request unchanged."
            raise KeyReused(f"the key {job.key!r} names a job with another request", job_key=job.key, remedy=remedy)
        if known is not job and job.save_to is not None:
            self._add_save_target(known, job.save_to)
        return known

    def _add_save_target(self, known: LiveJob, save_to: str) -> None:
        """A job that was there is wanted in a file, too."""
        if known.outcome is None:
            known.save_to = known.save_to or save_to
        elif isinstance(known.outcome, Done) and not known.outcome.clip.files:
            known.save_to = save_to
            self._transitions.resume(known)

    async def _insert_once(self, job: LiveJob) -> LiveJob:
        """Plan in a task of its own: whoever waits may be cancelled, what is being written will be there."""
        planning = self._inserting.get(job.key)
        if planning is None:
            self._queue.reserve(job.tenant)
            if not self._is_lasting:  # nothing to wait for
                return await self._insert(job)
            planning = asyncio.create_task(self._insert(job), name="veo.plan")
            self._inserting[job.key] = planning
            planning.add_done_callback(lambda task: self._inserted(job.key, task))
        return await asyncio.shield(planning)

    def _inserted(self, key: str, task: "asyncio.Task[LiveJob]") -> None:
        del self._inserting[key]
        if not task.cancelled() and task.exception() is not None:
            logger.info("job %s is not taken in: %s", key, task.exception(), extra={"job_key": key})

    async def _insert(self, job: LiveJob) -> LiveJob:
        try:
            row = await self._journal.insert(job)
            if (
                not self._is_new(job, row)
                and row.account == self._journal.account
                and ended_without_charge(job_from_row(row))
            ):
                row = await self._journal.insert(job, instead=row)
        finally:
            self._queue.release(job.tenant)
        if not self._is_new(job, row):
            return self._attach(row)
        self._registry.add(job)
        self._transitions.resume(job)
        return job

    def _is_new(self, job: LiveJob, row: JobRow) -> bool:
        """Whether *row* is *entry*, put down just now: a job of ours that nobody has in hand yet."""
        if job.request is None or row.request != to_json(job.request):
            return False
        known = self._registry.by_key.get(row.key)
        is_ours = row.owner == self._journal.ledger.session_id or not self._is_lasting
        return is_ours and row.state == JobState.QUEUED and (known is None or known.outcome is not None)

    def _attach(self, row: JobRow) -> LiveJob:
        """A job that was there: from an earlier run, or another session's."""
        if row.account != self._journal.account:
            remedy = "Use a different key, or the API key of that account."
            raise KeyReused(f"the key {row.key!r} names a job of another account", job_key=row.key, remedy=remedy)
        known = self._registry.by_key.get(row.key)
        if known is not None and not ended_without_charge(known):
            return known
        job = job_from_row(row)
        job.is_remote = row.owner != self._journal.ledger.session_id
        self._registry.add(job)
        return job

    async def adopt(self, task_id: str, key: str | None, request: AnyRequest | None) -> LiveJob:
        """Take in a task that was made elsewhere; named for a job in doubt, it resolves the doubt.

        Raises:
            KeyReused: the key or the task is another job's.
        """
        known = self._registry.by_task.get(task_id)
        if known is None and (row := await self._journal.ledger.job_of_task(task_id)):
            known = self._attach(row)
        if known is not None and key in (None, known.key):
            return known
        same_key = await self.find(key or task_id)
        if known is None and same_key is not None and same_key.state is JobState.IN_DOUBT:
            await self._in_doubt.resolve(same_key, task_id)
            return same_key
        job = LiveJob(key or task_id, request, state=JobState.RUNNING, task_id=task_id, sent_at=self._clock.now())
        if known is None and same_key is None and await self._insert_adopted(job):
            self._registry.add(job)
            self._transitions.resume(job)
            return job
        told = f"the key {job.key!r} and the task {task_id!r} belong to two different jobs"
        raise KeyReused(told, job_key=job.key, task_id=task_id, remedy="Adopt the task without key=.")

    async def _insert_adopted(self, job: LiveJob) -> bool:
        try:
            return (await self._journal.insert(job)).task_id == job.task_id
        except TaskAlreadyBound:
            return False

    async def find(self, key: str) -> LiveJob | None:
        """The job called *key*, of whichever session."""
        if key not in self._registry.by_key:
            row = await self._journal.ledger.get(key)
            if row is not None and row.account == self._journal.account:
                self._attach(row)
        return self._registry.by_key.get(key)

    async def source_of(self, job: LiveJob) -> LiveJob | None:
        """The job that *entry* goes on from."""
        if job.follow_up is None:
            return None
        if job.follow_up.after_key is not None:
            return await self.find(job.follow_up.after_key)
        key = await self.key_of_task(job.follow_up.task_id)
        return None if key is None else await self.find(key)

    async def key_of_task(self, task_id: str) -> str | None:
        """The key of the job whose task this is."""
        known = self._registry.by_task.get(task_id) or await self._journal.ledger.job_of_task(task_id)
        return None if known is None else known.key

    async def in_doubt(self) -> list[LiveJob]:
        """All jobs in doubt."""
        for row in await self._journal.ledger.jobs([JobState.IN_DOUBT]):
            self._attach(row)
        return [job for job in self._registry.by_key.values() if job.state is JobState.IN_DOUBT]


def _is_same(known: AnyRequest | None, wanted: AnyRequest | None) -> bool:
    """Whether two requests ask for the same, wherever their images lie."""
    if known is None or wanted is None:
        return known is wanted
    return by_content(known) == by_content(wanted)
