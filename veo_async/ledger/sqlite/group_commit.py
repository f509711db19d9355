"""Collects the calls that arrive while the disk is busy, and runs them together as one batch.

Syncing a hundred transitions takes as long as syncing one, so at most one batch is at the disk at a time. Calls that
arrive in the meantime wait in order, and each gets its result when its own batch is on the disk. Each caller waits for
its own future: cancelling it affects neither the batch nor the other callers, and the call still runs.

Batches run through ``loop.run_in_executor`` and not in a thread that we start, because a virtual clock waits for the
loop's executors and would run ahead of any other thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import attrs

#: Delivering results wakes all callers in one iteration of the event loop, and other tasks need time, too.
MAX_BATCH = 64

#: How long the next batch collects calls after a batch was written, as a share of the time that this took. Without it a
#: caller with one call after the other would find a batch at the disk each time, and wait for two.
COLLECT_SHARE = 0.1


@attrs.define(eq=False)
class LedgerCall:
    """One call of a ledger session, and its result."""

    #: Names the kill points of this call.
    name: str
    work: Callable[[], Any]
    #: A batch without writes runs without a transaction.
    is_write: bool = True
    #: The call runs in a batch without others, and not in a transaction.
    is_exclusive: bool = False
    result: Any = None
    failure: BaseException | None = None
    #: Called with the result even if the caller has been cancelled.
    on_result: Callable[[Any], None] | None = None


@attrs.define(eq=False)
class GroupCommit:
    """The queue of calls for one file; belongs to one event loop."""

    _run: Callable[[Sequence[LedgerCall]], None]
    _executor: Executor
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)
    _waiting: list[tuple[LedgerCall, "asyncio.Future[Any]"]] = attrs.field(factory=list, init=False)
    _is_running: bool = attrs.field(default=False, init=False)
    _sent_at: float = attrs.field(default=0.0, init=False)

    def submit(self, call: LedgerCall) -> "asyncio.Future[Any]":
        """Queue *call* and return a future of its result. The call runs even if the future is cancelled."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((call, future))
        if not self._is_running:
            # Deferred, so that all calls of this iteration of the event loop share a batch.
            self._is_running = True
            self._loop.call_soon(self._send_batch)
        return future

    def _send_batch(self) -> None:
        size = next((number for number, (call, _) in enumerate(self._waiting[:MAX_BATCH]) if call.is_exclusive), None)
        size = MAX_BATCH if size is None else max(size, 1)
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        self._sent_at = self._loop.time()
        calls = [call for call, _ in batch]
        work = self._loop.run_in_executor(self._executor, self._run, calls)
        work.add_done_callback(lambda done: self._deliver(batch, done))

    def _deliver(self, batch: list[tuple[LedgerCall, "asyncio.Future[Any]"]], done: "asyncio.Future[None]") -> None:
        batch_failure = asyncio.CancelledError() if done.cancelled() else done.exception()
        for call, future in batch:
            failure = call.failure or batch_failure
            if failure is None and call.on_result is not None:
                call.on_result(call.result)
            if future.done():  # its caller was cancelled
                continue
            if failure is None:
                future.set_result(call.result)
            else:
                future.set_exception(failure)
        if self._waiting:  # the callers of this batch may have further calls: give them a moment
            self._loop.call_later(COLLECT_SHARE * (self._loop.time() - self._sent_at), self._send_batch)
        else:
            self._is_running = False
