"""`Job`: what a user holds of a job. Awaitable, and harmless to cancel."""

import asyncio
import html
from collections.abc import AsyncIterator, Generator
from datetime import datetime
from typing import Any

from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.durations import Eta
from veo_async._runtime.in_doubt.in_doubt_jobs import InDoubtJobs
from veo_async._runtime.status import StatusReporter
from veo_async.errors import StillRunning

from .endings import ended_without_charge
from .events import JobEvent
from .live_job import LiveJob, exception_of
from .outcome import Clip, Done, Outcome
from .rows import to_datetime


class JobView:
    """What is known of a job without waiting: plain reads, good in any thread and after the session's end."""

    def __init__(self, job: "LiveJob | JobView") -> None:
        self._job: LiveJob = job._job if isinstance(job, JobView) else job

    def __repr__(self) -> str:
        task = f", task {self.task_id}" if self.task_id else ""
        return f"<Job {self.key!r} {self.state}{task}>"

    @property
    def key(self) -> str:
        """Its name in the session and in the ledger."""
        return self._job.key

    @property
    def state(self) -> JobState:
        return self._job.state

    @property
    def task_id(self) -> str | None:
        """The provider's id; None until the provider has accepted it."""
        return self._job.task_id

    @property
    def sent_at(self) -> datetime | None:
        """When its latest request left; None until one has."""
        return to_datetime(self._job.sent_at)

    @property
    def metadata(self) -> Any:
        """What was given along with the request."""
        return self._job.metadata

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None until it has."""
        return self._job.outcome

    @property
    def was_not_charged(self) -> bool:
        """Whether the job finished without a clip and without a charge: submitting it again sends a new request."""
        return ended_without_charge(self._job)

    def _repr_html_(self) -> str:
        """A card for notebooks: the video when it is there, else where it stands."""
        clip = self._job.outcome.clip if isinstance(self._job.outcome, Done) else None
        video = f'<br><video controls width="320" src="{html.escape(clip.urls[0])}"></video>' if clip else ""
        prompt = html.escape(getattr(self._job.request, "prompt", ""))
        return f"<div><b>{html.escape(self.key)}</b> <i>{self.state}</i> {prompt}{video}</div>"


class Job(JobView):
    """One job of a session.

    ``await job`` gives its clip or raises why there is none. Everything that waits here only waits: cancelling it, or
    letting it time out, changes nothing about the job.
    """

    def __init__(self, job: LiveJob, status: StatusReporter, in_doubt: InDoubtJobs) -> None:
        super().__init__(job)
        self._status, self._in_doubt = status, in_doubt

    def __await__(self) -> Generator[Any, None, Clip]:
        return self.result().__await__()

    @property
    def eta(self) -> Eta | None:
        """Seconds until its clip is there: ``p50`` with even chance, ``p90`` with nine in ten."""
        return self._status.eta_of(self._job)

    @property
    def queue_position(self) -> int | None:
        """How many jobs will be sent before it; None once it was sent."""
        return self._status.position_of(self._job)

    async def accepted(self) -> str:
        """The task id, as soon as the provider has accepted it."""
        return await self._job.accepted()

    async def wait(self, timeout: float | None = None) -> Clip:
        """The clip, or `StillRunning` after *timeout* seconds: then nothing is cancelled, ask again."""
        try:
            async with asyncio.timeout(timeout):
                await self._job.wait_outcome()
        except TimeoutError:
            if self.outcome is None:  # else it came in the same moment
                raise StillRunning(
                    f"no clip within {timeout:g} s; the job is {self.state}", job_key=self.key, task_id=self.task_id
                ) from None
        return await self.result()

    async def result(self) -> Clip:
        """The clip; raises the error of any other end."""
        outcome = await self._job.wait_outcome()
        if isinstance(outcome, Done):
            return outcome.clip
        raise exception_of(outcome)

    async def finished(self) -> Outcome:
        """How it ended, as a value: nothing is raised."""
        return await self._job.wait_outcome()

    # --- in doubt -----------------------------------------------------------------------------------------------

    async def resolve(self, task_id: str) -> None:
        """End the doubt: this is its task. The task's record is read first.

        Raises:
            TaskMismatch: the record tells of another request, or the task is another job's.
            UsageError: the job is not in doubt.
        """
        await self._in_doubt.resolve(self._job, task_id)

    async def resubmit(self) -> None:
        """End the doubt: send another request, which is paid for again if the first was accepted after all.

        Raises:
            UsageError: the job is not in doubt.
        """
        await self._in_doubt.resubmit(self._job)

    async def abandon(self) -> None:
        """Give the job up, in doubt or not; a task that runs already is paid all the same, and goes on unwatched.

        Raises:
            UsageError: the job has ended, or its request is just under way.
        """
        await self._in_doubt.abandon(self._job)

    def events(self) -> AsyncIterator[JobEvent]:
        """Where it stands now, then everything that happens to it, up to its end."""
        return self._job.subscribe(self._status.status_of(self._job))
