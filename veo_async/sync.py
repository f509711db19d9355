"""`VeoSession` without ``await``, for notebooks and scripts.

::

    from veo_async.sync import VeoSession

    with VeoSession() as veo:
        clip = veo.generate("A dog surfing at dusk")

It runs a `veo_async.VeoSession` in a thread with its own event loop, so it also works where a loop is already running,
as in a notebook. It starts with ``with``, or with the first call, and ends with the block, with `VeoSession.close`, and
at the latest when the interpreter exits. The exit waits for a request in flight, for at most ten seconds. Every method
may be called from any thread, but not in a forked child: open another session there.

Ctrl-C ends the waiting and leaves the job alone: the same request finds the same job again. ``on_event`` is called in
the session's own thread and must not call the session.

Errors of this library are raised without the frames of that thread, unless the logger ``veo_async`` logs debug
messages.
"""

from __future__ import annotations  # short names in help()

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, get_args

from . import session
from ._base.checks import check_count, check_flag, check_several
from ._base.loop_thread import LoopThread
from ._base.notebook_bar import in_notebook
from .errors import SessionEnded, UsageError
from .events import JobEvent
from .media.templates import numbered
from .progress import ProgressCallback, callback_of
from .settings import LearnedLimits, Network
from .types import (
    AnyRequest,
    Clip,
    Done,
    Eta,
    JobState,
    JobView,
    Outcome,
    Outcomes,
    ProviderModel,
    Recovered,
    UploadedImage,
    exception_of,
)
from .types import Job as AsyncJob

P = ParamSpec("P")
R = TypeVar("R")


