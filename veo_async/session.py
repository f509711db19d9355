"""`VeoSession`: the front door. It composes the rooms beneath and owns every lifetime.

One job's way: `submit` checks the request and queues it · the scheduler sends it when slot and gate allow · the watcher
looks at its task until it has ended · whoever waits is woken with the outcome.

**Opening and closing.** ``async with`` opens the session and closes it. Closing is one rule, whatever the reason for
leaving: nothing new is sent; requests that are under way come to their end, because cutting one off would leave it in
doubt; then everyone who still waits gets `SessionClosed`, with the task id where there is one, to `adopt` it later. To
have everything finished first, ``await veo.drain()``. A cancellation that comes meanwhile waits until that is done.

The caller's own exception leaves the block as itself; a defect of ours that stopped the background leaves it as
`SessionCrashed`, or as a note on the caller's. After such a defect nothing more is sent: nobody would look after it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self, Unpack

import aiohttp
import anyio
import attrs

from veo_async._api import ApiKey, Lookout, VeoApi
from veo_async._api.key import KeyProvider
from veo_async._api.transport import MAX_CONNECTIONS
from veo_async._ports import Transport
from veo_async._rules.fairness import FairQueue, Priority
from veo_async._rules.gate import Gate
from veo_async._rules.gate_values import GateKnowledge, GateSettings, GateStatistics
from veo_async._rules.lifecycle import JobState
from veo_async._rules.looking import Ended, Succeeded
from veo_async._rules.pollbudget import POLL_RATE, PollBudget
from veo_async._rules.polling import FixedSchedule, LearnedSchedule
from veo_async._runtime.desk import FrontDesk
from veo_async._runtime.entry import Entry, fresh
from veo_async._runtime.events import JobEvent, Paused, Queued, Running
from veo_async._runtime.finish import finish
from veo_async._runtime.hooks import Hook, Hooks
from veo_async._runtime.intake import as_request, content_key, is_unpaid_end, outcome_of, refused_entry
from veo_async._runtime.job import Job
from veo_async._runtime.keys import KeyKeeper, patient
from veo_async._runtime.log import logger_for
from veo_async._runtime.mapping import as_async, outcomes
from veo_async._runtime.outcome import Clip, Outcome
from veo_async._runtime.reads import Reads
from veo_async._runtime.scheduler import Scheduler
from veo_async._runtime.watcher import WORKERS, Watcher, WatcherStatistics
from veo_async._wire import Dialect, Record, VideoRequest, check
from veo_async._wire.requests import VideoOptions
from veo_async._wire.validation import check_spelling, task_id_faults
from veo_async.errors import (
    InvalidRequest,
    KeyReused,
    QueueFull,
    SessionClosed,
    SessionCrashed,
    SessionEnded,
    Unauthorized,
    UsageError,
    VeoError,
)

_logger = logger_for(__name__)

#: Inputs of `VeoSession.map` that are taken in ahead of what has come out.
_LOOK_AHEAD = 200


@attrs.frozen(kw_only=True)
class Statistics:
    """The session, looked into."""

    #: How many jobs are in each state.
    jobs: dict[JobState, int]
    #: Slots taken, and slots there are.
    running: int
    max_in_flight: int
    #: Why nothing is being created just now; None when only the rate stands in the way.
    paused: str | None
    gate: GateStatistics
    watcher: WatcherStatistics


class VeoSession(anyio.AsyncContextManagerMixin):
    """Many clips at once on one account.

    Args:
        api_key: as `VeoApi` takes it.
        provider: ``"kie"``, ``"apikley"`` or a `Dialect`.
        max_in_flight: how many tasks may run at once; `resize` changes it.
        rate: what is believed of the account: so many creations in any so many seconds.
        explore: try now and then whether the account allows more than that.
        knowledge: what an earlier session learned of the account (`VeoSession.knowledge`).
        poll_every: seconds between two looks at a task; None lets it be learned.
        poll_rate: looks per second, for all tasks together.
        max_queued: how many jobs of one tenant may wait; None: any number.
        on_event: a function, plain or async, that is told every event; what it raises harms no job.
        http: your own `aiohttp.ClientSession`; it is used and never closed.

    The other arguments are those of `VeoApi`.
    """

    def __init__(
        self,
        api_key: str | ApiKey | KeyProvider | None = None,
        *,
        provider: str | Dialect = "kie",
        base_url: str | None = None,
        upload_url: str | None = None,
        max_in_flight: int = 100,
        rate: tuple[int, float] = (20, 10.0),
        explore: bool = True,
        knowledge: GateKnowledge | None = None,
        poll_every: float | None = None,
        poll_rate: float = POLL_RATE,
        max_queued: int | None = None,
        on_event: Hook | None = None,
        http: aiohttp.ClientSession | None = None,
        timeout: float | None = None,
        allow_insecure_http: bool = False,
        transport: Transport | None = None,
        seed: int | None = None,
    ) -> None:
        self.api: VeoApi = VeoApi(
            patient(api_key) if callable(api_key) else api_key,
            provider=provider,
            base_url=base_url,
            upload_url=upload_url,
            session=http,
            timeout=timeout,
            allow_insecure_http=allow_insecure_http,
            transport=transport,
        )
        self._lookout = Lookout(self.api)
        self._max_in_flight = max_in_flight
        self._rng = random.Random(seed)  # noqa: S311  # jitter, not a secret
        self._reads = Reads(self._rng)
        self._budget = PollBudget(rate=poll_rate)
        self._schedule = FixedSchedule(poll_every, self._rng) if poll_every else LearnedSchedule(self._budget)
        self._gate = Gate(GateSettings(limit=rate[0], window_s=rate[1], explore=explore), knowledge)
        self._queue: FairQueue[Entry] = FairQueue(max_queued=max_queued)
        self._desk = FrontDesk(
            self.api.dialect.name,
            queue=self._queue,
            schedule=self._schedule,
            rate=self._gate.settings,
            pause_reason=lambda: self._scheduler.pause_reason,
            now=lambda: self._loop.time() if self._loop else 0.0,
        )
        self._hooks = Hooks(on_event)
        self._keys = KeyKeeper(self.api.refresh_key)
        self._entries: dict[str, Entry] = {}
        self._by_task: dict[str, Entry] = {}
        #: Tasks that read the input of a `map`.
        self._readers: set[asyncio.Task[None]] = set()
        #: Something has left the queue.
        self._moved = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: tuple[asyncio.Task[None], ...] = ()
        self._closed = False
        self._closing = asyncio.Lock()
        self._crash: BaseException | None = None

    def __repr__(self) -> str:
        return f"<VeoSession {self.api!r} jobs={len(self._entries)}>"

    # --- opening and closing ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        if self._loop is not None:
            raise UsageError("a session is opened once; make another one")
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(
            self.api,
            gate=self._gate,
            queue=self._queue,
            slots=anyio.CapacityLimiter(self._max_in_flight),
            keys=self._keys,
            on_running=self._watch,
            on_change=self._tell,
            on_queued=self._tell_queued,
        )
        self._watcher = Watcher(
            self._look,
            self._task_ended,
            schedule=self._schedule,
            budget=self._budget,
            # Enough for looks of a second each; no more than there are connections.
            workers=round(min(max(WORKERS, self._budget.rate), MAX_CONNECTIONS)),
        )
        self._background = (
            asyncio.create_task(self._run(self._scheduler.run()), name="veo.scheduler"),
            asyncio.create_task(self._run(self._watcher.run()), name="veo.watcher"),
        )
        try:
            yield self
        except BaseException as theirs:
            await self.close()
            if self._crash is not None:
                theirs.add_note(f"meanwhile a background task of the session failed: {self._crash!r}")
            raise
        await self.close()
        if self._crash is not None:
            raise SessionCrashed(f"a background task failed: {self._crash!r}") from self._crash

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of the session; its defect is everybody's, at once."""
        try:
            await work
        except Exception as crash:  # whatever it is, nobody may go on waiting
            _logger.critical("the session has crashed", exc_info=crash, extra={"action": "crashed"})
            self._crash = self._crash or crash
            self._scheduler.stop()
            self._abandon_waiters(SessionCrashed(f"a background task failed: {crash!r}"))

    async def close(self) -> None:
        """Close the session, as leaving its block does; twice does no harm.

        Cancelling this only lets the cancellation wait: the session is closed when it goes on.
        """
        if self._loop not in (None, _loop_here()):
            raise SessionClosed("this session belongs to another event loop; close it there")
        await finish(self._close_once())

    async def _close_once(self) -> None:
        async with self._closing:
            if not self._closed:
                self._closed = True
                if self._background:
                    await self._shut(*self._background)
                await self.api.close()

    async def _shut(self, scheduling: asyncio.Task[None], watching: asyncio.Task[None]) -> None:
        for reader in self._readers:
            reader.cancel()
        self._scheduler.stop()
        await asyncio.wait([scheduling])
        watching.cancel()
        await asyncio.wait([watching, *self._readers])
        self._abandon_waiters(SessionClosed("the session was closed before this job had ended"))
        await self._hooks.close()

    def _abandon_waiters(self, error: VeoError) -> None:
        for entry in self._entries.values():
            entry.abandon(error)
        self._moved.set()

    async def drain(self) -> None:
        """Wait until every job there is now has ended."""
        for entry in list(self._entries.values()):
            await entry.settled()

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def generate(
        self, request: VideoRequest | str, *, key: str | None = None, **options: Unpack[VideoOptions]
    ) -> Clip:
        """One clip: submit, wait, and give it; raises why there is none."""
        return await (await self.submit(request, key=key, **options))

    async def submit(
        self,
        request: VideoRequest | str,
        *,
        key: str | None = None,
        take: int = 1,
        tenant: str = "",
        priority: Priority = "batch",
        metadata: Any = None,
        validate: bool = True,
        **options: Unpack[VideoOptions],
    ) -> Job:
        """Queue one job and return at once; it is sent when its turn has come.

        Args:
            key: its name; the same name with the same request is the same job. Without one, the request's content
                is its name, so that a repeated request attaches instead of paying again.
            take: another number asks for another clip of the same request.
            tenant: on whose behalf; tenants share the account by weight.
            priority: ``"interactive"`` goes before ``"batch"``.
            metadata: anything you want to find again at the job.

        Raises:
            InvalidRequest: the request breaks a rule; nothing was queued.
            KeyReused: *key* names a job with another request.
            QueueFull: the tenant has as many jobs waiting as it may.
        """
        self._require_open()
        wanted = as_request(request, options)
        (check if validate else check_spelling)(wanted, self.api.dialect)
        name = key if key is not None else content_key(wanted, take)
        known = self._entries.get(name)
        if known is not None and not is_unpaid_end(known):
            if known.request != wanted:
                raise KeyReused(f"the key {name!r} names a job with another request", job_key=name)
            return Job(known, self._desk)
        if self._scheduler.locked_out is not None:
            raise fresh(self._scheduler.locked_out)
        return self._admit(Entry(name, wanted, tenant=tenant, priority=priority, metadata=metadata))

    def _admit(self, entry: Entry) -> Job:
        self._queue.push(entry, tenant=entry.tenant, priority=entry.priority)
        self._entries[entry.key] = entry
        # Whoever has just come has at most all others before them; its true place would cost O(queue) for each.
        self._tell_queued(entry, position=len(self._queue) - 1)
        self._scheduler.wake()
        return Job(entry, self._desk)

    def map(
        self,
        requests: Iterable[VideoRequest | str] | AsyncIterable[VideoRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[VideoRequest], str] | None = None,
        tenant: str = "",
        priority: Priority = "batch",
        look_ahead: int | None = None,
    ) -> AsyncIterator[Outcome]:
        """The outcomes of many requests as they come, or in order; a failure is a value and harms no other.

        Args:
            requests: any iterable, taken in lazily, at most *look_ahead* ahead of what has come out. When it raises,
                what it gave before still comes to its end, and then its error is raised.
            look_ahead: None takes 200, or twice as many as may run at once.
            key: from a request to the key of its job.
        """
        self._require_open()
        if look_ahead is None:
            look_ahead = max(_LOOK_AHEAD, 2 * self._max_in_flight)
        if look_ahead < 1:
            raise UsageError(f"look_ahead={look_ahead}: must be at least 1")

        async def admit(request: VideoRequest | str) -> Entry:
            try:
                wanted = as_request(request, {})
                name = key(wanted) if key else None
                return await self._submit_with_room(wanted, key=name, tenant=tenant, priority=priority)
            except SessionEnded:
                raise
            except VeoError as error:
                return refused_entry(request, error)

        return outcomes(as_async(requests), admit, look_ahead=look_ahead, ordered=ordered, spawn=self._spawn_reader)

    async def _submit_with_room(self, request: VideoRequest, **options: Any) -> Entry:
        """Submit, and wait for room where the tenant's queue is full."""
        while True:
            try:
                return self._entries[(await self.submit(request, **options)).key]
            except QueueFull as full:
                if full.limit < 1:
                    raise
            self._moved.clear()
            await self._moved.wait()

    def _spawn_reader(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="veo.map")
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return task

    async def gather(self, *requests: VideoRequest | str) -> list[Outcome]:
        """The outcomes of a few requests, in their order."""
        # All at once: in order and with less look-ahead, one slow job at the head would leave slots empty.
        return [outcome async for outcome in self.map(requests, ordered=True, look_ahead=max(1, len(requests)))]

    def job(self, key: str) -> Job:
        """The job called *key*."""
        try:
            return Job(self._entries[key], self._desk)
        except KeyError:
            raise UsageError(f"there is no job {key!r} in this session", job_key=key) from None

    def jobs(self, state: JobState | str | None = None) -> list[Job]:
        """All jobs, or those in one state, in the order in which they came."""
        return [Job(entry, self._desk) for entry in self._entries.values() if state in (None, entry.state)]

    def adopt(self, task_id: str, *, key: str | None = None, request: VideoRequest | None = None) -> Job:
        """Take in a task that was made elsewhere, and watch it to its end.

        Raises:
            InvalidRequest: this can be no task id.
            KeyReused: *key* names another job, or the task is here under another key.
        """
        self._require_open()
        if faults := tuple(task_id_faults(task_id)):
            raise InvalidRequest.of(*faults)
        known = self._by_task.get(task_id)
        if known is not None and key in (None, known.key):
            return Job(known, self._desk)
        name = key or task_id
        if known is not None or name in self._entries:
            told = f"the key {name!r} and the task {task_id!r} belong to two different jobs"
            raise KeyReused(told, job_key=name, task_id=task_id)
        entry = self._entries[name] = Entry(name, request, state=JobState.SENDING)
        self._scheduler.adopt(entry)
        entry.accept(task_id)
        self._watch(entry)
        return Job(entry, self._desk)

    def tenant(self, name: str, *, weight: float | None = None, max_queued: int | None = None) -> None:
        """Give a tenant its share of the account and a bound for its queue."""
        self._queue.set_tenant(name, weight=weight, max_queued=max_queued)

    # --- the account --------------------------------------------------------------------------------------------

    async def credits(self) -> float:
        """The balance."""
        self._require_open()
        return (await self._reads.patiently("credit", self.api.credit)).balance

    def resize(self, max_in_flight: int) -> None:
        """Change how many tasks may run at once."""
        self._require_open()
        self._scheduler.resize(max_in_flight)

    def statistics(self) -> Statistics:
        """A look inside: jobs by state, slots, the gate and the watcher."""
        self._require_open()
        slots = self._scheduler.slots
        return Statistics(
            jobs=dict(Counter(entry.state for entry in self._entries.values())),
            running=int(slots.borrowed_tokens),
            max_in_flight=int(slots.total_tokens),
            paused=self._scheduler.pause_reason,
            gate=self._gate.statistics(),
            watcher=self._watcher.statistics,
        )

    def knowledge(self) -> GateKnowledge:
        """What was learned of the account's limits, for a later session."""
        return self._gate.knowledge()

    # --- what the runtime tells us ------------------------------------------------------------------------------

    def _watch(self, entry: Entry) -> None:
        assert entry.task_id is not None  # noqa: S101  # it was accepted
        self._by_task[entry.task_id] = entry
        self._watcher.watch(entry, self._desk.class_of(entry))
        if self._hooks or entry.is_listened_to:
            self._tell(entry, self._desk.situation_of(entry))

    async def _look(self, task_id: str) -> Record:
        """One look; when the key is refused, with the next key if there is one."""
        number = self._keys.number
        try:
            return await self._lookout.look(task_id)
        except Unauthorized:
            if not await self._keys.renew(number):
                raise
            return await self._lookout.look(task_id)

    async def _task_ended(self, entry: Entry, end: Succeeded | Ended) -> None:
        self._scheduler.release(entry)
        event, outcome = outcome_of(entry, end)
        extra = {"action": event.value, "job_key": entry.key, "task_id": entry.task_id}
        _logger.info("job %s: %s", entry.key, event.value, extra=extra)
        entry.settle(event, outcome)
        self._hooks.tell(self._desk.situation_of(entry))

    def _tell(self, entry: Entry, event: JobEvent) -> None:
        if entry.outcome is None:
            entry.tell(event)
        if not isinstance(event, Queued | Running | Paused):
            self._moved.set()
        self._hooks.tell(event)

    def _tell_queued(self, entry: Entry, *, position: int | None = None) -> None:
        """It waits; reckoned only where somebody listens, as a place in a long queue is dear."""
        if self._hooks or entry.is_listened_to:
            self._tell(
                entry, self._desk.waiting(entry, self._desk.position_of(entry) if position is None else position)
            )

    def _require_open(self) -> None:
        if self._loop is None:
            raise SessionClosed("open the session first: async with VeoSession() as veo: …")
        if self._closed:
            raise SessionClosed("this session is closed")
        if self._crash is not None:
            raise SessionCrashed(f"a background task failed: {self._crash!r}") from self._crash
        if _loop_here() is not self._loop:
            raise SessionClosed("this session belongs to another event loop; open one per loop")


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread without one
        return None
