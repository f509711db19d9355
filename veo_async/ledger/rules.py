"""What every ledger agrees on: who may move a job, what a step makes of it, when a call may leave.

Plain functions over the rows of `_ports`; a ledger brings the keeping, and asks here what is to be kept.
"""

import secrets
from collections.abc import Callable, Sequence

import attrs

from veo_async._ports import JobRow, RateClaim, Transition
from veo_async._rules.lifecycle import Event, JobState

_ON_THE_WAY = (JobState.QUEUED, JobState.SENDING, JobState.RUNNING, JobState.IN_DOUBT)
_FINAL = (JobState.SAVED, JobState.REFUSED, JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED)

#: Calls and closings older than this are forgotten: no account's span is that long.
RETENTION_S = 3600.0

#: What a step may make different; the rest follows from who took it.
MUTABLE_COLUMNS = frozenset(field.name for field in attrs.fields(JobRow)) - {"key", "account", "state", "owner"}


def new_session_id() -> str:
    """A book's name: never used twice, and safe as the name of a file."""
    return secrets.token_hex(8)


def new_secret() -> bytes:
    """A ledger's secret."""
    return secrets.token_bytes(32)


def is_active(row: JobRow) -> bool:
    """Whether somebody has still something to do for the job."""
    return row.state in _ON_THE_WAY or (row.state == JobState.READY and row.save_to is not None)


def is_prunable(row: JobRow, before: float) -> bool:
    """Whether the job has finished and ended before *before*; false for a state this version does not know."""
    is_finished = row.state in _FINAL or (row.state == JobState.READY and row.save_to is None)
    return is_finished and row.ended_at is not None and row.ended_at < before


def is_replaceable(current: JobRow | None, replaces: JobRow | None) -> bool:
    """May a plan be put down where *current* is, when *replaces* is what its planner has seen there?

    The times are compared as well as the state: a job that failed, was planned anew by another and failed again is in
    the same state and is not the same.
    """
    if current is None:
        return True
    if replaces is None:
        return False
    return _incarnation(current) == _incarnation(replaces)


def _incarnation(row: JobRow) -> tuple[str, float, float | None]:
    return row.state, row.submitted_at, row.ended_at


def first_transition(row: JobRow, current: JobRow | None) -> Transition:
    """The first step of a job's timeline, or the one with which it begins anew."""
    changes = {"task_id": row.task_id} if row.task_id is not None else {}
    before = "" if current is None else current.state
    return Transition(key=row.key, event="submit", before=before, after=row.state, at=row.submitted_at, changes=changes)


def apply(
    row: JobRow | None, step: Transition, session_id: str, account: str | None, is_alive: Callable[[str], bool]
) -> JobRow | None:
    """What *step*, taken by the book called *instance*, makes of *row*; None if it must not be taken.

    A job in doubt may be moved by whoever has evidence, and a living owner keeps it. A job that nobody drives becomes
    the book's, unless the book cannot drive it: it was opened for looking, or for another account.
    """
    if row is None or row.state != step.before:
        return None
    owner = row.owner
    if owner is not None and owner != session_id and is_alive(owner):
        if row.state != JobState.IN_DOUBT:
            return None
    elif account == row.account:
        owner = session_id
    foreign = step.changes.keys() - MUTABLE_COLUMNS
    if foreign:
        raise ValueError(f"a step cannot change {', '.join(sorted(foreign))}")
    changes: dict[str, object] = dict(step.changes)
    return attrs.evolve(row, state=step.after, owner=owner, **changes)  # type: ignore[arg-type]  # columns hold plain values


def sender_lost(row: JobRow, at: float) -> Transition:
    """What happens to a job in ``sending`` when the process that sent it is gone."""
    return Transition(
        key=row.key,
        event=Event.LOSE,
        before=JobState.SENDING,
        after=JobState.IN_DOUBT,
        at=at,
        evidence={"why": "the process that sent it is gone"},
    )


def may_send_at(others: Sequence[float], closed_until: float, claim: RateClaim, at: float) -> float:
    """When a call may leave that a session's own gate lets leave at *at*: 0.0 for now.

    A refusal always names a time in the future, so that whoever is refused knows when to ask again.

    Args:
        others: when the other sessions' calls left or were answered, earliest first.
        closed_until: the latest word of another session that the gate is closed.
    """
    wait_until = closed_until if closed_until > at else 0.0
    inside = [call for call in others if call + claim.window_s > at]  # by the sum, or rounding could refuse for ever
    excess = len(inside) + claim.own_calls + 1 - claim.limit
    if excess > 0:
        leaving = inside[min(excess, len(inside)) - 1] if inside else at
        wait_until = max(wait_until, leaving + claim.window_s)
    return wait_until
