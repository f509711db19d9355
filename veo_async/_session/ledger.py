"""`SessionLedger`: the jobs on a session's ledger, including those of other sessions."""

import hashlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Unpack, get_args

from veo_async._base.checks import check_choice, check_count, check_instance, check_positive, check_text, reject
from veo_async._ports import JobQuery
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.engine import Recovered
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.live_job import LiveJob
from veo_async._wire import AnyRequest, RouteName
from veo_async._wire.requests import VideoOptions
from veo_async._wire.validation import task_id_problems
from veo_async.errors import InvalidRequest
from veo_async.ledger import pages

from .lifetime import Lifetime


class SessionLedger:
    """The ledger of a session, as ``veo.ledger``: jobs of this session, of earlier ones and of other processes."""

    def __init__(
        self, lifetime: Lifetime, handle: Callable[[LiveJob], Job], key_of: Callable[..., Awaitable[str]]
    ) -> None:
        self._lifetime, self._handle, self._key_of = lifetime, handle, key_of

    @property
    def id(self) -> str:
        """Identifies the ledger: two sessions are on the same ledger if their ids are equal."""
        secret = self._lifetime.engine.ledger.secret
        return hashlib.sha256(b"veo_async ledger\0" + secret).hexdigest()[:16]

    async def key_of(
        self, request: AnyRequest | str, *, take: int = 1, tenant: str = "", **options: Unpack[VideoOptions]
    ) -> str:
        """Return the key that `VeoSession.submit` gives a request by default, without submitting it.

        Raises:
            InvalidRequest: an option is unknown, or an image cannot be used.
        """
        return await self._key_of(request, options, take=take, tenant=tenant)

    async def find(self, key: str) -> Job | None:
        """Return the job with this key; None if the ledger has none."""
        check_text("key", key)
        job = await self._lifetime.require_open().admission.find(key)
        return None if job is None else self._handle(job)

    async def in_doubt(self) -> list[Job]:
        """Return all jobs in doubt on the ledger.

        Each has `Job.resolve`, `Job.resubmit` and `Job.abandon`; its ``outcome`` holds the evidence.
        """
        jobs = await self._lifetime.require_open().admission.in_doubt()
        return [self._handle(job) for job in jobs]

    def jobs(
        self,
        state: str | None = None,
        *,
        tenant: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Job]:
        """Iterate over the jobs on the ledger, in the order of their times of submission.

        They are read page by page: any number of them needs little memory. A row that cannot be read is logged and
        left out. Without a ledger there are none; ``veo.jobs()`` returns those of this session.

        Args:
            state: only jobs in this state, for example ``"failed"``.
            tenant: only jobs of this tenant.
            since: only jobs that were submitted then or later.
            limit: only the newest N jobs of these.
        """
        if limit is not None:
            check_count("limit", limit)
        return self._read_pages(_query(state, tenant, since), limit)

    async def counts(self, *, tenant: str | None = None, since: datetime | None = None) -> dict[str, int]:
        """Return how many jobs on the ledger are in each state. Takes the arguments of `jobs`."""
        return await self._lifetime.require_open().ledger.counts(_query(None, tenant, since))

    async def adopt(
        self,
        task_id: str,
        *,
        key: str | None = None,
        request: AnyRequest | None = None,
        route: RouteName | None = None,
    ) -> Job:
        """Track a task that was created outside this session, until it has finished.

        Args:
            task_id: the provider's id.
            key: the job's key; the task id by default.
            request: what was requested, if you know it.
            route: the route on which it was created, if you know it. By default both are asked, which is free.

        Raises:
            InvalidRequest: this cannot be a task id.
            KeyReused: the key belongs to another job, or the task is already known under another key.
        """
        engine = self._lifetime.require_open()
        if problems := tuple(task_id_problems(task_id)):
            raise InvalidRequest.of(*problems)
        if route is not None:
            check_choice("route", route, get_args(RouteName))
        return self._handle(await engine.admission.adopt(task_id, key, request, route))

    @property
    def recovered(self) -> Recovered:
        """The jobs that this session found on its ledger when it was opened, and resumed."""
        return self._lifetime.engine.recovered

    async def prune(self, older_than: timedelta) -> int:
        """Delete finished jobs from the ledger that finished longer ago than *older_than*; return how many.

        Jobs that wait, run, are in doubt or are still to be saved are never deleted, nor a clip from which such a job
        continues. What a budget has spent stays spent. **A pruned key is free again: the same request is then a new
        job, and is charged again.** So keep jobs longer than you may submit them again.

        Other sessions can write in between: many jobs are deleted in several transactions. New jobs use the space that
        becomes free; the file does not become smaller.
        """
        check_instance("older_than", older_than, timedelta, "a timedelta, for example timedelta(days=30)")
        check_positive("older_than", older_than.total_seconds())
        return await self._lifetime.require_open().prune(older_than.total_seconds())

    async def _read_pages(self, query: JobQuery, limit: int | None) -> AsyncIterator[Job]:
        engine = self._lifetime.require_open()
        async for rows in pages(engine.ledger, query, limit):
            for row in rows:
                if (job := engine.admission.listed(row)) is not None:
                    yield self._handle(job)


def _query(state: str | None, tenant: str | None, since: datetime | None) -> JobQuery:
    if state is not None:
        check_choice("state", state, [choice.value for choice in JobState])
    if tenant is not None:
        check_text("tenant", tenant)
    if since is not None:
        check_instance("since", since, datetime, "a datetime, for example datetime.now(UTC) - timedelta(hours=2)")
        if since.tzinfo is None:
            reject("since", since, "must have a time zone, for example datetime(2026, 11, 1, tzinfo=UTC)")
    return JobQuery(state=state, tenant=tenant, since=-math.inf if since is None else since.timestamp())
