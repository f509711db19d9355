"""One creating request, from the moment it may leave until the ledger knows how it went.

What an answer means is `doubt`'s business; here it is acted upon:

==========  =======================================================================
made        the job runs; the watcher takes over, the slot stays taken until its end
limited     back to the head of its queue, the gate closes for everybody
unsent      the same place; creation pauses until something gets through, and a job
            that was the probe too often is given up
paused      the same place; creation pauses for the session (402, 403, 433, 455)
locked out  creation stops; one new key is asked for, and without one everybody who
            waits is told why
refused     the job ends, nothing was made
doubt       the job is in doubt and is never sent again by itself
==========  =======================================================================

Nothing leaves before the ledger knows of it, and nobody is told before the ledger knows how it went. Other sessions on
the same ledger have a say, too: their calls count, and a 429 of theirs closes our gate. A request that may not leave
after all goes back to the head of its queue; it was never sent.

Why no back-off of its own for a job that could not leave: what keeps one from leaving keeps all of them. Backing off
one by one, a queue of a thousand would try (and give up) every one of them in the first seconds of an outage.
"""

import asyncio
from contextlib import suppress
from typing import assert_never

import attrs

from veo_async._api import VeoApi, create
from veo_async._base.kill_points import kill_point
from veo_async._ports import AccountActivity, RateClaim, Scalar, TaskAlreadyBound
from veo_async._rules.doubt import Verdict, classify_failure
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Grant, Reason
from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.pauses import PauseReason
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._rules.retry import MAX_TRIES
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import WallClock
from veo_async._runtime.job.events import Sent
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.job.outcome import Failed, InDoubt, Refused
from veo_async._runtime.job.rows import error_evidence
from veo_async._runtime.journal import Journal
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Accepted
from veo_async.errors import (
    MAY_HAVE_BEEN_CHARGED,
    Blocked,
    InsufficientCredits,
    KeyLimitReached,
    LedgerError,
    Maintenance,
    MalformedResponse,
    TryLater,
    VeoError,
)

from .callback_tokens import CallbackTokens
from .pauses import Pauses

logger = logger_for(__name__)

_PAUSES: dict[type[VeoError], PauseReason] = {
    InsufficientCredits: PauseReason.INSUFFICIENT_CREDITS,
    KeyLimitReached: PauseReason.KEY_LIMIT,
    Maintenance: PauseReason.MAINTENANCE,
    Blocked: PauseReason.BLOCKED,
}

#: A request whose intent took so long to write asks the gate again: its grant was for then.
GRANT_TTL_S = 1.0


@attrs.frozen
class SendTicket:
    """What a request leaves with: its ticket from the gate, the key's number, and whether a pause hangs on it."""

    ticket: Grant
    key_generation: int
    is_probe: bool


