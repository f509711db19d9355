"""`SessionLedger`: the jobs on a session's ledger, including those of other sessions."""

from collections.abc import Callable
from datetime import timedelta
from typing import get_args

from veo_async._base.checks import check_choice, check_instance, check_positive, check_text
from veo_async._runtime.engine import Recovered
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.live_job import LiveJob
from veo_async._wire import AnyRequest, RouteName
from veo_async._wire.validation import task_id_problems
from veo_async.errors import InvalidRequest

from .lifetime import Lifetime


class SessionLedger:
    """The ledger of a session, as ``veo.ledger``: jobs of this session, of earlier ones and of other processes."""

    def __init__(self, lifetime: Lifetime, handle: Callable[[LiveJob], Job]) -> None:
        self._lifetime, self._handle = lifetime, handle

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

        Jobs that wait, run, are in doubt or are still to be saved are never deleted. A pruned key is free again: the
        same request is then a new job, and is charged again.
        """
        check_instance("older_than", older_than, timedelta, "a timedelta, for example timedelta(days=30)")
        check_positive("older_than", older_than.total_seconds())
        return await self._lifetime.require_open().prune(older_than.total_seconds())
