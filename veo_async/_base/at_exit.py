"""Runs functions when the interpreter exits, while threads and executors still accept work.

``atexit`` is too late: by then no executor accepts work, so a ledger could not be closed. `threading` has an earlier
hook, which `concurrent.futures` uses for its own threads. The hook is not public; without it, ``atexit`` is used.
"""

import atexit
import concurrent.futures.thread  # noqa: F401  # registers its own hook first: hooks run in reverse order
import threading
from collections.abc import Callable


def run_at_exit(function: Callable[[], object]) -> None:
    """Call *function* when the main thread has ended. It cannot be unregistered, so register each one once."""
    register: Callable[[Callable[[], object]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(function)
