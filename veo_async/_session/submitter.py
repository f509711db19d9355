"""`Submitter`: from a request to a job on the ledger, or to a chain of jobs if the request has follow-ups."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from typing import Any, Self

from veo_async._base.checks import check_text
from veo_async._rules.extensions import check_model, check_resolution, extension_model, with_model_of
from veo_async._rules.queue.fair_queue import Priority
from veo_async._runtime.job.endings import as_request, check_not_deleted, rejected_job
from veo_async._runtime.job.follow_ups import ChainItem, FollowUp, chain_of
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.rows import content_key
from veo_async._wire import AnyRequest, Dialect, VideoRequest, check, route_named
from veo_async._wire.validation import check_encodable
from veo_async.errors import QueueFull, SessionEnded, VeoError
from veo_async.media.templates import numbered

from .lifetime import Lifetime
from .naming import facts_of_chain
from .options import JOB_OPTIONS, check_job_options, check_option_names, check_save_to, parsed_template
from .parts import Parts
from .targets import SaveTargets


class _Turn:
    """A request's turn: it has *lock* until `end` is called, at the latest until its block is left."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._has_turn = False

    async def __aenter__(self) -> Self:
        self._has_turn = await self._lock.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._lock.release()


class Submitter:
    """Submits the requests of one session."""

    def __init__(self, lifetime: Lifetime, parts: Parts, dialect: Dialect, targets: SaveTargets) -> None:
        self._lifetime, self._parts, self._dialect, self._targets = lifetime, parts, dialect, targets

    async def submit(
        self,
        request: AnyRequest | str,
        video_options: Mapping[str, Any],
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
        on_reserved: Callable[[], None] = lambda: None,
    ) -> LiveJob:
        """Check *request* and admit its job and those of its follow-ups; return the last one.

        Args:
            on_reserved: called when its file name and its price are reserved, before the ledger stores it.
        """
        engine = self._lifetime.require_open()
        check_option_names(video_options)
        check_job_options(take=take, tenant=tenant, priority=priority, send_within=send_within, validate=validate)
        parsed_template("save_to", save_to)  # before an image is uploaded
        if key is not None:
            check_text("key", key)
        prepared = await self._parts.images.prepare_request(request, video_options)
        prepared, tenant = await self._complete(prepared, tenant)
        name = key if key is not None else content_key(prepared, take, tenant)
        chain = chain_of(name, prepared, then)
        self._check_chain(chain, validate=validate)
        jobs = [LiveJob(item.key, item.request, tenant=tenant, priority=priority, metadata=metadata) for item in chain]
        for job in jobs:
            job.deadline = None if send_within is None else engine.clock.now() + send_within
            job.price = job.credits = self._parts.spending.price_of(job.request)
        facts = partial(facts_of_chain, jobs[-1].key, prepared, engine.admission)
        reserved = self._targets.reserve(save_to, jobs[-1].key, facts)
        async with reserved as target, self._reserve_while_admitting(jobs):
            on_reserved()
            jobs[-1].save_to = target
            last = await engine.admission.admit_chain(jobs)
        if target is None:  # else it is saved now, and that shows whether it still exists
            check_not_deleted(last, engine.clock.now())
        return last

    async def key_of(
        self, request: AnyRequest | str, video_options: Mapping[str, Any], *, take: int = 1, tenant: str = ""
    ) -> str:
        """Return the key of the job that `submit` would admit, if it is given no key."""
        self._lifetime.require_open()
        check_option_names(video_options)
        check_job_options(take=take, tenant=tenant, priority="batch", send_within=None, validate=True)
        identified = await self._parts.images.identify_request(request, video_options)
        complete, tenant = await self._complete(identified, tenant)
        return content_key(complete, take, tenant)

    async def _complete(self, request: AnyRequest, tenant: str) -> tuple[AnyRequest, str]:
        """Return *request* and its tenant, with what they take from the job that *request* continues from by key."""
        after_key = getattr(request, "after_key", None)
        source = await self._lifetime.engine.admission.find(after_key) if after_key else None
        if source is None:
            return request, tenant
        return with_model_of(source.request, request), tenant or source.tenant

    def _check_chain(self, chain: Sequence[ChainItem], *, validate: bool) -> None:
        route = route_named(self._parts.routes.route)
        for source, item in zip((None, *chain), chain, strict=False):
            (check if validate else check_encodable)(item.request, self._dialect)
            self._dialect.require(route.endpoint_for(item.request))
            route.check(item.request)
            if source is not None:
                check_resolution(item.request, source.request, route)
                check_model(item.request, extension_model(source.request), route)

    @asynccontextmanager
    async def _reserve_while_admitting(self, jobs: Sequence[LiveJob]) -> AsyncGenerator[None]:
        """Reserve the price of all new jobs while they are admitted; afterwards each job holds its own reservation."""
        admission, spending = self._lifetime.engine.admission, self._parts.spending
        if not spending.is_bounded:
            yield
            return
        new = {
            job.key: job.price for job in jobs if spending.is_reserved(job.key) or await admission.would_be_new(job.key)
        }
        spending.reserve(new)
        try:
            yield
        finally:
            for key in new:
                admission.on_admitted(key, partial(spending.release, key))

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Check the options of `map` before its first request is read.

        Raises:
            UsageError: an option is unknown, or its value is wrong for every request.
        """
        check_option_names(options)
        video_options = {name: value for name, value in options.items() if name not in JOB_OPTIONS}
        defaults = {"take": 1, "tenant": "", "priority": "batch", "send_within": None, "validate": True}
        check_job_options(**{name: options.get(name, value) for name, value in defaults.items()})
        check_save_to(options.get("save_to"))
        chain_of("", VideoRequest("-"), options.get("then", ()))
        as_request("-", {name: value for name, value in video_options.items() if name not in ("image", "image_urls")})

    async def submit_or_reject(
        self, request: AnyRequest | str, key: Any, options: Mapping[str, Any], number: int, turn: asyncio.Lock
    ) -> LiveJob:
        """Submit one request of `map`; if it is wrong, return a rejected job instead of raising.

        Args:
            key: returns the job's key for a request; None derives the key from the request.
            number: the number of the request.
            turn: of the same `map`: file names and budgets are reserved in the order of the requests.
        """
        options = {**options, "save_to": numbered(options.get("save_to"), number)}
        try:
            async with _Turn(turn) as own:
                checked = as_request(request, {})
                name = key(checked) if key else None
                return await self._submit_when_room(checked, name, {**options, "on_reserved": own.end})
        except SessionEnded:
            raise
        except VeoError as error:
            return rejected_job(request, error)

    async def _submit_when_room(self, request: AnyRequest, key: str | None, options: Mapping[str, Any]) -> LiveJob:
        """Submit a job; wait for room if the tenant's queue is full, unless jobs on hold take all of it."""
        job_options = {name: value for name, value in options.items() if name in (*JOB_OPTIONS, "on_reserved")}
        video_options = {name: value for name, value in options.items() if name not in job_options}
        queue_changed = self._lifetime.engine.registry.queue_changed
        while True:
            try:
                return await self.submit(request, video_options, key=key, **job_options)
            except QueueFull as full:
                if full.on_hold >= full.limit:
                    raise
            queue_changed.clear()
            await queue_changed.wait()
