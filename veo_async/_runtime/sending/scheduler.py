"""The scheduler: from the queue through slots and gate to the provider.

One dispatcher decides, in one step without awaiting, whether a job may leave: is creation paused, is a slot free, does
the gate grant? Only then is a job taken from the queue, so nobody ever holds a slot while waiting at the gate, and
whose turn it is is decided as late as possible. Each request that leaves runs in a task of its own and is followed to
its end (`sending`), whatever happens to those who wait for it and to the scheduler itself.
"""

import asyncio
import math
from collections.abc import Callable

import anyio

from veo_async._api import VeoApi
from veo_async._ports import AccountActivity
from veo_async._rules.credits.min_balance import BalanceRead
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Grant, Wait
from veo_async._rules.pauses import Probe
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._runtime.uncancelled import run_to_completion
from veo_async.errors import VeoError

from .key_renewal import KeyRenewer
from .pauses import Pauses
from .sender import Sender, SendTicket

logger = logger_for(__name__)

#: A loop's timers go off up to its clock's resolution early; who asked again at once might spin.
_TIMER_SLACK_S = 0.0001
#: Once somebody waits for single clips, the batch leaves them one place of each window, a twentieth of its rate: with
#: it nobody stands in the pace behind the batch (95 of 100 wait for half a second without it, for nothing with it).
_INTERACTIVE_RESERVE = 1


