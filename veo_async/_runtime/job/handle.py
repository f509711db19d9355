"""`Job`, the user's handle of a job. Awaiting it and cancelling the await never affect the job."""

import asyncio
from collections.abc import AsyncIterator, Generator
from datetime import datetime
from typing import Any

from veo_async._base.numbers import format_number
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.durations import Eta
from veo_async._rules.task_route import has_route
from veo_async._runtime.in_doubt.actions import JobActions
from veo_async._runtime.status import StatusReporter
from veo_async._wire import AnyRequest, RouteName
from veo_async.errors import StillRunning
from veo_async.progress import ProgressCallback, callback_of

from .endings import ended_without_charge
from .events import JobEvent
from .live_job import LiveJob, exception_of
from .outcome import Clip, Done, Outcome
from .progress import reporting
from .rows import to_datetime


class JobView:
    """What is known of a job now. These properties work in any thread and after the session has closed."""

    def __init__(self, job: "LiveJob | JobView") -> None:
        self._job: LiveJob = job._job if isinstance(job, JobView) else job

    def __repr__(self) -> str:
        task = f", task {self.task_id}" if self.task_id else ""
        return f"<Job {self.key!r} {self.state}{task}>"

    @property
    def key(self) -> str:
        """Its key in the session and on the ledger."""
        return self._job.key

    @property
    def state(self) -> JobState:
        """Its state."""
        return self._job.state

    @property
    def task_id(self) -> str | None:
        """The provider's task id; None until the provider has accepted the request."""
        return self._job.task_id

    @property
    def route(self) -> RouteName | None:
        """The route of its task, or of its latest request; None while it waits to be sent, because it may change."""
        return self._job.route if has_route(self._job) else None

    @property
    def sent_at(self) -> datetime | None:
        """When its latest request was sent; None if none was."""
        return to_datetime(self._job.sent_at)

    @property
    def prompt(self) -> str | None:
        """The prompt of its request; None for an upgrade and for an adopted task."""
        return getattr(self._job.request, "prompt", None)

    @property
    def request(self) -> AnyRequest | None:
        """What was asked for; None for an adopted task."""
        return self._job.request

    @property
    def metadata(self) -> Any:
        """The metadata that was submitted with the request."""
        return self._job.metadata

    @property
    def outcome(self) -> Outcome | None:
        """Its outcome; None until it has finished."""
        return self._job.outcome

    @property
    def was_not_charged(self) -> bool:
        """Whether the job finished without a clip and without a charge: submitting it again sends a new request."""
        return ended_without_charge(self._job)

    @property
    def credits(self) -> float | None:
        """What it has cost, or may cost while it has not finished, by the price table; None if the price is unknown."""
        return self._job.credits

    @property
    def credits_consumed(self) -> float | None:
        """What its task costs according to the provider's record; None if no record contains it.

        The record of a failed task may show a figure although nothing was charged.
        """
        return self._job.credits_consumed

    def _repr_html_(self) -> str:
        """Return its outcome, or its state, for notebooks."""
        if self.outcome is not None:
            return self.outcome._repr_html_()
        from .html import job_html  # only notebooks need it

        return job_html(self.key, self.state, self.prompt or "")


class Job(JobView):
    """One job of a session.

    ``await job`` returns its clip or raises the reason why there is none. Waiting has no effect on the job: neither
    does cancelling the wait or letting it time out.
    """

    def __init__(self, job: LiveJob, status: StatusReporter, actions: JobActions) -> None:
        super().__init__(job)
        self._status, self._actions = status, actions

    def __await__(self) -> Generator[Any, None, Clip]:
        return self.result().__await__()

    @property
    def eta(self) -> Eta | None:
        """Estimated seconds until its clip is ready: ``p50`` is the median, ``p90`` holds in 90 % of cases."""
        return self._status.eta_of(self._job)

    @property
    def queue_position(self) -> int | None:
        """The number of jobs that will be sent before it; None once it was sent."""
        return self._status.position_of(self._job)

    async def accepted(self) -> str:
        """Wait until the provider has accepted the request and return the task id."""
        return await self._job.accepted()

    async def wait(self, timeout: float | None = None, *, progress: bool | ProgressCallback = False) -> Clip:
        """Wait for the clip and return it.

        Args:
            progress: True shows state, elapsed time and estimate on standard error; a function gets a
                `veo_async.progress.Progress` about once a second and at every change.

        Raises:
            StillRunning: the job has not finished after *timeout* seconds. It continues; call this again.
        """
        callback = callback_of(progress)
        try:
            async with reporting(self._job, self._status, callback), asyncio.timeout(timeout):
                await self._job.wait_outcome()
        except TimeoutError:
            if self.outcome is None:  # otherwise it finished at the same moment
                message = f"not finished after {format_number(timeout or 0.0)} s (state: {self.state})"
                raise StillRunning(message, job_key=self.key, task_id=self.task_id) from None
        return await self.result()

    async def result(self) -> Clip:
        """Wait for the clip and return it; raise the error of any other outcome."""
        outcome = await self._job.wait_outcome()
        if isinstance(outcome, Done):
            return outcome.clip
        raise exception_of(outcome)

    async def finished(self) -> Outcome:
        """Wait until the job has finished and return its outcome; a failure is a value, too."""
        return await self._job.wait_outcome()

    # --- in doubt -----------------------------------------------------------------------------------------------

    async def resolve(self, task_id: str) -> None:
        """Bind a job in doubt to its task, after reading the task's record.

        Raises:
            TaskMismatch: the record belongs to a different request, or the task to another job.
            UsageError: the job is not in doubt.
        """
        await self._actions.resolve(self._job, task_id)

    async def resubmit(self) -> None:
        """Send the request of a job in doubt again. You are charged twice if the first one was accepted after all.

        Raises:
            UsageError: the job is not in doubt.
            BudgetExceeded: its price exceeds what the budget still allows.
        """
        await self._actions.resubmit(self._job)

    async def abandon(self) -> None:
        """Give up on a job that is queued, running or in doubt. A running task is charged anyway and no longer polled.

        Raises:
            UsageError: the job has finished, or its request is just being sent.
        """
        await self._actions.abandon(self._job)

    def events(self) -> AsyncIterator[JobEvent]:
        """Iterate over the events of the job: its present status, then every event up to the last one."""
        return self._job.subscribe(self._status.status_of(self._job))
