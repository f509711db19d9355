"""One job in memory, shared by all parts of the runtime.

Each waiter has its own future, so that cancelling one waiter does not affect the others. Futures only wake their
waiter, which then reads the outcome; so no future is left with an exception that was never retrieved.
"""

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Self
from weakref import WeakSet

import attrs

from veo_async._rules.lifecycle import Event, JobState, next_state
from veo_async._rules.queue.fair_queue import Priority
from veo_async._wire import AnyRequest, ExtendRequest, RouteName, UpgradeRequest, VideoRequest, route_named
from veo_async.errors import SessionClosed, VeoError

from .events import JobEvent, event_of
from .outcome import Done, Outcome


@attrs.define(eq=False, repr=False)
class LiveJob:
    """One job: its request, its state and its waiters. Only `transitions` changes its state."""

    key: str
    request: AnyRequest | None
    tenant: str = ""
    priority: Priority = "batch"
    state: JobState = JobState.QUEUED
    task_id: str | None = None
    #: Requests that were or may have been charged; those answered with 429 do not count.
    attempts: int = 0
    #: Consecutive attempts of which no byte was sent.
    unsent_attempts: int = 0
    outcome: Outcome | None = None
    #: The outcome with which its present state began; it becomes `outcome` when the work in this state ends.
    entered_with: Outcome | None = attrs.field(default=None, repr=False)
    #: Unexpected exceptions while it was handled.
    unexpected_errors: int = 0
    #: Anything that the caller attached: a chat id, a row of a table.
    metadata: Any = None
    #: The callback token of the latest attempt, and when that was sent (wall clock).
    token: str | None = None
    sent_at: float | None = None
    #: Wall clock: the job is refused if it was not sent by then.
    deadline: float | None = None
    #: The file or folder to save its clip to.
    save_to: str | None = None
    #: It left the queue, but the ledger has not yet recorded the attempt: nothing was sent.
    awaits_permit: bool = False
    #: Another session on the same ledger owns it; this one only follows it.
    is_remote: bool = False
    #: The first tasks that callbacks named for it without proof.
    claimed_task_ids: tuple[str, ...] = ()
    #: The task of its source clip, where its request names a job instead.
    source_task_id: str | None = None
    #: The URLs of its images, once the local ones are uploaded.
    image_urls: tuple[str, ...] = ()
    #: The price of its latest request; None if unknown.
    price: float | None = None
    #: What it has cost or may cost; None if unknown. See `JobRow.credits`.
    credits: float | None = None
    #: The budget under which it was submitted, by name.
    budget: str | None = None
    #: The route of its task, or of its latest attempt; a follow-up has that of its source. None of an adopted task
    #: whose record was not found yet.
    route: RouteName | None = "veo"
    #: What the provider says the task has cost; None if it is not known.
    credits_consumed: float | None = None
    #: Called each time the job gets an outcome; `InDoubt` may be followed by another.
    on_end: Callable[["LiveJob"], None] | None = attrs.field(default=None, repr=False)
    # Created for the first waiter: of ten thousand jobs only a few are awaited individually.
    _waiters: set[asyncio.Future[None]] | None = attrs.field(default=None, repr=False)
    #: Weak references: a subscriber that stops reading need not unsubscribe.
    _streams: "WeakSet[EventStream] | None" = attrs.field(default=None, repr=False)
    _callbacks: list[Callable[["LiveJob"], None]] | None = attrs.field(default=None, repr=False)
    #: Set when the session was closed or has crashed: the outcome will not become known here.
    _session_error: VeoError | None = attrs.field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, repr=False)

    @property
    def has_subscribers(self) -> bool:
        """Whether anyone reads its events."""
        return bool(self._streams)

    @property
    def follow_up(self) -> ExtendRequest | UpgradeRequest | None:
        """Its request, if that continues from another task."""
        return self.request if isinstance(self.request, ExtendRequest | UpgradeRequest) else None

    @property
    def source(self) -> str | None:
        """The clip that its request continues from: the key of its job, or its task."""
        return None if self.follow_up is None else self.follow_up.after_key or self.follow_up.task_id

    @property
    def request_to_send(self) -> AnyRequest:
        """Its request, complete with the task of its source clip and the URLs of its images."""
        assert self.request is not None  # noqa: S101  # only an adopted job has none, and it is never sent
        if self.follow_up is not None and self.source_task_id is not None:
            return attrs.evolve(self.follow_up, task_id=self.source_task_id, after_key=None)
        if self.image_urls and isinstance(self.request, VideoRequest):
            return attrs.evolve(self.request, image_urls=self.image_urls)
        return self.request

    @property
    def has_record(self) -> bool:
        """Whether its task has a record: all tasks but the upgrades of the ``veo`` route."""
        return not isinstance(self.request, UpgradeRequest) or route_named(self.route or "veo").upgrades_are_tasks

    def log_extra(self, action: str) -> dict[str, object]:
        """Return the ``extra`` of a log record about this job."""
        return {"action": action, "job_key": self.key, "task_id": self.task_id}

    def apply(self, event: Event) -> None:
        """Change the state as the table says; `IllegalTransition` leaves it unchanged."""
        self.state = next_state(self.state, event)
        if event is Event.RESUBMIT:
            self.task_id, self.unsent_attempts = None, 0

    def set_outcome(self, outcome: Outcome) -> None:
        """Set the outcome and notify all waiters and subscribers."""
        self.outcome = outcome
        if self.on_end is not None:
            self.on_end(self)
        self.notify(event_of(outcome))
        self._notify_end()

    def reopen(self) -> None:
        """Clear the outcome: the job continues, and new waiters wait for the next outcome."""
        self.outcome = None

    def release_waiters(self, error: VeoError) -> None:
        """Raise *error* in all waiters because the session has ended; the job itself does not change."""
        if self.outcome is None and self._session_error is None:
            error = copy_error(error)
            error.add_evidence(job_key=self.key, task_id=self.task_id)
            self._session_error = error
            self._notify_end()

    def _notify_end(self) -> None:
        for stream in self._streams or ():
            stream.close()
        self.wake()
        while self._callbacks:
            self._callbacks.pop(0)(self)
        self._streams = self._callbacks = None  # an empty container is larger than all fields of the job

    def on_finished(self, callback: Callable[["LiveJob"], None]) -> None:
        """Call *callback* as soon as `wait_outcome` would not wait; it must not raise."""
        if self.outcome is not None or self._session_error is not None:
            callback(self)
        else:
            callbacks = self._callbacks = self._callbacks or []
            callbacks.append(callback)

    def notify(self, event: JobEvent) -> None:
        """Pass *event* to all subscribers."""
        for stream in self._streams or ():
            stream.put(event)

    def wake(self) -> None:
        """Have every waiter check the job again."""
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def wait_outcome(self) -> Outcome:
        """Wait for the outcome and return it."""
        while self.outcome is None:
            await self.wait_change()
        return self.outcome

    async def accepted(self) -> str:
        """Wait for the task id and return it; raise the error of a job that finishes without one."""
        while self.task_id is None:
            if self.outcome is not None:
                raise exception_of(self.outcome)
            await self.wait_change()
        return self.task_id

    async def wait_change(self) -> None:
        """Wait until the job changes."""
        self.check_loop()
        self.check_open()
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters = self._waiters = self._waiters or set()
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiters is waiters:
                self._waiters = None

    def check_loop(self) -> None:
        """Raise `SessionClosed` in another event loop than the job's, where a waiter would never wake."""
        if asyncio.get_running_loop() is not self._loop:
            raise SessionClosed("this job belongs to another event loop", job_key=self.key, task_id=self.task_id)

    def check_open(self) -> None:
        """Raise the reason if the session has ended before the job."""
        if self._session_error is not None:
            raise copy_error(self._session_error)

    def subscribe(self, first: JobEvent) -> "EventStream":
        """Return a stream of *first* and of all events from now on, up to the last one."""
        stream = EventStream(self, first)
        if self.outcome is not None or self._session_error is not None:
            stream.close()
        elif self._streams is None:
            self._streams = WeakSet((stream,))
        else:
            self._streams.add(stream)
        return stream


class EventStream:
    """The events of one job for one subscriber, from the moment of its creation, not of the first ``anext``."""

    def __init__(self, job: LiveJob, first: JobEvent) -> None:
        self._job = job
        self._events: asyncio.Queue[JobEvent | None] = asyncio.Queue()
        self.put(first)

    def put(self, event: JobEvent) -> None:
        """Append *event*."""
        self._events.put_nowait(event)

    def close(self) -> None:
        """End the stream after the events that it contains."""
        self._events.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        self._job.check_loop()
        event = await self._events.get()
        if event is None:
            self.close()  # so that a further call ends, too
            self._job.check_open()
            raise StopAsyncIteration
        return event


def exception_of(outcome: Outcome) -> VeoError:
    """Return the error of *outcome*, ready to be raised."""
    if isinstance(outcome, Done):
        raise TypeError("a finished clip has no error")
    return copy_error(outcome.error)


def copy_error(error: VeoError) -> VeoError:
    """Return a copy of *error* to raise: a shared one would collect the tracebacks of all who raise it."""
    copied: VeoError = copy.copy(error)
    return copied.with_traceback(None)
