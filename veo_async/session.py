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
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import aiohttp
import anyio
import attrs

from ._api import ApiKey, VeoApi, endpoint_of
from ._api.base_urls import is_loopback
from ._api.key import KeyProvider
from ._api.transport import MAX_CONNECTIONS
from ._clip_saver import ClipSaver
from ._ports import Ledger, Transport
from ._rules.credits.prices import PRICES, Prices, total
from ._rules.gate.gate import Gate
from ._rules.gate.values import GateKnowledge, GateSettings, GateStatistics
from ._rules.lifecycle import JobState
from ._rules.polling.budget import POLL_RATE, PollBudget
from ._rules.polling.schedule import FixedSchedule, LearnedSchedule
from ._rules.queue.fair_queue import FairQueue, Priority
from ._runtime.clock import WallClock
from ._runtime.engine import Engine, Recovered
from ._runtime.hooks import Hook, Hooks
from ._runtime.in_doubt.in_doubt_jobs import OnDoubt
from ._runtime.job.endings import as_request, refused_entry
from ._runtime.job.follow_ups import Link, Step, following, links
from ._runtime.job.handle import Job
from ._runtime.job.live_job import Entry
from ._runtime.job.outcome import Clip, Outcome
from ._runtime.job.rows import content_key
from ._runtime.log import logger_for
from ._runtime.queued.images import Images, ImageSource, Uploaded
from ._runtime.queued.spending import Purse, Spent
from ._runtime.ready.saving import as_target
from ._runtime.retrying import Reads
from ._runtime.running.watcher import WORKERS, WatcherStatistics
from ._runtime.sending.callback_tokens import Stamper, checked_public_url
from ._runtime.sending.key_renewal import patient
from ._runtime.status import FrontDesk
from ._runtime.streaming import as_async, outcomes
from ._runtime.uncancelled import finish
from ._wire import (
    AnyRequest,
    Dialect,
    ExtendRequest,
    Record,
    UpgradeRequest,
    VideoRequest,
    check,
)
from ._wire.converter import from_plain
from ._wire.requests import ExtendOptions, VideoOptions
from ._wire.validation import check_spelling, task_id_faults
from .errors import (
    InvalidRequest,
    QueueFull,
    SessionClosed,
    SessionCrashed,
    SessionEnded,
    UsageError,
    VeoError,
)
from .ledger import NoLedger, ledger_at
from .media.image_probe import Peek
from .webhooks.asgi import AsgiApp, asgi_app
from .webhooks.receiver import Receiver

if TYPE_CHECKING:
    from aiohttp import web

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
    #: By the table of prices, and by the balance as it was read; never mixed.
    spent: Spent
    #: Callbacks that came in, by how they were answered: HTTP status to number.
    callbacks: Mapping[int, int]


