"""The scheduler: takes jobs from the queue and sends them when a slot is free and the rate limit allows.

`Scheduler._dispatch` decides in one step, without awaiting, whether the next job may be sent: is submission paused, is
a slot free, does the gate grant a request? Only then is a job taken from the queue. So no job holds a slot while it
waits for the rate limit, and which job is next is decided as late as possible. Each request is sent by its own task
(`sender`), which is never cancelled: `Scheduler.run` ends when the last of them has ended, even if it is cancelled.
"""

import asyncio
import math
from collections.abc import Callable

import anyio
import attrs

from veo_async._api import VeoApi
from veo_async._ports import AccountActivity
from veo_async._rules.credits.min_balance import BalanceRead
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Grant, Wait
from veo_async._rules.pauses import PauseReason, Probe
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.background import BackgroundTasks
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time, wait_for_event
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._runtime.uncancelled import run_to_completion
from veo_async.errors import InvalidRequest, VeoError

from .key_renewal import KeyRenewer
from .pauses import Pauses
from .route_changes import RouteChanges
from .sender import Sender
from .ticket import SendTicket

logger = logger_for(__name__)

#: Places of each window that batch jobs leave to interactive ones once there are any: a twentieth of the documented
#: rate. With it no interactive job waits behind a batch job; without it 95 of 100 wait for half a second.
_INTERACTIVE_RESERVE = 1

_OnBalance = Callable[[BalanceRead, float | None], object]