def _same_signature(
    original: Callable[Concatenate[Any, P], Any],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the arguments and the docstring of *original*, so that both are written once."""
    return lambda method: functools.wraps(original)(method)


class VeoSession:
    """`veo_async.VeoSession` without ``await``. It takes the same arguments, except ``Network(http=…)``."""

    @_same_signature(session.VeoSession.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        network = options.get("network")
        if isinstance(network, Network) and network.http is not None:
            raise UsageError("Network(http=…) belongs to another event loop: this session has its own. Leave it out.")
        self._session = session.VeoSession(*args, **options)
        self._thread = thread = LoopThread(self._session)
        #: Balance, prices, limits and tenants.
        self.account: Account = Account(self._session.account, thread)
        #: Jobs of all sessions on the ledger.
        self.ledger: SessionLedger = SessionLedger(self._session.ledger, thread)

    def __repr__(self) -> str:
        return f"<veo_async.sync {getattr(self, '_session', None)!r}>"

    def __enter__(self) -> Self:
        self._thread.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception:
            if exc is None:  # the caller's own exception leaves the block unchanged
                raise

    def close(self) -> None:
        """Send nothing new, let requests in flight finish, then end the thread."""
        self._thread.close()

    @_same_signature(session.VeoSession.generate)
    def generate(self, *args: Any, progress: bool | ProgressCallback | None = None, **options: Any) -> Clip:
        return self._thread.run(self._session.generate, *args, progress=_callback_of(progress), **options)

    @_same_signature(session.VeoSession.upgrade)
    def upgrade(self, *args: Any, progress: bool | ProgressCallback | None = None, **options: Any) -> Clip:
        return self._thread.run(self._session.upgrade, *args, progress=_callback_of(progress), **options)

    @_same_signature(session.VeoSession.extend)
    def extend(self, *args: Any, progress: bool | ProgressCallback | None = None, **options: Any) -> Clip:
        return self._thread.run(self._session.extend, *args, progress=_callback_of(progress), **options)

    @_same_signature(session.VeoSession.save)
    def save(self, *args: Any, **options: Any) -> Clip:
        return self._thread.run(self._session.save, *args, **options)

    @_same_signature(session.VeoSession.upload)
    def upload(self, *args: Any, **options: Any) -> UploadedImage:
        return self._thread.run(self._session.upload, *args, **options)

    @_same_signature(session.VeoSession.submit)
    def submit(self, *args: Any, **options: Any) -> Job:
        return Job(self._thread.run(self._session.submit, *args, **options), self._thread)

    def map(
        self,
        requests: Iterable[AnyRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[AnyRequest], str] | None = None,
        buffersize: int = 200,
        progress: bool | ProgressCallback | None = None,
        **options: Unpack[session.JobOptions],
    ) -> Iterator[Outcome]:
        """Yield the outcomes of many requests as they finish, or in order. A failure is a value and harms no other job.

        *requests* is read lazily, in the caller's own thread, and only while no outcome is ready. Takes the arguments
        of `submit` for all requests.

        Args:
            progress: True shows how many have finished; a plain function gets a `veo_async.progress.ListProgress` at
                the start and whenever one has finished, in the session's own thread. None shows it in a notebook.
        """
        rule = "must be several requests, for example a list; for one, use generate()"
        check_several("requests", requests, rule, kinds=(Iterable,), but_not=get_args(AnyRequest))
        check_flag("ordered", ordered)
        check_count("buffersize", buffersize)

        reporter = session.ListReporter(_callback_of(progress), requests)

        async def run_one(item: tuple[int, AnyRequest | str]) -> Outcome:
            number, request = item
            own = options.copy()
            if "save_to" in options:
                own["save_to"] = numbered(options["save_to"], number)
            reporter.submitting()
            [outcome] = [outcome async for outcome in self._session.map([request], key=key, **own)]
            reporter.finished(outcome)
            return outcome

        outcomes = self._thread.map(run_one, enumerate(requests, 1), ordered=ordered, buffersize=buffersize)
        return _closing(outcomes, reporter.close)

    @_same_signature(session.VeoSession.gather)
    def gather(self, *requests: Any, progress: bool | ProgressCallback | None = None, **options: Any) -> Outcomes:
        return self._thread.run(self._session.gather, *requests, progress=_callback_of(progress), **options)

    @_same_signature(session.VeoSession.job)
    def job(self, key: str) -> Job:
        return Job(self._thread.read(self._session.job, key), self._thread)

    def jobs(self, state: JobState | str | None = None) -> list[Job]:
        """Return the jobs that this session works on, or those in one state; see `VeoSession.jobs`."""
        return [Job(job, self._thread) for job in self._thread.read(self._session.jobs, state)]

    @_same_signature(session.VeoSession.attach)
    def attach(self, key: str) -> Job:
        return Job(self._thread.run(self._session.attach, key), self._thread)

    @_same_signature(session.VeoSession.stop_sending)
    def stop_sending(self) -> None:
        self._thread.call(self._session.stop_sending)

    def drain(self) -> None:
        """Wait until all jobs submitted until now have an outcome; those in doubt and on hold have one."""
        self._thread.run(self._session.drain)

    @_same_signature(session.VeoSession.statistics)
    def statistics(self) -> session.Statistics:
        return self._thread.call(self._session.statistics)


def _callback_of(progress: bool | ProgressCallback | None) -> ProgressCallback | Literal[False]:
    """Return what reports the progress; by default, a bar in a notebook and nothing elsewhere."""
    return callback_of(in_notebook() if progress is None else progress) or False


def _closing(outcomes: Iterator[Outcome], close: Callable[[], None]) -> Iterator[Outcome]:
    """Yield *outcomes*, then call *close*, also if the caller stops early."""
    try:
        yield from outcomes
    finally:
        close()


class Account:
    """The account of a session, as ``veo.account``: its balance, prices, models, limits and tenants."""

    def __init__(self, account: session.Account, thread: LoopThread) -> None:
        self._account, self._thread = account, thread

    def balance(self) -> float:
        """Read the balance, in credits."""
        return self._thread.run(self._account.balance)

    @property
    def pause_reason(self) -> str | None:
        """Why no request is sent at present; None if only slots and the rate limit decide."""
        return self._thread.call(lambda: self._account.pause_reason)

    @_same_signature(session.Account.estimate)
    def estimate(self, *args: Any, **options: Any) -> float | None:
        return self._account.estimate(*args, **options)

    @_same_signature(session.Account.models)
    def models(self) -> tuple[ProviderModel, ...]:
        return self._thread.run(self._account.models)

    @_same_signature(session.Account.model_schema)
    def model_schema(self, name: str) -> Mapping[str, Any] | None:
        return self._thread.run(self._account.model_schema, name)

    def knowledge(self) -> LearnedLimits:
        """Return what was learned of the account's limits, for ``Limits(knowledge=…)`` of a later session."""
        return self._thread.read(self._account.knowledge)

    @_same_signature(session.Account.configure_tenant)
    def configure_tenant(self, *args: Any, **options: Any) -> None:
        self._thread.call(self._account.configure_tenant, *args, **options)

    @_same_signature(session.Account.resize)
    def resize(self, max_in_flight: int) -> None:
        self._thread.call(self._account.resize, max_in_flight)


class SessionLedger:
    """The ledger of a session, as ``veo.ledger``: jobs of this session, of earlier ones and of other processes."""

    def __init__(self, ledger: session.SessionLedger, thread: LoopThread) -> None:
        self._ledger, self._thread = ledger, thread

    @_same_signature(session.SessionLedger.key_of)
    def key_of(self, *args: Any, **options: Any) -> str:
        return self._thread.run(self._ledger.key_of, *args, **options)

    @_same_signature(session.SessionLedger.find)
    def find(self, key: str) -> Job | None:
        job = self._thread.run(self._ledger.find, key)
        return None if job is None else Job(job, self._thread)

    @_same_signature(session.SessionLedger.in_doubt)
    def in_doubt(self) -> list[Job]:
        return [Job(job, self._thread) for job in self._thread.run(self._ledger.in_doubt)]

    @_same_signature(session.SessionLedger.jobs)
    def jobs(self, *args: Any, **options: Any) -> Iterator[Job]:
        jobs = self._thread.call(self._ledger.jobs, *args, **options)
        return iter(lambda: self._next(jobs), None)

    @_same_signature(session.SessionLedger.counts)
    def counts(self, **options: Any) -> dict[str, int]:
        return self._thread.run(self._ledger.counts, **options)

    @_same_signature(session.SessionLedger.adopt)
    def adopt(self, *args: Any, **options: Any) -> Job:
        return Job(self._thread.run(self._ledger.adopt, *args, **options), self._thread)

    @_same_signature(session.SessionLedger.prune)
    def prune(self, *args: Any, **options: Any) -> int:
        return self._thread.run(self._ledger.prune, *args, **options)

    def _next(self, jobs: AsyncIterator[AsyncJob]) -> Job | None:
        job = self._thread.run(_next_of, jobs)
        return None if job is None else Job(job, self._thread)

    @property
    def id(self) -> str:
        """Identifies the ledger: two sessions are on the same ledger if their ids are equal."""
        return self._thread.read(lambda: self._ledger.id)

    @property
    def recovered(self) -> Recovered:
        """The jobs that this session found on its ledger when it was opened, and resumed."""
        return self._thread.read(lambda: self._ledger.recovered)


class Job(JobView):
    """One job of a session. Interrupting a call that waits changes nothing about the job."""

    def __init__(self, job: AsyncJob, thread: LoopThread) -> None:
        super().__init__(job)
        self._handle, self._thread = job, thread

    @property
    def eta(self) -> Eta | None:
        """Estimated seconds until the clip is ready: ``p50`` is the median, ``p90`` holds for 9 of 10."""
        return None if self.outcome else self._thread.call(lambda: self._handle.eta)

    @property
    def queue_position(self) -> int | None:
        """How many jobs will be sent before it; None once it was sent."""
        return None if self.outcome else self._thread.call(lambda: self._handle.queue_position)

    def accepted(self) -> str:
        """Wait until the provider has accepted the request; return the task id."""
        return self.task_id or self._call(self._handle.accepted)

    def wait(self, timeout: float | None = None, *, progress: bool | ProgressCallback | None = None) -> Clip:
        """Return the clip; raise `StillRunning` after *timeout* seconds. The job continues, and you can wait again.

        Args:
            progress: True shows state, elapsed time and estimate on standard error; a function gets a
                `veo_async.progress.Progress` about once a second and at every change, in the session's own thread.
                None shows them in a notebook.
        """
        if self.outcome is None:
            return self._call(self._handle.wait, timeout, progress=_callback_of(progress))
        if isinstance(self.outcome, Done):
            return self.outcome.clip
        raise exception_of(self.outcome)

    def result(self) -> Clip:
        """Return the clip, or raise why there is none."""
        return self.wait()

    def finished(self) -> Outcome:
        """Wait until the job has finished; return the outcome as a value."""
        return self.outcome or self._call(self._handle.finished)

    @_same_signature(AsyncJob.resolve)
    def resolve(self, *args: Any, **options: Any) -> None:
        self._call(self._handle.resolve, *args, **options)

    @_same_signature(AsyncJob.resubmit)
    def resubmit(self) -> None:
        self._call(self._handle.resubmit)

    @_same_signature(AsyncJob.abandon)
    def abandon(self) -> None:
        self._call(self._handle.abandon)

    def events(self) -> Iterator[JobEvent]:
        """Yield the current state, then every event, up to the last one."""
        stream = self._thread.call(self._handle.events)
        while (event := self._thread.run(_next_of, stream)) is not None:
            yield event

    def _call(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **options: P.kwargs) -> R:
        try:
            return self._thread.run(work, *args, **options)
        except SessionEnded as error:
            error.add_evidence(job_key=self.key, task_id=self.task_id)
            raise


async def _next_of(stream: AsyncIterator[R]) -> R | None:
    return await anext(stream, None)
