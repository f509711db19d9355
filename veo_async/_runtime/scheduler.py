"""The scheduler: from the queue through slots and gate to the provider.

One dispatcher decides, in one step without awaiting, whether a job may leave: is creation paused, is a slot free, does
the gate grant? Only then is a job taken from the queue, so nobody ever holds a slot while waiting at the gate, and
whose turn it is is decided as late as possible. Each request that leaves runs in a task of its own and is followed to
its end whatever happens to those who wait for it.

What an answer means is `doubt`'s business; here it is acted upon:

==========  =======================================================================
made        the job runs; the watcher takes over, the slot stays taken until its end
limited     back to the head of its queue, the gate closes for everybody
unsent      the same place, after a wait; given up after some tries
paused      the same place; creation pauses for the session (402, 433, 455)
locked out  one new key is asked for; without one, nothing more can be sent at all
refused     the job ends, nothing was made
doubt       the job ends in doubt and is never sent again by itself
==========  =======================================================================
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import Protocol

import anyio

from veo_async._rules.breaker import Breaker, PauseReason
from veo_async._rules.doubt import Verdict, verdict_on
from veo_async._rules.fairness import FairQueue
from veo_async._rules.gate import Gate
from veo_async._rules.gate_values import Grant, Wait
from veo_async._rules.lifecycle import Event
from veo_async._rules.retry import RetryQuota, TryAgain, decide
from veo_async._wire import Accepted, Credits, VideoRequest
from veo_async.errors import (
    AccountProblem,
    InsufficientCredits,
    KeyLimitReached,
    Maintenance,
    TryLater,
    Unauthorized,
    VeoError,
)

from .entry import Entry
from .events import JobEvent, Paused, Sent
from .finish import finish
from .outcome import Failed, InDoubt, Refused

logger = logging.getLogger(__name__)

_PAUSES: dict[type[VeoError], PauseReason] = {
    InsufficientCredits: PauseReason.NO_CREDIT,
    KeyLimitReached: PauseReason.KEY_LIMIT,
    Maintenance: PauseReason.MAINTENANCE,
}


class Creator(Protocol):
    """The part of the client that the scheduler needs."""

    async def generate(self, request: VideoRequest, *, validate: bool) -> Accepted:
        """One creating attempt."""
        ...

    async def credit(self) -> Credits:
        """The balance."""
        ...

    async def refresh_key(self) -> bool:
        """Whether another key than before could be had."""
        ...


class Scheduler:
    """Sends jobs, never faster than the account allows and never more at once than there are slots."""

    def __init__(
        self,
        api: Creator,
        *,
        gate: Gate,
        queue: FairQueue[Entry],
        slots: anyio.CapacityLimiter,
        rng: random.Random,
        on_running: Callable[[Entry], None],
        on_change: Callable[[Entry, JobEvent], None],
    ) -> None:
        self._api, self.gate, self.queue, self.slots = api, gate, queue, slots
        self._rng = rng
        self._on_running, self._on_change = on_running, on_change
        self.breaker = Breaker()
        #: Why nothing can be sent any more; None as long as it can.
        self.locked_out: AccountProblem | None = None
        self._quota = RetryQuota()
        #: Adopted tasks for which there was no slot: they run all the same.
        self._slotless: set[Entry] = set()
        self._woken = asyncio.Event()
        self._stopped = False

    def __repr__(self) -> str:
        taken, total = self.slots.borrowed_tokens, self.slots.total_tokens
        return f"<Scheduler queued={len(self.queue)} slots={taken:g}/{total:g} paused={self.pause_reason}>"

    @property
    def pause_reason(self) -> str | None:
        """Why nothing is being created just now, in a word; None when nothing stands in the way but the rate."""
        if self.locked_out is not None:
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
            self._give_back_slot(entry)

    async def run(self) -> None:
        """Send jobs until stopped."""
        async with asyncio.TaskGroup() as sending:
            while not self._stopped:
                self._woken.clear()
                again_at = self._dispatch(sending, _now())
                await self._until(again_at)

    async def _until(self, at: float) -> None:
        try:
            async with asyncio.timeout_at(at if at < math.inf else None):
                await self._woken.wait()
        except TimeoutError:
            pass

    # --- deciding -----------------------------------------------------------------------------------------------

    def _dispatch(self, sending: asyncio.TaskGroup, now: float) -> float:
        """Let every job go that may go now; when to look again."""
        self.gate.pace(self.queue.tenants > 1 or self.queue.has_interactive)
        while self.queue:
            if self.breaker.reason is not None:
                if not self.breaker.may_probe(now):
                    return self.breaker.probe_at if not self.breaker.is_probing else math.inf
                if self.breaker.reason is PauseReason.NO_CREDIT:
                    sending.create_task(self._probe_balance(), name="veo.scheduler:balance")
                    continue
            if self.slots.available_tokens < 1:
                self.breaker.probe_told_nothing(now)
                return math.inf
            match self.gate.ask(now):
                case Wait(until=until):
                    self.breaker.probe_told_nothing(now)
                    return until
                case ticket:
                    self._start(sending, ticket)
        return math.inf

    def _start(self, sending: asyncio.TaskGroup, ticket: Grant) -> None:
        entry = self.queue.pop()
        assert entry is not None  # noqa: S101  # the dispatcher looked a moment ago
        self.slots.acquire_on_behalf_of_nowait(entry)
        entry.step(Event.SEND)
        self._on_change(entry, Sent(entry.key))
        sending.create_task(self._send(entry, ticket), name=f"veo.scheduler:{entry.key}")

    # --- sending ------------------------------------------------------------------------------------------------

    async def _send(self, entry: Entry, ticket: Grant) -> None:
        try:
            accepted = await finish(self._create(entry))
        except VeoError as error:
            await self._answered_no(entry, ticket, error)
        else:
            self._accepted(entry, ticket, accepted)
        self.wake()

    async def _create(self, entry: Entry) -> Accepted:
        assert entry.request is not None  # noqa: S101  # who is queued has something to ask for
        return await self._api.generate(entry.request, validate=False)  # it was checked when it came in

    def _accepted(self, entry: Entry, ticket: Grant, accepted: Accepted) -> None:
        self.gate.accepted(ticket, _now())
        entry.attempts += 1
        self._quota.succeeded()
        if self.breaker.went_well():
            logger.info("creation goes on", extra={"action": "resumed"})
        entry.accept(accepted.task_id)
        self._on_running(entry)

    async def _answered_no(self, entry: Entry, ticket: Grant, error: VeoError) -> None:
        now = _now()
        error.add_evidence(job_key=entry.key)
        self._give_back_slot(entry)
        match verdict_on(error):
            case Verdict.LIMITED:
                self.gate.refused(ticket, now, error.retry_after if isinstance(error, TryLater) else None)
                self.breaker.probe_told_nothing(now)
                self._requeue(entry)
            case Verdict.UNSENT:
                self.gate.never_sent(ticket, now)
                self.breaker.probe_told_nothing(now)
                await self._try_unsent_again(entry, error)
            case Verdict.PAUSED:
                self.gate.lost(ticket, now)
                self._requeue(entry)
                self._pause(_PAUSES[type(error)], error)
            case Verdict.LOCKED_OUT:
                self.gate.lost(ticket, now)
                self._requeue(entry)
                await self._lock_out(error)
            case Verdict.REFUSED:
                self.gate.lost(ticket, now)
                self._end(entry, Event.REFUSE, Refused(entry.key, error.message, error), is_paid=False)
            case Verdict.DOUBT:
                self.gate.lost(ticket, now)
                self._end(entry, Event.DOUBT, InDoubt(entry.key, error), is_paid=True)
                if self.breaker.broke(now):
                    self._tell_pause(PauseReason.STORM, error)

    async def _try_unsent_again(self, entry: Entry, error: VeoError) -> None:
        now = _now()
        entry.unsent += 1
        if entry.unsent == 1:
            entry.unsent_since = now
        decision = decide(
            "generate",
            "never-sent",
            attempt=entry.unsent,
            elapsed=now - entry.unsent_since,
            quota=self._quota,
            rng=self._rng,
        )
        if not isinstance(decision, TryAgain):
            self._end(entry, Event.BREAK, Failed(entry.key, error), is_paid=False)
            return
        await asyncio.sleep(decision.after)
        self._requeue(entry)

    def _requeue(self, entry: Entry) -> None:
        """Back to the head of its queue: a refusal is as if it had never been its turn."""
        entry.step(Event.RETURN)
        self.queue.push_front(entry)

    def _end(self, entry: Entry, event: Event, outcome: Refused | Failed | InDoubt, *, is_paid: bool) -> None:
        entry.attempts += is_paid
        outcome.error.add_evidence(attempts=entry.attempts)
        entry.settle(event, outcome)
        self._on_change(entry, outcome)

    def _give_back_slot(self, entry: Entry) -> None:
        self.slots.release_on_behalf_of(entry)
        self.wake()

    # --- pausing ------------------------------------------------------------------------------------------------

    def _pause(self, reason: PauseReason, error: VeoError) -> None:
        if self.breaker.pause(reason, _now()):
            self._tell_pause(reason, error)

    def _tell_pause(self, reason: str, error: VeoError) -> None:
        logger.warning("creation pauses (%s): %s", reason, error, extra={"action": "paused", "reason": reason})
        for entry in self.queue:
            self._on_change(entry, Paused(entry.key, reason))

    async def _probe_balance(self) -> None:
        try:
            balance = (await self._api.credit()).balance
        except VeoError as error:
            logger.info("the balance could not be read: %s", error, extra={"action": "probe"})
            self.breaker.probe_told_nothing(_now())
        else:
            if self.breaker.has_balance(balance, _now()):
                logger.info("there is credit again, creation goes on", extra={"action": "resumed"})
        self.wake()

    async def _lock_out(self, error: VeoError) -> None:
        """The key is refused: ask once for another; without one, everybody who waits is told why."""
        if self.locked_out is not None:
            return
        if isinstance(error, Unauthorized) and await self._has_new_key():
            return
        self.locked_out = error if isinstance(error, AccountProblem) else Unauthorized(error.message)
        logger.error("creation stops: %s", error, extra={"action": "locked-out"})
        while (entry := self.queue.pop()) is not None:
            entry.settle(Event.REFUSE, Refused(entry.key, error.message, error))
            self._on_change(entry, entry.outcome)  # type: ignore[arg-type]  # it was set a line above

    async def _has_new_key(self) -> bool:
        try:
            return await self._api.refresh_key()
        except Exception:  # the user's own function; whatever it raises, there is no key
            logger.exception("the key could not be asked for again", extra={"action": "refresh-key"})
            return False


def _now() -> float:
    return asyncio.get_running_loop().time()
