"""Group commit: calls that come while the disk is at work are gathered, and go to it together.

A sync takes as long for a hundred steps as for one. So there is at most one batch at the disk; what comes meanwhile
waits its turn in order, and is answered when its own batch is on the disk. Each caller waits for a future of its own:
one that is cancelled leaves the batch and its neighbours alone, and its step still comes to be.

It goes through ``loop.run_in_executor`` and no thread of our own, because a virtual clock can see the loop's executors
and would run ahead of any other thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import attrs

#: No more at once: answering wakes every caller in the same turn of the loop, and others want their turns.
MAX_BATCH = 64


@attrs.define(eq=False)
class LedgerCall:
    """One call of a book on its way to the disk and back."""

    #: What it is called at the trip wires.
    name: str
    work: Callable[[], Any]
    #: A batch without writes needs no transaction.
    is_write: bool = True
    #: It goes to the disk by itself, and needs no connection there.
    is_exclusive: bool = False
    result: Any = None
    failure: BaseException | None = None
    #: Told of the answer even when nobody waits for it any more.
    on_result: Callable[[Any], None] | None = None


@attrs.define(eq=False)
class GroupCommit:
    """The queue before the disk; belongs to one loop."""

    _run: Callable[[Sequence[LedgerCall]], None]
    _executor: Executor
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)
    _waiting: list[tuple[LedgerCall, "asyncio.Future[Any]"]] = attrs.field(factory=list, init=False)
    _is_running: bool = attrs.field(default=False, init=False)

    def submit(self, call: LedgerCall) -> "asyncio.Future[Any]":
        """The future of its answer; the call is made, whatever becomes of the future."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((call, future))
        if not self._is_running:
            # Not at once: the others who call in this turn of the loop come along, and are not slowed by a thread.
            self._is_running = True
            self._loop.call_soon(self._send_batch)
        return future

    def _send_batch(self) -> None:
        size = next((number for number, (call, _) in enumerate(self._waiting[:MAX_BATCH]) if call.is_exclusive), None)
        size = MAX_BATCH if size is None else max(size, 1)
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        self._is_running = True
        calls = [call for call, _ in batch]
        work = self._loop.run_in_executor(self._executor, self._run, calls)
        work.add_done_callback(lambda done: self._answer(batch, done))

    def _answer(self, batch: list[tuple[LedgerCall, "asyncio.Future[Any]"]], done: "asyncio.Future[None]") -> None:
        self._is_running = False
        broken = asyncio.CancelledError() if done.cancelled() else done.exception()
        for call, future in batch:
            failure = call.failure or broken
            if failure is None and call.on_result is not None:
                call.on_result(call.result)
            if future.done():  # its caller was cancelled
                continue
            if failure is None:
                future.set_result(call.result)
            else:
                future.set_exception(failure)
        if self._waiting:
            self._send_batch()
