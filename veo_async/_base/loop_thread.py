"""An event loop in its own thread, which keeps one async context manager open.

The thread starts on first use. It ends with `LoopThread.close`, and at the latest when the interpreter exits. It is a
daemon thread, and an exiting interpreter waits for it for at most `EXIT_TIMEOUT_S`.

A forked child has the objects of its parent but not its threads, so there every call raises `SessionClosed`.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakSet

from veo_async.errors import RESUME, SessionClosed, UsageError, VeoError
from veo_async.errors.notebook import render_short

from .at_exit import run_at_exit

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Waits are split into slices of this many seconds, because Windows handles Ctrl-C only between two waits.
_WAIT_SLICE_S = 0.5

#: How long an exiting interpreter waits. Only requests in flight take time: cut off, they would leave jobs in doubt.
EXIT_TIMEOUT_S: Final = 10.0


class LoopThread:
    """Runs coroutines in a thread where *lifetime* is open; callers wait for them in their own threads."""

    def __init__(self, lifetime: AbstractAsyncContextManager[Any, Any], *, name: str = "veo.loop") -> None:
        self._lifetime = lifetime
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        #: The process in which the thread runs.
        self._process: int | None = None
        #: A function that makes the thread end. It may be called in any thread.
        self._end: Future[Callable[[], object]] = Future()
        #: The loop once *lifetime* is open, or why it could not be opened.
        self._opened: Future[asyncio.AbstractEventLoop] = Future()
        #: What leaving *lifetime* raised.
        self._error: BaseException | None = None
        self._ended: Future[None] = Future()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed and its thread has ended, so that nothing changes any more."""
        return self._closed and not (self._thread and self._thread.is_alive())

    def open(self) -> asyncio.AbstractEventLoop:
        """Start the thread unless it runs already, and return its loop.

        Raises:
            SessionClosed: it was closed, or belongs to the parent process.
            BaseException: whatever opening *lifetime* raised.
        """
        self._check_process()
        with self._lock:
            self._start_thread()
        _wait_for(self._opened)
        return _result_of(self._opened)

    def close(self) -> None:
        """Exit the context manager, end the thread, and raise what the exit raised. Later calls do nothing more."""
        self._check_not_own_thread()
        thread = self._begin_to_close()
        while thread is not None and thread.is_alive():
            thread.join(_WAIT_SLICE_S)
        if self._error is not None:
            raise self._error

    def _begin_to_close(self) -> threading.Thread | None:
        """Make the thread end, and return it; None if it runs in the parent process or not at all."""
        if self._is_forked:
            return None
        with self._lock:
            self._closed = True
            if self._thread is not None and self._thread.is_alive():
                with suppress(RuntimeError):  # its loop has just ended
                    self._end.result()()
            return self._thread

    def start(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **options: P.kwargs) -> Future[T]:
        """Start ``work(…)`` in the loop; cancelling the future cancels it."""
        self._check_not_own_thread()
        loop = self.open()
        with self._lock:  # as in close(): no work is passed to a loop that has ended
            if self._closed or loop.is_closed():
                raise SessionClosed("this session is closed", remedy=RESUME)
            return asyncio.run_coroutine_threadsafe(work(*args, **options), loop)

    def result(self, future: Future[T]) -> T:
        """Wait for *future* and return its result. If the waiting is interrupted, the future is cancelled."""
        self._check_process()
        try:
            _wait_for(future)
            return _result_of(future)
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
            future = next(iter(waiting)) if ordered else self._next(finished)
            del waiting[future]
            yield self.result(future)

    def _next(self, queue: SimpleQueue[Future[T]]) -> Future[T]:
        while True:
            self._check_process()
            with suppress(Empty), _short_interrupt():
                return queue.get(timeout=_WAIT_SLICE_S)

    def _start_thread(self) -> None:
        if self._closed:
            raise SessionClosed("this session is closed", remedy=RESUME)
        if self._thread is None:
            thread = threading.Thread(target=self._run_loop, name=self._name, daemon=True)
            thread.start()
            self._thread, self._process = thread, os.getpid()
            _started.add(self)

    def _run_loop(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # it is raised in the threads that wait
            self._set_error(error)
        finally:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        loop, stop, task = asyncio.get_running_loop(), asyncio.Event(), asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in a task

        def end() -> None:
            stop.set()
            if not self._opened.done():
                task.cancel()

        self._end.set_result(lambda: loop.call_soon_threadsafe(end))
        async with self._lifetime:
            self._opened.set_result(loop)
            await stop.wait()

    def _set_error(self, error: BaseException) -> None:
        if not self._end.done():  # there is not even a loop
            self._end.set_result(lambda: None)
        if self._opened.done():
            self._error = error
        elif isinstance(error, asyncio.CancelledError):
            self._opened.set_exception(SessionClosed("the session was closed while it was opened", remedy=RESUME))
        else:
            self._opened.set_exception(error)

    @property
    def _is_forked(self) -> bool:
        return self._process not in (None, os.getpid())

    def _check_process(self) -> None:
        """Raise `SessionClosed` in a forked child, where nothing would ever answer."""
        if self._is_forked:
            remedy = "Open another one in the child process."
            raise SessionClosed("this session was opened before a fork", remedy=remedy)

    def _check_not_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise UsageError("do not call the session from its own callback thread; hand the event to another thread")


#: All that have started, until they are garbage.
_started: WeakSet[LoopThread] = WeakSet()


def _close_all() -> None:
    """Close what the program forgot to close, all at the same time."""
    closing = [thread for thread in list(_started) if thread._begin_to_close() is not None]
    wait([thread._ended for thread in closing], timeout=EXIT_TIMEOUT_S)
    for thread in closing:
        if thread._error is not None:
            logger.error("the session did not close cleanly: %r", thread._error)


run_at_exit(_close_all)


def _wait_for(future: Future[Any]) -> None:
    with _short_interrupt():
        while not future.done():
            wait([future], timeout=_WAIT_SLICE_S)


@contextmanager
def _short_interrupt() -> Iterator[None]:
    """Have a notebook show an interrupted wait without the lines of this library."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        vars(interrupt)["_render_traceback_"] = partial(render_short, interrupt)
        raise


def _result_of(future: Future[T]) -> T:
    """Return the result of a finished future, or raise its error.

    Our errors come without the frames of the loop's thread, unless this module logs debug messages: the caller's own
    lines say where it happened.
    """
    error = future.exception()
    if isinstance(error, VeoError) and not logger.isEnabledFor(logging.DEBUG):
        raise error.with_traceback(None)
    return future.result()
