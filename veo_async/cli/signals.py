"""Ctrl-C and SIGTERM. Neither loses anything: what was sent is on the ledger, and the same command goes on."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signal(hold: Callable[[], None], say: Callable[[str], None], grace_s: float) -> Iterator[None]:
    """The first one holds: nothing more is sent, and what runs is waited for. The second stops at once."""
    task = asyncio.current_task()
    is_stopping = False

    def interrupted() -> None:
        nonlocal is_stopping
        if is_stopping and task is not None:
            task.cancel()
            return
        is_stopping = True
        say(f"Nothing more is sent; waiting up to {grace_s:g} s for what runs. Ctrl-C again stops at once.")
        hold()

    with _signal_handlers(interrupted):
        yield


@contextmanager
def cancel_on_signal() -> Iterator[None]:
    """Each stops at once: for a single clip there is nothing to be held back."""
    task = asyncio.current_task()
    with _signal_handlers(lambda: None if task is None else _cancel(task)):
        yield


def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()


@contextmanager
def _signal_handlers(interrupted: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in _NUMBERS:
        loop.add_signal_handler(number, interrupted)
    try:
        yield
    finally:
        for number in _NUMBERS:
            loop.remove_signal_handler(number)
