"""The scheduler: from the queue through slots and gate to the provider.

One dispatcher decides, in one step without awaiting, whether a job may leave: is creation paused, is a slot free, does
the gate grant? Only then is a job taken from the queue, so nobody ever holds a slot while waiting at the gate, and
whose turn it is is decided as late as possible. Each request that leaves runs in a task of its own and is followed to
its end, its answer acted upon, whatever happens to those who wait for it and to the scheduler itself.

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
doubt       the job ends in doubt and is never sent again by itself
==========  =======================================================================

Why no back-off of its own for a job that could not leave: what keeps one from leaving keeps all of them. Backing off
one by one, a queue of a thousand would try (and give up) every one of them in the first seconds of an outage.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol, assert_never

import anyio
import attrs

from veo_async._rules.breaker import Breaker, PauseReason, Probe
from veo_async._rules.doubt import Verdict, verdict_on
from veo_async._rules.fairness import FairQueue
from veo_async._rules.gate import Gate
from veo_async._rules.gate_values import Grant, Wait
from veo_async._rules.lifecycle import Event
from veo_async._rules.retry import MAX_TRIES
from veo_async._wire import Accepted, Credits, VideoRequest
from veo_async.errors import (
    Blocked,
    InsufficientCredits,
    KeyLimitReached,
    Maintenance,
    QueueFull,
    TryLater,
    Unauthorized,
    VeoError,
)

from .entry import Entry, fresh
from .events import JobEvent, Paused, Sent
from .finish import finish
from .keys import KeyKeeper
from .log import logger_for
from .outcome import Failed, InDoubt, Refused

logger = logger_for(__name__)

_PAUSES: dict[type[VeoError], PauseReason] = {
    InsufficientCredits: PauseReason.NO_CREDIT,
    KeyLimitReached: PauseReason.KEY_LIMIT,
    Maintenance: PauseReason.MAINTENANCE,
    Blocked: PauseReason.BLOCKED,
}


class Creator(Protocol):
    """The part of the client that the scheduler needs."""

    async def generate(self, request: VideoRequest, *, validate: bool) -> Accepted:
        """One creating attempt."""
        ...

    async def credit(self) -> Credits:
        """The balance."""
        ...


#: A loop's timers go off up to its clock's resolution early; who asked again at once might spin.
_HAIR_S = 0.0001
#: Once somebody waits for single clips, the batch leaves them one place of each window, a twentieth of its rate: with
#: it nobody stands in the pace behind the batch (95 of 100 wait for half a second without it, for nothing with it).
_KEPT_FOR_PEOPLE = 1


@attrs.frozen
class _Leave:
    """What a request leaves with: its ticket from the gate, the key's number, and whether a pause hangs on it."""

    ticket: Grant
    key_number: int
    is_probe: bool


