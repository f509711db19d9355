"""What a job goes on from: an extension or an upgrade waits until its source is there, and only then for its turn.

Such a job names a task, or the key of the job whose task it will be. As long as that job has not ended, this one is
held back: it is on the ledger, as queued, and in no queue. It goes on when its source is ready, saved or not; it is
refused when its source comes to nothing; and while its source is in doubt it waits on, though whoever waits for it is
told of the doubt.
"""

from collections.abc import Awaitable, Callable

from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.live_job import LiveJob, copy_error, exception_of
from veo_async._runtime.job.outcome import InDoubt
from veo_async._runtime.transitions import Transitions
from veo_async._wire import ExtendRequest, UpgradeRequest
from veo_async.errors import (
    InvalidRequest,
    KeyReused,
    Problem,
    SourceFailed,
    UsageError,
)


class SourceClips:
    """Finds what jobs go on from.

    Args:
        find: the job of that key, of whichever session.
        holder_of: the key of the job whose task that is.
    """

    def __init__(
        self,
        transitions: Transitions,
        *,
        find: Callable[[str], Awaitable[LiveJob | None]],
        key_of_task: Callable[[str], Awaitable[str | None]],
    ) -> None:
        self._transitions, self._find, self._job_of_task = transitions, find, key_of_task

    async def prepare(self, job: LiveJob) -> None:
        """Wait until what *entry* goes on from is there, and note its task.

        Raises:
            SourceFailed: it has come to nothing.
            KeyReused: the same upgrade is another job's.
            InvalidRequest: it cannot be extended any more.
        """
        job.source_task_id = await self._source_id(job)
        await self._check_not_upgraded(job)

    async def _source_id(self, job: LiveJob) -> str:
        """The task that *entry* goes on from, once it has succeeded."""
        request = job.follow_up
        assert request is not None  # noqa: S101  # nothing else is held
        if request.after_key is None:
            return request.task_id
        source = await self._find(request.after_key)
        if source is None:
            raise UsageError(f"there is no job {request.after_key!r} to go on from", job_key=job.key)
        while source.state not in (JobState.READY, JobState.SAVED):
            outcome = await source.wait_outcome()
            if isinstance(outcome, InDoubt):
                await self._wait_while_in_doubt(job, source, outcome)
            elif source.state not in (JobState.READY, JobState.SAVED):
                told = f"the job {source.key!r} came to nothing: {exception_of(outcome).message}"
                raise SourceFailed(told, job_key=job.key)
        assert source.task_id is not None  # noqa: S101  # it has succeeded
        return source.task_id

    async def _wait_while_in_doubt(self, job: LiveJob, source: LiveJob, doubt: InDoubt) -> None:
        """Tell who waits for *entry* of its source's doubt, and wait until that is over."""
        self._transitions.end(job, InDoubt(job.key, copy_error(doubt.error), doubt.evidence))
        while source.outcome is not None and source.state is JobState.IN_DOUBT:
            await source.wait_change()
        job.reopen()

    async def _check_not_upgraded(self, job: LiveJob) -> None:
        """No clip is upgraded twice, and none is extended that was taken to 1080p.

        Raises:
            KeyReused: the same upgrade is another job's.
            InvalidRequest: its source cannot be extended any more.
        """
        wanted = job.request_to_send
        if isinstance(wanted, UpgradeRequest):
            holder = await self._job_of_task(wanted.task_name)
            if holder not in (None, job.key):
                raise KeyReused(f"this upgrade is the job {holder!r} already", job_key=job.key, remedy="Use that job.")
        elif isinstance(wanted, ExtendRequest):
            taken = UpgradeRequest(wanted.task_id, "1080p").task_name
            if await self._job_of_task(taken) is not None:
                raise InvalidRequest.of(already_upgraded_problem(wanted.task_id))


def already_upgraded_problem(task_id: str) -> Problem:
    """Why *task_id* cannot be extended."""
    return Problem(
        "task_id", task_id, "was taken to 1080p, and such a task cannot be extended", "extend it before that"
    )
