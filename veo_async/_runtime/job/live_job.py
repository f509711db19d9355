"""One live job, as the rooms of the runtime share it.

Its state moves along the table of `lifecycle` only. Whoever waits has a future of their own, so that one waiter's
cancellation is nobody else's; futures are resolved with the outcome as a value, so that none is left with an exception
that nobody fetched.
"""

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Self
from weakref import WeakSet

import attrs

from veo_async._rules.lifecycle import Event, JobState, next_state
from veo_async._rules.queue.fair_queue import Priority
from veo_async._wire import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest
from veo_async.errors import SessionClosed, VeoError

from .events import JobEvent, event_of
from .outcome import Done, Outcome


@attrs.define(eq=False)
class LiveJob:
    """One job: what was asked, where it stands, and who wants to know."""

    key: str
    request: AnyRequest | None
    tenant: str = ""
    priority: Priority = "batch"
    state: JobState = JobState.QUEUED
    task_id: str | None = None
    #: Paid requests that were sent, 429s not counted.
    attempts: int = 0
    #: Tries in a row that never left this machine.
    unsent_attempts: int = 0
    outcome: Outcome | None = None
    #: Anything the caller wants to find again: a chat id, a row of a table.
    metadata: Any = None
    #: The latest attempt's token, and when it left by the wall clock.
    token: str | None = None
    sent_at: float | None = None
    #: By the wall clock: when it must have been sent, or never will be.
    deadline: float | None = None
    #: Where its clip is to be saved: a file, or a folder.
    save_to: str | None = None
    #: Another session on the same ledger drives it; here it is only followed.
    is_remote: bool = False
    #: Tasks that somebody named for it while it was in doubt.
    claimed_task_ids: tuple[str, ...] = ()
    #: The task it goes on from, where its request names a job instead.
    source_task_id: str | None = None
    #: Its images as they are sent, once the local ones among them are uploaded.
    image_urls: tuple[str, ...] = ()
    #: What its request costs by the session's table; None: not known.
    price: float | None = None
    #: Told each time it comes to an end; a doubt is one that may be left again.
    on_end: Callable[["LiveJob"], None] | None = attrs.field(default=None, repr=False)
    # Made by whoever comes first: of ten thousand jobs few are waited for one by one.
    _waiters: set[asyncio.Future[None]] | None = attrs.field(default=None, repr=False)
    #: Weakly: whoever stops listening just goes.
    _streams: "WeakSet[EventStream] | None" = attrs.field(default=None, repr=False)
    _callbacks: list[Callable[["LiveJob"], None]] | None = attrs.field(default=None, repr=False)
    #: Why nobody will learn the outcome any more: the session was closed, or has crashed.
    _session_error: VeoError | None = attrs.field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, repr=False)

    @property
    def has_subscribers(self) -> bool:
        return bool(self._streams)

    @property
    def follow_up(self) -> ExtendRequest | UpgradeRequest | None:
        """Its request, if that goes on from another task."""
        return self.request if isinstance(self.request, ExtendRequest | UpgradeRequest) else None

    @property
    def request_to_send(self) -> AnyRequest:
        """Its request, with the task in it that it goes on from and its images where the provider finds them."""
        assert self.request is not None  # noqa: S101  # who has something to send has a request
        if self.follow_up is not None and self.source_task_id is not None:
            return attrs.evolve(self.follow_up, task_id=self.source_task_id, after_key=None)
        if self.image_urls and isinstance(self.request, VideoRequest):
            return attrs.evolve(self.request, image_urls=self.image_urls)
        return self.request

    def apply(self, event: Event) -> None:
        """Move along the table; `IllegalTransition` leaves the state as it was."""
        self.state = next_state(self.state, event)

    def set_outcome(self, outcome: Outcome) -> None:
        """It is where it ends, and this is how: everyone who waits is told."""
        self.outcome = outcome
        if self.on_end is not None:
            self.on_end(self)
        self.notify(event_of(outcome))
        self._notify_end()

    def reopen(self) -> None:
        """A doubt is resolved: the job goes on, and who waits from now on waits for another end."""
        self.outcome = None

    def release_waiters(self, error: VeoError) -> None:
        """The session is gone: whoever waits is told *error*; the job itself is as it was."""
        if self.outcome is None and self._session_error is None:
            error = copy_error(error)
            error.add_evidence(job_key=self.key, task_id=self.task_id)
            self._session_error = error
            self._notify_end()

    def _notify_end(self) -> None:
        for stream in self._streams or ():
            stream.set_outcome()
        self.wake()
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(self)

    def on_finished(self, callback: Callable[["LiveJob"], None]) -> None:
        """Call *callback* when `wait_outcome` will not wait any more, or now; it must not raise."""
        if self.outcome is not None or self._session_error is not None:
            callback(self)
        else:
            callbacks = self._callbacks = self._callbacks or []
            callbacks.append(callback)

    def notify(self, event: JobEvent) -> None:
        """Hand *event* to everyone who listens."""
        for stream in self._streams or ():
            stream.put(event)

    def wake(self) -> None:
        """Have every waiter look again."""
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def wait_outcome(self) -> Outcome:
        """The outcome, once there is one."""
        while self.outcome is None:
            await self.wait_change()
        return self.outcome

    async def accepted(self) -> str:
        """The task id, once there is one; the error when the job ends without."""
        while self.task_id is None:
            if self.outcome is not None:
                raise exception_of(self.outcome)
            await self.wait_change()
        return self.task_id

    async def wait_change(self) -> None:
        """Wait until something has happened to it."""
        self.check_loop()
        self.check_open()
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters = self._waiters = self._waiters or set()
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)

    def check_loop(self) -> None:
        """Raise unless this is the loop in which the job lives: elsewhere nobody would ever be woken."""
        if asyncio.get_running_loop() is not self._loop:
            raise SessionClosed("this job belongs to another event loop", job_key=self.key, task_id=self.task_id)

    def check_open(self) -> None:
        """Raise when nobody will learn the outcome any more."""
        if self._session_error is not None:
            raise copy_error(self._session_error)

    def subscribe(self, first: JobEvent) -> "EventStream":
        """*first*, then everything that happens from now on, up to the end."""
        stream = EventStream(self, first)
        if self.outcome is not None or self._session_error is not None:
            stream.set_outcome()
        elif self._streams is None:
            self._streams = WeakSet((stream,))
        else:
            self._streams.add(stream)
        return stream


class EventStream:
    """The events of one job for one who listens; it hears from the moment it is made, not from the first `next`."""

    def __init__(self, job: LiveJob, first: JobEvent) -> None:
        self._job = job
        self._events: asyncio.Queue[JobEvent | None] = asyncio.Queue()
        self.put(first)

    def put(self, event: JobEvent) -> None:
        self._events.put_nowait(event)

    def set_outcome(self) -> None:
        """Nothing will come after what was heard."""
        self._events.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        self._job.check_loop()
        event = await self._events.get()
        if event is None:
            self.set_outcome()  # for whoever asks again
            self._job.check_open()
            raise StopAsyncIteration
        return event


def exception_of(outcome: Outcome) -> VeoError:
    """The outcome's error, to be raised."""
    if isinstance(outcome, Done):
        raise TypeError("a clip that is done has no error")
    return copy_error(outcome.error)


def copy_error(error: VeoError) -> VeoError:
    """A copy of *error* for each who raises it: a shared one would gather everybody's traceback."""
    copied: VeoError = copy.copy(error)
    return copied.with_traceback(None)
