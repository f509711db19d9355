"""One session of a simulation, from its opening until it is closed or killed."""

import asyncio
import contextvars
import json
from collections.abc import Callable, Coroutine
from typing import Any, get_args

from _flaky import CallOutcome, FlakyLedger

from veo_async import Job, VeoSession
from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse
from veo_async.errors import ClientClosed, LedgerError, VeoError
from veo_async.settings import Limits, Network
from veo_async.types import RouteName

from .invariants import outcome_differs
from .world import CURRENT_SESSION, World, wall_clock

PUBLIC_URL = "https://receiver.example"


class SimulatedSession:
    """A process with one open session: it submits jobs, waits for them, and may be killed at any moment."""

    def __init__(self, world: World, *, number: int) -> None:
        self._world, self.number = world, number
        #: The route of the requests that it is the first to send.
        self._route: RouteName = world.rng.choice(get_args(RouteName))
        self.ledger = FlakyLedger(world.ledger, self)
        self.veo: VeoSession | None = None
        self.has_ended = False
        self.was_killed = False
        #: A task id that it received may be missing from the ledger: it ended while it could not write.
        self.may_lose_ids = False
        #: The tasks that wait for the outcomes of jobs, by key.
        self.waiters: dict[str, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()
        self._is_closing = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._context = contextvars.copy_context()
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._context.run(CURRENT_SESSION.set, self)
        self._main = asyncio.get_running_loop().create_task(self._run(), context=self._context.copy())

    def add_task(self, task: "asyncio.Task[Any]") -> None:
        """Record a task that this session started. Cancel it if the session was killed."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.was_killed:
            self._world.mark_killed(task)
            task.cancel()

    async def call(self, method: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run *method* inside this session. Return its result, or None if it fails or the session is killed."""
        task = asyncio.get_running_loop().create_task(method(), context=self._context.copy())
        await asyncio.wait([task])
        if task.cancelled() or isinstance(task.exception(), VeoError):
            return None
        return task.result()

    # --- faults of its ledger, see `_flaky.FaultSource` -----------------------------------------------------------

    def draw(self, *, is_write: bool) -> tuple[float, CallOutcome]:
        delay_s, outcome = self._world.draw_ledger_call(is_write=is_write, may_kill=not self._is_closing)
        if self._is_closing and outcome is not CallOutcome.SUCCEEDS:
            self.may_lose_ids = True
        return delay_s, outcome

    def on_killed(self) -> None:
        self._world.early_ends_left -= 1
        _ = self._world.spawn(self.kill())

    # --- its end ------------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """Stop like a process that receives SIGKILL: nothing it does has any effect from now on."""
        self.has_ended = self.was_killed = self.may_lose_ids = True
        if self.ledger.session is not None:
            self.ledger.session.inner.crash()
        for task in self._tasks:
            self._world.mark_killed(task)
        for _ in range(1000):
            if not self._tasks:
                self.veo = None
                return
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.sleep(0)
        raise AssertionError(f"tasks survived a thousand cancellations: {self._tasks}")

    async def close(self) -> None:
        """Leave the session's block, like a program that ends normally."""
        self.has_ended = self._is_closing = True
        self._closing.set()
        assert self._main is not None
        await asyncio.wait([self._main])
        if (error := self._main.exception()) is not None:
            self._world.violations.append(f"session {self.number} ended with {error!r}, caused by {error.__cause__!r}")

    # --- what it does -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        world, conditions = self._world, self._world.conditions
        while not self._closing.is_set():
            try:
                async with _SessionOnVirtualTime(
                    world.sim.api_key,
                    ledger=self.ledger,
                    account="studio",
                    callbacks=PUBLIC_URL if conditions.has_callbacks else None,
                    on_doubt=conditions.on_doubt,
                    max_in_flight=conditions.max_in_flight,
                    limits=Limits(
                        rate=(conditions.limit, conditions.window_s), explore=False, poll_every=conditions.poll_every
                    ),
                    network=Network(transport=_Connection(world, self), route=self._route, seed=self.number),
                ) as veo:
                    self.veo = veo
                    await self._submit_and_wait(veo)
                return
            except LedgerError:
                await asyncio.sleep(1.0)  # the ledger could not be opened; the program is started again

    async def _submit_and_wait(self, veo: VeoSession) -> None:
        keys = [*self._world.prompts]
        if self.number:  # later sessions find most jobs on the ledger
            keys = self._world.rng.sample(keys, len(keys) // 3) + self._world.not_submitted()
        for key in keys:
            while not self._closing.is_set():
                try:
                    job = await veo.submit(self._world.prompts[key], key=key)
                except LedgerError:
                    await asyncio.sleep(0.5)
                    continue
                self._world.submitted.add(key)
                self.waiters[key] = asyncio.create_task(self._wait_for(job))
                break
        await self._closing.wait()

    async def _wait_for(self, job: Job) -> None:
        try:
            outcome = await job.finished()
        except VeoError:
            return  # the session was closed
        self._world.violations += outcome_differs(self._world, job.key, outcome)


class _SessionOnVirtualTime(VeoSession):
    """A session whose wall clock is the simulation's."""

    def _wall_clock(self) -> float:
        return wall_clock()


class _Connection:
    """A session's transport. A request that was sent arrives even if its sender is killed."""

    def __init__(self, world: World, session: SimulatedSession) -> None:
        self._world, self._session = world, session

    async def send(self, call: HttpRequest) -> HttpResponse:
        if self._session.was_killed:
            raise ClientClosed("this session was killed")
        is_creating = call.method == "POST"
        response: HttpResponse = await asyncio.shield(self._world.spawn(self._exchange(call)))
        if is_creating and not self._session.was_killed:
            self._record_task_id(response)
        return response

    async def _exchange(self, call: HttpRequest) -> HttpResponse:
        rng = self._world.rng
        await asyncio.sleep(rng.uniform(0.02, 0.08))
        response = await self._world.sim.send(call)
        await asyncio.sleep(rng.uniform(0.02, 0.08))
        return response

    def _record_task_id(self, response: HttpResponse) -> None:
        if response.status == 200 and b'"code":200' in response.body:
            self._world.received_by[json.loads(response.body)["data"]["taskId"]] = self._session

    async def close(self) -> None:
        """Do nothing: all sessions share the provider."""
