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

from veo_async._rules.lifecycle import Event, JobState, follow
from veo_async._rules.queue.fair_queue import Priority
from veo_async._wire import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest
from veo_async.errors import SessionClosed, VeoError

from .events import JobEvent, event_of
from .outcome import Done, Outcome


@attrs.define(eq=False)
class Entry:
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
    unsent: int = 0
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
    is_followed: bool = False
    #: Tasks that somebody named for it while it was in doubt.
    named: tuple[str, ...] = ()
    #: The task it goes on from, where its request names a job instead.
    source_id: str | None = None
    #: Its images as they are sent, once the local ones among them are uploaded.
    image_urls: tuple[str, ...] = ()
    #: What its request costs by the session's table; None: not known.
    price: float | None = None
    #: Told each time it comes to an end; a doubt is one that may be left again.
    on_end: Callable[["Entry"], None] | None = attrs.field(default=None, repr=False)
    # Made by whoever comes first: of ten thousand jobs few are waited for one by one.
    _waiters: set[asyncio.Future[None]] | None = attrs.field(default=None, repr=False)
    #: Weakly: whoever stops listening just goes.
    _listeners: "WeakSet[Listener] | None" = attrs.field(default=None, repr=False)
    _callbacks: list[Callable[["Entry"], None]] | None = attrs.field(default=None, repr=False)
    #: Why nobody will learn the outcome any more: the session was closed, or has crashed.
    _left: VeoError | None = attrs.field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, repr=False)

    @property
    def is_listened_to(self) -> bool:
        return bool(self._listeners)

    @property
    def follow_up(self) -> ExtendRequest | UpgradeRequest | None:
        """Its request, if that goes on from another task."""
        return self.request if isinstance(self.request, ExtendRequest | UpgradeRequest) else None

    @property
    def wanted(self) -> AnyRequest:
        """Its request, with the task in it that it goes on from and its images where the provider finds them."""
        assert self.request is not None  # noqa: S101  # who has something to send has a request
        if self.follow_up is not None and self.source_id is not None:
            return attrs.evolve(self.follow_up, task_id=self.source_id, after=None)
        if self.image_urls and isinstance(self.request, VideoRequest):
            return attrs.evolve(self.request, image_urls=self.image_urls)
        return self.request

    def step(self, event: Event) -> None:
        """Move along the table; `IllegalEvent` leaves the state as it was."""
        self.state = follow(self.state, event)

    def end(self, outcome: Outcome) -> None:
        """It is where it ends, and this is how: everyone who waits is told."""
        self.outcome = outcome
        if self.on_end is not None:
            self.on_end(self)
        self.tell(event_of(outcome))
        self._tell_end()

    def reopen(self) -> None:
        """A doubt is resolved: the job goes on, and who waits from now on waits for another end."""
        self.outcome = None

    def abandon(self, error: VeoError) -> None:
        """The session is gone: whoever waits is told *error*; the job itself is as it was."""
        if self.outcome is None and self._left is None:
            error = type(error)(*error.args)
            error.add_evidence(job_key=self.key, task_id=self.task_id)
            self._left = error
            self._tell_end()

    def _tell_end(self) -> None:
        for listener in self._listeners or ():
            listener.end()
        self.wake()
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(self)

    def when_settled(self, callback: Callable[["Entry"], None]) -> None:
        """Call *callback* when `settled` will not wait any more, or now; it must not raise."""
        if self.outcome is not None or self._left is not None:
            callback(self)
        else:
            callbacks = self._callbacks = self._callbacks or []
            callbacks.append(callback)

    def tell(self, event: JobEvent) -> None:
        """Hand *event* to everyone who listens."""
        for listener in self._listeners or ():
            listener.hear(event)

    def wake(self) -> None:
        """Have every waiter look again."""
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def settled(self) -> Outcome:
        """The outcome, once there is one."""
        while self.outcome is None:
            await self.change()
        return self.outcome

    async def accepted(self) -> str:
        """The task id, once there is one; the error when the job ends without."""
        while self.task_id is None:
            if self.outcome is not None:
                raise error_of(self.outcome)
            await self.change()
        return self.task_id

    async def change(self) -> None:
        """Wait until something has happened to it."""
        self.require_loop()
        self.require_alive()
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters = self._waiters = self._waiters or set()
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)

    def require_loop(self) -> None:
        """Raise unless this is the loop in which the job lives: elsewhere nobody would ever be woken."""
        if asyncio.get_running_loop() is not self._loop:
            raise SessionClosed("this job belongs to another event loop", job_key=self.key, task_id=self.task_id)

    def require_alive(self) -> None:
        """Raise when nobody will learn the outcome any more."""
        if self._left is not None:
            raise fresh(self._left)

    def listen(self, first: JobEvent) -> "Listener":
        """*first*, then everything that happens from now on, up to the end."""
        listener = Listener(self, first)
        if self.outcome is not None or self._left is not None:
            listener.end()
        elif self._listeners is None:
            self._listeners = WeakSet((listener,))
        else:
            self._listeners.add(listener)
        return listener


class Listener:
    """The events of one job for one who listens; it hears from the moment it is made, not from the first `next`."""

    def __init__(self, entry: Entry, first: JobEvent) -> None:
        self._entry = entry
        self._heard: asyncio.Queue[JobEvent | None] = asyncio.Queue()
        self.hear(first)

    def hear(self, event: JobEvent) -> None:
        self._heard.put_nowait(event)

    def end(self) -> None:
        """Nothing will come after what was heard."""
        self._heard.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        self._entry.require_loop()
        event = await self._heard.get()
        if event is None:
            self.end()  # for whoever asks again
            self._entry.require_alive()
            raise StopAsyncIteration
        return event


def error_of(outcome: Outcome) -> VeoError:
    """The outcome's error, to be raised."""
    if isinstance(outcome, Done):
        raise TypeError("a clip that is done has no error")
    return fresh(outcome.error)


def fresh(error: VeoError) -> VeoError:
    """A copy of *error* for each who raises it: a shared one would gather everybody's traceback."""
    twin: VeoError = copy.copy(error)
    return twin.with_traceback(None)
