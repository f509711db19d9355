"""`VeoSession`: many clips at the same time on one account.

The way of a job: `VeoSession.submit` checks the request and stores the job on the ledger · the scheduler sends it when
a slot is free and the rate limit allows · the watcher polls its task until it has finished · everyone who awaits the
job gets the outcome.

**Opening and closing.** ``async with`` opens the session and closes it. Closing is the same whatever the reason: no new
request is sent; requests in flight finish, because cutting one off would leave its job in doubt; then everyone who
still waits gets `SessionClosed`, with the task id if there is one. To finish all jobs first, call ``await
veo.drain()``. A cancellation that arrives while the session closes is raised afterwards.

The caller's own exception leaves the block unchanged. An internal error that stopped the session leaves it as
`SessionCrashed`, or as a note on the caller's exception. After such an error nothing more is sent.
"""

from __future__ import annotations  # short names in help()

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any, NoReturn, Self, Unpack, get_args

import anyio
import attrs

from ._api import ApiKey, VeoApi
from ._api.key import KeyProvider
from ._base.checks import check_choice, check_count, check_flag, check_several, reject
from ._base.iteration import to_async_iterator
from ._ports import Ledger
from ._rules.lifecycle import JobState
from ._rules.queue.fair_queue import Priority
from ._runtime.engine import Recovered
from ._runtime.hooks import Hook
from ._runtime.in_doubt.handler import OnDoubt
from ._runtime.job.follow_ups import FollowUp, follow_up_of
from ._runtime.job.handle import Job
from ._runtime.job.live_job import LiveJob
from ._runtime.job.outcome import Clip
from ._runtime.job.outcomes import Outcomes
from ._runtime.log import logger_for
from ._runtime.queued.images import ImageSource, UploadedImage
from ._runtime.sending.key_renewal import with_timeout
from ._runtime.streaming import stream_outcomes
from ._runtime.uncancelled import run_to_completion
from ._session.account import Account
from ._session.callbacks import CallbackReceiver
from ._session.ledger import SessionLedger
from ._session.lifetime import Lifetime
from ._session.list_reporter import ListReporter
from ._session.naming import facts_of_clip
from ._session.options import JobOptions, check_route, checked_options, checked_target, parsed_template
from ._session.outcome_stream import OutcomeStream
from ._session.parts import Parts
from ._session.statistics import Statistics
from ._session.submitter import Submitter
from ._session.targets import SaveTargets
from ._wire import AnyRequest, Dialect, ExtendRequest, UpgradeRequest, check
from ._wire.converter import from_dict
from ._wire.requests import ExtendOptions, VideoOptions
from .errors import SessionCrashed, UsageError
from .progress import ProgressCallback, callback_of
from .settings import Budget, Callbacks, Credits, Files, Limits, Network

__all__ = [
    "Account",
    "CallbackReceiver",
    "JobOptions",
    "ListReporter",
    "OutcomeStream",
    "Recovered",
    "SessionLedger",
    "Statistics",
    "VeoSession",
]

_logger = logger_for(__name__)

#: Requests that `VeoSession.map` submits ahead of the outcomes that were read.
_BUFFERSIZE = 200


