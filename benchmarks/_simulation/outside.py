"""What acts on the sessions from outside: outages, the receiver of callbacks, and an operator who interferes."""

import asyncio
from functools import partial

from _flaky import CallOutcome

from veo_async._ports import LedgerSession
from veo_async.events import JobState
from veo_async.simulator import CallbackRequest

from .session import SimulatedSession
from .world import World, wall_clock


async def cause_outages(world: World) -> None:
    """Take the whole network or the whole ledger down for a while, again and again, as long as faults last."""
    rng = world.rng
    while world.has_faults:
        await asyncio.sleep(rng.uniform(5.0, 60.0))
        kind = rng.random()
        if world.has_faults and kind < 0.3:
            world.sim.is_offline = True
        elif world.has_faults and kind < 0.6 and world.conditions.ledger:
            world.is_ledger_down = True
        await asyncio.sleep(rng.choice([0.1, 1.0, 5.0, 30.0, 100.0, 200.0]))
        world.restore()


async def deliver_callbacks(world: World) -> None:
    """Receive callbacks in a process that is never killed, and retry those that could not be stored."""
    ledger_session = await world.ledger.open(None)
    pending: list[CallbackRequest] = []
    while True:
        await asyncio.sleep(1.0)
        pending += world.sim.due_callbacks()
        for callback in [*pending]:
            if await _store(world, ledger_session, callback):
                pending.remove(callback)


async def _store(world: World, ledger_session: LedgerSession, callback: CallbackRequest) -> bool:
    """Store a callback through an open session or directly on the ledger. Return whether that succeeded."""
    token = callback.url.rpartition("/")[2]
    sessions = [session for session in world.open_sessions if session.veo is not None]
    _, outcome = world.draw_ledger_call(is_write=False, may_kill=False)
    if outcome is not CallOutcome.SUCCEEDS:
        return False
    if sessions and world.rng.random() < 0.5:
        session = world.rng.choice(sessions)
        assert session.veo is not None
        is_known = await session.call(partial(session.veo.callbacks.hint, token, callback.task_id))
    else:
        is_known = await ledger_session.add_hint(token, callback.task_id, wall_clock())
    if is_known is None:
        return False
    if not is_known:
        world.violations.append(f"the callback of task {callback.task_id} has a token that belongs to no attempt")
    world.stored_callbacks.add(callback.task_id)
    return True


async def interfere(world: World) -> None:
    """Act as an operator who repairs jobs, sometimes with the wrong task, and as an attacker who forges callbacks."""
    while world.has_faults:
        await asyncio.sleep(world.rng.uniform(1.0, 15.0))
        sessions = [session for session in world.open_sessions if session.veo is not None and session.veo.jobs()]
        tasks = [*world.sim.tasks]
        if world.has_faults and sessions and tasks:
            await _interfere_once(world, world.rng.choice(sessions), tasks)


async def _interfere_once(world: World, session: SimulatedSession, tasks: list[str]) -> None:
    rng, veo = world.rng, session.veo
    assert veo is not None
    in_doubt = veo.jobs(JobState.IN_DOUBT)
    job = rng.choice(in_doubt if in_doubt and rng.random() < 0.7 else veo.jobs())
    task_id = rng.choice((*world.created_for(job.key), rng.choice(tasks)))
    token = world.ledger.jobs[job.key].token
    match rng.randrange(5):
        case 0 if rng.random() < 0.2:
            await session.call(job.abandon)
        case 1 if rng.random() < 0.3:
            await session.call(job.resubmit)
        case 2:
            await session.call(partial(job.resolve, task_id))
        case _ if token is not None:
            await session.call(partial(veo.callbacks.hint, token, task_id))
