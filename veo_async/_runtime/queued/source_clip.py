"""Source clips: an extension or an upgrade waits until its source is ready, and only then enters the queue.

Such a job names a task, or the key of the job that will have the task. It continues when its source is ready, saved or
not; it is refused when its source fails. While its source is in doubt or on hold it waits, and
its callers get `InDoubt` or `OnHold`, too.

A task that no job has was created outside all sessions. Its record is read first, because reading is free: without a
record, no request is sent for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from veo_async._rules.extensions import check_model, extension_model, recorded_model
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.live_job import LiveJob, exception_of
from veo_async._runtime.job.outcome import InDoubt, OnHold
from veo_async._runtime.transitions import Transitions
from veo_async._wire import ExtendRequest, Record, Route, RouteName, UpgradeRequest, route_named, upgrade_from_name
from veo_async.errors import (
    InvalidRequest,
    KeyReused,
    NotFound,
    Problem,
    RecordExpired,
    RecordNotFound,
    ServerError,
    SourceFailed,
    TransportError,
    TryLater,
    UsageError,
)

_HAS_CLIP = (JobState.READY, JobState.SAVED)
#: Seconds until a record that could not be read is read again.
_READ_AGAIN_S: Final = 10.0
_WHY_NO_RECORD: Final = "Check it: tasks of another account, of more than 14 days ago or just created have no record."


@attrs.define(eq=False, repr=False)
class SourceClips:
    """Finds the source clips of extensions and upgrades."""

    _transitions: Transitions
    #: Returns the job with a key, of any session on the ledger.
    _find: Callable[[str], Awaitable[LiveJob | None]]
    #: Returns the key of the job that a task belongs to.
    _key_of_task: Callable[[str], Awaitable[str | None]]
    #: Returns the job of a task; raises `KeyReused` if it is another account's.
    _find_task: Callable[[str], Awaitable[LiveJob | None]]
    #: Asks all routes for a task; returns its route and its record.
    _find_record: Callable[[str], Awaitable[tuple[RouteName, Record]]]

    async def prepare(self, job: LiveJob) -> None:
        """Wait until the source of *job* is ready, and store its task id and its route.

        Raises:
            SourceFailed: the source job failed.
            NotFound: neither the ledger nor the provider knows the source.
            KeyReused: another job already covers this upgrade, or the source belongs to another account.
            InvalidRequest: the source can no longer be extended, or not with the model of the request.
        """
        job.source_task_id, job.route = await self._source_task(job)
        await self._check_not_upgraded(job)
        await self._check_model(job, route_named(job.route))

    async def _source_task(self, job: LiveJob) -> tuple[str, RouteName]:
        """Wait until the source task has succeeded and return its id and its route."""
        request = job.follow_up
        assert request is not None  # noqa: S101  # other jobs have no source
        if request.after_key is None:
            return request.task_id, await self._route_of(request.task_id)
        source = await self._find(request.after_key)
        if source is None:
            raise UsageError(f"there is no job {request.after_key!r} to continue from", job_key=job.key)
        while source.state not in _HAS_CLIP:
            outcome = await source.wait_outcome()
            if isinstance(outcome, InDoubt | OnHold):
                await self._wait_while(job, source, outcome)
            elif source.state not in _HAS_CLIP:
                message = f"the job {source.key!r} failed: {exception_of(outcome).message}"
                raise SourceFailed(message, job_key=job.key)
        assert source.task_id is not None  # noqa: S101  # it has a clip
        return source.task_id, source.route or await self._route_of(source.task_id)

    async def _route_of(self, task_id: str) -> RouteName:
        """Return the route of a task that a job or the provider knows. An upgrade without a task id has no record, and
        its endpoint could charge.
        """
        known = await self._find_task(task_id)
        if upgrade_from_name(task_id) is not None:
            return "veo"
        if known is not None and known.route is not None:
            return known.route
        route, _ = await self._read_record(task_id)
        return route

    async def _read_record(self, task_id: str) -> tuple[RouteName, Record]:
        """Return the route and the record of a task; read it again while that fails.

        Raises:
            NotFound: the provider has no record of it.
        """
        while True:
            try:
                return await self._find_record(task_id)
            except (RecordNotFound, RecordExpired):
                message = f"no job has the key or the task id {task_id!r}, and the provider has no record of it"
                raise NotFound(message, remedy=_WHY_NO_RECORD) from None
            except (TransportError, ServerError, TryLater):  # that says nothing about the task
                await asyncio.sleep(_READ_AGAIN_S)

    async def _wait_while(self, job: LiveJob, source: LiveJob, outcome: InDoubt | OnHold) -> None:
        """Report *outcome* to those who wait for *job*, and wait until its source is no longer in doubt or on hold."""
        self._transitions.set_outcome(job, attrs.evolve(outcome, key=job.key))
        while isinstance(source.outcome, type(outcome)):
            await source.wait_change()
        job.reopen()
        job.wake()  # for follow-ups of this one

    async def _check_not_upgraded(self, job: LiveJob) -> None:
        """Check that no clip is upgraded twice, and that none is extended after an upgrade to 1080p.

        Raises:
            KeyReused: another job already covers this upgrade.
            InvalidRequest: the source can no longer be extended.
        """
        request = job.request_to_send
        if isinstance(request, UpgradeRequest):
            key = await self._key_of_task(request.task_name)
            if key not in (None, job.key):
                raise KeyReused(f"job {key!r} already covers this upgrade", job_key=job.key, remedy="Use that job.")
        elif isinstance(request, ExtendRequest):
            upgrade = UpgradeRequest(request.task_id, "1080p")
            if await self._key_of_task(upgrade.task_name) is not None:
                rule = "was upgraded to 1080p, and such a task cannot be extended"
                raise InvalidRequest.of(Problem("task_id", request.task_id, rule, "extend it before upgrading it"))

    async def _check_model(self, job: LiveJob, route: Route) -> None:
        """Check that an extension names the model of its source, where that counts.

        Raises:
            InvalidRequest: it names another one.
        """
        assert job.source_task_id is not None  # noqa: S101  # it is known by now
        request = job.request_to_send
        if not isinstance(request, ExtendRequest) or not route.model_of_source_counts:
            return  # so its record is not read
        source = await self._find_task(job.source_task_id)
        model = None if source is None else extension_model(source.request)
        if model is None:
            _, record = await self._read_record(job.source_task_id)
            model = recorded_model(record)
        check_model(request, model, route)