@attrs.define(eq=False, repr=False)
class Scheduler:
    """Sends jobs, within the rate limit of the account and with at most one running task per slot."""

    _api: VeoApi
    gate: Gate
    queue: FairQueue[LiveJob]
    _keys: KeyRenewer
    _pauses: Pauses
    _sender: Sender
    _routes: RouteChanges
    _transitions: Transitions
    #: The semaphore of running tasks.
    slots: "anyio.CapacityLimiter"
    _polls: PollQueue[LiveJob]
    #: Called with an exception of a task that nothing handles.
    _on_crash: Callable[[BaseException], None]
    #: Tasks that were running already when the session found them, and for which no slot was free.
    _without_slot: set[LiveJob] = attrs.field(factory=set, init=False)
    #: The tasks of the paid requests. A cancelled one would leave its job in doubt.
    _requests: BackgroundTasks = attrs.field(init=False)
    #: Tasks that read the balance. They may be cancelled: reading is free.
    _balance_reads: BackgroundTasks = attrs.field(init=False)
    _wakeup: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _is_stopped: bool = attrs.field(default=False, init=False)
    #: Whether several tenants, or interactive jobs, have shared the queue since it was last empty.
    _is_shared: bool = attrs.field(default=False, init=False)
    _has_interactive: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._requests, self._balance_reads = BackgroundTasks(self._on_crash), BackgroundTasks(self._on_crash)

    def __repr__(self) -> str:
        taken, total = self.slots.borrowed_tokens, self.slots.total_tokens
        return f"<Scheduler queued={len(self.queue)} slots={taken:g}/{total:g} paused={self.pause_reason}>"

    @property
    def pause_reason(self) -> str | None:
        """Why submission is paused; None if only slots and the rate limit restrict it."""
        return self._pauses.reason

    @property
    def locked_out(self) -> VeoError | None:
        """Why nothing can be sent for the rest of the session, if so."""
        return self._pauses.locked_out

    def problem_of(self, job: LiveJob) -> InvalidRequest | None:
        """Return why *job* cannot be sent on the route of new requests, if so."""
        return self._routes.problem_of(job)

    @property
    def running_without_slot(self) -> int:
        """The number of running tasks for which no slot was free when the session found them."""
        return len(self._without_slot)

    def wake(self) -> None:
        """Check again whether a job may be sent, because something changed."""
        self._wakeup.set()

    def stop(self) -> None:
        """Send no further requests; those already sent finish."""
        self._is_stopped = True
        self._sender.stop()
        self._balance_reads.cancel()
        self.wake()

    def resize(self, slots: float) -> None:
        """Change the number of slots; a lower number takes effect as running tasks end."""
        self.slots.total_tokens = slots
        self.wake()

    def adopt(self, job: LiveJob) -> None:
        """Count a task that was running before this session knew it."""
        self.gate.set_running(self.gate.statistics().running + 1)
        self.take_slot(job)

    def release(self, job: LiveJob) -> None:
        """Count the end of a running task and free its slot, unless that has been done."""
        if self.free_slot(job):
            self.gate.task_finished(loop_time())

    def take_slot(self, job: LiveJob) -> None:
        """Take a slot for *job*, which runs even if none is free."""
        if self.slots.available_tokens < 1:
            self._without_slot.add(job)
        else:
            self.slots.acquire_on_behalf_of_nowait(job)

    def free_slot(self, job: LiveJob) -> bool:
        """Free the slot of *job*; return whether it had one, or ran without one."""
        if job in self._without_slot:
            self._without_slot.discard(job)
        else:
            try:
                self.slots.release_on_behalf_of(job)
            except RuntimeError:
                return False
        self.wake()
        return True

    def apply_account_activity(self, activity: AccountActivity) -> None:
        """Take into account what other sessions sent on the same account."""
        self._sender.apply_account_activity(activity)
        self.wake()

    async def run(self) -> None:
        """Send jobs until stopped."""
        try:
            while not self._is_stopped:
                self._wakeup.clear()
                again_at = self._dispatch(loop_time())
                # Timers may fire early: without the slack this loop could spin.
                deadline = max(again_at, loop_time() + TIMER_SLACK_S)
                await wait_for_event(self._wakeup, deadline if deadline < math.inf else None)
        finally:
            self._balance_reads.cancel()
            await run_to_completion(self._wait_idle(), name="veo.scheduler:requests")

    async def _wait_idle(self) -> None:
        await self._requests.wait()
        await self._balance_reads.wait()

    def _dispatch(self, now: float) -> float:
        """Send every job that may be sent now; return when to check again."""
        self._set_pace()
        self._polls.are_slots_short = False
        pauses = self._pauses.state
        while self.queue and not self._pauses.is_renewing_key:
            if (until := self._check_balance(now)) > now:
                return until
            is_probe = pauses.reason is not None
            if is_probe and now < pauses.next_probe_at:
                return pauses.next_probe_at
            if is_probe and pauses.next_probe is Probe.BALANCE:
                pauses.begin_probe()
                is_about_route = pauses.reason is PauseReason.ROUTE_GONE
                on_balance = self._routes.balance_read if is_about_route else self._pauses.balance_probed
                self._read_balance(now, on_balance)
                continue
            if self.slots.available_tokens < 1:
                self._polls.are_slots_short = True
                return math.inf
            match self.gate.request(now, is_urgent=self.queue.is_interactive_next):
                case Wait(until=until):
                    return until
                case grant:
                    self._start(grant, is_probe=is_probe)
        return math.inf

    def _set_pace(self) -> None:
        """Space the requests evenly while tenants or interactive jobs share the queue, until it is empty.

        Otherwise the jobs ahead of a new tenant would be sent in one burst, and its first job would find a full window.
        """
        has_jobs = bool(self.queue)
        has_interactive = self.queue.has_interactive
        self._is_shared = has_jobs and (self._is_shared or self.queue.tenants > 1 or has_interactive)
        self._has_interactive = has_jobs and (self._has_interactive or has_interactive)
        self.gate.pace(self._is_shared, reserved_places=_INTERACTIVE_RESERVE if self._has_interactive else 0)
        self.gate.explore(self._is_rate_the_bottleneck())

    def _is_rate_the_bottleneck(self) -> bool:
        """Return whether slots become free faster than the documented rate fills them, so that a higher one helps."""
        mean_s, settings = self._polls.mean_duration_s(), self.gate.settings
        return mean_s is None or self.slots.total_tokens / mean_s > settings.limit / settings.window_s

    def _check_balance(self, now: float) -> float:
        """Read the balance if that is due, and pause if it is low; return until when nothing may be sent."""
        balance, pauses = self._pauses.balance, self._pauses.state
        is_probed = pauses.reason is not None and pauses.next_probe is Probe.BALANCE
        if not is_probed and balance.should_read(now):
            self._read_balance(now, self._pauses.balance_read)
        self._pauses.check_balance()
        return balance.blocked_until(now)

    def _start(self, grant: Grant, *, is_probe: bool) -> None:
        job = self._next_job(is_probe=is_probe)
        assert job is not None  # noqa: S101  # the caller checked it
        if not self._transitions.begin_sending(job):
            self.gate.not_sent(grant, loop_time())
            return
        self.slots.acquire_on_behalf_of_nowait(job)
        self._pauses.balance.request_sent(job.price)
        if is_probe:
            self._pauses.state.begin_probe()
        ticket = SendTicket(grant, self._keys.generation, is_probe)
        _ = self._requests.start(self._send(job, ticket), f"post:{job.key}")

    def _next_job(self, *, is_probe: bool) -> LiveJob | None:
        if is_probe and self._pauses.state.reason is PauseReason.ROUTE_GONE:
            return self.queue.pop_first(self._routes.is_good_probe)
        return self.queue.pop()

    async def _send(self, job: LiveJob, ticket: SendTicket) -> None:
        await self._sender.send(job, ticket)
        self.wake()

    def _read_balance(self, now: float, on_balance: _OnBalance) -> None:
        read = self._pauses.balance.begin_read(now)
        _ = self._balance_reads.start(self._fetch_balance(read, on_balance), "balance")

    async def _fetch_balance(self, read: BalanceRead, on_balance: _OnBalance) -> None:
        balance: float | None = None
        try:
            balance = (await self._api.credit()).balance
        except VeoError as error:
            logger.info("could not read the balance: %s", error, extra={"action": "balance-read"})
        except Exception:  # as if it could not be read
            logger.exception("could not read the balance", extra={"action": "balance-read"})
        on_balance(read, balance)
        self.wake()

    def begin_balance_read(self) -> BalanceRead:
        """Note that a caller is about to read the balance."""
        return self._pauses.balance.begin_external_read(loop_time())

    def balance_read(self, read: BalanceRead, balance: float) -> None:
        """Note the balance that the caller read."""
        self._pauses.balance_read(read, balance)
        self.wake()
