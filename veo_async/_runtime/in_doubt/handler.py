"""IN_DOUBT: wait for a callback while one may arrive, then ask the user's policy.

The policy is ``"hold"`` (callers get the outcome `InDoubt`), ``"resubmit"`` (send again, up to `MAX_TRIES` attempts),
or the user's coroutine function, which returns ``"hold"``, ``"resubmit"`` or ``"abandon"``. A function that raises or
takes too long counts as ``"hold"``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import attrs

from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.retry import MAX_TRIES
from veo_async._runtime.clock import WallClock
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Evidence, InDoubt, Outcome
from veo_async._runtime.job.rows import to_datetime
from veo_async._runtime.log import logger_for
from veo_async._runtime.sending.callback_tokens import CallbackTokens
from veo_async._runtime.transitions import Transitions
from veo_async._runtime.uncancelled import is_cancellation
from veo_async.errors import BudgetExceeded, LedgerError, VeoError

from .actions import JobActions

logger = logger_for(__name__)

#: Seconds after sending within which a callback arrives: the longest generation seen, and time to post the callback.
CALLBACK_WAIT_S = 900.0
#: Seconds for the user's policy function.
_POLICY_TIMEOUT_S = 60.0

Decision = Literal["hold", "resubmit", "abandon"]
#: The policy for jobs in doubt: a decision, or a coroutine function that returns one.
OnDoubt = Literal["hold", "resubmit"] | Callable[[InDoubt], Awaitable[Decision]]


@attrs.define(eq=False, repr=False)
class _Waiting:
    """A job that waits for its callback or for the policy."""

    error: VeoError
    timer: asyncio.TimerHandle | None = None


@attrs.define(eq=False, repr=False)
class InDoubtState:
    """The handler of `JobState.IN_DOUBT`. A job holds a timer here."""

    _transitions: Transitions
    _actions: JobActions
    _tokens: CallbackTokens
    _clock: WallClock
    _policy: OnDoubt
    _waiting: dict[LiveJob, _Waiting] = attrs.field(factory=dict, init=False)

    def __contains__(self, job: LiveJob) -> bool:
        """Whether *job* holds anything here."""
        return job in self._waiting

    def close(self) -> None:
        """Cancel all timers."""
        for waiting in self._waiting.values():
            if waiting.timer is not None:
                waiting.timer.cancel()

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        waiting = self._waiting[job] = _Waiting(getattr(outcome, "error", VeoError()))
        if not self._tokens.expects_callback(job):
            self._ask_policy(job)
            return True
        waited_s = 0.0 if job.sent_at is None else max(0.0, self._clock.now() - job.sent_at)
        delay_s = max(0.0, CALLBACK_WAIT_S - waited_s)
        waiting.timer = asyncio.get_running_loop().call_later(delay_s, self._ask_policy, job)
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return True

    def leave(self, job: LiveJob, event: Event | None) -> None:
        waiting = self._waiting.pop(job, None)
        if waiting is not None and waiting.timer is not None:
            waiting.timer.cancel()

    def _ask_policy(self, job: LiveJob) -> None:
        _ = self._transitions.recovery.start(job, self._apply_policy(job), f"on-doubt:{job.key}")

    async def _apply_policy(self, job: LiveJob) -> None:
        waiting = self._waiting.get(job)
        if waiting is None or job.state is not JobState.IN_DOUBT:
            return
        outcome = InDoubt(job.key, waiting.error, self._evidence_of(job))
        decision = await self._decide(outcome)
        if job.state is not JobState.IN_DOUBT:
            return  # it was resolved in the meantime
        try:
            if decision == "resubmit" and job.attempts < MAX_TRIES:
                await self._actions.resubmit(job)
            elif decision == "abandon":
                await self._actions.abandon(job)
            else:
                self._transitions.set_outcome(job, outcome)
        except (LedgerError, BudgetExceeded) as error:
            logger.warning("job %s remains in doubt: %s", job.key, error, extra={"job_key": job.key})
            if isinstance(error, BudgetExceeded):
                self._transitions.set_outcome(job, outcome)

    async def _decide(self, outcome: InDoubt) -> Decision:
        if not callable(self._policy):
            return self._policy
        try:
            async with asyncio.timeout(_POLICY_TIMEOUT_S):
                return await self._policy(outcome)
        except (Exception, asyncio.CancelledError) as error:  # an error of the user's function decides nothing
            if is_cancellation(error):
                raise
            logger.exception("on_doubt failed for job %s", outcome.key, extra={"job_key": outcome.key})
            return "hold"

    def _evidence_of(self, job: LiveJob) -> Evidence:
        return Evidence(
            attempts=job.attempts,
            sent_at=to_datetime(job.sent_at),
            token=job.token,
            awaits_callback=self._tokens.expects_callback(job),
            claimed_task_ids=job.claimed_task_ids,
        )
