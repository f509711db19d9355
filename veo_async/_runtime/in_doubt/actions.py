"""What a user can do with a job: resolve or resubmit one in doubt, abandon one."""

from collections.abc import Awaitable, Callable

import attrs

from veo_async._ports import LedgerSession, TaskAlreadyBound
from veo_async._rules.doubt import Proof, find_proof
from veo_async._rules.lifecycle import Event, JobState
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Failed
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Record, RouteName, UpgradeRequest
from veo_async._wire.task_ids import is_upgrade_name
from veo_async._wire.validation import task_id_problems
from veo_async.errors import InvalidRequest, JobAbandoned, Problem, TaskMismatch, UsageError


def proof_of(job: LiveJob, record: Record, token: str | None = None) -> Proof:
    """Return how *record* shows whose task it is, given the job's tokens and its prompt."""
    tokens = [item for item in (job.token, token) if item]
    return find_proof(record.params, tokens=tokens, prompt=getattr(job.request, "prompt", None))


@attrs.define(eq=False, repr=False)
class JobActions:
    """Resolves, resubmits and abandons jobs.

    Each action runs in its own task: it is completed even if its caller is cancelled or times out.
    """

    _transitions: Transitions = attrs.field(alias="transitions")
    _ledger: LedgerSession = attrs.field(alias="ledger")
    #: Reads a task's record; None: the user's word is enough.
    _read_record: Callable[[str, RouteName | None], Awaitable[Record]] | None = attrs.field(alias="read_record")
    #: Reserves the price of a second request; None where no request is sent.
    _spending: Spending | None = attrs.field(alias="spending")
    #: Jobs that are being bound to a task at the moment.
    _binding: set[LiveJob] = attrs.field(factory=set, init=False)

    async def resolve(self, job: LiveJob, task_id: str) -> bool:
        """Bind a job in doubt to the task that the user names. Return False if another session changed it before.

        Raises:
            TaskMismatch: the record belongs to a different request, or the task to another job.
            InvalidRequest: this cannot be the id of a task of this job.
        """
        _require_in_doubt(job)
        _check_task_id(job, task_id)
        proof = Proof.NONE
        if self._read_record is not None and job.has_record:
            proof = proof_of(job, await self._read_record(task_id, job.route))
        if proof is Proof.OTHER:
            message = "this task's record belongs to a different request"
            raise TaskMismatch(message, job_key=job.key, task_id=task_id)
        try:
            return await self.bind(job, task_id, proof)
        except TaskAlreadyBound as bound:
            message = f"this task belongs to the job {bound.key!r}"
            raise TaskMismatch(message, job_key=job.key, task_id=task_id) from None

    async def bind(self, job: LiveJob, task_id: str, proof: Proof) -> bool:
        """Bind a job in doubt to its task. Of several concurrent calls the first one counts."""
        if job in self._binding:
            return True
        self._binding.add(job)
        try:
            return await self._transitions.run_shielded(self._bind(job, task_id, proof), f"bind:{job.key}")
        finally:
            self._binding.discard(job)

    async def _bind(self, job: LiveJob, task_id: str, proof: Proof) -> bool:
        evidence = {"proof": proof.value, "task_id": task_id}
        if isinstance(job.request, UpgradeRequest) and not job.has_record:
            task_id = await self._upgrade_name(job.request)
        _require_in_doubt(job)  # that may have changed while the record was read
        return await self._transitions.apply(job, Event.BIND, changes={"task_id": task_id}, evidence=evidence)

    async def _upgrade_name(self, request: UpgradeRequest) -> str:
        """Return the name under which an upgrade without a task id is stored."""
        source = await self._ledger.get(request.after_key) if request.after_key else None
        return attrs.evolve(request, task_id=(source.task_id if source else request.task_id) or "").task_name

    async def resubmit(self, job: LiveJob) -> bool:
        """Send the request of a job in doubt again. Return False if another session changed it before.

        Raises:
            BudgetExceeded: the budget does not allow its price a second time.
        """
        return await self._transitions.run_shielded(self._resubmit(job), f"resubmit:{job.key}")

    async def _resubmit(self, job: LiveJob) -> bool:
        _require_in_doubt(job)
        if self._spending is None:
            return await self._transitions.apply(job, Event.RESUBMIT)
        self._spending.reserve_again(job)
        is_written = is_sent_here = False
        try:
            is_written = await self._transitions.apply(job, Event.RESUBMIT)
            is_sent_here = is_written and not job.is_remote
        finally:
            if not is_sent_here:
                self._spending.cancel_reservation(job)
        return is_written

    async def abandon(self, job: LiveJob) -> bool:
        """Give up on a job; a running task continues at the provider, but is no longer polled."""
        return await self._transitions.run_shielded(self._abandon(job), f"abandon:{job.key}")

    async def _abandon(self, job: LiveJob) -> bool:
        if job.state not in (JobState.QUEUED, JobState.RUNNING, JobState.IN_DOUBT):
            raise UsageError(f"a job that is {job.state} cannot be abandoned", job_key=job.key)
        if not self._transitions.withdraw(job):
            raise UsageError("this job is just being sent; try again in a moment", job_key=job.key)
        error = JobAbandoned("abandoned by request", job_key=job.key, task_id=job.task_id)
        return await self._transitions.apply(job, Event.ABANDON, Failed(job.key, error))


def _check_task_id(job: LiveJob, task_id: str) -> None:
    """Reject what is not a task id, and for a clip the name of an upgrade: reading that would start it."""
    problems = tuple(task_id_problems(task_id))
    if not problems and is_upgrade_name(task_id) and not isinstance(job.request, UpgradeRequest):
        problems = (Problem("task_id", task_id, "names an upgrade, not a clip", "pass the id of the clip's task"),)
    if problems:
        raise InvalidRequest.of(*problems)


def _require_in_doubt(job: LiveJob) -> None:
    if job.state is not JobState.IN_DOUBT:
        raise UsageError(f"the job is {job.state}, not in doubt", job_key=job.key, task_id=job.task_id)
