"""Admission: a submitted job is inserted into the ledger, then queued; existing jobs are found by key.

The key decides. An unused key is a new job. A key whose job has the same request and the same tenant is that job, of
any session or earlier run. A key whose job finished without a charge may be used again. So submitting the same list
again pays only for what was not charged yet.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

import attrs

from veo_async._ports import JobRow, TaskAlreadyBound
from veo_async._rules.lifecycle import TABLE, JobState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.clock import WallClock
from veo_async._runtime.in_doubt.actions import JobActions
from veo_async._runtime.job.endings import ended_without_charge
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.job.outcome import Done, Failed
from veo_async._runtime.job.registry import JobRegistry
from veo_async._runtime.job.rows import job_from_row, to_json
from veo_async._runtime.journal import Journal
from veo_async._runtime.log import logger_for
from veo_async._runtime.sending.pauses import Pauses
from veo_async._runtime.transitions import Transitions
from veo_async._wire import AnyRequest, RouteName
from veo_async._wire.images import by_content
from veo_async._wire.task_ids import is_upgrade_name
from veo_async.errors import JobUnreadable, KeyReused, VeoError

logger = logger_for(__name__)


@attrs.define(eq=False, repr=False)
class Admission:
    """Admits and finds jobs."""

    _journal: Journal
    _registry: JobRegistry
    _queue: FairQueue[LiveJob]
    _clock: WallClock
    _transitions: Transitions
    _actions: JobActions
    #: Know whether the session is locked out.
    _pauses: Pauses
    #: Whether the ledger outlives the session, so that writing takes time.
    _is_durable: bool
    #: Jobs that are being inserted, by key.
    _inserting: dict[str, asyncio.Task[LiveJob]] = attrs.field(factory=dict, init=False)

    async def wait_idle(self) -> None:
        """Wait until no job is being inserted."""
        if self._inserting:
            await asyncio.wait(self._inserting.values())

    def on_admitted(self, key: str, callback: Callable[[], None]) -> None:
        """Call *callback* as soon as no job with *key* is being inserted."""
        inserting = self._inserting.get(key)
        if inserting is None:
            callback()
        else:
            inserting.add_done_callback(lambda _: callback())

    async def would_be_new(self, key: str) -> bool:
        """Whether a job with *key* would be a new one: there is none, or it finished without a charge."""
        known = await self.find(key)
        return known is None or ended_without_charge(known)

    async def admit_chain(self, jobs: Sequence[LiveJob]) -> LiveJob:
        """Admit a job and its follow-ups, and return the last one.

        If the session shares its budget, all new ones are stored in one transaction first, so that another process
        cannot use the credits of the last one in between.

        Raises:
            BudgetExceeded: together they exceed the shared budget; none was stored.
        """
        if len(jobs) == 1 or self._journal.budget is None:
            *_, last = [await self.admit(job) for job in jobs]
            return last
        return await self._transitions.run_shielded(self._admit_together(jobs), f"admit:{jobs[0].key}")

    async def _admit_together(self, jobs: Sequence[LiveJob]) -> LiveJob:
        if (locked_out := self._pauses.locked_out) is not None:
            raise copy_error(locked_out)
        await self._insert_together(jobs)
        *_, last = [await self.admit(job) for job in jobs]
        return last

    async def _insert_together(self, jobs: Sequence[LiveJob]) -> None:
        """Insert all new ones of *jobs* in one transaction, unless one of the keys belongs to another job."""
        rows = [await self._journal.ledger.get(job.key) for job in jobs]
        pairs = [*zip(jobs, rows, strict=True)]
        new = [(job, row) for job, row in pairs if row is None or self._is_reusable(row)]
        if not new or not all(row is None or self._is_of(row, job) for job, row in pairs):
            return
        self._queue.reserve(jobs[0].tenant)  # follow-ups take no place until their source clip is ready
        try:
            stored = await self._journal.insert_all(new)
        finally:
            self._queue.release(jobs[0].tenant)
            self._registry.queue_changed.set()
        for (job, replaced), row in zip(new, stored, strict=True):
            if self._is_new(job, row):
                self._begin(job, replaced)

    def _begin(self, job: LiveJob, replaced: JobRow | None) -> None:
        """Start the work for a job that was inserted just now, and that replaced a finished one or none."""
        if replaced is not None and replaced.owner == self._journal.ledger.session_id:
            self._registry.uncount(JobState(replaced.state))
        logger.info("job %s: queued", job.key, extra=job.log_extra("submit"))
        self._registry.add(job)
        self._transitions.resume(job)

    def _is_of(self, row: JobRow, job: LiveJob) -> bool:
        """Whether *row* is that of *job*: of the same account, with the same request."""
        return row.account == self._journal.account and _has_request(row, job)

    def _is_reusable(self, row: JobRow) -> bool:
        """Whether the key of *row* may be used again."""
        return row.account == self._journal.account and ended_without_charge(job_from_row(row))

    async def admit(self, job: LiveJob) -> LiveJob:
        """Insert and queue *job* and return it, or return the existing job with its key.

        Raises:
            KeyReused: the existing job has a different request or tenant.
            QueueFull: the tenant's queue is full.
            BudgetExceeded: it exceeds the budget that the session shares; it is not queued.
            LedgerError: the job could not be inserted; it is not queued.
        """
        known = self._registry.by_key.get(job.key)
        if known is None or ended_without_charge(known):
            known = await self._insert_once(job)
        _check_same(known, job)
        if known is not job and job.save_to is not None:
            self._add_save_target(known, job.save_to)
        return known

    def _add_save_target(self, known: LiveJob, save_to: str) -> None:
        """Save the clip of an existing job, too; if it was saved before, check that its files are still there."""
        outcome = known.outcome
        if isinstance(outcome, Failed) and outcome.clip is not None:  # saving it failed: try again, maybe elsewhere
            outcome = known.outcome = Done(outcome.clip)
        if outcome is None:
            known.save_to = known.save_to or save_to
        elif isinstance(outcome, Done):
            known.save_to = save_to
            self._registry.update(known)
            self._transitions.resume(known)

    async def _insert_once(self, job: LiveJob) -> LiveJob:
        """Insert *job* in its own task, which finishes even if the caller is cancelled."""
        inserting = self._inserting.get(job.key)
        if inserting is None:
            try:
                self._reserve_place(job)
            except VeoError:
                known = await self.find(job.key)
                if known is None or ended_without_charge(known):
                    raise
                return known
            if not self._is_durable:  # nothing to wait for
                return await self._insert(job)
            inserting = asyncio.create_task(self._insert(job), name=f"veo.insert:{job.key}")
            self._inserting[job.key] = inserting
            inserting.add_done_callback(lambda task: self._inserted(job.key, task))
        return await asyncio.shield(inserting)

    def _reserve_place(self, job: LiveJob) -> None:
        """Reserve a place in the queue for a new job; raise the reason why none can be submitted."""
        if (locked_out := self._pauses.locked_out) is not None:
            raise copy_error(locked_out)
        self._queue.reserve(job.tenant)

    def _inserted(self, key: str, task: "asyncio.Task[LiveJob]") -> None:
        del self._inserting[key]
        if not task.cancelled() and task.exception() is not None:
            logger.debug("job %s was not queued: %s", key, task.exception(), extra={"job_key": key})

    async def _insert(self, job: LiveJob) -> LiveJob:
        replaced = None
        try:
            row = await self._journal.insert(job)
            if not self._is_new(job, row) and self._is_reusable(row):
                replaced = row
                row = await self._journal.insert(job, replaces=row)
        finally:
            self._queue.release(job.tenant)
            self._registry.queue_changed.set()  # after a failed insertion there is room again
        if not self._is_new(job, row):
            return self._attach(row)
        self._begin(job, replaced)
        return job

    def _is_new(self, job: LiveJob, row: JobRow) -> bool:
        """Whether *row* is the row of *job*, inserted just now."""
        if row.key in self._registry.unreadable or job.request is None or row.request != to_json(job.request):
            return False
        known = self._registry.by_key.get(row.key)
        is_ours = row.owner == self._journal.ledger.session_id or not self._is_durable
        return is_ours and row.state == JobState.QUEUED and (known is None or known.outcome is not None)

    def _attach(self, row: JobRow) -> LiveJob:
        """Return the job of an existing row: from an earlier run, or of another session."""
        if row.account != self._journal.account:
            remedy = "Use a different key, or the API key of that account."
            message = f"the key {row.key!r} belongs to a job of another account"
            raise KeyReused(message, job_key=row.key, remedy=remedy)
        known = self._registry.by_key.get(row.key)
        if known is not None and not ended_without_charge(known):
            return known
        job = job_from_row(row)
        job.is_remote = row.owner != self._journal.ledger.session_id
        self._registry.add(job)
        return job

    async def adopt(
        self, task_id: str, key: str | None, request: AnyRequest | None, route: RouteName | None
    ) -> LiveJob:
        """Adopt a task that was created outside this session. For the key of a job in doubt, resolve that job.

        Raises:
            KeyReused: the key or the task belongs to another job.
        """
        known = await self.find_task(task_id)
        if known is not None and key in (None, known.key):
            return known
        same_key = await self.find(key or task_id)
        if known is None and same_key is not None and same_key.state is JobState.IN_DOUBT:
            await self._actions.resolve(same_key, task_id)
            return same_key
        job = LiveJob(
            key or task_id,
            request,
            state=JobState.RUNNING,
            task_id=task_id,
            sent_at=self._clock.now(),
            route="veo" if is_upgrade_name(task_id) else route,
        )
        if known is None and same_key is None and await self._insert_adopted(job):
            self._registry.add(job)
            self._transitions.resume(job)
            return job
        message = f"the key {job.key!r} and the task {task_id!r} belong to different jobs"
        raise KeyReused(message, job_key=job.key, task_id=task_id, remedy="Adopt the task without key=.")

    async def _insert_adopted(self, job: LiveJob) -> bool:
        try:
            return (await self._journal.insert(job)).task_id == job.task_id
        except TaskAlreadyBound:
            return False

    async def find(self, key: str) -> LiveJob | None:
        """Return the job with *key*, of any session on the ledger."""
        known = self._registry.by_key.get(key)
        if known is None:
            row = await self._journal.ledger.get(key)
            if row is not None and row.account == self._journal.account:
                known = self._attach(row)
        return known or self._registry.by_key.get(key)

    async def find_task(self, task_id: str) -> LiveJob | None:
        """Return the job of a task, of any session on the ledger.

        Raises:
            KeyReused: it is a job of another account.
        """
        known = self._registry.by_task.get(task_id)
        if known is None and (row := await self._journal.ledger.job_of_task(task_id)):
            known = self._attach(row)
        return known

    async def find_source(self, name: str) -> LiveJob | None:
        """Return the job to continue from, by its key or its task id.

        Raises:
            KeyReused: it is a job of another account.
        """
        known = self._registry.by_key.get(name)
        if known is None and (row := await self._journal.ledger.get(name)):
            return self._attach(row)
        return known or await self.find_task(name)

    async def source_of(self, job: LiveJob) -> LiveJob | None:
        """Return the job of the source clip of *job*, if there is one."""
        if job.follow_up is None:
            return None
        if job.follow_up.after_key is not None:
            return await self.find(job.follow_up.after_key)
        key = await self.key_of_task(job.follow_up.task_id)
        return None if key is None else await self.find(key)

    async def follow_ups_of(self, sources: Collection[str]) -> list[LiveJob]:
        """Return the upgrades and extensions that have one of *sources*, of any session on the ledger."""
        rows = await self._journal.ledger.follow_ups(sources)
        kept = self._registry.follow_ups_of(sources)
        keys = {job.key for job in kept}
        return [*kept, *(job_from_row(row) for row in rows if row.key not in keys)]

    async def key_of_task(self, task_id: str) -> str | None:
        """Return the key of the job that a task belongs to."""
        known = self._registry.by_task.get(task_id) or await self._journal.ledger.job_of_task(task_id)
        return None if known is None else known.key

    async def in_doubt(self) -> list[LiveJob]:
        """Return all jobs in doubt on the ledger."""
        for row in await self._journal.ledger.jobs([JobState.IN_DOUBT]):
            try:
                self._attach(row)  # the registry keeps it
            except JobUnreadable as error:
                _log_unreadable(error)
        return [job for job in self._registry.by_key.values() if job.state is JobState.IN_DOUBT]

    def listed(self, row: JobRow) -> LiveJob | None:
        """Return the job of *row*; None if that cannot be read. The session does not keep a finished job."""
        try:
            job = self._registry.by_key.get(row.key) or job_from_row(row)
        except JobUnreadable as error:
            _log_unreadable(error)
            return None
        is_finished = not TABLE[job.state] or (job.state is JobState.READY and job.save_to is None)
        return job if is_finished else self._attach(row)


def _log_unreadable(error: JobUnreadable) -> None:
    logger.error("a job is left out: %s", error, extra={"action": "job-unreadable", "job_key": error.job_key})


def _has_request(row: JobRow, job: LiveJob) -> bool:
    """Whether the job of *row* is the same request of the same tenant, or ended without a charge."""
    known = job_from_row(row)
    is_same = known.tenant == job.tenant and _is_same(known.request, job.request)
    return is_same or ended_without_charge(known)


def _check_same(known: LiveJob, job: LiveJob) -> None:
    """Raise `KeyReused` unless both are the same request of the same tenant."""
    if known.tenant != job.tenant:
        message = f"the key {job.key!r} is already used by another tenant than {job.tenant!r}"
        raise KeyReused(message, job_key=job.key, remedy="Use a different key, or leave it out.")
    if not _is_same(known.request, job.request):
        remedy = "Use a different key, or resend the original request unchanged."
        message = f"the key {job.key!r} is already used for a different request"
        raise KeyReused(message, job_key=job.key, remedy=remedy)


def _is_same(known: AnyRequest | None, request: AnyRequest | None) -> bool:
    """Whether two requests are equal, regardless of the paths of their images."""
    if known is None or request is None:
        return known is request
    return by_content(known) == by_content(request)
