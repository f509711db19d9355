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
from ._rules.gate.values import GateSettings, GateStatistics, LearnedLimits
from ._rules.lifecycle import JobState
from ._rules.polling.budget import POLL_RATE, PollBudget
from ._rules.polling.schedule import FixedSchedule, LearnedSchedule
from ._rules.queue.fair_queue import FairQueue, Priority
from ._runtime.clock import WallClock
from ._runtime.engine import Engine, Recovered
from ._runtime.hooks import Hook, Hooks
from ._runtime.in_doubt.handler import OnDoubt
from ._runtime.job.endings import as_request, rejected_job
from ._runtime.job.follow_ups import ChainItem, FollowUp, chain_of, follow_up_of
from ._runtime.job.handle import Job
from ._runtime.job.live_job import LiveJob
from ._runtime.job.outcome import Clip, Outcome
from ._runtime.job.rows import content_key
from ._runtime.log import logger_for
from ._runtime.queued.images import Images, ImageSource, UploadedImage
from ._runtime.queued.spending import CreditUsage, Spending
from ._runtime.ready.saving import absolute_target
from ._runtime.retrying import Retrier
from ._runtime.running.watcher import WORKERS, WatcherStatistics
from ._runtime.sending.callback_tokens import CallbackTokens, validate_public_url
from ._runtime.sending.key_renewal import with_timeout
from ._runtime.status import StatusReporter
from ._runtime.streaming import stream_outcomes, to_async_iterator
from ._runtime.uncancelled import run_to_completion
from ._wire import (
    AnyRequest,
    Dialect,
    ExtendRequest,
    Record,
    UpgradeRequest,
    VideoRequest,
    check,
)
from ._wire.converter import from_dict
from ._wire.requests import ExtendOptions, VideoOptions
from ._wire.validation import check_encodable, task_id_problems
from .errors import (
    InvalidRequest,
    QueueFull,
    SessionClosed,
    SessionCrashed,
    SessionEnded,
    UsageError,
    VeoError,
)
from .ledger import NullLedger, as_ledger
from .media.image_probe import ImageProbe
from .webhooks.asgi import AsgiApp, asgi_app
from .webhooks.receiver import Receiver

if TYPE_CHECKING:
    from aiohttp import web

_logger = logger_for(__name__)

#: Inputs of `VeoSession.map` that are taken in ahead of what has come out.
_BUFFERSIZE = 200


@attrs.frozen(kw_only=True)
class Statistics:
    """The session, looked into."""

    #: How many jobs are in each state.
    jobs: dict[JobState, int]
    #: Slots taken, and slots there are.
    slots_in_use: int
    max_in_flight: int
    #: Why nothing is being created just now; None when only the rate stands in the way.
    pause_reason: str | None
    rate_limit: GateStatistics
    watcher: WatcherStatistics
    #: By the table of prices, and by the balance as it was read; never mixed.
    credits: CreditUsage
    #: Callbacks that came in, by how they were answered: HTTP status to number.
    callback_responses: Mapping[int, int]