class VeoSession(anyio.AsyncContextManagerMixin):
    """Many clips at once on one account.

    Args:
        api_key: as `VeoApi` takes it.
        provider: ``"kie"``, ``"apikley"`` or a `Dialect`.
        ledger: where jobs live: a path (SQLite), or a ledger; None keeps them in this session only.
        account: whom the jobs bill; without it a hash of the key. Name it, and the key may change between two runs.
        public_url: where the provider can reach this session, for callbacks; see `aiohttp_routes` and `asgi`.
        webhook_key: the key that signs them, or several while one takes over; without it KIE_WEBHOOK_HMAC_KEY. With a
            key, what is not signed is refused.
        on_doubt: what becomes of a job whose request may or may not have been accepted: ``"hold"`` tells who waits,
            ``"resubmit"`` sends another, a coroutine function is asked and says ``"hold"``, ``"resubmit"`` or
            ``"abandon"``.
        max_in_flight: how many tasks may run at once; `resize` changes it.
        rate: what is believed of the account: so many creations in any so many seconds.
        explore: try now and then whether the account allows more than that.
        knowledge: what an earlier session learned of the account (`VeoSession.knowledge`).
        poll_every: seconds between two looks at a task; None lets it be learned.
        poll_rate: looks per second, for all tasks together.
        max_queued: how many jobs of one tenant may wait; None: any number.
        prices: what requests cost, in credits: ``{"veo3_fast": {"720p": 60.0}, "extend": {"fast": 60.0}}``, and
            ``"upgrade"`` by what a clip is taken to. It replaces the built-in table.
        budget: credits that this session may reserve; what would cost more is refused before anything is queued. Jobs
            that an earlier session left queued on the ledger are sent all the same, and count.
        low_water: credits to be kept: while the account is believed to hold less, nothing is created, what runs is
            looked after, and a look at the balance lets it go on.
        save_to: a folder for the clips of all jobs that name no place of their own; None saves only those that do.
        max_downloads: how many files are fetched at once.
        check_images: ask each image's URL once, for a few bytes, before its request is queued, and refuse what
            redirects, wants a log-in, is no picture or is too large.
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
        ledger: Ledger | str | PathLike[str] | None = None,
        account: str | None = None,
        public_url: str | None = None,
        webhook_key: str | Sequence[str] | None = None,
        on_doubt: OnDoubt = "hold",
        max_in_flight: int = 100,
        rate: tuple[int, float] = (20, 10.0),
        explore: bool = True,
        knowledge: GateKnowledge | None = None,
        poll_every: float | None = None,
        poll_rate: float = POLL_RATE,
        max_queued: int | None = None,
        prices: Prices = PRICES,
        budget: float | None = None,
        low_water: float | None = None,
        save_to: str | PathLike[str] | None = None,
        max_downloads: int = 4,
        check_images: bool = False,
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
        self._ledger, self._account = ledger_at(ledger), account
        self._public_url = checked_public_url(public_url)
        self._on_doubt: OnDoubt = on_doubt
        self._max_in_flight = max_in_flight
        self._rng = random.Random(seed)  # noqa: S311  # jitter, not a secret
        self._chance = secrets.token_bytes if seed is None else self._rng.randbytes
        self._reads = Reads(self._rng)
        self._budget = PollBudget(rate=poll_rate)
        # Callbacks are believed in once they are heard, and only where they can come.
        listening = None if public_url else False
        self._schedule = (
            FixedSchedule(poll_every, self._rng) if poll_every else LearnedSchedule(self._budget, callbacks=listening)
        )
        self._gate = Gate(GateSettings(limit=rate[0], window_s=rate[1], explore=explore), knowledge)
        self._knows = knowledge is not None
        self._queue: FairQueue[Entry] = FairQueue(max_queued=max_queued)
        self._desk = FrontDesk(
            self.api.dialect.name,
            queue=self._queue,
            schedule=self._schedule,
            rate=self._gate.settings,
            pause_reason=lambda: self._open_engine.scheduler.pause_reason,
            now=lambda: self._loop.time() if self._loop else 0.0,
        )
        self._purse = Purse(prices, budget, low_water)
        self._hooks = Hooks(on_event)
        self._save_to = as_target(save_to)
        self._clips = ClipSaver(self.api, self._look, self._reads, at_once=max_downloads, rng=self._rng)
        self._receiver = Receiver(
            is_ours=lambda token: self._require_open().is_ours(token),
            is_known=lambda token, task_id: self._require_open().is_known(token, task_id),
            hint=self.hint,
            keys=_webhook_keys(webhook_key),
            now=self._wall_time,
        )
        self._peek = Peek(allow_loopback=is_loopback(self.api.addresses.api)) if check_images else None
        self._engine: Engine | None = None
        #: Tasks that read the input of a `map`.
        self._readers: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False
        self._closing = asyncio.Lock()
        self._crash: BaseException | None = None

    def __repr__(self) -> str:
        jobs = len(self._engine.roster.by_key) if self._engine else 0
        return f"<VeoSession {self.api!r} jobs={jobs}>"

    # --- opening and closing ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        if self._loop is not None:
            raise UsageError("a session is opened once; make another one")
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
            yield self
        except BaseException as theirs:
            await self.close()
            if self._crash is not None:
                theirs.add_note(f"meanwhile a background task of the session failed: {self._crash!r}")
            raise
        await self.close()
        if self._crash is not None:
            raise SessionCrashed(f"a background task failed: {self._crash!r}") from self._crash

    async def _open(self) -> None:
        is_lasting = not isinstance(self._ledger, NoLedger)
        account = self._account or (await self.api.account() if is_lasting else "")
        book = await self._ledger.open(account)
        clock = WallClock(self._wall_time())
        self._images = Images(
            self.api,
            self._reads,
            clock.now,
            renew_key=self._renew_key,
            fault_of=self._peek.fault_of if self._peek else None,
        )
        try:
            self._engine = Engine(
                self.api,
                book,
                account=account,
                is_lasting=is_lasting,
                clock=clock,
                gate=self._gate,
                knows=self._knows,
                queue=self._queue,
                schedule=self._schedule,
                budget=self._budget,
                desk=self._desk,
                hooks=self._hooks,
                stamper=Stamper(book.secret, self._public_url, self._chance),
                purse=self._purse,
                max_in_flight=self._max_in_flight,
                # Enough for looks of a second each; no more than there are connections.
                workers=round(min(max(WORKERS, self._budget.rate), MAX_CONNECTIONS)),
                on_doubt=self._on_doubt,
                save=self._clips.save,
                images=self._images,
                save_to=self._save_to,
                on_crash=self._crashed,
            )
            await self._engine.open()
        except BaseException:
            self._engine = None
            await book.close()
            raise

    def _wall_time(self) -> float:
        """What the wall clock shows; a simulation whose time is not this machine's says otherwise."""
        return time.time()  # noqa: TID251  # the one place where a session reads it

    def _crashed(self, crash: BaseException) -> None:
        """A part of the session has failed: its defect is everybody's, at once."""
        _logger.critical("the session has crashed", exc_info=crash, extra={"action": "crashed"})
        self._crash = self._crash or crash
        if self._engine is not None:
            self._engine.scheduler.stop()
            self._engine.leave_waiters(SessionCrashed(f"a background task failed: {crash!r}"))

    async def close(self) -> None:
        """Close the session, as leaving its block does; twice does no harm.

        Cancelling this only lets the cancellation wait: the session is closed when it goes on.
        """
        if self._loop not in (None, _loop_here()):
            raise SessionClosed("this session belongs to another event loop; close it there")
        await finish(self._close_once())

    async def _close_once(self) -> None:
        async with self._closing:
            if self._closed:
                return
            self._closed = True
            try:
                for reader in self._readers:
                    reader.cancel()
                if self._engine is not None:
                    await self._engine.close()
                if self._readers:
                    await asyncio.wait(self._readers)
                await self._hooks.close()
            finally:
                await self._clips.close()
                if self._peek is not None:
                    await self._peek.close()
                await self.api.close()

    async def drain(self) -> None:
        """Wait until every job there is now has ended."""
        for entry in list(self._open_engine.roster.by_key.values()):
            await entry.settled()

    def hold(self) -> None:
        """Send nothing more, for good; what runs is looked after, and what is ready is saved.

        Jobs that wait stay on the ledger for the next session.
        """
        self._require_open().scheduler.stop()

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def generate(
        self,
        request: AnyRequest | str,
        *,
        key: str | None = None,
        save_to: str | PathLike[str] | None = None,
        then: Step | Sequence[Step] = (),
        **options: Unpack[VideoOptions],
    ) -> Clip:
        """One clip: submit, wait, and give it; raises why there is none."""
        return await (await self.submit(request, key=key, save_to=save_to, then=then, **options))

    async def upgrade(
        self,
        clip: Clip | str,
        to: str = "1080p",
        *,
        index: int | None = None,
        key: str | None = None,
        save_to: str | PathLike[str] | None = None,
    ) -> Clip:
        """A clip's ``"1080p"`` or ``"4k"`` version: a job of its own, paid for once however often it is asked for.

        Args:
            clip: the clip, or its task id.
            index: which of its videos, from 0.
        """
        return await self._go_on(clip, UpgradeRequest(to=to, index=index), key, save_to)

    async def extend(
        self,
        clip: Clip | str,
        prompt: str,
        *,
        key: str | None = None,
        save_to: str | PathLike[str] | None = None,
        **options: Unpack[ExtendOptions],
    ) -> Clip:
        """A clip, gone on with for about seven seconds: a job of its own. Extend first, upgrade then.

        Args:
            clip: the clip, or its task id.
            prompt: how it goes on.
        """
        request = from_plain({"prompt": prompt, **options}, ExtendRequest)
        return await self._go_on(clip, request, key, save_to)

    async def _go_on(
        self,
        clip: Clip | str,
        request: ExtendRequest | UpgradeRequest,
        key: str | None,
        save_to: str | PathLike[str] | None,
    ) -> Clip:
        source = await self.find(clip.key) if isinstance(clip, Clip) else None
        if isinstance(clip, Clip) and source is not None and source.task_id == clip.task_id:
            check(attrs.evolve(request, task_id=clip.task_id), self.api.dialect)
            link = following(clip.key, request)
            return await (await self.submit(link.request, key=key or link.key, save_to=save_to))
        task_id = clip.task_id if isinstance(clip, Clip) else clip
        return await (await self.submit(attrs.evolve(request, task_id=task_id), key=key, save_to=save_to))

    async def save(self, clip: Clip, path: str | PathLike[str], *, origins: bool = False) -> Clip:
        """Save a clip's videos, whole and verified, to a file or into a folder; the clip with its ``files``.

        A download that breaks off goes on where it was; a link that has expired is renewed.

        Args:
            path: a file; or a folder, which exists or is written with a slash at its end.
            origins: save the uncropped videos instead, where there are any.

        Raises:
            DownloadFailed: not all of them are there; call it again, and it goes on.
        """
        self._require_open()
        if origins:
            clip = attrs.evolve(clip, urls=clip.record.origin_urls or clip.urls)
        return attrs.evolve(clip, files=await self._clips.save(clip, Path(as_target(path) or "")))

    async def upload(self, image: ImageSource) -> Uploaded:
        """Bring an image to the provider, for nothing: a file, its bytes, or a URL that it fetches itself.

        Requests take files and bytes as they are (``image="cat.png"``); this is for whoever wants the URL.

        Raises:
            InvalidRequest: it cannot be used; nothing was sent.
            UploadFailed: the upload host did not take it.
        """
        self._require_open()
        return await self._images.upload(image)

    async def submit(
        self,
        request: AnyRequest | str,
        *,
        key: str | None = None,
        take: int = 1,
        tenant: str = "",
        priority: Priority = "batch",
        metadata: Any = None,
        deadline: float | None = None,
        save_to: str | PathLike[str] | None = None,
        then: Step | Sequence[Step] = (),
        validate: bool = True,
        **options: Unpack[VideoOptions],
    ) -> Job:
        """Queue one job and return as soon as the ledger holds it; it is sent when its turn has come.

        Args:
            key: its name; the same name with the same request is the same job. Without one, the request's content
                is its name, so that a repeated request attaches instead of paying again.
            take: another number asks for another clip of the same request.
            tenant: on whose behalf; tenants share the account by weight.
            priority: ``"interactive"`` goes before ``"batch"``.
            metadata: anything you want to find again at the job; plain values, where there is a ledger.
            save_to: a file, or a folder, for its videos; the job is done when they are there, whole.
            then: what is made of the clip once it is there: ``"1080p"``, ``"4k"``, ``ExtendRequest(prompt=…)``, or
                several of them. Each is a job of its own, on the ledger from now on; the last of them is what you get.
            deadline: seconds within which it must be sent; afterwards it never will be (`DeadlinePassed`).

        Raises:
            InvalidRequest: the request breaks a rule, or an image cannot be used; nothing was queued.
            UploadFailed: an image that was given as bytes could not be uploaded; nothing was queued.
            KeyReused: *key* names a job with another request.
            QueueFull: the tenant has as many jobs waiting as it may.
            BudgetExceeded: its price, with all its steps', is more than the session may still reserve.
            LedgerError: the ledger does not take it; nothing was queued.
        """
        engine = self._require_open()
        wanted = await self._images.prepared(request, options)
        name = key if key is not None else content_key(wanted, take)
        chain = [Link(name, wanted), *links(name, then)]
        for link in chain:
            (check if validate else check_spelling)(link.request, self.api.dialect)
            self.api.dialect.require(endpoint_of(link.request))
        entries = [Entry(link.key, link.request, tenant=tenant, priority=priority, metadata=metadata) for link in chain]
        entries[-1].save_to = as_target(save_to) or self._save_to
        for entry in entries:
            entry.deadline = None if deadline is None else engine.clock.now() + deadline
        async with self._reserved(entries):
            *_, last = [await engine.intake.take_in(entry) for entry in entries]
        return self._job(last)

    @asynccontextmanager
    async def _reserved(self, entries: Sequence[Entry]) -> AsyncGenerator[None]:
        """While jobs are taken in, what the new ones among them cost is reserved; after that they do so themselves."""
        intake, purse = self._open_engine.intake, self._purse
        if not purse.is_bounded:
            yield
            return
        new = {
            entry.key: entry.request
            for entry in entries
            if purse.has_claimed(entry.key) or await intake.is_free_to_plan(entry.key)
        }
        purse.promise(new)
        try:
            yield
        finally:
            for key in new:
                intake.when_planned(key, partial(purse.release, key))

    def map(
        self,
        requests: Iterable[AnyRequest | str] | AsyncIterable[AnyRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[AnyRequest], str] | None = None,
        tenant: str = "",
        priority: Priority = "batch",
        save_to: str | PathLike[str] | None = None,
        then: Step | Sequence[Step] = (),
        look_ahead: int | None = None,
    ) -> AsyncIterator[Outcome]:
        """The outcomes of many requests as they come, or in order; a failure is a value and harms no other.

        Args:
            requests: any iterable, taken in lazily, at most *look_ahead* ahead of what has come out. When it raises,
                what it gave before still comes to its end, and then its error is raised.
            look_ahead: None takes 200, or twice as many as may run at once.
            key: from a request to the key of its job.
            then: what is made of each clip, as in `submit`.
            save_to: a folder for the videos; each is named for its job's key.
        """
        self._require_open()
        if look_ahead is None:
            look_ahead = max(_LOOK_AHEAD, 2 * self._max_in_flight)
        if look_ahead < 1:
            raise UsageError(f"look_ahead={look_ahead}: must be at least 1")

        options: dict[str, Any] = {"tenant": tenant, "priority": priority, "save_to": save_to, "then": then}

        async def admit(request: AnyRequest | str) -> Entry:
            try:
                wanted = as_request(request, {})
                return await self._submit_with_room(wanted, key=key(wanted) if key else None, **options)
            except SessionEnded:
                raise
            except VeoError as error:
                return refused_entry(request, error)

        return outcomes(as_async(requests), admit, look_ahead=look_ahead, ordered=ordered, spawn=self._spawn_reader)

    async def _submit_with_room(self, request: AnyRequest, **options: Any) -> Entry:
        """Submit, and wait for room where the tenant's queue is full."""
        while True:
            try:
                return self._open_engine.roster.by_key[(await self.submit(request, **options)).key]
            except QueueFull as full:
                if full.limit < 1:
                    raise
            moved_on = self._open_engine.roster.moved_on
            moved_on.clear()
            await moved_on.wait()

    def _spawn_reader(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="veo.map")
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return task

    async def gather(self, *requests: AnyRequest | str) -> list[Outcome]:
        """The outcomes of a few requests, in their order."""
        # All at once: in order and with less look-ahead, one slow job at the head would leave slots empty.
        return [outcome async for outcome in self.map(requests, ordered=True, look_ahead=max(1, len(requests)))]

    def job(self, key: str) -> Job:
        """The job called *key*, of this session; `find` looks into the ledger, too."""
        entry = self._open_engine.roster.by_key.get(key)
        if entry is None:
            raise UsageError(f"there is no job {key!r} in this session", job_key=key)
        return self._job(entry)

    async def find(self, key: str) -> Job | None:
        """The job called *key*, of this session, of an earlier one, or of another on the same ledger."""
        entry = await self._require_open().intake.find(key)
        return None if entry is None else self._job(entry)

    def jobs(self, state: JobState | str | None = None) -> list[Job]:
        """All jobs of this session, or those in one state, in the order in which they came."""
        entries = self._engine.roster.by_key.values() if self._engine else ()
        return [self._job(entry) for entry in entries if state in (None, entry.state)]

    async def doubts(self) -> list[Job]:
        """The jobs in doubt, whichever session on the ledger they are of.

        Each has `resolve`, `resubmit` and `abandon`; its ``outcome`` holds the evidence.
        """
        entries = await self._require_open().intake.in_doubt()
        return [self._job(entry) for entry in entries]

    async def adopt(self, task_id: str, *, key: str | None = None, request: VideoRequest | None = None) -> Job:
        """Take in a task that was made elsewhere, and watch it to its end.

        Raises:
            InvalidRequest: this can be no task id.
            KeyReused: *key* names another job, or the task is here under another key.
        """
        engine = self._require_open()
        if faults := tuple(task_id_faults(task_id)):
            raise InvalidRequest.of(*faults)
        return self._job(await engine.intake.adopt(task_id, key, request))

    async def hint(self, token: str, task_id: str) -> bool:
        """Tell what a callback to an attempt's own address says: which task has ended there.

        Nothing is believed of it: it only says which record to read. A job whose answer was lost is bound to the task
        if that record proves it.

        Returns:
            Whether the token is one of this ledger's.
        """
        return await self._require_open().hint(token, task_id)

    def aiohttp_routes(self) -> "list[web.RouteDef]":
        """Routes that receive callbacks, for ``app.add_routes`` of an ``aiohttp.web`` application."""
        from .webhooks.routes import aiohttp_routes  # a server is not what most sessions need

        return aiohttp_routes(self._receiver)

    def asgi(self) -> AsgiApp:
        """An ASGI application that receives callbacks, for ``app.mount("/veo/cb", veo.asgi())``."""
        return asgi_app(self._receiver)

    def tenant(self, name: str, *, weight: float | None = None, max_queued: int | None = None) -> None:
        """Give a tenant its share of the account and a bound for its queue."""
        self._queue.set_tenant(name, weight=weight, max_queued=max_queued)

    # --- the account --------------------------------------------------------------------------------------------

    async def credits(self) -> float:
        """The balance."""
        scheduler = self._require_open().scheduler
        look = scheduler.glance()
        balance = (await self._reads.patiently("credit", self.api.credit)).balance
        scheduler.has_read(look, balance)
        return balance

    def estimate(
        self, request: AnyRequest | str, *, then: Step | Sequence[Step] = (), **options: Unpack[VideoOptions]
    ) -> float | None:
        """What a request will cost, in credits, with what is made of its clip; None when nobody knows."""
        chain = [as_request(request, options), *(link.request for link in links("", then))]
        return total(self._purse.price_of(each) for each in chain)

    def resize(self, max_in_flight: int) -> None:
        """Change how many tasks may run at once."""
        self._require_open().scheduler.resize(max_in_flight)

    def statistics(self) -> Statistics:
        """A look inside: jobs by state, slots, the gate and the watcher."""
        engine = self._require_open()
        slots = engine.scheduler.slots
        return Statistics(
            jobs=dict(Counter(entry.state for entry in engine.roster.by_key.values())),
            running=int(slots.borrowed_tokens),
            max_in_flight=int(slots.total_tokens),
            paused=engine.scheduler.pause_reason,
            gate=self._gate.statistics(),
            watcher=engine.watcher.statistics,
            spent=self._purse.spent(),
            callbacks=self._receiver.statistics.answers,
        )

    def knowledge(self) -> GateKnowledge:
        """What was learned of the account's limits, for a later session."""
        return self._gate.knowledge()

    @property
    def recovered(self) -> Recovered:
        """What this session found on its ledger when it opened, and goes on with."""
        return self._open_engine.recovered

    # --- small things -------------------------------------------------------------------------------------------

    def _job(self, entry: Entry) -> Job:
        return Job(entry, self._desk, self._open_engine.doubts)

    async def _renew_key(self) -> bool:
        keys = self._open_engine.keys
        return await keys.renew(keys.number)

    async def _look(self, task_id: str) -> Record:
        return await self._open_engine.look(task_id)

    @property
    def _open_engine(self) -> Engine:
        """What lives in the session, or did until it was closed."""
        if self._engine is None:
            raise SessionClosed("open the session first: async with VeoSession() as veo: …")
        return self._engine

    def _require_open(self) -> Engine:
        engine = self._open_engine
        if self._closed:
            raise SessionClosed("this session is closed")
        if os.getpid() != self._process:
            raise SessionClosed("this session was opened before a fork; open another one in the child")
        if self._crash is not None:
            raise SessionCrashed(f"a background task failed: {self._crash!r}") from self._crash
        if _loop_here() is not self._loop:
            raise SessionClosed("this session belongs to another event loop; open one per loop")
        return engine


def _webhook_keys(given: str | Sequence[str] | None) -> Sequence[str]:
    if given is None:
        given = os.environ.get("KIE_WEBHOOK_HMAC_KEY") or ()
    return [given] if isinstance(given, str) else given


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread without one
        return None
