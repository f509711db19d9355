"""Jobs in doubt: a request was sent, and nobody knows whether a task came of it.

A doubt ends in one of four ways, and never by itself:

- a **hint**: a callback came to the attempt's own address and names a task. The task's record, read under our own key,
  has to prove it (`find_proof`); then the job is bound to it and runs on.
- somebody **resolves** it: names the task. A record that tells of something else is refused.
- somebody has it **resubmitted**: another paid request, wanted by name.
- somebody **abandons** it.

Where callbacks can come, whoever waits for the job waits for them, too, up to `CALLBACK_WAIT_S`; elsewhere they are told at
once. What happens then is the user's policy: ``"hold"`` tells them `InDoubt`; ``"resubmit"`` sends again, up to
`MAX_TRIES` times; a function of the user's is asked and says ``"hold"``, ``"resubmit"`` or ``"abandon"``. A function
that raises or hangs has said ``"hold"``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import chain, repeat
from typing import Any, Literal

import attrs

from veo_async._ports import CallbackHint, TaskAlreadyBound
from veo_async._rules.doubt import Proof, find_proof
from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.retry import MAX_TRIES
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Evidence, Failed, InDoubt, Outcome
from veo_async._runtime.job.rows import to_datetime
from veo_async._runtime.journal import Journal
from veo_async._runtime.log import logger_for
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.running.watcher import Watcher
from veo_async._runtime.sending.callback_tokens import CallbackTokens
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Record, TaskState, UpgradeRequest
from veo_async.errors import (
    BudgetExceeded,
    JobAbandoned,
    LedgerError,
    RequestRejected,
    TaskMismatch,
    UsageError,
    VeoError,
)

logger = logger_for(__name__)

#: A callback comes when the task has ended: the longest generation that is met, and time for the provider to post it.
CALLBACK_WAIT_S = 900.0
#: Waits between the looks at a record that may prove a hint; a task that has ended has a record.
_VERIFY_DELAYS_S = (2.0, 5.0, 15.0, 60.0)
#: The user's function is asked for a word, not for work.
_POLICY_TIMEOUT_S = 60.0

Decision = Literal["hold", "resubmit", "abandon"]
#: What becomes of a job in doubt: a word, or a function that is asked for one.
OnDoubt = Literal["hold", "resubmit"] | Callable[[InDoubt], Awaitable[Decision]]


@attrs.define(eq=False)
class _Waiting:
    """A doubt that is open."""

    error: VeoError
    timer: asyncio.TimerHandle | None = None


class InDoubtJobs:
    """Keeps the jobs in doubt of one session, and ends their doubts.

    Args:
        look: reads a task's record.
        watcher: looks at running tasks; None where none is watched.
        spawn: runs work as a task that ends with the session.
    """

    def __init__(
        self,
        journal: Journal,
        tokens: CallbackTokens,
        transitions: Transitions,
        spending: Spending,
        *,
        look: Callable[[str], Awaitable[Record]],
        watcher: Watcher | None,
        policy: OnDoubt,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._journal, self._tokens, self._transitions, self._spending = journal, tokens, transitions, spending
        self._look, self._watcher, self._policy, self._spawn = look, watcher, policy, spawn
        self._open: dict[LiveJob, _Waiting] = {}
        #: Hints that came before the answer to their own request.
        self._early_hints: dict[LiveJob, list[CallbackHint]] = {}
        #: Jobs that are being bound just now.
        self._binding: set[LiveJob] = set()
        #: Hints whose proof is being looked for.
        self._verifying: set[CallbackHint] = set()

    def close(self) -> None:
        """The session ends."""
        for doubt in self._open.values():
            if doubt.timer is not None:
                doubt.timer.cancel()

    # --- coming in ----------------------------------------------------------------------------------------------

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        """*entry* has come into doubt, and the ledger knows."""
        doubt = self._open[job] = _Waiting(getattr(outcome, "error", VeoError()))
        for hint in self._early_hints.pop(job, ()):
            self._spawn(self._verify_hint(job, hint))
        if not self._tokens.expects_callback(job):
            self._spawn(self._decide(job))
            return True
        waited = 0.0 if job.sent_at is None else self._journal.now() - job.sent_at
        loop = asyncio.get_running_loop()
        doubt.timer = loop.call_later(max(0.0, CALLBACK_WAIT_S - waited), lambda: self._spawn(self._decide(job)))
        return True

    def on_hint(self, job: LiveJob, hint: CallbackHint) -> None:
        """A callback to an address of *entry*'s names a task."""
        match job.state:
            case JobState.SENDING:
                early = self._early_hints.setdefault(job, [])
                if hint not in early:
                    early.append(hint)
            case JobState.RUNNING if job.task_id == hint.task_id or isinstance(job.request, UpgradeRequest):
                self._poll_now(job)
            case JobState.IN_DOUBT:
                self._spawn(self._verify_hint(job, hint))
            case _ if job.task_id != hint.task_id and not isinstance(job.request, UpgradeRequest):
                extra = {"action": "hint-mismatch", "job_key": job.key, "task_id": hint.task_id}
                logger.error("a callback names another task of job %s: it may be paid twice", job.key, extra=extra)

    def on_accepted(self, job: LiveJob) -> None:
        """The answer came after all; an earlier hint is news of the same task, or of another."""
        for hint in self._early_hints.pop(job, ()):
            self.on_hint(job, hint)

    # --- ending it ----------------------------------------------------------------------------------------------

    async def resolve(self, job: LiveJob, task_id: str) -> bool:
        """Somebody says that *task_id* is *entry*'s task; False when somebody else has moved the job before.

        Raises:
            TaskMismatch: its record tells of something else, or it is another job's.
        """
        self._require_doubt(job)
        proof = await self._proof_for_user(job, task_id)
        if proof is Proof.OTHER:
            raise TaskMismatch("the record of this task tells of another request", job_key=job.key, task_id=task_id)
        try:
            return await self._bind(job, task_id, proof)
        except TaskAlreadyBound as taken:
            told = f"this task belongs to the job {taken.key!r}"
            raise TaskMismatch(told, job_key=job.key, task_id=task_id) from None

    async def resubmit(self, job: LiveJob) -> bool:
        """Another paid request is wanted for *entry*; False when somebody else has moved the job before.

        Raises:
            BudgetExceeded: the session may not reserve its price a second time.
        """
        return await self._transitions.run_shielded(self._resubmit(job), f"veo.resubmit:{job.key}")

    async def _resubmit(self, job: LiveJob) -> bool:
        self._require_doubt(job)
        self._spending.reserve_again(job)
        is_sent_here = is_taken = False
        try:
            is_taken = await self._transitions.apply(job, Event.RESUBMIT)
            is_sent_here = is_taken and not job.is_remote
        finally:
            if not is_sent_here:
                self._spending.cancel_reservation(job)
        return is_taken

    async def abandon(self, job: LiveJob) -> bool:
        """*entry* is not wanted any more, wherever it stands; what runs at the provider runs on, unwatched."""
        return await self._transitions.run_shielded(self._abandon(job), f"veo.abandon:{job.key}")

    async def _abandon(self, job: LiveJob) -> bool:
        if job.state not in (JobState.QUEUED, JobState.RUNNING, JobState.IN_DOUBT):
            raise UsageError(f"a job that is {job.state} cannot be abandoned", job_key=job.key)
        if not self._transitions.withdraw(job):
            raise UsageError("this job is being worked on: ask again in a moment", job_key=job.key)
        error = JobAbandoned("abandoned by request", job_key=job.key, task_id=job.task_id)
        return await self._transitions.apply(job, Event.ABANDON, Failed(job.key, error))

    def withdraw(self, job: LiveJob) -> bool:
        return True

    def leave(self, job: LiveJob, event: Event | None) -> None:
        """*entry* is led out of its doubt."""
        doubt = self._open.pop(job, None)
        if doubt is not None and doubt.timer is not None:
            doubt.timer.cancel()

    async def _bind(self, job: LiveJob, task_id: str, proof: Proof) -> bool:
        """The task is its own. Of several who say so at once the first counts."""
        if job in self._binding:
            return True
        self._binding.add(job)
        try:
            return await self._transitions.run_shielded(self._bind_alone(job, task_id, proof), f"veo.bind:{job.key}")
        finally:
            self._binding.discard(job)

    async def _bind_alone(self, job: LiveJob, task_id: str, proof: Proof) -> bool:
        told = {"proof": proof.value, "task_id": task_id}
        task_id = await self._upgrade_name(job) or task_id
        self._require_doubt(job)  # it may have been led out while records were read
        return await self._transitions.apply(job, Event.BIND, changes={"task_id": task_id}, evidence=told)

    async def _verify_hint(self, job: LiveJob, hint: CallbackHint) -> None:
        """Follow *hint*, once at a time however often it is told."""
        if hint not in self._verifying:
            self._verifying.add(hint)
            try:
                await self._verify_with_retries(job, hint)
            finally:
                self._verifying.discard(hint)

    async def _verify_with_retries(self, job: LiveJob, hint: CallbackHint) -> None:
        """Bind *entry* if the record proves what the callback says; a bad look is followed by others.

        A record that is not there may only be late, and is looked for a few times. A look that tells nothing (the
        network is gone, the provider is broken) refutes nothing: others follow as long as the doubt lasts.
        """
        why: str | None = None
        refusals = 0
        for wait_s in chain((0.0, *_VERIFY_DELAYS_S), repeat(_VERIFY_DELAYS_S[-1])):
            await asyncio.sleep(wait_s)
            if job.state is not JobState.IN_DOUBT:
                return
            try:
                why = await self._verify_once(job, hint)
            except TaskAlreadyBound as taken:
                why = f"it is the task of the job {taken.key!r}"
            except VeoError as error:
                why = str(error)
                refusals += isinstance(error, RequestRejected | UsageError)
                if refusals <= len(_VERIFY_DELAYS_S):
                    continue
            break
        if why is None:
            return
        job.claimed_task_ids = (*(each for each in job.claimed_task_ids if each != hint.task_id), hint.task_id)
        extra = {"action": "hint-unproven", "job_key": job.key, "task_id": hint.task_id}
        logger.warning("a callback names a task for job %s, but %s", job.key, why, extra=extra)

    async def _verify_once(self, job: LiveJob, hint: CallbackHint) -> str | None:
        """One look; why it does not prove the hint, or None if the doubt is over."""
        record = await self._look(hint.task_id)
        proof = self._proof(job, record, hint.token)
        if job.state is not JobState.IN_DOUBT:
            return None
        if proof not in (Proof.TOKEN, Proof.PROMPT):
            return f"its record proves nothing ({proof.value})"
        if hint.token != job.token and record.state is TaskState.FAILED:
            return "it came of an earlier attempt and has failed"  # what became of the latest is as unknown as before
        await self._bind(job, hint.task_id, proof)
        self._poll_now(job)  # a callback tells of an end
        return None

    async def _decide(self, job: LiveJob) -> None:
        """The user's policy on a doubt that nothing has ended."""
        doubt = self._open.get(job)
        if doubt is None or job.state is not JobState.IN_DOUBT:
            return
        outcome = self.outcome_of(job)
        decision = await self._ask_policy(outcome)
        if job.state is not JobState.IN_DOUBT:
            return  # it was led out meanwhile
        try:
            if decision == "resubmit" and job.attempts < MAX_TRIES:
                await self.resubmit(job)
            elif decision == "abandon":
                await self.abandon(job)
            else:
                self._transitions.end(job, outcome)
        except (LedgerError, BudgetExceeded) as error:
            logger.warning("job %s stays in doubt: %s", job.key, error, extra={"job_key": job.key})
            if isinstance(error, BudgetExceeded):
                self._transitions.end(job, outcome)

    async def _ask_policy(self, outcome: InDoubt) -> Decision:
        policy = self._policy
        if not callable(policy):
            return "resubmit" if policy == "resubmit" else "hold"
        try:
            async with asyncio.timeout(_POLICY_TIMEOUT_S):
                return await policy(outcome)
        except Exception:  # the user's own; whatever it raises, nothing is decided
            logger.exception("on_doubt failed for job %s", outcome.key, extra={"job_key": outcome.key})
            return "hold"

    def outcome_of(self, job: LiveJob) -> InDoubt:
        """How a job in doubt stands."""
        evidence = Evidence(
            attempts=job.attempts,
            sent_at=to_datetime(job.sent_at),
            token=job.token,
            awaits_callback=self._tokens.expects_callback(job),
            claimed_task_ids=job.claimed_task_ids,
        )
        return InDoubt(job.key, self._open[job].error, evidence)

    # --- small things -------------------------------------------------------------------------------------------

    def _poll_now(self, job: LiveJob) -> None:
        """There may be news of its running task."""
        if self._watcher is not None:
            self._watcher.poll_now(job)

    def _proof(self, job: LiveJob, record: Record, token: str | None = None) -> Proof:
        tokens = [each for each in (job.token, token) if each]
        return find_proof(record.params, tokens=tokens, prompt=getattr(job.request, "prompt", None))

    async def _proof_for_user(self, job: LiveJob, task_id: str) -> Proof:
        """What the record of *task_id* tells; an upgrade has none, and somebody's word has to do."""
        if isinstance(job.request, UpgradeRequest):
            return Proof.NONE
        return self._proof(job, await self._look(task_id))

    async def _upgrade_name(self, job: LiveJob) -> str | None:
        """What the task of an upgrade is called, whatever was named for it; None for all others."""
        if not isinstance(job.request, UpgradeRequest):
            return None
        source = await self._journal.ledger.get(job.request.after_key) if job.request.after_key else None
        source_id = source.task_id if source else job.request.task_id
        return attrs.evolve(job.request, task_id=source_id or "").task_name

    def _require_doubt(self, job: LiveJob) -> None:
        if job.state is not JobState.IN_DOUBT:
            raise UsageError(f"the job is {job.state}, not in doubt", job_key=job.key, task_id=job.task_id)
