"""An event loop in its own thread, which keeps one async context manager open.

The thread starts on first use. It is a daemon thread, so an exiting interpreter does not wait for it forever, and
``atexit`` closes it, so running work can finish.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from veo_async.errors import RESUME, SessionClosed, SessionEnded, UsageError

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

#: Waits are split into slices of this many seconds, because Windows handles Ctrl-C only between two waits.
_WAIT_SLICE_S = 0.5


class LoopThread:
    """Runs coroutines in a thread where *lifetime* is open; callers wait for them in their own threads."""

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
        """Whether it was closed and its thread has ended, so that nothing changes any more."""
        return self._closed and not (self._thread and self._thread.is_alive())

    def open(self) -> asyncio.AbstractEventLoop:
        """Start the thread unless it runs already, and return its loop."""
        with self._lock:
            return self._loop()

    def close(self) -> None:
        """Exit the context manager, end the thread, and raise what the exit raised. Later calls do nothing more."""
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
        """Start ``work(…)`` in the loop; cancelling the future cancels it."""
        self._check_not_own_thread()
        with self._lock:  # as in close(): no work is passed to a loop that has ended
            loop = self._loop()
            return asyncio.run_coroutine_threadsafe(work(*args, **options), loop)

    def result(self, future: Future[T]) -> T:
        """Wait for *future* and return its result. If the waiting is interrupted, the future is cancelled."""
        try:
            while not future.done():
                wait([future], timeout=_WAIT_SLICE_S)
            return future.result()
        except CancelledError:
            raise SessionClosed("the session was closed while waiting", remedy=RESUME) from None
        finally:
            future.cancel()

    def run(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **options: P.kwargs) -> T:
        """Run ``work(…)`` in the loop and return its result."""
        return self.result(self.start(work, *args, **options))

    def call(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a plain function in the loop and return its result."""

        async def called() -> T:
            return function(*args, **options)

        return self.run(called)

    def read(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function that only reads: in the loop, or directly once the thread has ended."""
        return function(*args, **options) if self.is_closed else self.call(function, *args, **options)

    def map(
        self, work: Callable[[A], Coroutine[Any, Any, T]], items: Iterable[A], *, ordered: bool, buffersize: int
    ) -> Iterator[T]:
        """Yield the result of ``work(item)`` for each item, at most *buffersize* in progress at a time.

        Args:
            ordered: yield the results in the order of the items instead of as they finish.

        *items* is read in the caller's thread, and only while no result is ready. Work that has started continues to
        its end even if the caller stops early.
        """
        remaining, waiting, finished = iter(items), dict[Future[T], None](), SimpleQueue[Future[T]]()

        def has_room() -> bool:
            is_ready = next(iter(waiting)).done() if ordered and waiting else not finished.empty()
            return len(waiting) < buffersize and not is_ready

        while True:
            for item in remaining if has_room() else ():
                future = self.start(work, item)
                waiting[future] = None
                if not ordered:
                    future.add_done_callback(finished.put)
                if not has_room():
                    break
            if not waiting:
                return
            future = next(iter(waiting)) if ordered else _get(finished)
            del waiting[future]
            yield self.result(future)

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise SessionClosed("this session is closed", remedy=RESUME)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_loop, name="veo.loop", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        return self._started.result()

    def _run_loop(self) -> None:
        try:
            asyncio.run(self._serve())
        except SessionEnded as error:
            self._error = error

    async def _serve(self) -> None:
        async with self._lifetime:
            self._started.set_result(asyncio.get_running_loop())
            await self._stop.wait()

    def _check_not_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise UsageError("do not call the session from its own callback thread; hand the event to another thread")


def _get(queue: SimpleQueue[T]) -> T:
    while True:
        try:
            return queue.get(timeout=_WAIT_SLICE_S)
        except Empty:
            continue