class Scheduler:
    """Sends jobs, never faster than the account allows and never more at once than there are slots."""

    def __init__(
        self,
        api: VeoApi,
        gate: Gate,
        queue: FairQueue[LiveJob],
        keys: KeyRenewer,
        pauses: Pauses,
        sender: Sender,
        transitions: Transitions,
        *,
        max_in_flight: int,
    ) -> None:
        self._api, self.gate, self.queue, self._keys = api, gate, queue, keys
        self._pauses, self._sender, self._transitions = pauses, sender, transitions
        self.slots = anyio.CapacityLimiter(max_in_flight)
        #: Adopted tasks for which there was no slot: they run all the same.
        self._slotless: set[LiveJob] = set()
        #: Looks at the balance that are under way; they cost nothing and need not come to their end.
        self._balance_reads: set[asyncio.Task[None]] = set()
        self._wakeup = asyncio.Event()
        self._stopped = False
        #: More than one tenant, or somebody who waits for a single clip.
        self._is_shared = False
        self._has_interactive = False

    def __repr__(self) -> str:
        taken, total = self.slots.borrowed_tokens, self.slots.total_tokens
        return f"<Scheduler queued={len(self.queue)} slots={taken:g}/{total:g} paused={self.pause_reason}>"

    @property
    def pause_reason(self) -> str | None:
        """Why nothing is being created just now, in a word; None when nothing stands in the way but the rate."""
        return self._pauses.reason

    @property
    def locked_out(self) -> VeoError | None:
        """Why nothing can be sent any more; None as long as it can."""
        return self._pauses.locked_out

    def wake(self) -> None:
        """Something changed: look again whether a job may leave."""
        self._wakeup.set()

    def stop(self) -> None:
        """Send nothing more; requests that are under way come to their end."""
        self._stopped = True
        self._sender.stop()
        for look in self._balance_reads:
            look.cancel()
        self.wake()

    def resize(self, slots: float) -> None:
        """Change how many tasks may run; fewer takes effect as running ones end."""
        self.slots.total_tokens = slots
        self.wake()

    def adopt(self, job: LiveJob) -> None:
        """A task that runs already."""
        self.gate.set_running(self.gate.statistics().running + 1)
        self.take_slot(job)

    def release(self, job: LiveJob) -> None:
        """A running task has ended."""
        self.gate.task_finished(_now())
        self.free_slot(job)

    def take_slot(self, job: LiveJob) -> None:
        """*entry* takes a slot if there is one; it runs all the same."""
        if self.slots.available_tokens < 1:
            self._slotless.add(job)
        else:
            self.slots.acquire_on_behalf_of_nowait(job)

    def free_slot(self, job: LiveJob) -> None:
        """*entry*'s slot is free again."""
        if job in self._slotless:
            self._slotless.discard(job)
        else:
            self.slots.release_on_behalf_of(job)
        self.wake()

    def apply_account_activity(self, changes: AccountActivity) -> None:
        """What other sessions have done with the same account."""
        self._sender.apply_account_activity(changes)
        self.wake()

    async def run(self) -> None:
        """Send jobs until stopped."""
        async with asyncio.TaskGroup() as sending:
            while not self._stopped:
                self._wakeup.clear()
                again_at = self._dispatch(sending, _now())
                await self._sleep_until(again_at)

    async def _sleep_until(self, at: float) -> None:
        """Wait for *at* or for something to change; never for nothing, since timers may go off a hair too early."""
        at = max(at, _now() + _TIMER_SLACK_S)
        try:
            async with asyncio.timeout_at(at if at < math.inf else None):
                await self._wakeup.wait()
        except TimeoutError:
            pass

    def _dispatch(self, sending: asyncio.TaskGroup, now: float) -> float:
        """Let every job go that may go now; when to look again."""
        # Once somebody else has come, until nobody waits: paced only while they wait, the calls before them would
        # have left in one burst, and they would stand before a full window.
        self._is_shared = bool(self.queue) and (self._is_shared or self.queue.tenants > 1 or self.queue.has_interactive)
        self._has_interactive = bool(self.queue) and (self._has_interactive or self.queue.has_interactive)
        self.gate.pace(self._is_shared, reserved_places=_INTERACTIVE_RESERVE if self._has_interactive else 0)
        breaker = self._pauses.state
        while self.queue and not self._pauses.is_renewing_key:
            if (until := self._check_balance(sending, now)) > now:
                return until
            is_probe = breaker.reason is not None
            if now < breaker.next_probe_at and is_probe:
                return breaker.next_probe_at
            if is_probe and breaker.next_probe is Probe.BALANCE:
                breaker.begin_probe()
                self._read_balance(sending, now, self._pauses.balance_probed)
                continue
            if self.slots.available_tokens < 1:
                return math.inf
            match self.gate.request(now, is_urgent=self.queue.is_interactive_next):
                case Wait(until=until):
                    return until
                case ticket:
                    self._start(sending, ticket, is_probe=is_probe)
        return math.inf

    def _check_balance(self, sending: asyncio.TaskGroup, now: float) -> float:
        """Have the balance read when that is due, and pause when it is low; until when nothing may leave at all."""
        balance, breaker = self._pauses.balance, self._pauses.state
        is_probed = breaker.reason is not None and breaker.next_probe is Probe.BALANCE
        if not is_probed and balance.should_read(now):
            self._read_balance(sending, now, self._pauses.balance_read)
        self._pauses.check_balance()
        return balance.blocked_until(now)

    def _start(self, sending: asyncio.TaskGroup, ticket: Grant, *, is_probe: bool) -> None:
        job = self.queue.pop()
        assert job is not None  # noqa: S101  # the dispatcher looked a moment ago
        self.slots.acquire_on_behalf_of_nowait(job)
        self._transitions.begin_sending(job)
        self._pauses.balance.request_sent(job.price)
        if is_probe:
            self._pauses.state.begin_probe()
        leave = SendTicket(ticket, self._keys.generation, is_probe)
        request = self._send(job, leave)
        sending.create_task(run_to_completion(request, name=f"veo.post:{job.key}"), name=f"veo.scheduler:{job.key}")

    async def _send(self, job: LiveJob, leave: SendTicket) -> None:
        await self._sender.send(job, leave)
        self.wake()

    def _read_balance(
        self, sending: asyncio.TaskGroup, now: float, on_read: Callable[[BalanceRead, float | None], object]
    ) -> None:
        look = self._pauses.balance.begin_read(now)
        task = sending.create_task(self._fetch_balance(look, on_read), name="veo.scheduler:balance")
        self._balance_reads.add(task)
        task.add_done_callback(self._balance_reads.discard)

    async def _fetch_balance(self, look: BalanceRead, on_read: Callable[[BalanceRead, float | None], object]) -> None:
        balance: float | None = None
        try:
            balance = (await self._api.credit()).balance
        except VeoError as error:
            logger.info("the balance could not be read: %s", error, extra={"action": "balance-read"})
        on_read(look, balance)
        self.wake()

    def begin_balance_read(self) -> BalanceRead:
        """Somebody else is about to read the balance."""
        return self._pauses.balance.begin_external_read(_now())

    def balance_read(self, look: BalanceRead, balance: float) -> None:
        """What they read."""
        self._pauses.balance_read(look, balance)
        self.wake()


def _now() -> float:
    return asyncio.get_running_loop().time()
