"""An event loop in a thread of its own, for as long as one async context manager stands open in it.

The thread begins on first use. It is a daemon, so that an interpreter that is about to exit does not wait for it
forever, and it is closed by ``atexit``, so that what is under way then still comes to its end.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from veo_async.errors import SessionClosed, SessionEnded, UsageError

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

#: Waiting goes on in slices of so many seconds, because on Windows Ctrl-C is only seen between two of them.
_WAIT_SLICE_S = 0.5


class LoopThread:
    """Runs coroutines where *lifetime* stands open, and waits for them in the caller's thread."""

    def __init__(self, lifetime: AbstractAsyncContextManager[Any, Any]) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._error: SessionEnded | None = None
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed and has ended: what it held stands still now."""
        return self._closed and not (self._thread and self._thread.is_alive())

    def open(self) -> asyncio.AbstractEventLoop:
        """Begin, unless it has begun; the loop."""
        with self._lock:
            return self._loop()

    def close(self) -> None:
        """Leave the context manager and end; what it raises then is raised here. Once is enough, more is harmless."""
        self._check_not_own_thread()
        with self._lock:
            self._closed = True
            if self._thread is None:
                return
            if self._thread.is_alive():
                self._started.result().call_soon_threadsafe(self._stop.set)
        while self._thread.is_alive():
            self._thread.join(_WAIT_SLICE_S)
        atexit.unregister(self.close)
        if self._error is not None:
            raise self._error

    def start(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **options: P.kwargs) -> Future[T]:
        """Start ``work(…)`` there; cancelling the future cancels it."""
        self._check_not_own_thread()
        with self._lock:  # as in close(): nothing is handed to a loop that has ended
            loop = self._loop()
            return asyncio.run_coroutine_threadsafe(work(*args, **options), loop)

    def result(self, future: Future[T]) -> T:
        """What *future* comes to; when the waiting is interrupted, so is the work that was only waited for."""
        try:
            while not future.done():
                wait([future], timeout=_WAIT_SLICE_S)
            return future.result()
        except CancelledError:
            raise SessionClosed("this session was closed meanwhile") from None
        finally:
            future.cancel()

    def run(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **options: P.kwargs) -> T:
        """What ``work(…)`` comes to."""
        return self.result(self.start(work, *args, **options))

    def call(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """What a plain function gives there."""

        async def called() -> T:
            return function(*args, **options)

        return self.run(called)

    def read(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """The same for one that only looks: when all is over, it still may, from any thread."""
        return function(*args, **options) if self.is_closed else self.call(function, *args, **options)

    def map(
        self, work: Callable[[A], Coroutine[Any, Any, T]], items: Iterable[A], *, ordered: bool, buffersize: int
    ) -> Iterator[T]:
        """What ``work(item)`` comes to for each item, as they end or in order, at most *buffersize* at once.

        *items* is read in the caller's own thread, where it may hold on to what belongs there, and only while nothing
        is ready to come out. Whatever was read is worked on to its end, also when the caller stops early.
        """
        more, waiting, ended = iter(items), dict[Future[T], None](), SimpleQueue[Future[T]]()

        def has_room() -> bool:
            is_ready = next(iter(waiting)).done() if ordered and waiting else not ended.empty()
            return len(waiting) < buffersize and not is_ready

        while True:
            for item in more if has_room() else ():
                future = self.start(work, item)
                waiting[future] = None
                if not ordered:
                    future.add_done_callback(ended.put)
                if not has_room():
                    break
            if not waiting:
                return
            future = next(iter(waiting)) if ordered else _get(ended)
            del waiting[future]
            yield self.result(future)

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise SessionClosed("this session is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_loop, name="veo.loop", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        return self._started.result()

    def _run_loop(self) -> None:
        try:
            asyncio.run(self._serve())
        except SessionEnded as problem:
            self._error = problem

    async def _serve(self) -> None:
        async with self._lifetime:
            self._started.set_result(asyncio.get_running_loop())
            await self._stop.wait()

    def _check_not_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise UsageError("the session's own thread must not wait for it: hand the event to a thread of yours")


def _get(queue: SimpleQueue[T]) -> T:
    while True:
        try:
            return queue.get(timeout=_WAIT_SLICE_S)
        except Empty:
            continue