class Scheduler:
    """Sends jobs, never faster than the account allows and never more at once than there are slots.

    Args:
        on_running: a job's task was made.
        on_change: something else happened to a job.
        on_queued: a job waits again, or waits for its turn alone again.
    """

    def __init__(
        self,
        api: Creator,
        *,
        gate: Gate,
        queue: FairQueue[Entry],
        slots: anyio.CapacityLimiter,
        keys: KeyKeeper,
        on_running: Callable[[Entry], None],
        on_change: Callable[[Entry, JobEvent], None],
        on_queued: Callable[[Entry], None],
    ) -> None:
        self._api, self.gate, self.queue, self.slots, self._keys = api, gate, queue, slots, keys
        self._on_running, self._on_change, self._on_queued = on_running, on_change, on_queued
        self.breaker = Breaker()
        #: Why nothing can be sent any more; None as long as it can.
        self.locked_out: VeoError | None = None
        #: The key was refused and the next is being asked for.
        self._is_asking_key = False
        #: Adopted tasks for which there was no slot: they run all the same.
        self._slotless: set[Entry] = set()
        self._woken = asyncio.Event()
        self._stopped = False
        #: More than one tenant, or somebody who waits for a single clip.
        self._is_shared = False
        self._is_for_people = False

    def __repr__(self) -> str:
        taken, total = self.slots.borrowed_tokens, self.slots.total_tokens
        return f"<Scheduler queued={len(self.queue)} slots={taken:g}/{total:g} paused={self.pause_reason}>"

    @property
    def pause_reason(self) -> str | None:
        """Why nothing is being created just now, in a word; None when nothing stands in the way but the rate."""
        if self.locked_out is not None or self._is_asking_key:
            return "unauthorized"
        return self.breaker.reason

    def wake(self) -> None:
        """Something changed: look again whether a job may leave."""
        self._woken.set()

    def stop(self) -> None:
        """Send nothing more; requests that are under way come to their end."""
        self._stopped = True
        self.wake()

    def resize(self, slots: float) -> None:
        """Change how many tasks may run; fewer takes effect as running ones end."""
        self.slots.total_tokens = slots
        self.wake()

    def adopt(self, entry: Entry) -> None:
        """A task that runs already: it takes a slot if there is one."""
        self.gate.set_running(self.gate.statistics().running + 1)
        if self.slots.available_tokens < 1:
            self._slotless.add(entry)
        else:
            self.slots.acquire_on_behalf_of_nowait(entry)

    def release(self, entry: Entry) -> None:
        """A running task has ended: its slot is free again."""
        self.gate.finished(_now())
        if entry in self._slotless:
            self._slotless.discard(entry)
        else:
            self.slots.release_on_behalf_of(entry)
        self.wake()

    async def run(self) -> None:
        """Send jobs until stopped."""
        async with asyncio.TaskGroup() as sending:
            while not self._stopped:
                self._woken.clear()
                again_at = self._dispatch(sending, _now())
                await self._until(again_at)

    async def _until(self, at: float) -> None:
        """Wait for *at* or for something to change; never for nothing, since timers may go off a hair too early."""
        at = max(at, _now() + _HAIR_S)
        try:
            async with asyncio.timeout_at(at if at < math.inf else None):
                await self._woken.wait()
        except TimeoutError:
            pass

    # --- deciding -----------------------------------------------------------------------------------------------

    def _dispatch(self, sending: asyncio.TaskGroup, now: float) -> float:
        """Let every job go that may go now; when to look again."""
        # Once somebody else has come, until nobody waits: paced only while they wait, the calls before them would
        # have left in one burst, and they would stand before a full window.
        self._is_shared = bool(self.queue) and (self._is_shared or self.queue.tenants > 1 or self.queue.has_interactive)
        self._is_for_people = bool(self.queue) and (self._is_for_people or self.queue.has_interactive)
        self.gate.pace(self._is_shared, keep_free=_KEPT_FOR_PEOPLE if self._is_for_people else 0)
        while self.queue and not self._is_asking_key:
            is_probe = self.breaker.reason is not None
            if now < self.breaker.next_probe_at and is_probe:
                return self.breaker.next_probe_at
            if is_probe and self.breaker.next_probe is Probe.BALANCE:
                self.breaker.begin_probe()
                sending.create_task(self._probe_balance(), name="veo.scheduler:balance")
                continue
            if self.slots.available_tokens < 1:
                return math.inf
            match self.gate.ask(now, is_urgent=self.queue.is_interactive_next):
                case Wait(until=until):
                    return until
                case ticket:
                    self._start(sending, ticket, is_probe=is_probe)
        return math.inf

    def _start(self, sending: asyncio.TaskGroup, ticket: Grant, *, is_probe: bool) -> None:
        entry = self.queue.pop()
        assert entry is not None  # noqa: S101  # the dispatcher looked a moment ago
        self.slots.acquire_on_behalf_of_nowait(entry)
        entry.step(Event.SEND)
        if is_probe:
            self.breaker.begin_probe()
        leave = _Leave(ticket, self._keys.number, is_probe)
        sending.create_task(finish(self._send(entry, leave)), name=f"veo.scheduler:{entry.key}")
        self._on_change(entry, Sent(entry.key))

    # --- sending ------------------------------------------------------------------------------------------------

    async def _send(self, entry: Entry, leave: _Leave) -> None:
        assert entry.request is not None  # noqa: S101  # who is queued has something to ask for
        try:
            accepted = await self._api.generate(entry.request, validate=False)  # it was checked when it came in
        except VeoError as error:
            await self._answered_no(entry, leave, error)
        else:
            self._accepted(entry, leave, accepted)
        self.wake()

    def _accepted(self, entry: Entry, leave: _Leave, accepted: Accepted) -> None:
        self.gate.accepted(leave.ticket, _now())
        entry.attempts += 1
        entry.unsent = 0
        entry.accept(accepted.task_id)
        if self.breaker.went_well(is_probe=leave.is_probe):
            self._tell_resumed()
        self._on_running(entry)

    async def _answered_no(self, entry: Entry, leave: _Leave, error: VeoError) -> None:
        now, is_probe, ticket = _now(), leave.is_probe, leave.ticket
        error.add_evidence(job_key=entry.key)
        self.slots.release_on_behalf_of(entry)
        verdict = verdict_on(error)
        if verdict is not Verdict.UNSENT and self.breaker.reached(is_probe=is_probe):
            is_probe = False
            self._tell_resumed()
        match verdict:
            case Verdict.LIMITED:
                self.gate.refused(ticket, now, error.retry_after if isinstance(error, TryLater) else None)
                if is_probe:
                    self.breaker.probe_told_nothing(now)
                self._requeue(entry)
            case Verdict.UNSENT:
                self.gate.never_sent(ticket, now)
                self._pause(PauseReason.UNREACHABLE, error, is_probe=is_probe)
                self._requeue_unsent(entry, error)
            case Verdict.PAUSED:
                self.gate.lost(ticket, now)
                self._pause(_PAUSES[type(error)], error, is_probe=is_probe)
                self._requeue(entry)
            case Verdict.LOCKED_OUT:
                self.gate.lost(ticket, now)
                if is_probe:
                    self.breaker.probe_told_nothing(now)
                self._requeue(entry)
                await self._key_was_refused(leave.key_number, error)
            case Verdict.REFUSED:
                self.gate.lost(ticket, now)
                self._end(entry, Event.REFUSE, Refused(entry.key, error.message, error))
                if self.breaker.refused(now, is_probe=is_probe):
                    self._tell_resumed()
            case Verdict.DOUBT:
                self.gate.lost(ticket, now)
                entry.attempts += 1
                self._end(entry, Event.DOUBT, InDoubt(entry.key, error))
                if self.breaker.broke(now, is_probe=is_probe):
                    self._tell_pause(PauseReason.STORM, error)
            case _:
                assert_never(verdict)

    def _requeue_unsent(self, entry: Entry, error: VeoError) -> None:
        entry.unsent += 1
        if entry.unsent < MAX_TRIES:
            self._requeue(entry)
        else:
            self._end(entry, Event.BREAK, Failed(entry.key, error))

    def _requeue(self, entry: Entry) -> None:
        """Back to the head of its queue: a refusal is as if it had never been its turn."""
        entry.step(Event.RETURN)
        if self.locked_out is not None:
            self._refuse_for_lock_out(entry, self.locked_out)
            return
        try:
            self._take_back(entry)
        except QueueFull as full:
            self._end(entry, Event.REFUSE, Refused(entry.key, full.message, full))
        else:
            self._on_queued(entry)

    def _take_back(self, entry: Entry) -> None:
        try:
            self.queue.push_front(entry)
        except KeyError:  # so many were granted since that its place is forgotten
            self.queue.push(entry, tenant=entry.tenant, priority=entry.priority)

    def _end(self, entry: Entry, event: Event, outcome: Refused | Failed | InDoubt) -> None:
        outcome.error.add_evidence(attempts=entry.attempts)
        extra = {"action": event.value, "job_key": entry.key}
        logger.info("job %s: %s (%s)", entry.key, event.value, outcome.error.message, extra=extra)
        entry.settle(event, outcome)
        self._on_change(entry, outcome)

    # --- pausing ------------------------------------------------------------------------------------------------

    def _pause(self, reason: PauseReason, error: VeoError, *, is_probe: bool) -> None:
        if self.breaker.pause(reason, _now(), is_probe=is_probe):
            self._tell_pause(reason, error)

    def _tell_pause(self, reason: str, error: VeoError) -> None:
        logger.warning("creation pauses (%s): %s", reason, error, extra={"action": "paused", "reason": reason})
        for entry in self.queue:
            self._on_change(entry, Paused(entry.key, reason))

    def _tell_resumed(self) -> None:
        logger.info("creation goes on", extra={"action": "resumed"})
        for entry in self.queue:
            self._on_queued(entry)

    async def _probe_balance(self) -> None:
        balance: float | None = None
        try:
            balance = (await self._api.credit()).balance
        except VeoError as error:
            logger.info("the balance could not be read: %s", error, extra={"action": "probe"})
        if self.breaker.has_balance(balance, _now()):
            self._tell_resumed()
        self.wake()

    # --- the key ------------------------------------------------------------------------------------------------

    async def _key_was_refused(self, number: int, error: VeoError) -> None:
        """Ask once for another key; without one, everybody who waits is told why."""
        if isinstance(error, Unauthorized):
            self._is_asking_key = True
            try:
                if await self._keys.renew(number):
                    return
            finally:
                self._is_asking_key = False
        if self.locked_out is None:
            self._lock_out(error)

    def _lock_out(self, error: VeoError) -> None:
        self.locked_out = error
        logger.error("creation stops: %s", error, extra={"action": "locked-out", "reason": "unauthorized"})
        while (entry := self.queue.pop()) is not None:
            self._refuse_for_lock_out(entry, error)

    def _refuse_for_lock_out(self, entry: Entry, error: VeoError) -> None:
        own = fresh(error)
        own.add_evidence(job_key=entry.key)
        self._end(entry, Event.REFUSE, Refused(entry.key, own.message, own))


def _now() -> float:
    return asyncio.get_running_loop().time()