class VeoSession(anyio.AsyncContextManagerMixin):
    """Many clips at the same time on one account.

    Args:
        api_key: the API key, or an async function that returns it. Without it KIE_API_KEY is read.
        provider: ``"kie"``, ``"apikley"`` or a `Dialect`.
        base_url: another address of the API. Without it KIE_BASE_URL, or the provider's own.
        ledger: where jobs are stored: a file's path (SQLite) or a ledger of `veo_async.ledger`. None keeps jobs only
            as long as the session is open.
        account: the name under which jobs are billed; by default a hash of the key. Name it if the key may change.
        max_in_flight: how many tasks may run at the same time.
        save_to: folder, or template with ``{key}`` or ``{id}``, for the videos of all jobs that name no destination;
            None saves only those that do.
        budget: credits that this session may reserve. A job that costs more is rejected before it is queued. Jobs
            that an earlier session left queued are sent anyway, and count. With `Budget(1500, name="…")` all sessions
            on the ledger that use the name share one budget, across restarts and processes.
        callbacks: the public URL at which the provider can reach this session, or `Callbacks` with a secret; mount
            ``veo.callbacks`` there.
        on_doubt: what happens to a job whose request may or may not have been accepted: ``"hold"`` reports it as
            `InDoubt`, ``"resubmit"`` sends another request; an async function is called with the `InDoubt` and
            returns ``"hold"``, ``"resubmit"`` or ``"abandon"``.
        on_event: a function, plain or async, that is called with every event. Its exceptions harm no job.
        limits: rate limit, queue bounds and polling.
        credits: prices and the balance to keep.
        files: downloads and image checks.
        network: HTTP client, timeouts and addresses.

    ``veo.account`` has the balance, prices and tenants; ``veo.ledger`` finds, adopts and prunes jobs;
    ``veo.callbacks`` receives callbacks.
    """

    def __init__(
        self,
        api_key: str | ApiKey | KeyProvider | None = None,
        *,
        provider: str | Dialect = "kie",
        base_url: str | None = None,
        ledger: Ledger | str | PathLike[str] | None = None,
        account: str | None = None,
        max_in_flight: int = 100,
        save_to: str | PathLike[str] | None = None,
        budget: float | Budget | None = None,
        callbacks: str | Callbacks | None = None,
        on_doubt: OnDoubt = "hold",
        on_event: Hook | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen values
        credits: Credits = Credits(),  # noqa: B008
        files: Files = Files(),  # noqa: B008
        network: Network = Network(),  # noqa: B008
    ) -> None:
        options = checked_options(
            ledger=ledger,
            account=account,
            max_in_flight=max_in_flight,
            save_to=save_to,
            budget=budget,
            callbacks=callbacks,
            on_doubt=on_doubt,
            on_event=on_event,
            limits=limits,
            credits=credits,
            files=files,
            network=network,
        )
        self.api: VeoApi = VeoApi(
            with_timeout(api_key) if callable(api_key) else api_key,
            provider=provider,
            base_url=base_url,
            upload_url=network.upload_url,
            http=network.http,
            timeout=network.timeout,
            proxy=network.proxy,
            ssl_context=network.ssl,
            trust_env=network.trust_env,
            allow_insecure_http=network.allow_insecure_http,
            transport=network.transport,
        )
        check_route(options, self.api.dialect)
        self._max_in_flight = max_in_flight
        self._lifetime = Lifetime()
        self._parts = parts = Parts(self.api, options, self._lifetime)
        self._submitter = Submitter(
            self._lifetime,
            parts,
            self.api.dialect,
            SaveTargets(self._lifetime, options.save_to, overwrite=files.overwrite),
        )
        #: Balance, prices, limits and tenants.
        self.account: Account = Account(self._lifetime, self.api, parts.rate_limiter, parts.spending, parts.retrier)
        #: Jobs of all sessions on the ledger.
        self.ledger: SessionLedger = SessionLedger(self._lifetime, self._handle, self._submitter.key_of)
        #: Receives the provider's callbacks.
        self.callbacks: CallbackReceiver = CallbackReceiver(
            self._lifetime, options.callbacks.secret if options.callbacks else None, self._wall_clock
        )
        #: Tasks that read the input of a `map`.
        self._reader_tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Lock()

    def __repr__(self) -> str:
        if not hasattr(self, "_lifetime"):
            return "<VeoSession, not constructed>"  # a traceback with values shows it
        jobs = sum(self._lifetime.engine.registry.counts().values()) if self._lifetime.has_engine else 0
        return f"<VeoSession {self.api!r} jobs={jobs}>"

    # --- opening and closing ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Open the session for an ``async with`` block, and close it afterwards."""
        self._lifetime.begin()
        try:
            await self._parts.open_engine(self._wall_clock(), self._crashed)
            yield self
        except BaseException as error:
            await self.close()
            if self._lifetime.crash is not None:
                error.add_note(f"in addition, a background task of the session failed: {self._lifetime.crash!r}")
            raise
        await self.close()
        if (crash := self._lifetime.crash) is not None:
            raise SessionCrashed(f"a background task failed: {crash!r}") from crash

    def __enter__(self) -> NoReturn:
        """Say what to write instead of ``with``."""
        raise UsageError("write `async with VeoSession() as veo:`, or use veo_async.sync.VeoSession without async")

    def __exit__(self, *_: object) -> None:
        """Only here so that ``with`` calls `__enter__`, which says what to write instead."""

    def _wall_clock(self) -> float:
        """Return the wall clock's time; a simulation overrides it."""
        return time.time()  # noqa: TID251  # the one place where a session reads it

    def _crashed(self, crash: BaseException) -> None:
        """Stop the session after an internal error, and report it to everyone who waits."""
        _logger.critical("the session has crashed", exc_info=crash, extra={"action": "crashed"})
        self._lifetime.crash = self._lifetime.crash or crash
        if self._lifetime.has_engine:
            self._lifetime.engine.scheduler.stop()
            self._lifetime.engine.release_waiters(SessionCrashed(f"a background task failed: {crash!r}"))

    async def close(self) -> None:
        """Close the session, as leaving its block does; closing twice does no harm.

        A cancellation while it closes is raised once it is closed.
        """
        self._lifetime.require_own_loop()
        await run_to_completion(self._close_once())

    async def _close_once(self) -> None:
        async with self._closing:
            if self._lifetime.is_closed:
                return
            self._lifetime.is_closed = True
            try:
                for reader in self._reader_tasks:
                    reader.cancel()
                if self._lifetime.has_engine:
                    await self._lifetime.engine.close()
                if self._reader_tasks:
                    await asyncio.wait(self._reader_tasks)
                await self._parts.hooks.close()
            finally:
                await self._parts.close()
                await self.api.close()

    async def drain(self) -> None:
        """Wait until all jobs submitted until now have an outcome.

        Jobs in doubt or on hold after an overcharge have one, `InDoubt` or `OnHold`. While submission is paused, for
        example because of a low balance, `drain` waits until it resumes.
        """
        jobs = list(self._lifetime.engine.registry.by_key.values())
        while jobs:
            await jobs.pop().wait_outcome()

    def stop_sending(self) -> None:
        """Send no more requests, for good. Running tasks are polled, and finished clips are saved.

        Queued jobs stay on the ledger for the next session.
        """
        self._lifetime.require_open().scheduler.stop()

    # --- clips --------------------------------------------------------------------------------------------------

    async def generate(
        self,
        request: AnyRequest | str,
        *,
        key: str | None = None,
        progress: bool | ProgressCallback = False,
        **options: Unpack[JobOptions],
    ) -> Clip:
        """Generate one clip: submit, wait, and return it. Takes the arguments of `submit`.

        Args:
            progress: True shows state, elapsed time and estimate on standard error; a function gets a
                `veo_async.progress.Progress` about once a second and at every change.

        Raises:
            VeoError: there is no clip, and why; besides what `submit` raises.
        """
        callback = callback_of(progress)
        job = await self.submit(request, key=key, **options)
        return await job.wait(progress=callback or False)

    async def upgrade(
        self,
        clip: Clip | str,
        to: str = "1080p",
        *,
        index: int | None = None,
        key: str | None = None,
        save_to: str | PathLike[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> Clip:
        """Return a clip's ``"1080p"`` or ``"4k"`` version: charged once however often you ask.

        Args:
            clip: the clip, its task id, or the key of its job.
            index: which of its videos, from 0.
            progress: as for `generate`.
        """
        return await self._follow_up(clip, UpgradeRequest(to=to, index=index), key, save_to, progress)

    async def extend(
        self,
        clip: Clip | str,
        prompt: str,
        *,
        key: str | None = None,
        save_to: str | PathLike[str] | None = None,
        progress: bool | ProgressCallback = False,
        **options: Unpack[ExtendOptions],
    ) -> Clip:
        """Extend a clip by about seven seconds. To do both, extend first and then upgrade.

        On the ``jobs`` route the new clip is the continuation alone, unless its record has the whole video.

        Args:
            clip: the clip, its task id, or the key of its job.
            prompt: what happens next.
            progress: as for `generate`.
        """
        request = from_dict({"prompt": prompt, **options}, ExtendRequest)
        return await self._follow_up(clip, request, key, save_to, progress)

    async def _follow_up(
        self,
        clip: Clip | str,
        request: ExtendRequest | UpgradeRequest,
        key: str | None,
        save_to: str | PathLike[str] | None,
        progress: bool | ProgressCallback,
    ) -> Clip:
        callback = callback_of(progress)
        if not isinstance(clip, Clip | str):
            reject("clip", clip, "must be a Clip, a job's key or a task id; for a job, pass `await job`")
        task_id = clip.task_id if isinstance(clip, Clip) else clip
        source = await self._lifetime.require_open().admission.find_source(task_id)
        if source is not None:
            check(attrs.evolve(request, task_id=source.task_id or source.key), self.api.dialect)
            item = follow_up_of(source.key, request, source=source.request)
            job = await self.submit(item.request, key=key or item.key, save_to=save_to)
        else:
            job = await self.submit(attrs.evolve(request, task_id=task_id), key=key, save_to=save_to)
        return await job.wait(progress=callback or False)

    async def save(self, clip: Clip, path: str | PathLike[str], *, uncropped: bool = False) -> Clip:
        """Download a clip's videos, verified, to a file or into a folder; return the clip with its ``files``.

        An interrupted download is resumed; an expired link is renewed.

        Args:
            path: a file that ends in ``.mp4``; or a folder, which exists, has no ending or ends with a slash; or a
                template for either, as in `submit`.
            uncropped: save the original videos instead, where the provider has them. The ``jobs`` route has none.

        Raises:
            DownloadFailed: not all videos could be saved. Calling it again resumes. A file that belongs to another clip
                or is not ours is not replaced, unless ``Files(overwrite=True)``.
        """
        if not isinstance(clip, Clip):
            reject("clip", clip, "must be a Clip; for a job, pass `await job`")
        check_flag("uncropped", uncropped)
        template = parsed_template("path", path)
        filled = path if template is None else template.fill(facts_of_clip(clip))
        destination = checked_target("path", filled) or reject("path", path, "must be the path of a file or a folder")
        self._lifetime.require_open()
        if uncropped and clip.route == "veo":  # on the jobs route, they are the videos in a lower resolution
            clip = attrs.evolve(clip, urls=clip.record.origin_urls or clip.urls)
        return await self._parts.clip_saver.save(clip, destination)

    async def upload(self, image: ImageSource) -> UploadedImage:
        """Upload an image to the provider, free of charge: a file, its bytes, or a URL.

        Requests take files and bytes directly (``image="cat.png"``); use this if you need the URL itself.

        Raises:
            InvalidRequest: the image cannot be used; nothing was sent.
            UploadFailed: the upload host did not accept it.
        """
        self._lifetime.require_open()
        return await self._parts.images.upload(image)

    # --- jobs ---------------------------------------------------------------------------------------------------

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
        """Queue one job, and return as soon as the ledger holds it. It is sent when the rate limit allows.

        Args:
            request: a prompt with *options*, or a whole request.
            key: the job's key. The same key with the same request is the same job. By default the key is derived from
                the request and the tenant, so that a repeated call returns the same job and is charged once.
            take: another number generates another clip of the same request.
            tenant: on whose behalf; tenants share the account by weight. A follow-up of a job belongs to its tenant.
            priority: ``"interactive"`` goes before ``"batch"``.
            metadata: anything you want to find again at the job; plain values, if there is a ledger.
            send_within: seconds within which the request must be sent; after that it is refused (`DeadlineExceeded`).
            save_to: a file that ends in ``.mp4``, a folder, or a template like ``"clips/{slug}-{id}.mp4"`` with
                ``{key}``, ``{slug}``, ``{id}``, ``{model}``, and in `map` and `gather` ``{n:03}``. The job has
                finished when its videos are saved there. A file that belongs to another clip, or is not ours, is
                refused before anything is sent.
            then: follow-ups of the clip: ``"1080p"``, ``"4k"``, ``ExtendRequest(prompt=…)``, or several. Each is a
                separate job; the last one is returned.
            validate: False skips the provider's documented rules, for values newer than this library.

        Raises:
            InvalidRequest: the request breaks a rule, or an image cannot be used; nothing was queued.
            UploadFailed: an image that was passed as bytes could not be uploaded; nothing was queued.
            KeyReused: *key* belongs to a different request, or to another tenant.
            QueueFull: too many of the tenant's jobs are waiting.
            BudgetExceeded: the price exceeds what the budget still allows.
            ClipExpired: it is an old request whose clip the provider has deleted since, and which was not saved.
            LedgerError: the ledger did not accept the job; nothing was queued.
        """
        job = await self._submitter.submit(
            request,
            options,
            key=key,
            take=take,
            tenant=tenant,
            priority=priority,
            metadata=metadata,
            send_within=send_within,
            save_to=save_to,
            then=then,
            validate=validate,
        )
        return self._handle(job)

    def map(
        self,
        requests: Iterable[AnyRequest | str] | AsyncIterable[AnyRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[AnyRequest], str] | None = None,
        buffersize: int | None = None,
        progress: bool | ProgressCallback = False,
        **options: Unpack[JobOptions],
    ) -> OutcomeStream:
        """Yield the outcomes of many requests as they finish, or in order. A failure is a value and harms no other job.

        Takes the arguments of `submit` for all requests. A request that exceeds the budget is `Refused`, and a job on
        hold after an overcharge is `OnHold`: it stays queued for the next session.

        Args:
            requests: any iterable or async iterable, read lazily. If it raises, the outcomes of what it yielded before
                still come, and then its error is raised.
            key: returns the key of a request's job.
            buffersize: how many requests may be submitted ahead of the outcomes read; by default 200, or twice
                ``max_in_flight``.
            progress: True shows how many have finished; a plain function gets a `veo_async.progress.ListProgress` at
                the start and whenever one has finished.
        """
        self._lifetime.require_open()
        rule = "must be several requests, for example a list; for one, use generate()"
        check_several("requests", requests, rule, kinds=(Iterable, AsyncIterable), but_not=get_args(AnyRequest))
        check_flag("ordered", ordered)
        if buffersize is None:
            buffersize = max(_BUFFERSIZE, 2 * self._max_in_flight)
        check_count("buffersize", buffersize)

        self._submitter.check_options(options)

        reporter, numbers, turn = ListReporter(progress, requests), itertools.count(1), asyncio.Lock()

        async def admit(request: AnyRequest | str) -> LiveJob:
            reporter.submitting()
            job = await self._submitter.submit_or_reject(request, key, options, next(numbers), turn)
            if reporter.is_active:
                reporter.follow(job)
            return job

        outcomes = stream_outcomes(
            to_async_iterator(requests), admit, buffersize=buffersize, ordered=ordered, spawn=self._spawn_reader
        )
        return OutcomeStream(outcomes, reporter.close)

    def _spawn_reader(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="veo.map")
        self._reader_tasks.add(task)
        task.add_done_callback(self._reader_tasks.discard)
        return task

    async def gather(
        self, *requests: AnyRequest | str, progress: bool | ProgressCallback = False, **options: Unpack[JobOptions]
    ) -> Outcomes:
        """Return the outcomes of a few requests, in their order. Takes the arguments of `submit` for all of them.

        Args:
            progress: as for `map`.
        """
        for request in requests:
            if isinstance(request, Iterable) and not isinstance(request, str):
                reject("requests", request, "must be a prompt or a request; pass a list as gather(*requests)")
        # All of them at the same time: a smaller buffer would leave slots empty behind one slow job.
        outcomes = self.map(requests, ordered=True, buffersize=max(1, len(requests)), progress=progress, **options)
        return Outcomes([outcome async for outcome in outcomes])

    def job(self, key: str) -> Job:
        """Return the job with this key, if it is one of `jobs`; `attach` also reads the ledger.

        Raises:
            UsageError: this session has no such job in memory.
        """
        job = self._lifetime.engine.registry.by_key.get(key)
        if job is None:
            remedy = "Read a finished job from the ledger: await veo.attach(key)."
            raise UsageError(f"no job {key!r} in this session", job_key=key, remedy=remedy)
        return self._handle(job)

    def jobs(self, state: JobState | str | None = None) -> list[Job]:
        """Return the jobs that this session works on, or those in one state, in the order in which they were submitted.

        On a ledger, a finished job is among them only while your code holds its handle or waits for it; afterwards
        `attach` and `submit` read it from the ledger. A session without a ledger keeps all its jobs.
        """
        if state is not None:
            check_choice("state", state, [choice.value for choice in JobState])
        jobs = self._lifetime.engine.registry.by_key.values() if self._lifetime.has_engine else ()
        return [self._handle(job) for job in jobs if state in (None, job.state)]

    async def attach(self, key: str) -> Job:
        """Return the job with this key: of this session, of an earlier one, or of another process on the ledger.

        Raises:
            UsageError: the ledger has no such job.
        """
        job = await self.ledger.find(key)
        if job is None:
            raise UsageError(f"no job with key {key!r} on this ledger", job_key=key)
        return job

    def statistics(self) -> Statistics:
        """Return a snapshot of the session: jobs by state, slots, rate limit, polls and credits."""
        engine = self._lifetime.require_open()
        slots = engine.scheduler.slots
        return Statistics(
            jobs=engine.registry.counts(),
            slots_in_use=int(slots.borrowed_tokens),
            max_in_flight=int(slots.total_tokens),
            pause_reason=engine.scheduler.pause_reason,
            rate_limit=self._parts.rate_limiter.statistics(),
            watcher=engine.watcher.statistics,
            credits=self._parts.spending.spent(),
            price_differences=engine.price_check.statistics(),
            route=self._parts.routes.route,
            is_route_changed=self._parts.routes.is_changed,
            callback_responses=self.callbacks.statistics.responses,
        )

    def _handle(self, job: LiveJob) -> Job:
        return Job(job, self._parts.status, self._lifetime.engine.actions)
