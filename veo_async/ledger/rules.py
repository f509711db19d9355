"""The rules that all ledgers share: who may change a job, what a transition makes of it, when a call may be sent.

These are plain functions over the values of `_ports`. Each ledger stores the rows; it asks here what to store.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import attrs

from veo_async._base.checks import check_instance, reject
from veo_async._ports import MAX_AHEAD_S, BudgetUse, JobQuery, JobRow, RateClaim, Transition
from veo_async._rules.credits.reservations import check_limit
from veo_async._rules.lifecycle import Event, JobState

_IN_PROGRESS = (JobState.QUEUED, JobState.SENDING, JobState.RUNNING, JobState.IN_DOUBT)
_FINAL = (JobState.SAVED, JobState.REFUSED, JobState.FAILED, JobState.EXPIRED, JobState.ABANDONED)

#: Sent calls older than this are deleted. No rate limit has a longer window.
RETENTION_S = 3600.0

#: The shortest time after which finished jobs may be deleted automatically. Callbacks and the changes that other
#: sessions have not read arrive within minutes; but a list that is submitted again tomorrow must not be paid for again.
MIN_PRUNE_AFTER = timedelta(days=1)

#: The state of a row whose values no version of this library has written. No transition leads out of it.
UNREADABLE = "unreadable"

#: The columns that a transition may change. Its state is set from the transition itself, its owner by `apply`.
MUTABLE_COLUMNS = frozenset(field.name for field in attrs.fields(JobRow)) - {"key", "account", "state", "owner"}


def new_session_id() -> str:
    """Return a new id for a ledger session: never used before, and valid as a file name."""
    return secrets.token_hex(8)


def new_secret() -> bytes:
    """Return a new secret for a ledger."""
    return secrets.token_bytes(32)


def is_active(row: JobRow) -> bool:
    """Whether a session still has work to do for the job."""
    return row.state in _IN_PROGRESS or (row.state == JobState.READY and row.save_to is not None)


def is_prunable(row: JobRow, before: float) -> bool:
    """Whether the job has finished and ended before *before*; false for a state that this version does not know."""
    is_finished = row.state in _FINAL or (row.state == JobState.READY and row.save_to is None)
    return is_finished and row.ended_at is not None and row.ended_at < before


def as_history(transition: Transition) -> Transition:
    """Return *transition* as the history keeps it: nothing twice.

    The outcome and the path of the clip are on the job's row, a time can be the transition's own, and evidence can be
    one of the changes.
    """
    given, at = transition.changes, transition.at
    changes = {name: value for name, value in given.items() if not _is_repeated(name, value, at)}
    evidence = {name: value for name, value in transition.evidence.items() if name not in given or given[name] != value}
    return attrs.evolve(transition, changes=changes, evidence=evidence)


def _is_repeated(name: str, value: object, at: float) -> bool:
    return name in ("outcome", "save_to") or (name in ("sent_at", "ended_at") and value == at)


def check_prune_after(_: object, field: "attrs.Attribute[timedelta | None]", value: Any) -> None:
    """Check how long after their end a ledger deletes finished jobs; None keeps them.

    Raises:
        UsageError: it is not a time, or too short.
    """
    if value is None:
        return
    check_instance(field.name, value, timedelta, "None or a timedelta, for example timedelta(days=90)")
    if value < MIN_PRUNE_AFTER:
        rule = "must be at least one day: a request whose job was deleted is charged again if it is submitted again"
        reject(field.name, value, rule)


def is_in_query(row: JobRow, query: JobQuery) -> bool:
    """Whether the job meets all conditions of *query*."""
    return query.state in (None, row.state) and query.tenant in (None, row.tenant) and row.submitted_at >= query.since


def is_replaceable(current: JobRow | None, replaces: JobRow | None) -> bool:
    """Whether a new job may take the place of *current*, given the row *replaces* that its submitter has read.

    The times are compared as well as the state. A job that failed, was resubmitted by another session and failed again
    is in the same state, but it is a different run.
    """
    if current is None:
        return True
    if replaces is None:
        return False
    return _incarnation(current) == _incarnation(replaces)


def _incarnation(row: JobRow) -> tuple[str, float, float | None]:
    return row.state, row.submitted_at, row.ended_at


def budget_use(row: JobRow | None) -> BudgetUse:
    """Return what *row* counts in its budget: reserved until it has ended, spent from then on."""
    if row is None or row.budget is None or not row.credits:
        return BudgetUse()
    return BudgetUse(reserved=row.credits) if row.state in _IN_PROGRESS else BudgetUse(spent=row.credits)


def change_of_use(before: JobRow | None, after: JobRow) -> BudgetUse:
    """Return by how much the use of the budget of *after* changes when it takes the place of *before*.

    A row that joins a budget brings all of its credits.
    """
    new = budget_use(after)
    old = budget_use(before) if before is not None and before.budget == after.budget else BudgetUse()
    return BudgetUse(spent=new.spent - old.spent, reserved=new.reserved - old.reserved)


def check_new_jobs(rows: Sequence[JobRow], use: BudgetUse, limit: float | None) -> None:
    """Raise `BudgetExceeded` unless the new *rows* fit their budget, of which *use* is used."""
    if limit is not None:
        check_limit([row.credits for row in rows], use, limit)


def check_change(before: JobRow, after: JobRow, use: BudgetUse, limit: float | None) -> None:
    """Raise `BudgetExceeded` unless a job that becomes *after* fits its budget; a cheaper one always does."""
    change = change_of_use(before, after)
    cost = change.spent + change.reserved
    if limit is not None and (cost > 0 or after.credits is None):
        check_limit([None if after.credits is None else cost], use, limit)


def first_transition(row: JobRow, current: JobRow | None) -> Transition:
    """Return the ``submit`` transition of *row*, which replaces *current* if that is not None."""
    changes = {"task_id": row.task_id} if row.task_id is not None else {}
    before = "" if current is None else current.state
    return Transition(key=row.key, event="submit", before=before, after=row.state, at=row.submitted_at, changes=changes)


def apply(
    row: JobRow | None, transition: Transition, session_id: str, account: str | None, is_alive: Callable[[str], bool]
) -> JobRow | None:
    """Return *row* as it is after *transition*, or None if session *session_id* must not apply it.

    Only the owner may change a job while it is alive, with one exception: any session with evidence may change a job in
    doubt, which stays with its owner. A job without a living owner becomes the session's, unless the session is for
    another account or for none.
    """
    if row is None or row.state != transition.before:
        return None
    owner = row.owner
    if owner is not None and owner != session_id and is_alive(owner):
        if row.state != JobState.IN_DOUBT:
            return None
    elif account == row.account:
        owner = session_id
    immutable = transition.changes.keys() - MUTABLE_COLUMNS
    if immutable:
        raise ValueError(f"a transition cannot change {', '.join(sorted(immutable))}")
    changes: dict[str, object] = dict(transition.changes)
    return attrs.evolve(row, state=transition.after, owner=owner, **changes)  # type: ignore[arg-type]  # columns hold plain values


def sender_lost(row: JobRow, at: float) -> Transition:
    """Return the transition to ``in_doubt`` for a job in ``sending`` whose sending process has died."""
    return Transition(
        key=row.key,
        event=Event.LOSE,
        before=JobState.SENDING,
        after=JobState.IN_DOUBT,
        at=at,
        evidence={"why": "the sending process died"},
    )


def latest_time(at: float) -> float:
    """Return the latest time on a ledger that counts at *at*; later ones are ignored."""
    return at + MAX_AHEAD_S


def may_send_at(others: Sequence[float], closed_until: float, claim: RateClaim, at: float) -> float:
    """Return when a call that the session's own gate allows at *at* may be sent; 0.0 means now.

    Any other result is later than *at*, so the caller knows when to ask again.

    Args:
        others: when the other sessions' calls were sent or their responses arrived, earliest first; none is later than
            `latest_time`.
        closed_until: until when another session has closed the gate; not later than `latest_time` either.
    """
    wait_until = closed_until if closed_until > at else 0.0
    inside = [call for call in others if call + claim.window_s > at]  # a difference could round so that it never passes
    excess = len(inside) + claim.own_calls + 1 - claim.limit
    if excess > 0:
        leaving = inside[min(excess, len(inside)) - 1] if inside else at
        wait_until = max(wait_until, leaving + claim.window_s)
    return wait_until
