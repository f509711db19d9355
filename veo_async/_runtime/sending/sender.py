"""The sender: makes one attempt, from the permit until the ledger has recorded the result.

`_rules.doubt` classifies the response; this module acts on it:

============  ====================================================================================
accepted      the job runs; it keeps its slot until its task ends
rate limited  back to the head of the queue; the gate closes for all jobs
not sent      back to the head of the queue; submission pauses until a request gets through; a job
              that failed as the probe `MAX_TRIES` times fails
paused        back to the head of the queue; submission pauses (402, 403, 433, 455)
locked out    one new API key is requested; without one all queued jobs are refused
client closed back to the head of the queue; nothing more is sent, and waiters get the error
refused       the job is refused; no task was created
route gone    back to the head of the queue, if another route may be taken (`route_changes`)
in doubt      the job is in doubt and is never resent automatically
============  ====================================================================================

No byte is sent before the ledger has recorded the intent, and the result is recorded before anyone is notified. Other
sessions on the ledger count, too: their requests use up the same rate limit, and their 429s close our gate. A request
that gets no permit was never sent, and its job returns to the head of the queue.

Why a job has no backoff of its own: what prevents one job from being sent prevents all. With a backoff for each job, a
queue of a thousand would try, and fail, every one of them in the first seconds of an outage.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

import attrs

from veo_async._api import VeoApi, create
from veo_async._base.kill_points import kill_point
from veo_async._ports import AccountActivity, RateClaim, Scalar, TaskAlreadyBound
from veo_async._rules.doubt import Verdict, classify_failure
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Reason
from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.pauses import PauseReason
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._rules.retry import MAX_TRIES
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import WallClock, loop_time
from veo_async._runtime.in_doubt.hints import HintFollower
from veo_async._runtime.job.events import Sent
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.job.outcome import Failed, InDoubt, Refused
from veo_async._runtime.job.rows import error_evidence
from veo_async._runtime.journal import Journal
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._runtime.uncancelled import is_cancellation
from veo_async._wire import Accepted, AnyRequest, Route, route_named
from veo_async.errors import (
    MAY_HAVE_BEEN_CHARGED,
    Blocked,
    InsufficientCredits,
    KeyLimitReached,
    LedgerError,
    Maintenance,
    MalformedResponse,
    ResponseLost,
    TryLater,
    VeoError,
)

from .callback_tokens import CallbackTokens
from .pauses import Pauses
from .route_changes import RouteChanges
from .ticket import SendTicket

logger = logger_for(__name__)

_PAUSES: dict[type[VeoError], PauseReason] = {
    InsufficientCredits: PauseReason.INSUFFICIENT_CREDITS,
    KeyLimitReached: PauseReason.KEY_LIMIT,
    Maintenance: PauseReason.MAINTENANCE,
    Blocked: PauseReason.BLOCKED,
}

#: Not a byte was sent.
_UNSENT = (Verdict.NOT_SENT, Verdict.CLIENT_CLOSED)

#: Seconds for recording the intent. After that the grant is void: it was for another moment.
GRANT_TTL_S = 1.0


@attrs.define(eq=False, repr=False)
class Sender:
    """Sends requests and acts on the responses."""

    _api: VeoApi
    _gate: Gate
    _queue: FairQueue[LiveJob]
    _pauses: Pauses
    _journal: Journal
    _tokens: CallbackTokens
    _clock: WallClock
    _transitions: Transitions
    _announcer: Announcer
    _hints: HintFollower
    _routes: RouteChanges
    #: Called when our own HTTP client is closed, so that nothing more can be sent.
    _on_client_closed: Callable[[VeoError], None]
    _is_stopped: bool = attrs.field(default=False, init=False)
    #: Until when other sessions have closed the gate (loop's time).
    _remote_closed_until: float = attrs.field(default=0.0, init=False)

    def stop(self) -> None:
        """Send nothing that was not sent yet."""
        self._is_stopped = True

    def apply_account_activity(self, activity: AccountActivity) -> None:
        """Take into account what other sessions sent on the same account."""
        now = loop_time()
        self._gate.record_remote_calls([self._clock.to_loop(at) for at in activity.calls], now)
        closed_until = self._clock.bounded_to_loop(activity.closed_until)
        if closed_until > max(now, self._remote_closed_until):
            self._remote_closed_until = closed_until
            self._gate.pause(closed_until, Reason.RATE_LIMITED)
            message, extra = "rate limited by another session: next request in %.0f s", {"action": "rate-limited"}
            logger.info(message, closed_until - now, extra=extra)

    async def send(self, job: LiveJob, ticket: SendTicket) -> None:
        """Send the request of *job* and record the result."""
        with self._transitions.recovery.guard(job):
            try:
                await self._send(job, ticket)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancellation(error):
                    raise
                self._on_unexpected(job, ticket, error)
            self._hints.sending_ended(job)

    async def _send(self, job: LiveJob, ticket: SendTicket) -> None:
        if job.attempts == 0:  # a request that may have been charged is never repeated on another route
            job.route = self._routes.route_for(job)
        request = self._tokens.issue(job)
        ticket.token = job.token
        has_permit = await self._record_intent(job, ticket)
        if not has_permit:
            return
        job.awaits_permit = False
        self._announcer.notify(job, Sent(job.key))
        kill_point("post:before")
        ticket.is_sent = True
        try:
            accepted = await self._create(request, route_named(job.route or self._routes.route_for(job)))
        except VeoError as error:
            kill_point("post:error")
            await self._on_error(job, ticket, error)
        else:
            kill_point("post:after")
            ticket.task_id = accepted.task_id
            await self._on_accepted(job, ticket, accepted.task_id)

    async def _create(self, request: AnyRequest, route: Route) -> Accepted:
        try:
            return await create(self._api, request, route)
        except VeoError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if is_cancellation(error):
                raise
            logger.exception("unexpected error while sending", extra={"action": "unexpected"})
            raise ResponseLost(f"unexpected {type(error).__name__} while sending the request") from None

    # --- before the request ---------------------------------------------------------------------------------------

    async def _record_intent(self, job: LiveJob, ticket: SendTicket) -> bool:
        """Record the attempt on the ledger; return False if it may not be sent, so that the job is queued again."""
        limit, window_s, own_calls = self._gate.rate_claim(ticket.grant, loop_time())
        claim = RateClaim(limit=limit, window_s=window_s, own_calls=own_calls)
        try:
            permit = await self._journal.send(job, claim)
        except LedgerError as error:
            self._cancel_attempt(job, ticket)
            self._pauses.pause(PauseReason.LEDGER_UNAVAILABLE, error, is_probe=ticket.is_probe)
            self._transitions.arrive(job, Event.REQUEUE)
            return False
        is_late = loop_time() - ticket.grant.at > GRANT_TTL_S or self._is_stopped
        if permit is not None and permit.is_granted and not is_late:
            self.apply_account_activity(permit.gate)
            return True
        self._cancel_attempt(job, ticket)
        if permit is None:
            with suppress(LedgerError):  # the session closes; the next one reads the ledger
                await self._transitions.resync(job)
            return False
        self.apply_account_activity(permit.gate)
        if permit.is_granted:
            await self._requeue(job)
        else:
            self._transitions.arrive(job, Event.REQUEUE)
        return False

    def _cancel_attempt(self, job: LiveJob, ticket: SendTicket) -> None:
        self._gate.not_sent(ticket.grant, loop_time())
        self._count(job, ticket, is_paid=False)
        if ticket.is_probe:
            self._pauses.state.probe_not_sent(loop_time())

    # --- after the request ----------------------------------------------------------------------------------------

    async def _on_accepted(self, job: LiveJob, ticket: SendTicket, task_id: str) -> None:
        self._gate.accepted(ticket.grant, loop_time())
        self._count(job, ticket, is_paid=True)
        job.unsent_attempts = 0
        self._pauses.on_accepted(is_probe=ticket.is_probe)
        self._routes.accepted(job)
        await self._accept(job, task_id)

    async def _accept(self, job: LiveJob, task_id: str) -> None:
        """Record the task of *job*."""
        changes: dict[str, Scalar] = {"task_id": task_id, "attempts": job.attempts}
        evidence = {"task_id": task_id}
        try:
            is_written = await self._transitions.apply(job, Event.ACCEPT, changes=changes, evidence=evidence)
        except TaskAlreadyBound as bound:
            self._gate.task_finished(loop_time())
            message = f"the response contains the task id of another job ({bound.key!r})"
            await self._lose(job, MalformedResponse(message, task_id=task_id, job_key=job.key))
        except LedgerError:  # the session closes; waiters get the task id nevertheless
            self._log_not_recorded(job, task_id)
            self._transitions.arrive(job, Event.ACCEPT, task_id=task_id)
        else:
            if not is_written:
                self._gate.task_finished(loop_time())  # another session polls it
                if job.task_id != task_id:
                    self._log_not_recorded(job, task_id)

    def _log_not_recorded(self, job: LiveJob, task_id: str) -> None:
        extra = {**job.log_extra("task-not-recorded"), "task_id": task_id}
        logger.critical("task %s of job %s was NOT recorded on the ledger", task_id, job.key, extra=extra)

    async def _on_error(self, job: LiveJob, ticket: SendTicket, error: VeoError) -> None:
        is_probe, verdict = ticket.is_probe, self._classify(job, error)
        error.add_evidence(job_key=job.key)
        self._count(job, ticket, is_paid=verdict is Verdict.IN_DOUBT)
        if verdict not in _UNSENT and self._pauses.on_any_response(is_probe=is_probe):
            is_probe = False
        self._notify_gate(verdict, error, ticket)
        if is_probe and verdict in (Verdict.RATE_LIMITED, Verdict.LOCKED_OUT, Verdict.CLIENT_CLOSED):
            self._pauses.state.probe_inconclusive(loop_time())
        match verdict:
            case Verdict.RATE_LIMITED:
                await self._requeue(job, error)
            case Verdict.NOT_SENT:
                self._pauses.pause(PauseReason.NETWORK, error, is_probe=is_probe)
                await self._requeue_unsent(job, error)
            case Verdict.PAUSED:
                self._pauses.pause(_PAUSES[type(error)], error, is_probe=is_probe)
                await self._requeue(job, error)
            case Verdict.CLIENT_CLOSED:
                await self._requeue(job, error)
                self._on_client_closed(error)
            case Verdict.LOCKED_OUT:
                await self._requeue(job, error)
                if await self._pauses.key_rejected(ticket.key_generation, error):
                    await self._lock_out(error)
            case Verdict.REFUSED if self._may_change_route(job, ticket, error, is_probe=is_probe):
                await self._requeue(job, error)
            case Verdict.REFUSED:
                self._pauses.on_refused(is_probe=is_probe)
                await self._finish(job, Event.REFUSE, Refused(job.key, error))
            case Verdict.IN_DOUBT:
                self._pauses.on_error(error, is_probe=is_probe)
                self._may_change_route(job, ticket, error, is_probe=False)
                await self._lose(job, error)
            case _:
                assert_never(verdict)

    def _classify(self, job: LiveJob, error: VeoError) -> Verdict:
        """Return what *error* means. After a callback for this very attempt, a rejection proves nothing any more."""
        verdict = classify_failure(error)
        may_be_resent = verdict not in _UNSENT and (verdict is not Verdict.REFUSED or self._routes.is_lost(job, error))
        return Verdict.IN_DOUBT if may_be_resent and self._hints.has_early_hint(job) else verdict

    def _may_change_route(self, job: LiveJob, ticket: SendTicket, error: VeoError, *, is_probe: bool) -> bool:
        """Note an error that says that the route is gone; return whether the job may take another one."""
        if not self._routes.is_lost(job, error) or self._hints.has_early_hint(job):
            return False
        return self._routes.not_found(job, error, key_number=ticket.key_generation, is_probe=is_probe)

    def _count(self, job: LiveJob, ticket: SendTicket, *, is_paid: bool) -> None:
        """Count an attempt that has ended, and whether it was or may have been charged."""
        ticket.is_counted = True
        job.attempts += is_paid
        self._pauses.on_request_done(job, is_paid=is_paid)

    def _notify_gate(self, verdict: Verdict, error: VeoError, ticket: SendTicket) -> None:
        match verdict:
            case Verdict.RATE_LIMITED:
                retry_after = error.retry_after if isinstance(error, TryLater) else None
                self._gate.refused(ticket.grant, loop_time(), retry_after)
            case Verdict.NOT_SENT | Verdict.CLIENT_CLOSED:
                self._gate.not_sent(ticket.grant, loop_time())
            case _:
                self._gate.unanswered(ticket.grant, loop_time())

    # --- after an unexpected exception ------------------------------------------------------------------------------

    def _on_unexpected(self, job: LiveJob, ticket: SendTicket, error: BaseException) -> None:
        """Return what the attempt holds. If nothing has been recorded, record it later: what may have been sent is
        never sent again.
        """
        end = self._gate.unanswered if ticket.is_sent else self._gate.not_sent
        with suppress(Exception):  # the gate has the grant already
            end(ticket.grant, loop_time())
        if not ticket.is_counted:
            self._count(job, ticket, is_paid=ticket.is_sent)
        if ticket.is_probe:
            self._pauses.state.probe_inconclusive(loop_time())
        is_open = job.state is JobState.SENDING and job.token == ticket.token
        self._transitions.recovery.failed(job, error, partial(self._end, job, ticket) if is_open else None)

    async def _end(self, job: LiveJob, ticket: SendTicket) -> None:
        """Record the end of an attempt that an unexpected exception ended."""
        if ticket.task_id is not None:
            await self._accept(job, ticket.task_id)
        elif ticket.is_sent:
            await self._lose(job, ResponseLost("an unexpected exception while the response was handled"))
        else:
            await self._requeue(job)

    # --- steps shared by all ends -----------------------------------------------------------------------------------

    async def _lose(self, job: LiveJob, error: VeoError) -> None:
        """The response was lost: the job is in doubt."""
        error.add_evidence(remedy=MAY_HAVE_BEEN_CHARGED)
        await self._finish(job, Event.LOSE, InDoubt(job.key, error))

    async def _finish(self, job: LiveJob, event: Event, outcome: Refused | Failed | InDoubt) -> None:
        error = outcome.error
        error.add_evidence(attempts=job.attempts)
        changes = {"attempts": job.attempts}
        await self._transitions.try_apply(job, event, outcome, changes=changes, evidence=error_evidence(error))

    async def _requeue_unsent(self, job: LiveJob, error: VeoError) -> None:
        job.unsent_attempts += 1
        if job.unsent_attempts < MAX_TRIES:
            await self._requeue(job, error)
        else:
            await self._finish(job, Event.FAIL, Failed(job.key, error))

    async def _requeue(self, job: LiveJob, error: VeoError | None = None) -> None:
        """Return *job* to the head of the queue, as if it had never been taken from it."""
        evidence = {} if error is None else error_evidence(error)
        closed_until = self._gate.statistics().closed_until
        until = self._clock.to_wall(closed_until) if closed_until > loop_time() else 0.0
        await self._transitions.try_apply(job, Event.REQUEUE, evidence=evidence, closed_until=until)

    async def _lock_out(self, error: VeoError) -> None:
        """Refuse all queued jobs."""
        while (job := self._queue.pop()) is not None:
            await self._transitions.refuse(job, copy_error(error))
        for job in tuple(self._queue.on_hold):
            self._queue.remove(job)
            await self._transitions.refuse(job, copy_error(error))