class VeoSession(anyio.AsyncContextManagerMixin):
    """Many clips at once on one account.

    Args:
        api_key: as `VeoApi` takes it.
        provider: ``"kie"``, ``"apikley"`` or a `Dialect`.
        ledger: where jobs live: a path (SQLite), or a ledger; None keeps them in this session only.
        account: whom the jobs bill; without it a hash of the key. Name it, and the key may change between two runs.
        public_url: where the provider can reach this session, for callbacks; see `aiohttp_routes` and `asgi`.
        webhook_secret: the key that signs them, or several while one takes over; without it KIE_WEBHOOK_HMAC_KEY. With a
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
        min_balance: credits to be kept: while the account is believed to hold less, nothing is created, what runs is
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
        webhook_secret: str | Sequence[str] | None = None,
        on_doubt: OnDoubt = "hold",
        max_in_flight: int = 100,
        rate: tuple[int, float] = (20, 10.0),
        explore: bool = True,
        knowledge: LearnedLimits | None = None,
        poll_every: float | None = None,
        polls_per_second: float = POLL_RATE,
        max_queued: int | None = None,
        prices: Prices = PRICES,
        budget: float | None = None,
        min_balance: float | None = None,
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
            with_timeout(api_key) if callable(api_key) else api_key,
            provider=provider,
            base_url=base_url,
            upload_from_url=upload_url,
            http=http,
            timeout=timeout,
            allow_insecure_http=allow_insecure_http,
            transport=transport,
        )
        self._ledger, self._account = as_ledger(ledger), account
        self._public_url = validate_public_url(public_url)
        self._on_doubt: OnDoubt = on_doubt
        self._max_in_flight = max_in_flight
        self._rng = random.Random(seed)  # noqa: S311  # jitter, not a secret
        self._random_bytes = secrets.token_bytes if seed is None else self._rng.randbytes
        self._retrier = Retrier(self._rng)
        self._budget = PollBudget(rate=polls_per_second)
        # Callbacks are believed in once they are heard, and only where they can come.
        listening = None if public_url else False
        self._schedule = (
            FixedSchedule(poll_every, self._rng) if poll_every else LearnedSchedule(self._budget, callbacks=listening)
        )
        self._gate = Gate(GateSettings(limit=rate[0], window_s=rate[1], explore=explore), knowledge)
        self._has_knowledge = knowledge is not None
        self._queue: FairQueue[LiveJob] = FairQueue(max_queued=max_queued)
        self._status = StatusReporter(
            self.api.dialect.name,
            queue=self._queue,
            schedule=self._schedule,
            rate=self._gate.settings,
            pause_reason=lambda: self._engine_or_raise.scheduler.pause_reason,
            now=lambda: self._loop.time() if self._loop else 0.0,
        )
        self._spending = Spending(prices, budget, min_balance)
        self._hooks = Hooks(on_event)
        self._save_to = absolute_target(save_to)
        self._clip_saver = ClipSaver(
            self.api, self._read_record, self._retrier, max_downloads=max_downloads, rng=self._rng
        )
        self._receiver = Receiver(
            is_valid_token=lambda token: self._require_open().is_valid_token(token),
            is_tracked=lambda token, task_id: self._require_open().is_tracked(token, task_id),
            hint=self.hint,
            signing_keys=_webhook_keys(webhook_secret),
            now=self._wall_clock,
        )
        self._image_probe = ImageProbe(allow_loopback=is_loopback(self.api.base_urls.api)) if check_images else None
        self._engine: Engine | None = None
        #: Tasks that read the input of a `map`.
        self._reader_tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False
        self._closing = asyncio.Lock()
        self._crash: BaseException | None = None

    def __repr__(self) -> str:
        jobs = len(self._engine.registry.by_key) if self._engine else 0
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
        except BaseException as error:
            await self.close()
            if self._crash is not None:
                error.add_note(f"meanwhile a background task of the session failed: {self._crash!r}")
            raise
        await self.close()
        if self._crash is not None:
            raise SessionCrashed(f"a background task failed: {self._crash!r}") from self._crash

    async def _open(self) -> None:
        is_lasting = not isinstance(self._ledger, NullLedger)
        account = self._account or (await self.api.account_id() if is_lasting else "")
        ledger = await self._ledger.open(account)
        clock = WallClock(self._wall_clock())
        self._images = Images(
            self.api,
            self._retrier,
            clock.now,
            renew_key=self._renew_key,
            find_problem=self._image_probe.find_problem if self._image_probe else None,
        )
        try:
            self._engine = Engine(
                self.api,
                ledger,
                account=account,
                is_durable=is_lasting,
                clock=clock,
                gate=self._gate,
                has_knowledge=self._has_knowledge,
                queue=self._queue,
                schedule=self._schedule,
                budget=self._budget,
                status=self._status,
                hooks=self._hooks,
                tokens=CallbackTokens(ledger.secret, self._public_url, self._random_bytes),
                spending=self._spending,
                max_in_flight=self._max_in_flight,
                # Enough for looks of a second each; no more than there are connections.
                workers=round(min(max(WORKERS, self._budget.rate), MAX_CONNECTIONS)),
                on_doubt=self._on_doubt,
                save=self._clip_saver.save,
                images=self._images,
                save_to=self._save_to,
                on_crash=self._crashed,
            )
            await self._engine.open()
        except BaseException:
            self._engine = None
            await ledger.close()
            raise

    def _wall_clock(self) -> float:
        """What the wall clock shows; a simulation whose time is not this machine's says otherwise."""
        return time.time()  # noqa: TID251  # the one place where a session reads it

    def _crashed(self, crash: BaseException) -> None:
        """A part of the session has failed: its defect is everybody's, at once."""
        _logger.critical("the session has crashed", exc_info=crash, extra={"action": "crashed"})
        self._crash = self._crash or crash
        if self._engine is not None:
            self._engine.scheduler.stop()
            self._engine.release_waiters(SessionCrashed(f"a background task failed: {crash!r}"))

    async def close(self) -> None:
        """Close the session, as leaving its block does; twice does no harm.

        Cancelling this only lets the cancellation wait: the session is closed when it goes on.
        """
        if self._loop not in (None, _running_loop_or_none()):
            raise SessionClosed("this session belongs to another event loop; close it there")
        await run_to_completion(self._close_once())

    async def _close_once(self) -> None:
        async with self._closing:
            if self._closed:
                return
            self._closed = True
            try:
                for reader in self._reader_tasks:
                    reader.cancel()
                if self._engine is not None:
                    await self._engine.close()
                if self._reader_tasks:
                    await asyncio.wait(self._reader_tasks)
                await self._hooks.close()
            finally:
                await self._clip_saver.close()
                if self._image_probe is not None:
                    await self._image_probe.close()
                await self.api.close()

    async def drain(self) -> None:
        """Wait until every job there is now has ended."""
        for job in list(self._engine_or_raise.registry.by_key.values()):
            await job.wait_outcome()

    def stop_sending(self) -> None:
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
        then: FollowUp | Sequence[FollowUp] = (),
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
        return await self._follow_up(clip, UpgradeRequest(to=to, index=index), key, save_to)

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
        request = from_dict({"prompt": prompt, **options}, ExtendRequest)
        return await self._follow_up(clip, request, key, save_to)

    async def _follow_up(
        self,
        clip: Clip | str,
        request: ExtendRequest | UpgradeRequest,
        key: str | None,
        save_to: str | PathLike[str] | None,
    ) -> Clip:
        source = await self.find(clip.key) if isinstance(clip, Clip) else None
        if isinstance(clip, Clip) and source is not None and source.task_id == clip.task_id:
            check(attrs.evolve(request, task_id=clip.task_id), self.api.dialect)
            item = follow_up_of(clip.key, request)
            return await (await self.submit(item.request, key=key or item.key, save_to=save_to))
        task_id = clip.task_id if isinstance(clip, Clip) else clip
        return await (await self.submit(attrs.evolve(request, task_id=task_id), key=key, save_to=save_to))

    async def save(self, clip: Clip, path: str | PathLike[str], *, uncropped: bool = False) -> Clip:
        """Save a clip's videos, whole and verified, to a file or into a folder; the clip with its ``files``.

        A download that breaks off goes on where it was; a link that has expired is renewed.

        Args:
            path: a file; or a folder, which exists or is written with a slash at its end.
            origins: save the uncropped videos instead, where there are any.

        Raises:
            DownloadFailed: not all of them are there; call it again, and it goes on.
        """
        self._require_open()
        if uncropped:
            clip = attrs.evolve(clip, urls=clip.record.origin_urls or clip.urls)
        return attrs.evolve(clip, files=await self._clip_saver.save(clip, Path(absolute_target(path) or "")))

    async def upload(self, image: ImageSource) -> UploadedImage:
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
        send_within: float | None = None,
        save_to: str | PathLike[str] | None = None,
        then: FollowUp | Sequence[FollowUp] = (),
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
            deadline: seconds within which it must be sent; afterwards it never will be (`DeadlineExceeded`).

        Raises:
            InvalidRequest: the request breaks a rule, or an image cannot be used; nothing was queued.
            UploadFailed: an image that was given as bytes could not be uploaded; nothing was queued.
            KeyReused: *key* names a job with another request.
            QueueFull: the tenant has as many jobs waiting as it may.
            BudgetExceeded: its price, with all its steps', is more than the session may still reserve.
            LedgerError: the ledger does not take it; nothing was queued.
        """
        engine = self._require_open()
        request = await self._images.prepare_request(request, options)
        name = key if key is not None else content_key(request, take)
        chain = [ChainItem(name, request), *chain_of(name, then)]
        for item in chain:
            (check if validate else check_encodable)(item.request, self.api.dialect)
            self.api.dialect.require(endpoint_of(item.request))
        jobs = [LiveJob(item.key, item.request, tenant=tenant, priority=priority, metadata=metadata) for item in chain]
        jobs[-1].save_to = absolute_target(save_to) or self._save_to
        for job in jobs:
            job.deadline = None if send_within is None else engine.clock.now() + send_within
        async with self._reserve_while_admitting(jobs):
            *_, last = [await engine.admission.admit(job) for job in jobs]
        return self._job(last)

    @asynccontextmanager
    async def _reserve_while_admitting(self, jobs: Sequence[LiveJob]) -> AsyncGenerator[None]:
        """While jobs are taken in, what the new ones among them cost is reserved; after that they do so themselves."""
        admission, spending = self._engine_or_raise.admission, self._spending
        if not spending.is_bounded:
            yield
            return
        new = {
            job.key: job.request
            for job in jobs
            if spending.is_reserved(job.key) or await admission.would_be_new(job.key)
        }
        spending.reserve(new)
        try:
            yield
        finally:
            for key in new:
                admission.on_admitted(key, partial(spending.release, key))

    def map(
        self,
        requests: Iterable[AnyRequest | str] | AsyncIterable[AnyRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[AnyRequest], str] | None = None,
        tenant: str = "",
        priority: Priority = "batch",
        save_to: str | PathLike[str] | None = None,
        then: FollowUp | Sequence[FollowUp] = (),
        buffersize: int | None = None,
    ) -> AsyncIterator[Outcome]:
        """The outcomes of many requests as they come, or in order; a failure is a value and harms no other.

        Args:
            requests: any iterable, taken in lazily, at most *buffersize* ahead of what has come out. When it raises,
                what it gave before still comes to its end, and then its error is raised.
            buffersize: None takes 200, or twice as many as may run at once.
            key: from a request to the key of its job.
            then: what is made of each clip, as in `submit`.
            save_to: a folder for the videos; each is named for its job's key.
        """
        self._require_open()
        if buffersize is None:
            buffersize = max(_BUFFERSIZE, 2 * self._max_in_flight)
        if buffersize < 1:
            raise UsageError(f"buffersize={buffersize}: must be at least 1")

        options: dict[str, Any] = {"tenant": tenant, "priority": priority, "save_to": save_to, "then": then}

        async def admit(request: AnyRequest | str) -> LiveJob:
            try:
                checked = as_request(request, {})
                return await self._submit_when_room(checked, key=key(checked) if key else None, **options)
            except SessionEnded:
                raise
            except VeoError as error:
                return rejected_job(request, error)

        return stream_outcomes(
            to_async_iterator(requests), admit, buffersize=buffersize, ordered=ordered, spawn=self._spawn_reader
        )

    async def _submit_when_room(self, request: AnyRequest, **options: Any) -> LiveJob:
        """Submit, and wait for room where the tenant's queue is full."""
        while True:
            try:
                return self._engine_or_raise.registry.by_key[(await self.submit(request, **options)).key]
            except QueueFull as full:
                if full.limit < 1:
                    raise
            moved_on = self._engine_or_raise.registry.queue_changed
            moved_on.clear()
            await moved_on.wait()

    def _spawn_reader(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="veo.map")
        self._reader_tasks.add(task)
        task.add_done_callback(self._reader_tasks.discard)
        return task

    async def gather(self, *requests: AnyRequest | str) -> list[Outcome]:
        """The outcomes of a few requests, in their order."""
        # All at once: in order and with less look-ahead, one slow job at the head would leave slots empty.
        return [outcome async for outcome in self.map(requests, ordered=True, buffersize=max(1, len(requests)))]

    def job(self, key: str) -> Job:
        """The job called *key*, of this session; `find` looks into the ledger, too."""
        job = self._engine_or_raise.registry.by_key.get(key)
        if job is None:
            raise UsageError(f"there is no job {key!r} in this session", job_key=key)
        return self._job(job)

    async def find(self, key: str) -> Job | None:
        """The job called *key*, of this session, of an earlier one, or of another on the same ledger."""
        job = await self._require_open().admission.find(key)
        return None if job is None else self._job(job)

    def jobs(self, state: JobState | str | None = None) -> list[Job]:
        """All jobs of this session, or those in one state, in the order in which they came."""
        jobs = self._engine.registry.by_key.values() if self._engine else ()
        return [self._job(job) for job in jobs if state in (None, job.state)]

    async def in_doubt(self) -> list[Job]:
        """The jobs in doubt, whichever session on the ledger they are of.

        Each has `resolve`, `resubmit` and `abandon`; its ``outcome`` holds the evidence.
        """
        jobs = await self._require_open().admission.in_doubt()
        return [self._job(job) for job in jobs]

    async def adopt(self, task_id: str, *, key: str | None = None, request: VideoRequest | None = None) -> Job:
        """Take in a task that was made elsewhere, and watch it to its end.

        Raises:
            InvalidRequest: this can be no task id.
            KeyReused: *key* names another job, or the task is here under another key.
        """
        engine = self._require_open()
        if faults := tuple(task_id_problems(task_id)):
            raise InvalidRequest.of(*faults)
        return self._job(await engine.admission.adopt(task_id, key, request))

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
        self._queue.configure_tenant(name, weight=weight, max_queued=max_queued)
        if self._engine is not None:
            self._engine.announcer.queue_changed()  # a larger bound leaves room for a waiting `map`

    # --- the account --------------------------------------------------------------------------------------------

    async def balance(self) -> float:
        """The balance."""
        scheduler = self._require_open().scheduler
        look = scheduler.begin_balance_read()
        balance = (await self._retrier.call("credit", self.api.credit)).balance
        scheduler.balance_read(look, balance)
        return balance

    def estimate(
        self, request: AnyRequest | str, *, then: FollowUp | Sequence[FollowUp] = (), **options: Unpack[VideoOptions]
    ) -> float | None:
        """What a request will cost, in credits, with what is made of its clip; None when nobody knows."""
        chain = [as_request(request, options), *(item.request for item in chain_of("", then))]
        return total(self._spending.price_of(each) for each in chain)

    def resize(self, max_in_flight: int) -> None:
        """Change how many tasks may run at once."""
        self._require_open().scheduler.resize(max_in_flight)

    def statistics(self) -> Statistics:
        """A look inside: jobs by state, slots, the gate and the watcher."""
        engine = self._require_open()
        slots = engine.scheduler.slots
        return Statistics(
            jobs=dict(Counter(job.state for job in engine.registry.by_key.values())),
            slots_in_use=int(slots.borrowed_tokens),
            max_in_flight=int(slots.total_tokens),
            pause_reason=engine.scheduler.pause_reason,
            rate_limit=self._gate.statistics(),
            watcher=engine.watcher.statistics,
            credits=self._spending.spent(),
            callback_responses=self._receiver.statistics.responses,
        )

    def knowledge(self) -> LearnedLimits:
        """What was learned of the account's limits, for a later session."""
        return self._gate.knowledge()

    @property
    def recovered(self) -> Recovered:
        """What this session found on its ledger when it opened, and goes on with."""
        return self._engine_or_raise.recovered

    # --- small things -------------------------------------------------------------------------------------------

    def _job(self, job: LiveJob) -> Job:
        return Job(job, self._status, self._engine_or_raise.actions)

    async def _renew_key(self) -> bool:
        keys = self._engine_or_raise.keys
        return await keys.renew(keys.generation)

    async def _read_record(self, task_id: str) -> Record:
        return await self._engine_or_raise.read_record(task_id)

    @property
    def _engine_or_raise(self) -> Engine:
        """What lives in the session, or did until it was closed."""
        if self._engine is None:
            raise SessionClosed("open the session first: async with VeoSession() as veo: …")
        return self._engine

    def _require_open(self) -> Engine:
        engine = self._engine_or_raise
        if self._closed:
            raise SessionClosed("this session is closed")
        if os.getpid() != self._process:
            raise SessionClosed("this session was opened before a fork; open another one in the child")
        if self._crash is not None:
            raise SessionCrashed(f"a background task failed: {self._crash!r}") from self._crash
        if _running_loop_or_none() is not self._loop:
            raise SessionClosed("this session belongs to another event loop; open one per loop")
        return engine


def _webhook_keys(given: str | Sequence[str] | None) -> Sequence[str]:
    if given is None:
        given = os.environ.get("KIE_WEBHOOK_HMAC_KEY") or ()
    return [given] if isinstance(given, str) else given


def _running_loop_or_none() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread without one
        return None
