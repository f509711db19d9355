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
from veo_async._base.kill_points import trip
from veo_async._ports import Claim, GateNews, Plain, TaskTaken
from veo_async._rules.doubt import Verdict, verdict_on
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Grant, Reason
from veo_async._rules.lifecycle import Event, JobState
from veo_async._rules.pauses import PauseReason
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._rules.retry import MAX_TRIES
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import WallClock
from veo_async._runtime.job.events import Sent
from veo_async._runtime.job.live_job import Entry, fresh
from veo_async._runtime.job.outcome import Failed, InDoubt, Refused
from veo_async._runtime.job.rows import evidence
from veo_async._runtime.journal import Scribe
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Accepted
from veo_async.errors import (
    Blocked,
    InsufficientCredits,
    KeyLimitReached,
    LedgerError,
    Maintenance,
    MalformedResponse,
    TryLater,
    VeoError,
)

from .callback_tokens import Stamper
from .pauses import Pauses

logger = logger_for(__name__)

_PAUSES: dict[type[VeoError], PauseReason] = {
    InsufficientCredits: PauseReason.NO_CREDIT,
    KeyLimitReached: PauseReason.KEY_LIMIT,
    Maintenance: PauseReason.MAINTENANCE,
    Blocked: PauseReason.BLOCKED,
}

#: A request whose intent took so long to write asks the gate again: its grant was for then.
STALE_S = 1.0


@attrs.frozen
class Leave:
    """What a request leaves with: its ticket from the gate, the key's number, and whether a pause hangs on it."""

    ticket: Grant
    key_number: int
    is_probe: bool


