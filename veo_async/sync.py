"""A doorway for notebooks and scripts: `VeoSession` under the same names, without ``await``.

::

    from veo_async.sync import VeoSession

    with VeoSession() as veo:
        clip = veo.generate("A dog surfing at dusk")

Behind it is a `veo_async.VeoSession` in a thread and an event loop of its own, so that it works where a loop runs
already, as in a notebook. It begins with ``with``, or with the first call; it ends with the block, or with
`VeoSession.close`, and at the latest when the interpreter exits. Every method may be called from any thread.

Waiting here only waits. Ctrl-C ends the waiting and leaves the job alone: ask again, and the same request finds the
same job. ``on_event`` is called in the session's own thread; it must not call the session back.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from . import session
from ._base.loop_thread import LoopThread
from ._rules.gate.values import LearnedLimits
from ._rules.lifecycle import JobState
from ._rules.polling.durations import Eta
from ._rules.queue.fair_queue import Priority
from ._runtime.engine import Recovered
from ._runtime.job import handle as asynchronous
from ._runtime.job.events import JobEvent
from ._runtime.job.follow_ups import FollowUp
from ._runtime.job.live_job import exception_of
from ._runtime.job.outcome import Clip, Done, Outcome
from ._runtime.queued.images import UploadedImage
from ._wire import AnyRequest
from .errors import SessionEnded, UsageError

P = ParamSpec("P")
R = TypeVar("R")


def _same_signature(
    original: Callable[Concatenate[Any, P], Any],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the arguments and the words of *original*, so that both are written once."""
    return lambda method: functools.wraps(original)(method)