class Sender:
    """Sends what may leave, and acts on what comes of it."""

    def __init__(
        self,
        api: VeoApi,
        gate: Gate,
        queue: FairQueue[LiveJob],
        pauses: Pauses,
        journal: Journal,
        tokens: CallbackTokens,
        clock: WallClock,
        transitions: Transitions,
        announcer: Announcer,
    ) -> None:
        self._api, self._gate, self._queue, self._pauses = api, gate, queue, pauses
        self._journal, self._tokens, self._clock = journal, tokens, clock
        self._transitions, self._announcer = transitions, announcer
        self._is_stopped = False
        #: Until when others have closed the gate, by the loop's clock.
        self._remote_closed_until = 0.0

    def stop(self) -> None:
        """Let nothing leave any more that has not left."""
        self._is_stopped = True

    def apply_account_activity(self, changes: AccountActivity) -> None:
        """What other sessions have done with the same account."""
        now = _now()
        self._gate.record_remote_calls([self._clock.to_loop(at) for at in changes.calls], now)
        closed_until = self._clock.to_loop(changes.closed_until)
        if closed_until > max(now, self._remote_closed_until):
            self._remote_closed_until = closed_until
            self._gate.pause(closed_until, Reason.RATE_LIMITED)

    async def send(self, job: LiveJob, leave: SendTicket) -> None:
        """Send *entry*'s request and follow it to its end."""
        request = self._tokens.issue(job)
        if not await self._record_intent(job, leave):
            return
        self._announcer.notify(job, Sent(job.key))
        kill_point("post:before")
        try:
            accepted = await create(self._api, request)
        except VeoError as error:
            kill_point("post:error")
            await self._on_error(job, leave, error)
        else:
            kill_point("post:after")
            await self._accepted(job, leave, accepted)

    # --- before it leaves ---------------------------------------------------------------------------------------

    async def _record_intent(self, job: LiveJob, leave: SendTicket) -> bool:
        """Whether the request may leave, the ledger knowing of it; else the job is back in its queue."""
        limit, span_s, own = self._gate.rate_claim(leave.ticket, _now())
        try:
            permit = await self._journal.send(job, RateClaim(limit=limit, window_s=span_s, own_calls=own))
        except LedgerError as error:
            self._cancel_send(job, leave)
            self._pauses.pause(PauseReason.LEDGER_UNAVAILABLE, error, is_probe=leave.is_probe)
            await self._requeue(job, is_written=False)
            return False
        is_late = _now() - leave.ticket.at > GRANT_TTL_S or self._is_stopped
        if permit is not None and permit.is_granted and not is_late:
            self.apply_account_activity(permit.gate)
            return True
        self._cancel_send(job, leave)
        if permit is None:
            with suppress(LedgerError):  # the session ends; the next one goes by the ledger
                await self._transitions.resync(job)
            return False
        self.apply_account_activity(permit.gate)
        await self._requeue(job, is_written=permit.is_granted)
        return False

    def _cancel_send(self, job: LiveJob, leave: SendTicket) -> None:
        """A request does not leave after all."""
        self._gate.not_sent(leave.ticket, _now())
        self._pauses.on_request_done(job, is_paid=False)
        if leave.is_probe:
            self._pauses.state.probe_not_sent(_now())

    # --- after it has left --------------------------------------------------------------------------------------

    async def _accepted(self, job: LiveJob, leave: SendTicket, accepted: Accepted) -> None:
        self._gate.accepted(leave.ticket, _now())
        self._pauses.on_request_done(job, is_paid=True)
        job.attempts += 1
        job.unsent_attempts = 0
        self._pauses.on_accepted(is_probe=leave.is_probe)
        task_id = accepted.task_id
        changes: dict[str, Scalar] = {"task_id": task_id, "attempts": job.attempts}
        try:
            is_written = await self._transitions.apply(
                job, Event.ACCEPT, changes=changes, evidence={"task_id": task_id}
            )
        except TaskAlreadyBound as taken:
            self._gate.task_finished(_now())
            why = f"the answer names the task of another job, {taken.key!r}"
            await self._in_doubt(job, MalformedResponse(why, task_id=task_id, job_key=job.key))
        except LedgerError:  # the session ends; whoever waits is told the task all the same
            self._not_written(job, task_id)
            self._transitions.arrive(job, Event.ACCEPT, task_id=task_id)
        else:
            if not is_written:
                self._gate.task_finished(_now())
                self._not_written(job, task_id)
                await self._bind(job, task_id)

    def _not_written(self, job: LiveJob, task_id: str) -> None:
        extra = {"action": "task-not-recorded", "job_key": job.key, "task_id": task_id}
        logger.critical("task %s of job %s is on no ledger", task_id, job.key, extra=extra)

    async def _bind(self, job: LiveJob, task_id: str) -> None:
        """Another session took us for dead and has it in doubt: tell the ledger which task it is."""
        if job.state is JobState.IN_DOUBT:
            evidence: dict[str, Scalar] = {"proof": "answer", "task_id": task_id}
            with suppress(TaskAlreadyBound):
                await self._transitions.try_apply(job, Event.BIND, changes={"task_id": task_id}, evidence=evidence)

    async def _on_error(self, job: LiveJob, leave: SendTicket, error: VeoError) -> None:
        now, is_probe, ticket = _now(), leave.is_probe, leave.ticket
        error.add_evidence(job_key=job.key)
        verdict = classify_failure(error)
        self._pauses.on_request_done(job, is_paid=verdict is Verdict.IN_DOUBT)
        if verdict is not Verdict.NOT_SENT and self._pauses.on_any_response(is_probe=is_probe):
            is_probe = False
        match verdict:
            case Verdict.RATE_LIMITED:
                self._gate.refused(ticket, now, error.retry_after if isinstance(error, TryLater) else None)
                if is_probe:
                    self._pauses.state.probe_inconclusive(now)
                await self._requeue(job, error)
            case Verdict.NOT_SENT:
                self._gate.not_sent(ticket, now)
                self._pauses.pause(PauseReason.NETWORK, error, is_probe=is_probe)
                await self._requeue_unsent(job, error)
            case Verdict.PAUSED:
                self._gate.unanswered(ticket, now)
                self._pauses.pause(_PAUSES[type(error)], error, is_probe=is_probe)
                await self._requeue(job, error)
            case Verdict.LOCKED_OUT:
                self._gate.unanswered(ticket, now)
                if is_probe:
                    self._pauses.state.probe_inconclusive(now)
                await self._requeue(job, error)
                if await self._pauses.key_rejected(leave.key_generation, error):
                    await self._lock_out(error)
            case Verdict.REFUSED:
                self._gate.unanswered(ticket, now)
                self._pauses.on_refused(is_probe=is_probe)
                await self._finish(job, Event.REFUSE, Refused(job.key, error.message, error))
            case Verdict.IN_DOUBT:
                self._gate.unanswered(ticket, now)
                job.attempts += 1
                self._pauses.on_error(error, is_probe=is_probe)
                await self._in_doubt(job, error)
            case _:
                assert_never(verdict)

    async def _in_doubt(self, job: LiveJob, error: VeoError) -> None:
        error.add_evidence(attempts=job.attempts, remedy=MAY_HAVE_BEEN_CHARGED)
        logger.warning("job %s is in doubt: %s", job.key, error.message, extra=_extra("in-doubt", job))
        doubt, changes = InDoubt(job.key, error), {"attempts": job.attempts}
        await self._transitions.try_apply(job, Event.LOSE, doubt, changes=changes, evidence=error_evidence(error))

    # --- back to its queue --------------------------------------------------------------------------------------

    async def _requeue_unsent(self, job: LiveJob, error: VeoError) -> None:
        job.unsent_attempts += 1
        if job.unsent_attempts < MAX_TRIES:
            await self._requeue(job, error)
        else:
            await self._finish(job, Event.FAIL, Failed(job.key, error))

    async def _requeue(self, job: LiveJob, error: VeoError | None = None, *, is_written: bool = True) -> None:
        """Back to the head of its queue: a refusal is as if it had never been its turn."""
        if not is_written:
            self._transitions.arrive(job, Event.REQUEUE)
            return
        evidence = {} if error is None else error_evidence(error)
        closed_until = self._gate.statistics().closed_until
        until = self._clock.to_wall(closed_until) if closed_until > _now() else 0.0
        await self._transitions.try_apply(job, Event.REQUEUE, evidence=evidence, closed_until=until)

    async def _lock_out(self, error: VeoError) -> None:
        while (job := self._queue.pop()) is not None:
            await self._transitions.refuse(job, copy_error(error))

    async def _finish(self, job: LiveJob, event: Event, outcome: Refused | Failed) -> None:
        error = outcome.error
        error.add_evidence(attempts=job.attempts)
        changes = {"attempts": job.attempts}
        await self._transitions.try_apply(job, event, outcome, changes=changes, evidence=error_evidence(error))


def _extra(action: str, job: LiveJob) -> dict[str, object]:
    return {"action": action, "job_key": job.key, "task_id": job.task_id}


def _now() -> float:
    return asyncio.get_running_loop().time()
