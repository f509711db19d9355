"""Ctrl-C and SIGTERM. Neither loses anything: what was sent is on the ledger, and the same command continues it.

Windows never sends SIGTERM; there Ctrl-Break is the other key that ends a program.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .formatting import format_number

_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")


@contextmanager
def stop_on_signal(stop: Callable[[], None], message: Callable[[str], None], timeout_s: float) -> Iterator[None]:
    """Call *stop* on the first signal, and cancel the current task on the second.

    Args:
        stop: must stop sending; running clips are still waited for.
        message: prints a line for the user.
        timeout_s: the longest wait for running clips, named in the message.
    """
    task = asyncio.current_task()
    is_stopping = False

    def interrupt() -> None:
        nonlocal is_stopping
        if is_stopping and task is not None:
            task.cancel()
            return
        is_stopping = True
        wait = f"waiting up to {format_number(timeout_s)} s for running clips"
        message(f"Stopping: no new requests; {wait}. Press Ctrl-C again to quit now.")
        stop()

    with _signal_handlers(interrupt):
        yield


@contextmanager
def cancel_on_signal() -> Iterator[None]:
    """Cancel the current task on any signal: with a single clip there are no further requests to stop."""
    task = asyncio.current_task()
    with _signal_handlers(lambda: None if task is None else _cancel(task)):
        yield


def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()


@contextmanager
def _signal_handlers(interrupt: Callable[[], None]) -> Iterator[None]:
    """Have the event loop call *interrupt* on every signal that this system has."""
    with ExitStack() as stack:
        for name in _NAMES:
            if (number := getattr(signal, name, None)) is not None:
                stack.callback(_handle(number, interrupt))
        yield


def _handle(number: signal.Signals, interrupt: Callable[[], None]) -> Callable[[], object]:
    """Handle one signal, and return a function that ends this."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, interrupt)
    except NotImplementedError:  # Windows, where a signal wakes the default loop
        before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(interrupt))
        return lambda: signal.signal(number, before or signal.SIG_DFL)
    return lambda: loop.remove_signal_handler(number)
