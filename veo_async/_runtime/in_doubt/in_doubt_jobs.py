"""Jobs in doubt: a request was sent, and nobody knows whether a task came of it.

A doubt ends in one of four ways, and never by itself:

- a **hint**: a callback came to the attempt's own address and names a task. The task's record, read under our own key,
  has to prove it (`proof_in`); then the job is bound to it and runs on.
- somebody **resolves** it: names the task. A record that tells of something else is refused.
- somebody has it **resubmitted**: another paid request, wanted by name.
- somebody **abandons** it.

Where callbacks can come, whoever waits for the job waits for them, too, up to `PATIENCE_S`; elsewhere they are told at
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
        scribe: Journal,
        stamper: CallbackTokens,
        transitions: Transitions,
        purse: Spending,
        *,
        look: Callable[[str], Awaitable[Record]],
        watcher: Watcher | None,
        policy: OnDoubt,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._scribe, self._stamper, self._transitions, self._purse = scribe, stamper, transitions, purse
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

    def enter(self, entry: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        """*entry* has come into doubt, and the ledger knows."""
        doubt = self._open[entry] = _Waiting(getattr(outcome, "error", VeoError()))
        for hint in self._early_hints.pop(entry, ()):
            self._spawn(self._verify_hint(entry, hint))
        if not self._stamper.expects_callback(entry):
            self._spawn(self._decide(entry))
            return True
        waited = 0.0 if entry.sent_at is None else self._scribe.now() - entry.sent_at
        loop = asyncio.get_running_loop()
        doubt.timer = loop.call_later(max(0.0, CALLBACK_WAIT_S - waited), lambda: self._spawn(self._decide(entry)))
        return True

    def on_hint(self, entry: LiveJob, hint: CallbackHint) -> None:
        """A callback to an address of *entry*'s names a task."""
        match entry.state:
            case JobState.SENDING:
                early = self._early_hints.setdefault(entry, [])
                if hint not in early:
                    early.append(hint)
            case JobState.RUNNING if entry.task_id == hint.task_id or isinstance(entry.request, UpgradeRequest):
                self._look_now(entry)
            case JobState.IN_DOUBT:
                self._spawn(self._verify_hint(entry, hint))
            case _ if entry.task_id != hint.task_id and not isinstance(entry.request, UpgradeRequest):
                extra = {"action": "stray-hint", "job_key": entry.key, "task_id": hint.task_id}
                logger.error("a callback names another task of job %s: it may be paid twice", entry.key, extra=extra)

    def on_accepted(self, entry: LiveJob) -> None:
        """The answer came after all; an earlier hint is news of the same task, or of another."""
        for hint in self._early_hints.pop(entry, ()):
            self.on_hint(entry, hint)

    # --- ending it ----------------------------------------------------------------------------------------------

    async def resolve(self, entry: LiveJob, task_id: str) -> bool:
        """Somebody says that *task_id* is *entry*'s task; False when somebody else has moved the job before.

        Raises:
            NotTheSame: its record tells of something else, or it is another job's.
        """
        self._require_doubt(entry)
        proof = await self._proof_for_user(entry, task_id)
        if proof is Proof.OTHER:
            raise TaskMismatch("the record of this task tells of another request", job_key=entry.key, task_id=task_id)
        try:
            return await self._bind(entry, task_id, proof)
        except TaskAlreadyBound as taken:
            told = f"this task belongs to the job {taken.key!r}"
            raise TaskMismatch(told, job_key=entry.key, task_id=task_id) from None

    async def resubmit(self, entry: LiveJob) -> bool:
        """Another paid request is wanted for *entry*; False when somebody else has moved the job before.

        Raises:
            BudgetExceeded: the session may not reserve its price a second time.
        """
        return await self._transitions.run_shielded(self._resubmit(entry), f"veo.resubmit:{entry.key}")

    async def _resubmit(self, entry: LiveJob) -> bool:
        self._require_doubt(entry)
        self._purse.reserve_again(entry)
        is_sent_here = is_taken = False
        try:
            is_taken = await self._transitions.apply(entry, Event.RESUBMIT)
            is_sent_here = is_taken and not entry.is_remote
        finally:
            if not is_sent_here:
                self._purse.cancel_reservation(entry)
        return is_taken

    async def abandon(self, entry: LiveJob) -> bool:
        """*entry* is not wanted any more, wherever it stands; what runs at the provider runs on, unwatched."""
        return await self._transitions.run_shielded(self._abandon(entry), f"veo.abandon:{entry.key}")

    async def _abandon(self, entry: LiveJob) -> bool:
        if entry.state not in (JobState.QUEUED, JobState.RUNNING, JobState.IN_DOUBT):
            raise UsageError(f"a job that is {entry.state} cannot be abandoned", job_key=entry.key)
        if not self._transitions.withdraw(entry):
            raise UsageError("this job is being worked on: ask again in a moment", job_key=entry.key)
        error = JobAbandoned("abandoned by request", job_key=entry.key, task_id=entry.task_id)
        return await self._transitions.apply(entry, Event.ABANDON, Failed(entry.key, error))

    def withdraw(self, entry: LiveJob) -> bool:
        return True

    def leave(self, entry: LiveJob, event: Event | None) -> None:
        """*entry* is led out of its doubt."""
        doubt = self._open.pop(entry, None)
        if doubt is not None and doubt.timer is not None:
            doubt.timer.cancel()

    async def _bind(self, entry: LiveJob, task_id: str, proof: Proof) -> bool:
        """The task is its own. Of several who say so at once the first counts."""
        if entry in self._binding:
            return True
        self._binding.add(entry)
        try:
            return await self._transitions.run_shielded(
                self._bind_alone(entry, task_id, proof), f"veo.bind:{entry.key}"
            )
        finally:
            self._binding.discard(entry)

    async def _bind_alone(self, entry: LiveJob, task_id: str, proof: Proof) -> bool:
        told = {"proof": proof.value, "task_id": task_id}
        task_id = await self._upgrade_name(entry) or task_id
        self._require_doubt(entry)  # it may have been led out while records were read
        return await self._transitions.apply(entry, Event.BIND, changes={"task_id": task_id}, evidence=told)

    async def _verify_hint(self, entry: LiveJob, hint: CallbackHint) -> None:
        """Follow *hint*, once at a time however often it is told."""
        if hint not in self._verifying:
            self._verifying.add(hint)
            try:
                await self._verify_with_retries(entry, hint)
            finally:
                self._verifying.discard(hint)

    async def _verify_with_retries(self, entry: LiveJob, hint: CallbackHint) -> None:
        """Bind *entry* if the record proves what the callback says; a bad look is followed by others.

        A record that is not there may only be late, and is looked for a few times. A look that tells nothing (the
        network is gone, the provider is broken) refutes nothing: others follow as long as the doubt lasts.
        """
        why: str | None = None
        refusals = 0
        for wait_s in chain((0.0, *_VERIFY_DELAYS_S), repeat(_VERIFY_DELAYS_S[-1])):
            await asyncio.sleep(wait_s)
            if entry.state is not JobState.IN_DOUBT:
                return
            try:
                why = await self._verify_once(entry, hint)
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
        entry.claimed_task_ids = (*(each for each in entry.claimed_task_ids if each != hint.task_id), hint.task_id)
        extra = {"action": "unproven-hint", "job_key": entry.key, "task_id": hint.task_id}
        logger.warning("a callback names a task for job %s, but %s", entry.key, why, extra=extra)

    async def _verify_once(self, entry: LiveJob, hint: CallbackHint) -> str | None:
        """One look; why it does not prove the hint, or None if the doubt is over."""
        record = await self._look(hint.task_id)
        proof = self._proof(entry, record, hint.token)
        if entry.state is not JobState.IN_DOUBT:
            return None
        if proof not in (Proof.TOKEN, Proof.PROMPT):
            return f"its record proves nothing ({proof.value})"
        if hint.token != entry.token and record.state is TaskState.FAILED:
            return "it came of an earlier attempt and has failed"  # what became of the latest is as unknown as before
        await self._bind(entry, hint.task_id, proof)
        self._look_now(entry)  # a callback tells of an end
        return None

    async def _decide(self, entry: LiveJob) -> None:
        """The user's policy on a doubt that nothing has ended."""
        doubt = self._open.get(entry)
        if doubt is None or entry.state is not JobState.IN_DOUBT:
            return
        outcome = self.outcome_of(entry)
        decision = await self._ask_policy(outcome)
        if entry.state is not JobState.IN_DOUBT:
            return  # it was led out meanwhile
        try:
            if decision == "resubmit" and entry.attempts < MAX_TRIES:
                await self.resubmit(entry)
            elif decision == "abandon":
                await self.abandon(entry)
            else:
                self._transitions.end(entry, outcome)
        except (LedgerError, BudgetExceeded) as error:
            logger.warning("job %s stays in doubt: %s", entry.key, error, extra={"job_key": entry.key})
            if isinstance(error, BudgetExceeded):
                self._transitions.end(entry, outcome)

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

    def outcome_of(self, entry: LiveJob) -> InDoubt:
        """How a job in doubt stands."""
        evidence = Evidence(
            attempts=entry.attempts,
            sent_at=to_datetime(entry.sent_at),
            token=entry.token,
            awaits_callback=self._stamper.expects_callback(entry),
            claimed_task_ids=entry.claimed_task_ids,
        )
        return InDoubt(entry.key, self._open[entry].error, evidence)

    # --- small things -------------------------------------------------------------------------------------------

    def _look_now(self, entry: LiveJob) -> None:
        """There may be news of its running task."""
        if self._watcher is not None:
            self._watcher.poll_now(entry)

    def _proof(self, entry: LiveJob, record: Record, token: str | None = None) -> Proof:
        tokens = [each for each in (entry.token, token) if each]
        return find_proof(record.params, tokens=tokens, prompt=getattr(entry.request, "prompt", None))

    async def _proof_for_user(self, entry: LiveJob, task_id: str) -> Proof:
        """What the record of *task_id* tells; an upgrade has none, and somebody's word has to do."""
        if isinstance(entry.request, UpgradeRequest):
            return Proof.NONE
        return self._proof(entry, await self._look(task_id))

    async def _upgrade_name(self, entry: LiveJob) -> str | None:
        """What the task of an upgrade is called, whatever was named for it; None for all others."""
        if not isinstance(entry.request, UpgradeRequest):
            return None
        source = await self._scribe.book.get(entry.request.after_key) if entry.request.after_key else None
        source_id = source.task_id if source else entry.request.task_id
        return attrs.evolve(entry.request, task_id=source_id or "").task_name

    def _require_doubt(self, entry: LiveJob) -> None:
        if entry.state is not JobState.IN_DOUBT:
            raise UsageError(f"the job is {entry.state}, not in doubt", job_key=entry.key, task_id=entry.task_id)
