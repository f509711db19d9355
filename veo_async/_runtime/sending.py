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
import math
from collections.abc import Callable, Mapping
from typing import assert_never

import anyio
import attrs

from veo_async._api import VeoApi, create
from veo_async._ports import Claim, GateNews, Plain, TaskTaken
from veo_async._rules.breaker import PauseReason
from veo_async._rules.doubt import Verdict, verdict_on
from veo_async._rules.fairness import FairQueue
from veo_async._rules.gate import Gate
from veo_async._rules.gate_values import Grant, Reason
from veo_async._rules.lifecycle import Event
from veo_async._rules.retry import MAX_TRIES
from veo_async._tripwire import trip
from veo_async._wire import Accepted
from veo_async.errors import (
    Blocked,
    DeadlinePassed,
    InsufficientCredits,
    KeyLimitReached,
    LedgerError,
    Maintenance,
    MalformedResponse,
    TryLater,
    VeoError,
)

from .clock import WallClock
from .entry import Entry, fresh
from .events import JobEvent, Sent
from .log import logger_for
from .outcome import Failed, InDoubt, Refused
from .pausing import Pauses
from .rows import ending, evidence
from .scribe import Scribe
from .stamps import Stamper

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
    """Sends what may leave, and acts on what comes of it.

    Args:
        on_running: a job's task was made.
        on_doubt: nobody knows what became of a job's request.
        on_moved: somebody else has moved a job on the ledger.
        on_change: something else happened to a job.
        on_queued: a job waits again.
    """

    def __init__(
        self,
        api: VeoApi,
        *,
        gate: Gate,
        queue: FairQueue[Entry],
        slots: anyio.CapacityLimiter,
        pauses: Pauses,
        scribe: Scribe,
        stamper: Stamper,
        clock: WallClock,
        on_running: Callable[[Entry], None],
        on_doubt: Callable[[Entry, VeoError], None],
        on_moved: Callable[[Entry], None],
        on_change: Callable[[Entry, JobEvent], None],
        on_queued: Callable[[Entry], None],
    ) -> None:
        self._api, self._gate, self._queue, self._slots, self._pauses = api, gate, queue, slots, pauses
        self._scribe, self._stamper, self._clock = scribe, stamper, clock
        self._on_running, self._on_doubt, self._on_moved = on_running, on_doubt, on_moved
        self._on_change, self._on_queued = on_change, on_queued
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
        self._on_change(entry, Sent(entry.key))
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
            self._on_moved(entry)
            return False
        self.hear(permit.gate)
        await self._requeue(entry, is_written=permit.is_granted)
        return False

    def _stays(self, entry: Entry, leave: Leave) -> None:
        """A request does not leave after all."""
        self._slots.release_on_behalf_of(entry)
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
        try:
            changes: dict[str, Plain] = {"task_id": accepted.task_id, "attempts": entry.attempts}
            if not await self._write(entry, Event.ACCEPT, changes, {"task_id": accepted.task_id}):
                extra = {"action": "not-written", "job_key": entry.key, "task_id": accepted.task_id}
                logger.critical("task %s of job %s is on no ledger", accepted.task_id, entry.key, extra=extra)
        except TaskTaken as taken:
            self._slots.release_on_behalf_of(entry)
            told = f"the answer names the task of another job, {taken.key!r}"
            await self._in_doubt(entry, MalformedResponse(told, task_id=accepted.task_id, job_key=entry.key))
            return
        entry.accept(accepted.task_id)
        self._on_running(entry)

    async def _answered_no(self, entry: Entry, leave: Leave, error: VeoError) -> None:
        now, is_probe, ticket = _now(), leave.is_probe, leave.ticket
        error.add_evidence(job_key=entry.key)
        self._slots.release_on_behalf_of(entry)
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
        changes: dict[str, Plain] = {"attempts": entry.attempts, "outcome": ending(InDoubt(entry.key, error))}
        if await self._write(entry, Event.DOUBT, changes, evidence(error)):
            entry.step(Event.DOUBT)
            self._on_doubt(entry, error)

    # --- back to its queue --------------------------------------------------------------------------------------

    async def _requeue_unsent(self, entry: Entry, error: VeoError) -> None:
        entry.unsent += 1
        if entry.unsent < MAX_TRIES:
            await self._requeue(entry, error)
        else:
            await self._end(entry, Event.BREAK, Failed(entry.key, error))

    async def _requeue(self, entry: Entry, error: VeoError | None = None, *, is_written: bool = True) -> None:
        """Back to the head of its queue: a refusal is as if it had never been its turn."""
        told = {} if error is None else evidence(error)
        closed_until = self._gate.statistics().closed_until
        if is_written and not await self._write(entry, Event.RETURN, {}, told, closed_until=closed_until):
            return
        entry.step(Event.RETURN)
        if self._pauses.locked_out is not None:
            await self._refuse_for_lock_out(entry, self._pauses.locked_out)
        elif entry.deadline is not None and self._clock.now() >= entry.deadline:
            await self.pass_over(entry)
        else:
            self._take_back(entry)
            self._on_queued(entry)

    def _take_back(self, entry: Entry) -> None:
        try:
            self._queue.push_front(entry)
        except KeyError:  # so many were granted since that its place is forgotten
            self._queue.push(entry, tenant=entry.tenant, priority=entry.priority, is_bounded=False)

    async def _lock_out(self, error: VeoError) -> None:
        while (entry := self._queue.pop()) is not None:
            await self._refuse_for_lock_out(entry, error)

    async def _refuse_for_lock_out(self, entry: Entry, error: VeoError) -> None:
        await self.refuse(entry, fresh(error))

    # --- its end ------------------------------------------------------------------------------------------------

    async def pass_over(self, entry: Entry) -> None:
        """Its deadline has passed while it waited."""
        await self.refuse(entry, DeadlinePassed("it could not be sent before its deadline"))

    async def refuse(self, entry: Entry, error: VeoError) -> None:
        """It waited, and will never be sent."""
        error.add_evidence(job_key=entry.key)
        await self._end(entry, Event.REFUSE, Refused(entry.key, error.message, error))

    async def _end(self, entry: Entry, event: Event, outcome: Refused | Failed) -> None:
        error = outcome.error
        error.add_evidence(attempts=entry.attempts)
        logger.info("job %s: %s (%s)", entry.key, event.value, error.message, extra=_extra(event.value, entry))
        changes: dict[str, Plain] = {
            "attempts": entry.attempts,
            "outcome": ending(outcome),
            "ended_at": self._clock.now(),
        }
        if await self._write(entry, event, changes, evidence(error)):
            entry.settle(event, outcome)
            self._on_change(entry, outcome)

    async def _write(
        self,
        entry: Entry,
        event: Event,
        changes: Mapping[str, Plain],
        told: Mapping[str, Plain],
        *,
        closed_until: float = -math.inf,
    ) -> bool:
        """Write down what has happened; False when the job is somebody else's, or the session ends without."""
        try:
            until = self._clock.to_wall(closed_until) if closed_until > _now() else 0.0
            if await self._scribe.step(entry, event, changes, told, closed_until=until):
                return True
        except LedgerError:
            return False  # the session ends; the ledger will have it in doubt
        self._on_moved(entry)
        return False


def _extra(action: str, entry: Entry) -> dict[str, object]:
    return {"action": action, "job_key": entry.key, "task_id": entry.task_id}


def _now() -> float:
    return asyncio.get_running_loop().time()
