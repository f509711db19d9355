"""The order of events in one simulation, and its result."""

import asyncio
import hashlib
import json
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping

import attrs
from _common import in_virtual_time

from veo_async._rules.lifecycle import Event

from .conditions import Conditions
from .invariants import still_waiting, unfinished, violations
from .outside import cause_outages, deliver_callbacks, interfere
from .session import SimulatedSession
from .world import World, virtual_time

#: Once the faults have stopped, every job must finish within this time, in seconds.
RECOVERY_LIMIT_S = 3600.0


@attrs.frozen(kw_only=True)
class SimulationResult:
    """The result of one seed."""

    seed: int
    #: Safety: what must never happen and happened.
    violations: tuple[str, ...] = ()
    #: Liveness: what should have happened and did not.
    unfinished: tuple[str, ...] = ()
    charges: int = 0
    charges_by_route: Mapping[str, int] = attrs.field(factory=Counter)
    sessions: int = 0
    kills: int = 0
    in_doubt: int = 0
    bound: int = 0
    virtual_s: float = 0.0
    #: A hash of everything that happened; the same seed gives the same digest.
    digest: str = ""
    conditions: Conditions | None = None

    @property
    def has_failed(self) -> bool:
        return bool(self.violations or self.unfinished)


def simulate(seed: int, jobs: int) -> SimulationResult:
    """Simulate a batch of *jobs* under the conditions and faults of *seed*."""

    async def simulation() -> SimulationResult:
        world = World(seed, jobs)
        await _run(world)
        return _result(seed, world)

    with warnings.catch_warnings():
        # A killed session leaves coroutines behind that never started.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        try:
            return in_virtual_time(simulation())
        except Exception:  # noqa: BLE001  # whatever the error is, it must be reported with its seed
            return SimulationResult(seed=seed, violations=(traceback.format_exc(),))


def _result(seed: int, world: World) -> SimulationResult:
    events = Counter(step.event for _, step in world.ledger.timeline)
    return SimulationResult(
        seed=seed,
        violations=tuple(dict.fromkeys(world.violations)),
        unfinished=tuple(world.unfinished),
        charges=len(world.sim.charges),
        charges_by_route=Counter(world.sim.tasks[charge.task_id].route for charge in world.sim.charges),
        sessions=len(world.sessions),
        kills=sum(session.was_killed for session in world.sessions),
        in_doubt=events[Event.LOSE],
        bound=events[Event.BIND],
        virtual_s=virtual_time(),
        digest=_digest(world),
        conditions=world.conditions,
    )


def _digest(world: World) -> str:
    timeline = [(step.key, step.event, round(step.at, 6)) for _, step in world.ledger.timeline]
    charges = [charge.task_id for charge in world.sim.charges]
    return hashlib.sha256(json.dumps([timeline, charges]).encode()).hexdigest()


# --- the order of events ----------------------------------------------------------------------------------------


async def _run(world: World) -> None:
    """Run sessions under faults, then without faults until everything is finished, and check."""
    world.watch_loop()
    background = [world.spawn(deliver_callbacks(world)), world.spawn(cause_outages(world))]
    if world.conditions.has_operator:
        background.append(world.spawn(interfere(world)))
    await _with_faults(world)
    world.stop_faults()
    if not world.open_sessions or world.rng.random() < 0.5:
        for session in world.open_sessions:
            await session.kill()
        _start_session(world)
    await _without_faults(world)
    world.violations += violations(world)
    for session in world.open_sessions:
        await session.close()
    world.violations += violations(world)
    for task in background:
        task.cancel()
    await asyncio.wait(background)


async def _with_faults(world: World) -> None:
    """Keep the sessions open that the conditions ask for, and kill or close some of them."""
    rng = world.rng
    until = virtual_time() + world.conditions.fault_phase_s
    while virtual_time() < until:
        while len(world.open_sessions) < world.conditions.max_sessions:
            _start_session(world)
        await asyncio.sleep(rng.uniform(0.5, 20.0))
        if world.early_ends_left and world.open_sessions and rng.random() < 0.5:
            world.early_ends_left -= 1
            session = rng.choice(world.open_sessions)
            await (session.kill() if rng.random() < 0.8 else session.close())


async def _without_faults(world: World) -> None:
    """Wait until every job is finished, then a few seconds more for the waiters to get their outcomes."""
    until = virtual_time() + RECOVERY_LIMIT_S
    while virtual_time() < until and unfinished(world):  # noqa: ASYNC110  # the ledger has no event for this
        await asyncio.sleep(1.0)
    world.unfinished += unfinished(world)
    await asyncio.sleep(5.0)
    world.unfinished += still_waiting(world)


def _start_session(world: World) -> None:
    session = SimulatedSession(world, number=len(world.sessions))
    world.sessions.append(session)
    session.start()
