"""Sessions on one ledger, for tests in virtual time."""

from concurrent.futures import Executor, Future
from typing import Any

from tests.internals import reopen
from veo_async import VeoSession
from veo_async.simulator import MemoryTransport

from .support import session_on


class InlineExecutor(Executor):
    """Runs every call immediately in the caller's thread, so that SQLite works in virtual time."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # the future raises it
            future.set_exception(error)
        return future


def session_with_ledger(sim: MemoryTransport, ledger: Any, **options: Any) -> VeoSession:
    """Return a session on *ledger*; closing an earlier session has not closed the provider."""
    reopen(sim)
    return session_on(sim, ledger=ledger, **options)