class VeoSession:
    """`veo_async.VeoSession` without ``await``; the arguments are its own, save *http*, which belongs to your loop."""

    @_same_signature(session.VeoSession.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        if options.get("http") is not None:
            raise UsageError("this session has an event loop of its own, and http=… belongs to another: leave it out")
        self._session = session.VeoSession(*args, **options)
        self._thread = LoopThread(self._session)

    def __repr__(self) -> str:
        return f"<veo_async.sync {self._session!r}>"

    def __enter__(self) -> Self:
        self._thread.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except SessionEnded:
            if exc is None:  # the caller's own exception leaves as itself
                raise

    def close(self) -> None:
        """Send nothing new, let requests that are under way come to their end, then end the thread."""
        self._thread.close()

    @_same_signature(session.VeoSession.generate)
    def generate(self, *args: Any, **options: Any) -> Clip:
        return self._thread.run(self._session.generate, *args, **options)

    @_same_signature(session.VeoSession.upgrade)
    def upgrade(self, *args: Any, **options: Any) -> Clip:
        return self._thread.run(self._session.upgrade, *args, **options)

    @_same_signature(session.VeoSession.extend)
    def extend(self, *args: Any, **options: Any) -> Clip:
        return self._thread.run(self._session.extend, *args, **options)

    @_same_signature(session.VeoSession.save)
    def save(self, *args: Any, **options: Any) -> Clip:
        return self._thread.run(self._session.save, *args, **options)

    @_same_signature(session.VeoSession.upload)
    def upload(self, *args: Any, **options: Any) -> UploadedImage:
        return self._thread.run(self._session.upload, *args, **options)

    @_same_signature(session.VeoSession.submit)
    def submit(self, *args: Any, **options: Any) -> "Job":
        return Job(self._thread.run(self._session.submit, *args, **options), self._thread)

    def map(
        self,
        requests: Iterable[AnyRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[AnyRequest], str] | None = None,
        tenant: str = "",
        priority: Priority = "batch",
        save_to: str | PathLike[str] | None = None,
        then: FollowUp | Sequence[FollowUp] = (),
        buffersize: int = 200,
    ) -> Iterator[Outcome]:
        """The outcomes of many requests as they come, or in order; a failure is a value and harms no other.

        *requests* is read in the caller's own thread, lazily, and only while no outcome is ready.
        """

        if buffersize < 1:
            raise UsageError(f"buffersize={buffersize}: must be at least 1")

        async def run_one(request: AnyRequest | str) -> Outcome:
            options: dict[str, Any] = {"key": key, "tenant": tenant, "priority": priority, "save_to": save_to}
            options["then"] = then
            [outcome] = [each async for each in self._session.map([request], **options)]
            return outcome

        return self._thread.map(run_one, requests, ordered=ordered, buffersize=buffersize)

    def gather(self, *requests: AnyRequest | str) -> list[Outcome]:
        """The outcomes of a few requests, in their order."""
        return self._thread.run(self._session.gather, *requests)

    def job(self, key: str) -> "Job":
        """The job called *key*."""
        return Job(self._thread.read(self._session.job, key), self._thread)

    def jobs(self, state: JobState | str | None = None) -> "list[Job]":
        """All jobs, or those in one state, in the order in which they came."""
        return [Job(job, self._thread) for job in self._thread.read(self._session.jobs, state)]

    @_same_signature(session.VeoSession.find)
    def find(self, *args: Any, **options: Any) -> "Job | None":
        job = self._thread.run(self._session.find, *args, **options)
        return None if job is None else Job(job, self._thread)

    @_same_signature(session.VeoSession.in_doubt)
    def in_doubt(self) -> "list[Job]":
        return [Job(job, self._thread) for job in self._thread.run(self._session.in_doubt)]

    @_same_signature(session.VeoSession.adopt)
    def adopt(self, *args: Any, **options: Any) -> "Job":
        return Job(self._thread.run(self._session.adopt, *args, **options), self._thread)

    @_same_signature(session.VeoSession.hint)
    def hint(self, *args: Any, **options: Any) -> bool:
        return self._thread.run(self._session.hint, *args, **options)

    @_same_signature(session.VeoSession.tenant)
    def tenant(self, *args: Any, **options: Any) -> None:
        self._thread.call(self._session.tenant, *args, **options)

    @_same_signature(session.VeoSession.stop_sending)
    def stop_sending(self) -> None:
        self._thread.call(self._session.stop_sending)

    def drain(self) -> None:
        """Wait until every job there is now has ended."""
        self._thread.run(self._session.drain)

    def balance(self) -> float:
        """The balance."""
        return self._thread.run(self._session.balance)

    @_same_signature(session.VeoSession.estimate)
    def estimate(self, *args: Any, **options: Any) -> float | None:
        return self._session.estimate(*args, **options)

    def resize(self, max_in_flight: int) -> None:
        """Change how many tasks may run at once."""
        self._thread.call(self._session.resize, max_in_flight)

    def statistics(self) -> session.Statistics:
        """A look inside: jobs by state, slots, the gate and the watcher."""
        return self._thread.call(self._session.statistics)

    @property
    def recovered(self) -> Recovered:
        """What this session found on its ledger when it opened, and goes on with."""
        return self._thread.read(lambda: self._session.recovered)

    def knowledge(self) -> LearnedLimits:
        """What was learned of the account's limits, for a later session."""
        return self._thread.read(self._session.knowledge)


class Job(asynchronous.JobView):
    """One job of a session. Everything that waits here only waits."""

    def __init__(self, job: asynchronous.Job, thread: LoopThread) -> None:
        super().__init__(job._job)
        self._handle, self._thread = job, thread

    @property
    def eta(self) -> Eta | None:
        """Seconds until its clip is there: ``p50`` with even chance, ``p90`` with nine in ten."""
        return None if self.outcome else self._thread.call(lambda: self._handle.eta)

    @property
    def queue_position(self) -> int | None:
        """How many jobs will be sent before it; None once it was sent."""
        return None if self.outcome else self._thread.call(lambda: self._handle.queue_position)

    def accepted(self) -> str:
        """The task id, as soon as the provider has accepted it."""
        return self.task_id or self._call(self._handle.accepted)

    def wait(self, timeout: float | None = None) -> Clip:
        """The clip, or `StillRunning` after *timeout* seconds: then nothing is cancelled, ask again."""
        if self.outcome is None:
            return self._call(self._handle.wait, timeout)
        if isinstance(self.outcome, Done):
            return self.outcome.clip
        raise exception_of(self.outcome)

    def result(self) -> Clip:
        """The clip; raises the error of any other end."""
        return self.wait()

    def finished(self) -> Outcome:
        """How it ended, as a value: nothing is raised."""
        return self.outcome or self._call(self._handle.finished)

    @_same_signature(asynchronous.Job.resolve)
    def resolve(self, *args: Any, **options: Any) -> None:
        self._call(self._handle.resolve, *args, **options)

    @_same_signature(asynchronous.Job.resubmit)
    def resubmit(self) -> None:
        self._call(self._handle.resubmit)

    @_same_signature(asynchronous.Job.abandon)
    def abandon(self) -> None:
        self._call(self._handle.abandon)

    def events(self) -> Iterator[JobEvent]:
        """Where it stands now, then everything that happens to it, up to its end."""
        stream = self._thread.call(self._handle.events)
        while (event := self._thread.run(_next_event, stream)) is not None:
            yield event

    def _call(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **options: P.kwargs) -> R:
        try:
            return self._thread.run(work, *args, **options)
        except SessionEnded as error:
            error.add_evidence(job_key=self.key, task_id=self.task_id)
            raise


async def _next_event(stream: AsyncIterator[JobEvent]) -> JobEvent | None:
    return await anext(stream, None)