class Sender:
    """Sends what may leave, and acts on what comes of it."""

    def __init__(
        self,
        api: VeoApi,
        gate: Gate,
        queue: FairQueue[Entry],
        pauses: Pauses,
        scribe: Scribe,
        stamper: Stamper,
        clock: WallClock,
        transitions: Transitions,
        announcer: Announcer,
    ) -> None:
        self._api, self._gate, self._queue, self._pauses = api, gate, queue, pauses
        self._scribe, self._stamper, self._clock = scribe, stamper, clock
        self._transitions, self._announcer = transitions, announcer
        self._is_stopped = False
        #: Until when others have closed the gate, by the loop's clock.
        self._closed_by_others = 0.0

    def stop(self) -> None:
        """Let nothing leave any more that has not left."""
        self._is_stopped = True

    def hear(self, news: GateNews) -> None:
        """What other sessions have done with the same account."""
        now = _now()
        self._gate.heard([self._clock.to_loop(at) for at in news.calls], now)
        closed_until = self._clock.to_loop(news.closed_until)
        if closed_until > max(now, self._closed_by_others):
            self._closed_by_others = closed_until
            self._gate.pause(closed_until, Reason.THROTTLED)

    async def send(self, entry: Entry, leave: Leave) -> None:
        """Send *entry*'s request and follow it to its end."""
        request = self._stamper.stamp(entry)
        if not await self._is_written(entry, leave):
            return
        self._announcer.tell(entry, Sent(entry.key))
        trip("post:before")
        try:
            accepted = await create(self._api, request)
        except VeoError as error:
            trip("post:refused-or-lost")
            await self._answered_no(entry, leave, error)
        else:
            trip("post:after")
            await self._accepted(entry, leave, accepted)

    # --- before it leaves ---------------------------------------------------------------------------------------

    async def _is_written(self, entry: Entry, leave: Leave) -> bool:
        """Whether the request may leave, the ledger knowing of it; else the job is back in its queue."""
        limit, span_s, own = self._gate.claim(leave.ticket, _now())
        try:
            permit = await self._scribe.send(entry, Claim(limit=limit, span_s=span_s, own=own))
        except LedgerError as error:
            self._stays(entry, leave)
            self._pauses.pause(PauseReason.LEDGER, error, is_probe=leave.is_probe)
            await self._requeue(entry, is_written=False)
            return False
        is_late = _now() - leave.ticket.at > STALE_S or self._is_stopped
        if permit is not None and permit.is_granted and not is_late:
            self.hear(permit.gate)
            return True
        self._stays(entry, leave)
        if permit is None:
            with suppress(LedgerError):  # the session ends; the next one goes by the ledger
                await self._transitions.resync(entry)
            return False
        self.hear(permit.gate)
        await self._requeue(entry, is_written=permit.is_granted)
        return False

    def _stays(self, entry: Entry, leave: Leave) -> None:
        """A request does not leave after all."""
        self._gate.never_sent(leave.ticket, _now())
        self._pauses.came_back(entry, is_paid=False)
        if leave.is_probe:
            self._pauses.breaker.probe_stayed(_now())

    # --- after it has left --------------------------------------------------------------------------------------

    async def _accepted(self, entry: Entry, leave: Leave, accepted: Accepted) -> None:
        self._gate.accepted(leave.ticket, _now())
        self._pauses.came_back(entry, is_paid=True)
        entry.attempts += 1
        entry.unsent = 0
        self._pauses.went_well(is_probe=leave.is_probe)
        task_id = accepted.task_id
        changes: dict[str, Plain] = {"task_id": task_id, "attempts": entry.attempts}
        try:
            is_written = await self._transitions.apply(
                entry, Event.ACCEPT, changes=changes, evidence={"task_id": task_id}
            )
        except TaskTaken as taken:
            self._gate.finished(_now())
            why = f"the answer names the task of another job, {taken.key!r}"
            await self._in_doubt(entry, MalformedResponse(why, task_id=task_id, job_key=entry.key))
        except LedgerError:  # the session ends; whoever waits is told the task all the same
            self._not_written(entry, task_id)
            self._transitions.arrive(entry, Event.ACCEPT, task_id=task_id)
        else:
            if not is_written:
                self._gate.finished(_now())
                self._not_written(entry, task_id)
                await self._bind(entry, task_id)

    def _not_written(self, entry: Entry, task_id: str) -> None:
        extra = {"action": "not-written", "job_key": entry.key, "task_id": task_id}
        logger.critical("task %s of job %s is on no ledger", task_id, entry.key, extra=extra)

    async def _bind(self, entry: Entry, task_id: str) -> None:
        """Another session took us for dead and has it in doubt: tell the ledger which task it is."""
        if entry.state is JobState.IN_DOUBT:
            told: dict[str, Plain] = {"proof": "answer", "task_id": task_id}
            with suppress(TaskTaken):
                await self._transitions.try_apply(entry, Event.BIND, changes={"task_id": task_id}, evidence=told)

    async def _answered_no(self, entry: Entry, leave: Leave, error: VeoError) -> None:
        now, is_probe, ticket = _now(), leave.is_probe, leave.ticket
        error.add_evidence(job_key=entry.key)
        verdict = verdict_on(error)
        self._pauses.came_back(entry, is_paid=verdict is Verdict.DOUBT)
        if verdict is not Verdict.UNSENT and self._pauses.reached(is_probe=is_probe):
            is_probe = False
        match verdict:
            case Verdict.LIMITED:
                self._gate.refused(ticket, now, error.retry_after if isinstance(error, TryLater) else None)
                if is_probe:
                    self._pauses.breaker.probe_told_nothing(now)
                await self._requeue(entry, error)
            case Verdict.UNSENT:
                self._gate.never_sent(ticket, now)
                self._pauses.pause(PauseReason.UNREACHABLE, error, is_probe=is_probe)
                await self._requeue_unsent(entry, error)
            case Verdict.PAUSED:
                self._gate.lost(ticket, now)
                self._pauses.pause(_PAUSES[type(error)], error, is_probe=is_probe)
                await self._requeue(entry, error)
            case Verdict.LOCKED_OUT:
                self._gate.lost(ticket, now)
                if is_probe:
                    self._pauses.breaker.probe_told_nothing(now)
                await self._requeue(entry, error)
                if await self._pauses.key_was_refused(leave.key_number, error):
                    await self._lock_out(error)
            case Verdict.REFUSED:
                self._gate.lost(ticket, now)
                self._pauses.refused(is_probe=is_probe)
                await self._end(entry, Event.REFUSE, Refused(entry.key, error.message, error))
            case Verdict.DOUBT:
                self._gate.lost(ticket, now)
                entry.attempts += 1
                self._pauses.broke(error, is_probe=is_probe)
                await self._in_doubt(entry, error)
            case _:
                assert_never(verdict)

    async def _in_doubt(self, entry: Entry, error: VeoError) -> None:
        error.add_evidence(attempts=entry.attempts)
        logger.warning("job %s is in doubt: %s", entry.key, error.message, extra=_extra("doubt", entry))
        doubt, changes = InDoubt(entry.key, error), {"attempts": entry.attempts}
        await self._transitions.try_apply(entry, Event.DOUBT, doubt, changes=changes, evidence=evidence(error))

    # --- back to its queue --------------------------------------------------------------------------------------

    async def _requeue_unsent(self, entry: Entry, error: VeoError) -> None:
        entry.unsent += 1
        if entry.unsent < MAX_TRIES:
            await self._requeue(entry, error)
        else:
            await self._end(entry, Event.BREAK, Failed(entry.key, error))

    async def _requeue(self, entry: Entry, error: VeoError | None = None, *, is_written: bool = True) -> None:
        """Back to the head of its queue: a refusal is as if it had never been its turn."""
        if not is_written:
            self._transitions.arrive(entry, Event.RETURN)
            return
        told = {} if error is None else evidence(error)
        closed_until = self._gate.statistics().closed_until
        until = self._clock.to_wall(closed_until) if closed_until > _now() else 0.0
        await self._transitions.try_apply(entry, Event.RETURN, evidence=told, closed_until=until)

    async def _lock_out(self, error: VeoError) -> None:
        while (entry := self._queue.pop()) is not None:
            await self._transitions.refuse(entry, fresh(error))

    async def _end(self, entry: Entry, event: Event, outcome: Refused | Failed) -> None:
        error = outcome.error
        error.add_evidence(attempts=entry.attempts)
        changes = {"attempts": entry.attempts}
        await self._transitions.try_apply(entry, event, outcome, changes=changes, evidence=evidence(error))


def _extra(action: str, entry: Entry) -> dict[str, object]:
    return {"action": action, "job_key": entry.key, "task_id": entry.task_id}


def _now() -> float:
    return asyncio.get_running_loop().time()
