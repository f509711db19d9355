"""What all sessions of a simulation share and what outlives them: the provider, the ledger, and the records kept."""

import asyncio
import contextvars
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import attrs
from _flaky import CallOutcome

from veo_async.ledger.memory import MemoryLedger
from veo_async.simulator import MemoryTransport

from .conditions import draw_conditions, network_faults

if TYPE_CHECKING:
    from .session import SimulatedSession

#: The wall-clock time when virtual time starts, in seconds since 1970.
START_AT = 1.75e9

#: The session whose code is running; every task that it starts inherits the value.
CURRENT_SESSION: contextvars.ContextVar["SimulatedSession | None"] = contextvars.ContextVar("session", default=None)


class World:
    """The provider, the ledger, and what the checks need to know about all sessions."""

    def __init__(self, seed: int, jobs: int) -> None:
        self.rng = Random(seed)
        self.conditions = conditions = draw_conditions(self.rng, jobs)
        self.prompts = {f"job-{number}": f"Dog {number} rides a wave" for number in range(jobs)}
        self.keys = {prompt: key for key, prompt in self.prompts.items()}
        self.has_faults = True
        self.ledger = MemoryLedger(self.rng.randbytes(32))
        self.is_ledger_down = False
        self.sim = MemoryTransport(
            seed=seed,
            start_at=START_AT,
            rate=(conditions.limit, conditions.window_s),
            max_running=None,
            duration_s=conditions.duration_s,
            failure_rate=0.02,
            refusal_rate=0.02,
            faults=network_faults(conditions, on=_WhileFaultsLast(self)),
        )
        self.sessions: list[SimulatedSession] = []
        self.early_ends_left = conditions.max_early_ends
        #: The session that received each task id while it was alive.
        self.received_by: dict[str, SimulatedSession] = {}
        #: Tasks whose callback is stored on the ledger.
        self.stored_callbacks: set[str] = set()
        #: Keys for which `submit` has returned.
        self.submitted: set[str] = set()
        #: What the checks found: things that must never happen, and things that should have happened.
        self.violations: list[str] = []
        self.unfinished: list[str] = []
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._killed_tasks: WeakSet[asyncio.Task[Any]] = WeakSet()

    @property
    def open_sessions(self) -> list["SimulatedSession"]:
        return [session for session in self.sessions if not session.has_ended]

    def created_for(self, key: str) -> list[str]:
        """Return the ids of all tasks that were created for the job *key*."""
        return [charge.task_id for charge in self.sim.charges if charge.body["prompt"] == self.prompts[key]]

    def not_submitted(self) -> list[str]:
        """Return the keys for which no `submit` has returned."""
        return [key for key in self.prompts if key not in self.submitted]

    # --- faults -------------------------------------------------------------------------------------------------

    def stop_faults(self) -> None:
        self.has_faults = False
        self.restore()

    def restore(self) -> None:
        """End an outage of the network or the ledger."""
        self.sim.is_offline = self.is_ledger_down = False

    def draw_ledger_call(self, *, is_write: bool, may_kill: bool) -> tuple[float, CallOutcome]:
        """Return how long a ledger call takes, in seconds, and how it ends."""
        if not self.has_faults:
            return 0.0, CallOutcome.SUCCEEDS
        draw, probability = self.rng.random(), self.conditions.ledger
        delay_s = 0.0 if draw < 0.7 else (draw - 0.7) / 3
        if self.is_ledger_down:
            return delay_s, CallOutcome.FAILS
        draw = self.rng.random()
        if draw < probability:
            return delay_s, CallOutcome.FAILS
        if draw < 1.5 * probability and is_write:
            return delay_s, CallOutcome.FAILS_AFTER_COMMIT
        if may_kill and self.early_ends_left and self.rng.random() < self.conditions.kill:
            return delay_s, self.rng.choice([CallOutcome.KILLED_BEFORE_COMMIT, CallOutcome.KILLED_AFTER_COMMIT])
        return delay_s, CallOutcome.SUCCEEDS

    # --- tasks --------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run *work* outside of all sessions, so that killing one does not stop it."""
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._discard)
        return task

    def _discard(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here, because the session that waited for it may have been killed

    def mark_killed(self, task: "asyncio.Task[Any]") -> None:
        """Ignore what asyncio reports about *task*: its session was killed."""
        self._killed_tasks.add(task)

    def watch_loop(self) -> None:
        """Assign every new task to the session that starts it, and report unhandled errors as violations."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._make_task)
        loop.set_exception_handler(self._on_loop_error)

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        context = options.get("context")
        session = CURRENT_SESSION.get() if context is None else context.get(CURRENT_SESSION)
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        if session is not None:
            session.add_task(task)
        return task

    def _on_loop_error(self, _: Any, context: dict[str, Any]) -> None:
        task = context.get("task") or context.get("future")
        if not (isinstance(task, asyncio.Task) and task in self._killed_tasks):
            self.violations.append(f"asyncio reported: {context.get('message')} {context.get('exception')!r}")


@attrs.frozen(eq=False)
class _WhileFaultsLast:
    """Contains every request number as long as faults are injected."""

    _world: World

    def __contains__(self, number: object) -> bool:
        return self._world.has_faults


def virtual_time() -> float:
    """Return the seconds since the simulation began."""
    return asyncio.get_running_loop().time()


def wall_clock() -> float:
    """Return the simulated wall-clock time."""
    return START_AT + virtual_time()
