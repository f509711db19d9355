"""Source clips: an extension or an upgrade waits until its source is ready, and only then enters the queue.

Such a job names a task, or the key of the job that will have the task. It continues when its source is ready, saved or
not; it is refused when its source fails. While its source is in doubt or on hold it waits, and
its callers get `InDoubt` or `OnHold`, too.

A task that no job has was created outside all sessions. Its record is read first, because reading is free: without a
record, or while it still runs, no request is sent for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import attrs

from veo_async._rules.extensions import check_model, check_resolution, extension_model, recorded_model
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.endings import ended_without_charge
from veo_async._runtime.job.live_job import LiveJob, exception_of
from veo_async._runtime.job.outcome import InDoubt, OnHold
from veo_async._runtime.transitions import Transitions
from veo_async._wire import (
    AnyRequest,
    ExtendRequest,
    Record,
    RouteName,
    TaskState,
    UpgradeRequest,
    route_named,
    upgrade_from_name,
)
from veo_async.errors import (
    InvalidRequest,
    KeyReused,
    NotFound,
    NotReady,
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
_WHEN_FINISHED: Final = "Try again when it has finished."
_WHY_NO_RECORD: Final = "Check it: tasks of another account, of more than 14 days ago or just created have no record."


@attrs.frozen(eq=False)
class Source:
    """A clip from which another job continues.

    Attributes:
        task_id: its task, which has succeeded.
        route: the route of its task.
        job: its job; None if the task was created outside all sessions.
    """

    task_id: str
    route: RouteName
    job: LiveJob | None

    @property
    def made_by(self) -> AnyRequest | None:
        """The request of its job, if that is known."""
        return None if self.job is None else self.job.request


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
    #: Returns the upgrades and extensions of sources, by key or task id.
    _follow_ups_of: Callable[[Collection[str]], Awaitable[list[LiveJob]]]
    #: Asks all routes for a task; returns its route and its record.
    _find_record: Callable[[str], Awaitable[tuple[RouteName, Record]]]

    async def prepare(self, job: LiveJob) -> None:
        """Wait until the source of *job* is ready, and store its task id and its route.

        Raises:
            SourceFailed: the source job failed.
            NotFound: neither the ledger nor the provider knows the source.
            NotReady: the source has no job, and is still running.
            KeyReused: another job already covers this upgrade, or the source belongs to another account.
            InvalidRequest: the source can no longer be extended, or not with the model of the request.
        """
        source = await self._source_of(job)
        assert job.follow_up is not None  # noqa: S101  # other jobs have no source
        request = attrs.evolve(job.follow_up, task_id=source.task_id, after_key=None)
        if isinstance(request, UpgradeRequest):
            await self._check_not_bought(job, request, source)
        else:
            check_resolution(request, source.made_by, route_named(source.route))
            await self._check_not_upgraded(source)
            await self._check_model(request, source)
        job.source_task_id, job.route = source.task_id, source.route

    async def _source_of(self, job: LiveJob) -> Source:
        """Wait until the source of *job* has succeeded, and return it."""
        request = job.follow_up
        assert request is not None  # noqa: S101  # other jobs have no source
        if request.after_key is None:
            return await self._source_with(request.task_id)
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
        route = source.route or (await self._read_record(source.task_id))[0]
        return Source(source.task_id, route, source)

    async def _source_with(self, task_id: str) -> Source:
        """Return a source that a job or the provider knows. An upgrade without a task id has no record, and its
        endpoint could charge.
        """
        known = await self._find_task(task_id)
        if upgrade_from_name(task_id) is not None:
            return Source(task_id, "veo", known)
        if known is not None and known.route is not None:
            return Source(task_id, known.route, known)
        route, record = await self._read_record(task_id)
        if record.state is TaskState.GENERATING:
            raise NotReady("this task is still running", task_id=task_id, remedy=_WHEN_FINISHED)
        return Source(task_id, route, known)

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

    async def _check_not_bought(self, job: LiveJob, upgrade: UpgradeRequest, source: Source) -> None:
        """Check that no other job covers *upgrade*. Of several that are prepared at once, the first may be sent.

        Raises:
            KeyReused: another job does.
        """
        key = await self._key_of_task(upgrade.task_name)
        keys = [other.key for other in await self._upgrades(upgrade, source) if _is_ahead(other, job)]
        if key not in (None, job.key):
            keys.append(key)
        if keys:
            raise KeyReused(f"job {keys[0]!r} already covers this upgrade", job_key=job.key, remedy="Use that job.")

    async def _check_not_upgraded(self, source: Source) -> None:
        """Check that *source*, which is to be extended, was not upgraded to 1080p.

        Raises:
            InvalidRequest: it was.
        """
        upgrade = UpgradeRequest(source.task_id, "1080p")
        key = await self._key_of_task(upgrade.task_name)
        if key is not None or any(other.task_id for other in await self._upgrades(upgrade, source)):
            rule = "was upgraded to 1080p, and such a task cannot be extended"
            raise InvalidRequest.of(Problem("task_id", source.task_id, rule, "extend it before upgrading it"))

    async def _check_model(self, request: ExtendRequest, source: Source) -> None:
        """Check that an extension names the model of its source, where that counts.

        Raises:
            InvalidRequest: it names another one.
        """
        route = route_named(source.route)
        if not route.model_of_source_counts:
            return  # so its record is not read
        model = extension_model(source.made_by)
        if model is None:
            _, record = await self._read_record(source.task_id)
            model = recorded_model(record)
        check_model(request, model, route)

    async def _upgrades(self, upgrade: UpgradeRequest, source: Source) -> list[LiveJob]:
        """Return the jobs on the ledger for *upgrade*, whose source is *source*."""
        names = [source.task_id] if source.job is None else [source.job.key, source.task_id]
        return [other for other in await self._follow_ups_of(names) if _covers(other, upgrade)]


def _covers(job: LiveJob, upgrade: UpgradeRequest) -> bool:
    """Whether *job* is an upgrade of the same video to the same resolution that was or will be charged, or is in doubt.

    After abandoning one without a task, its user may buy another.
    """
    known, is_given_up = job.request, job.state is JobState.ABANDONED and job.task_id is None
    if not isinstance(known, UpgradeRequest) or is_given_up or ended_without_charge(job):
        return False
    return (known.to, known.index or 0) == (upgrade.to, upgrade.index or 0)


def _is_ahead(other: LiveJob, job: LiveJob) -> bool:
    """Whether *other* has passed its check before *job*."""
    return other is not job and (other.state is not JobState.QUEUED or other.source_task_id is not None)
