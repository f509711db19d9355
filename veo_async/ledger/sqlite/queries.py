"""Reads and writes jobs: one method for each operation of a ledger session, except reading changes.

Everything here runs in the ledger session's own thread. Nothing here begins or commits a transaction: `LedgerFile` does
that for a whole batch of calls.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence

import attrs

from veo_async._ports import (
    MAX_HINTS_PER_TOKEN,
    BudgetUse,
    Cursor,
    JobPage,
    JobQuery,
    JobRow,
    NewJob,
    RateClaim,
    Scalar,
    SendPermit,
    TaskAlreadyBound,
    Transition,
)
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import rules

from .change_reader import ChangeReader
from .session_lock import SessionLock
from .statements import Statements


@attrs.define(eq=False)
class Queries:
    """The operations of one session."""

    session_lock: SessionLock
    account: str | None
    changes: ChangeReader = attrs.field(init=False, repr=False)
    _statements: Statements = attrs.field(factory=Statements, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.changes = ChangeReader(self._statements, self.session_lock, self.account)

    @property
    def session_id(self) -> str:
        return self.session_lock.session_id

    def use(self, connection: sqlite3.Connection | None) -> None:
        """Run on *connection* from now on."""
        self._statements.use(connection)
        self.changes.forget_version()

    # --- jobs ---

    def insert_all(self, jobs: Sequence[NewJob], budget_limit: float | None) -> list[JobRow]:
        stored = {job.row.key: self.get(job.row.key) for job in jobs}
        new = [job.row for job in jobs if rules.is_replaceable(stored[job.row.key], job.replaces)]
        for row in new:
            self._check_task_is_free(row)
        if new and new[0].budget is not None:
            rules.check_new_jobs(new, self.budget_use(new[0].budget), budget_limit)
        inserted = {row.key: self._insert(row, stored[row.key]) for row in new}
        return [inserted.get(job.row.key) or stored[job.row.key] or job.row for job in jobs]

    def _insert(self, row: JobRow, current: JobRow | None) -> JobRow:
        row = attrs.evolve(row, owner=None if self.account is None else self.session_id)
        # A job is numbered like its submit transition, which refers to the job and so can only be inserted after it.
        self._statements.insert_job(row, seq=self.last_transition() + 1)
        self._statements.insert_transition(rules.first_transition(row, current), self.session_id)
        self._count_in_budget(row, rules.change_of_use(None, row))  # what the row replaces stays spent
        self._keep_token(row)
        return row

    def budget_use(self, name: str) -> BudgetUse:
        found = self._statements.run("budget_use", budget=name).fetchone()
        return BudgetUse() if found is None else BudgetUse(spent=found[0], reserved=found[1])

    def _count_in_budget(self, row: JobRow, change: BudgetUse) -> None:
        if row.budget is not None and (change.spent or change.reserved):
            self._statements.run("use_budget", budget=row.budget, spent=change.spent, reserved=change.reserved)

    def apply(self, transition: Transition, closed_until: float, budget_limit: float | None) -> bool:
        found = self._apply(transition)
        if found is None:
            return False
        current, row = found
        if budget_limit is not None and row.budget is not None:
            rules.check_change(current, row, self.budget_use(row.budget), budget_limit)
        self._write(current, row, transition)
        if transition.before == JobState.SENDING:
            self._statements.run("record_response", key=row.key, at=transition.at)
        if closed_until:
            self._statements.run(
                "save_closure", account=row.account, session_id=self.session_id, closed_until=closed_until
            )
        return True

    def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        found = self._apply(transition)
        if found is None:
            return None
        current, row = found
        closed_until = self.changes.closed_until(row.account, transition.at)
        wait_until = rules.may_send_at(self._other_calls(row, transition, claim), closed_until, claim, transition.at)
        if not wait_until:
            self._write(current, row, transition)
            since = transition.at - rules.RETENTION_S
            self._statements.run("delete_old_calls", account=row.account, since=since)
            self._statements.run(
                "insert_call", account=row.account, session_id=self.session_id, key=row.key, at=transition.at
            )
        gate = self.changes.account_activity(row.account, transition.at, max(closed_until, wait_until))
        return SendPermit(is_granted=not wait_until, gate=gate)

    def add_hint(self, token: str, task_id: str, at: float) -> bool:
        if not self._statements.run("has_attempt", token=token).fetchone():
            return False
        self._statements.run("insert_hint", token=token, task_id=task_id, at=at)
        self._statements.run("drop_hints", token=token, max_hints=MAX_HINTS_PER_TOKEN)
        self.changes.on_local_hint()
        return True

    def get(self, key: str) -> JobRow | None:
        return next(iter(self._statements.jobs("job", key=key)), None)

    def job_of_task(self, task_id: str) -> JobRow | None:
        return next(iter(self._statements.jobs("job_of_task", task_id=task_id)), None)

    def follow_ups(self, sources: Collection[str]) -> list[JobRow]:
        return self._statements.jobs("follow_ups", sources=json.dumps([*sources]))

    def jobs(self, states: Collection[str] | None) -> list[JobRow]:
        if states is None:
            return self._statements.jobs("jobs", account=self.account)
        return self._statements.jobs("jobs_in_states", account=self.account, states=json.dumps([*map(str, states)]))

    def page(self, query: JobQuery, after: Cursor | None, size: int) -> JobPage:
        at, number = after or (query.since, -1)  # a page begins after its place, so the jobs at query.since follow
        name, conditions = _by_state("page", query), self._conditions(query)
        return self._statements.page(name, size, **conditions, at=at, number=number)

    def before_newest(self, query: JobQuery, count: int) -> Cursor | None:
        name = _by_state("before_newest", query)
        found = self._statements.rows(name, **self._conditions(query), since=query.since, count=count)
        return found[0] if found else None

    def counts(self, query: JobQuery) -> dict[str, int]:
        states = [state for (state,) in self._statements.rows("states") if query.state in (None, state)]
        values = {"tenant": query.tenant, "account": self.account, "since": query.since}
        found = {state: int(self._statements.value("count_in_state", state=state, **values)) for state in states}
        return {str(state): count for state, count in found.items() if count}

    def transitions(self, key: str) -> list[Transition]:
        return self._statements.transitions(key)

    def prune(self, before: float, size: int) -> int:
        """Delete up to *size* jobs."""
        found = self._statements.run("prunable_jobs", account=self.account, before=before, size=size).fetchall()
        keys = [{"key": key} for (key,) in found]
        for name in ("delete_hints", "delete_attempts", "delete_transitions"):
            self._statements.run_many(name, keys)
        since = before - rules.RETENTION_S
        self._statements.run_many("delete_calls", [{**key, "since": since} for key in keys])
        self._statements.run_many("delete_job", keys)
        return len(keys)

    def prunable(self, before: float) -> int:
        return int(self._statements.value("prunable_count", account=self.account, before=before))

    def free_bytes(self) -> int:
        """Return the size of the file's unused pages."""
        return self._statements.pragma("freelist_count") * self._statements.pragma("page_size")

    # --- what else the ledger stores ---

    def knowledge(self) -> str | None:
        found = self._statements.rows("knowledge", account=self.account or "")
        return str(found[0][0]) if found else None

    def save_knowledge(self, knowledge: str) -> None:
        self._statements.run("save_knowledge", account=self.account or "", knowledge=knowledge)

    def save_batch(self, batch: int) -> None:
        """Store the number of the batch that is being written."""
        self._statements.run("save_batch", session_id=self.session_id, batch=batch)

    def last_batch(self) -> int:
        """Return the number of this session's last batch that was committed; 0 for none."""
        found = self._statements.run("last_batch", session_id=self.session_id).fetchone()
        return 0 if found is None else int(found[0])

    def last_transition(self) -> int:
        """Return the number of the last transition in the file."""
        return int(self._statements.value("last_transition"))

    def last_sent(self) -> int:
        """Return how many requests were permitted to be sent, by all sessions and since the ledger exists."""
        return int(self._statements.value("last_sent"))

    # --- internals ---

    def _conditions(self, query: JobQuery) -> dict[str, Scalar]:
        """Return the values of *query* for a statement that `_by_state` names."""
        state = {} if query.state is None else {"state": str(query.state)}
        return {**state, "tenant": query.tenant, "account": self.account}

    def _apply(self, transition: Transition) -> tuple[JobRow, JobRow] | None:
        """Return the stored row, and what *transition* makes of it; None if this session must not apply it."""
        current = self.get(transition.key)
        row = rules.apply(current, transition, self.session_id, self.account, self.session_lock.is_alive)
        if current is None or row is None:
            return None
        if "task_id" in transition.changes:
            self._check_task_is_free(row)
        return current, row

    def _check_task_is_free(self, row: JobRow) -> None:
        holder = None if row.task_id is None else self.job_of_task(row.task_id)
        if holder is not None and holder.key != row.key:
            raise TaskAlreadyBound(holder.key)

    def _write(self, current: JobRow, row: JobRow, transition: Transition) -> None:
        if row.owner == self.session_id != current.owner:
            self.changes.on_adopted(row.key)
        self._count_in_budget(row, rules.change_of_use(current, row))
        self._statements.update_job(row, ["state", "owner", *transition.changes])
        self._statements.insert_transition(transition, self.session_id)
        if "token" in transition.changes:
            self._keep_token(row)

    def _keep_token(self, row: JobRow) -> None:
        if row.token is not None:
            self._statements.run("insert_attempt", token=row.token, key=row.key)

    def _other_calls(self, row: JobRow, transition: Transition, claim: RateClaim) -> list[float]:
        """Return when other sessions have sent calls that may count: one second too many, because times are rounded."""
        since = transition.at - claim.window_s - 1.0
        calls = self._statements.run(
            "calls_since",
            account=row.account,
            session_id=self.session_id,
            since=since,
            latest=rules.latest_time(transition.at),
        )
        return [at for (at,) in calls]


def _by_state(name: str, query: JobQuery) -> str:
    """Return the name of the statement *name* for a query with or without a state."""
    return name if query.state is None else f"{name}_in_state"
