"""What must never happen (safety), and what must happen once the faults stop (liveness).

Each check yields sentences that name the job or task. `violations` reads the ledger and the provider's charge log and
may run at any time. A few violations are reported where they occur: an unhandled error in the event loop
(`world`), a session that does not close cleanly (`session`), and a callback whose token the ledger does not know
(`outside`).
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator

from veo_async._rules.lifecycle import TABLE, Event, JobState
from veo_async._runtime.sending.sender import GRANT_TTL_S
from veo_async.events import Done, Outcome

from .world import START_AT, World

_FINISHED = ("ready", "refused", "failed", "expired", "abandoned")
_AT_REST = (*_FINISHED, "in_doubt")


# --- safety: what must never happen -----------------------------------------------------------------------------


def violations(world: World) -> list[str]:
    """Return everything that must never happen and has happened."""
    return [
        *_charged_twice(world),
        *_lost(world),
        *_wrong_task(world),
        *_illegal_transitions(world),
        *_in_doubt_without_evidence(world),
        *_over_the_limit(world),
    ]


def _charged(world: World) -> dict[str, list[str]]:
    """Return the tasks of each job that were charged and not refunded."""
    charged: dict[str, list[str]] = defaultdict(list)
    for charge in world.sim.charges:
        if charge.refunded_at is None:
            charged[world.keys[charge.body["prompt"]]].append(charge.task_id)
    return charged


def _charged_twice(world: World) -> Iterator[str]:
    """No job is charged more than once, except when the user resubmits it."""
    resubmitted = Counter(step.key for _, step in world.ledger.timeline if step.event == Event.RESUBMIT)
    for key, tasks in _charged(world).items():
        if len(tasks) > 1 + resubmitted[key]:
            yield f"{key} was charged {len(tasks)} times: {', '.join(tasks)}"


def _lost(world: World) -> Iterator[str]:
    """The ledger has every task id that a surviving session received, and every job for which `submit` returned."""
    known: set[object] = {row.task_id for row in world.ledger.jobs.values()}
    known |= {step.changes.get("task_id") for _, step in world.ledger.timeline}
    for task_id, session in world.received_by.items():
        if task_id not in known and not session.may_lose_ids:
            yield f"the id of task {task_id} was received and is not on the ledger"
    for key in world.submitted:
        if key not in world.ledger.jobs:
            yield f"{key} was submitted and is not on the ledger"


def _wrong_task(world: World) -> Iterator[str]:
    """No job has the task of another job."""
    holders = Counter(row.task_id for row in world.ledger.jobs.values() if row.task_id is not None)
    for row in world.ledger.jobs.values():
        if row.task_id is None:
            continue
        owner = world.keys[world.sim.tasks[row.task_id].request.prompt]
        if owner != row.key or holders[row.task_id] > 1:
            yield f"{row.key} has the task {row.task_id}, which was created for {owner}"


def _illegal_transitions(world: World) -> Iterator[str]:
    """Every transition is one of the lifecycle table, and the timeline agrees with the current state."""
    states: dict[str, str] = {}
    for _, step in world.ledger.timeline:
        current = states.get(step.key, "")
        if step.before != current:
            yield f"{step.key} was {current!r} and a transition started from {step.before!r}"
        if step.event == "submit":
            is_legal = step.after == JobState.QUEUED and current in ("", "refused", "failed")
        else:
            is_legal = TABLE[JobState(step.before)].get(Event(step.event)) == step.after
        if not is_legal:
            yield f"{step.key}: {step.event} led from {step.before!r} to {step.after!r}"
        states[step.key] = str(step.after)
    for key, row in world.ledger.jobs.items():
        if row.state != states.get(key):
            yield f"{key} is {row.state} and its timeline ends with {states.get(key)}"


def _in_doubt_without_evidence(world: World) -> Iterator[str]:
    """A job in doubt has a token, the time when it was sent, and a reason."""
    evidence = {step.key: step.evidence for _, step in world.ledger.timeline if step.after == JobState.IN_DOUBT}
    for row in world.ledger.jobs.values():
        if row.state == JobState.IN_DOUBT and not (row.token and row.sent_at and evidence.get(row.key)):
            yield f"{row.key} is in doubt without evidence"


def _over_the_limit(world: World) -> Iterator[str]:
    """In any window, at most the limit and one probe arrive.

    A permit stays valid for `GRANT_TTL_S` seconds after it is granted, so the windows are shorter by that much.
    """
    arrivals = sorted(request.at for request in world.sim.requests_to() if request.fault != "unreachable")
    window_s = world.conditions.window_s - GRANT_TTL_S
    for number, at in enumerate(arrivals):
        count = bisect_left(arrivals, at + window_s) - number
        if count > world.conditions.limit + 1:
            yield f"{count} requests arrived within {window_s} s from {at - START_AT:.3f}"
            return


def outcome_differs(world: World, key: str, outcome: Outcome) -> Iterator[str]:
    """A clip is reported only after the ledger has it. Called the moment a waiter gets its outcome."""
    row = world.ledger.jobs[key]
    if isinstance(outcome, Done) and (row.state, row.task_id) != ("ready", outcome.clip.task_id):
        yield f"{key} was reported as done and is {row.state} on the ledger"


# --- liveness: what must happen once the faults stop --------------------------------------------------------------


def unfinished(world: World) -> list[str]:
    """Return what has still to happen: every job finishes or stays in doubt for want of a callback."""
    rows = world.ledger.jobs
    found = [f"{key} was never stored" for key in world.prompts if key not in rows]
    found += [f"{row.key} is still {row.state}" for row in rows.values() if row.state not in _AT_REST]
    if found:
        return found
    charged = _charged(world)
    return [
        f"{key} is in doubt although the callback of its task was stored"
        for key, row in rows.items()
        if row.state == JobState.IN_DOUBT and not world.stored_callbacks.isdisjoint(charged[key])
    ]


def still_waiting(world: World) -> Iterator[str]:
    """Every waiter of a finished job gets its outcome."""
    for session in world.open_sessions:
        for key, waiter in session.waiters.items():
            state = world.ledger.jobs[key].state
            if state in _FINISHED and not waiter.done():
                yield f"{key} is {state} and a caller still waits for it"
