"""One live job, as the rooms of the runtime share it.

Its state moves along the table of `lifecycle` only. Whoever waits has a future of their own, so that one waiter's
cancellation is nobody else's; futures are resolved with the outcome as a value, so that none is left with an exception
that nobody fetched.
"""

import asyncio
import copy
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import attrs
from anyio.streams.memory import MemoryObjectSendStream

from veo_async._rules.fairness import Priority
from veo_async._rules.lifecycle import Event, JobState, follow
from veo_async._wire import VideoRequest
from veo_async.errors import VeoError

from .events import JobEvent, Ready
from .outcome import Done, Outcome


@attrs.define(eq=False)
class Entry:
    """One job: what was asked, where it stands, and who wants to know."""

    key: str
    request: VideoRequest | None
    tenant: str = ""
    priority: Priority = "batch"
    state: JobState = JobState.QUEUED
    task_id: str | None = None
    #: Paid requests that were sent, 429s not counted.
    attempts: int = 0
    #: Tries in a row that never left this machine, and when the first of them began.
    unsent: int = 0
    unsent_since: float = 0.0
    outcome: Outcome | None = None
    #: Anything the caller wants to find again: a chat id, a row of a table.
    metadata: Any = None
    _waiters: set[asyncio.Future[None]] = attrs.field(factory=set, repr=False)
    _listeners: set[MemoryObjectSendStream[JobEvent]] = attrs.field(factory=set, repr=False)
    _callbacks: list[Callable[["Entry"], None]] = attrs.field(factory=list, repr=False)
    #: Why nobody will learn the outcome any more: the session was closed, or has crashed.
    _left: VeoError | None = attrs.field(default=None, repr=False)

    def step(self, event: Event) -> None:
        """Move along the table; `IllegalEvent` leaves the state as it was."""
        self.state = follow(self.state, event)

    def settle(self, event: Event, outcome: Outcome) -> None:
        """The job has come to its end: everyone who waits is told."""
        self.step(event)
        self.outcome = outcome
        self.tell(Ready(self.key, outcome.clip) if isinstance(outcome, Done) else outcome)
        self._close_listeners()
        self.wake()
        for callback in self._callbacks:
            callback(self)
        self._callbacks.clear()

    def abandon(self, error: VeoError) -> None:
        """The session is gone: whoever waits is told *error*; the job itself is as it was."""
        if self.outcome is None and self._left is None:
            error = type(error)(*error.args)
            error.add_evidence(job_key=self.key, task_id=self.task_id)
            self._left = error
            self._close_listeners()
            self.wake()

    def when_settled(self, callback: Callable[["Entry"], None]) -> None:
        """Call *callback* at the end, or now when that has come; never from another task than the one that ends it."""
        if self.outcome is not None:
            callback(self)
        else:
            self._callbacks.append(callback)

    def accept(self, task_id: str) -> None:
        """The provider has made a task of it."""
        self.step(Event.ACCEPT)
        self.task_id = task_id
        self.wake()

    def tell(self, event: JobEvent) -> None:
        """Hand *event* to everyone who listens."""
        for listener in self._listeners:
            listener.send_nowait(event)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def wake(self) -> None:
        """Have every waiter look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def settled(self) -> Outcome:
        """The outcome, once there is one."""
        while self.outcome is None:
            await self._change()
        return self.outcome

    async def accepted(self) -> str:
        """The task id, once there is one; the error when the job ends without."""
        while self.task_id is None:
            if self.outcome is not None:
                raise error_of(self.outcome)
            await self._change()
        return self.task_id

    async def _change(self) -> None:
        if self._left is not None:
            raise fresh(self._left)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def events(self, first: JobEvent) -> AsyncIterator[JobEvent]:
        """*first*, then everything that happens from now on, up to the end."""
        yield first
        if self.outcome is not None:
            return
        send, receive = anyio.create_memory_object_stream[JobEvent](math.inf)
        self._listeners.add(send)
        try:
            async for event in receive:
                yield event
        finally:
            self._listeners.discard(send)
            send.close()
            receive.close()


def error_of(outcome: Outcome) -> VeoError:
    """The outcome's error, to be raised."""
    if isinstance(outcome, Done):
        raise TypeError("a clip that is done has no error")
    return fresh(outcome.error)


def fresh(error: VeoError) -> VeoError:
    """A copy of *error* for each who raises it: a shared one would gather everybody's traceback."""
    twin: VeoError = copy.copy(error)
    return twin.with_traceback(None)
