"""What a book reads and writes, as SQL on one connection: everything here runs in the book's own thread.

No function commits or begins; the disk does, for several at once. What a book has been told already is in `ReadOffsets`, a
value, so that a transaction that did not come to be can put it back.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from veo_async._ports import (
    AccountActivity,
    CallbackHint,
    JobRow,
    LedgerChanges,
    RateClaim,
    Scalar,
    SendPermit,
    TaskAlreadyBound,
    Transition,
)
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import rules

from .session_lock import SessionLock
from .sql import SQL

_COLUMNS = tuple(field.name for field in attrs.fields(JobRow))
_NEVER = 2**62


@attrs.frozen(kw_only=True)
class ReadOffsets:
    """How far a book has been told, and what it may say without looking again."""

    was_read: bool = False
    #: The highest numbers of steps, hints and calls that it knows of.
    step: int = 0
    hint: int = 0
    call: int = 0
    #: Jobs that became this book's by a step; their earlier hints are untold.
    adopted: frozenset[str] = frozenset()
    #: A hint came through this book itself, which `version` does not show.
    has_local_hint: bool = False
    #: Own steps after this one are told as if they were others': their batch was refused and came to be after all.
    uncertain_after: int = _NEVER
    #: The file as other connections have left it, when last asked.
    version: int | None = None
    #: The living owners of this account's jobs.
    owners: tuple[str, ...] = ()
    closed_until: float = 0.0


@attrs.define(eq=False)
class Queries:
    """The statements of one book."""

    session_lock: SessionLock
    account: str | None
    offsets: ReadOffsets = attrs.field(factory=ReadOffsets)
    _connection: sqlite3.Connection | None = attrs.field(default=None, repr=False)

    @property
    def session_id(self) -> str:
        return self.session_lock.session_id

    def use(self, connection: sqlite3.Connection | None) -> None:
        """Write to *connection* from now on; what another one said of versions means nothing here."""
        self._connection = connection
        self.offsets = attrs.evolve(self.offsets, version=None)

    # --- jobs ---

    def insert(self, row: JobRow, replaces: JobRow | None) -> JobRow:
        current = self.get(row.key)
        if current is not None and not rules.is_replaceable(current, replaces):
            return current
        self._check_task_is_free(row)
        row = attrs.evolve(row, owner=None if self.account is None else self.session_id)
        # The job's number is that of its plan, which refers to the job: the row is put down first and numbered so.
        seq = self._value("last_transition") + 1
        self._run("insert_job", **_bound(row), seq=seq)
        self._log(rules.first_transition(row, current))
        self._keep_token(row)
        return row

    def apply(self, step: Transition, closed_until: float) -> bool:
        row = self._apply(step)
        if row is None:
            return False
        self._write(row, step)
        if step.before == JobState.SENDING:
            self._run("record_response", key=row.key, at=step.at)
        if closed_until:
            self._run("save_closure", account=row.account, session_id=self.session_id, closed_until=closed_until)
        return True

    def begin_send(self, step: Transition, claim: RateClaim) -> SendPermit | None:
        row = self._apply(step)
        if row is None:
            return None
        closed_until = self._closed_until(row.account)
        since = step.at - claim.window_s - 1.0  # a second more, for what rounding may do: the sum decides
        others = [
            at for (at,) in self._run("calls_since", account=row.account, session_id=self.session_id, since=since)
        ]
        wait_until = rules.may_send_at(others, closed_until, claim, step.at)
        if not wait_until:
            self._write(row, step)
            self._run("delete_old_calls", account=row.account, since=step.at - rules.RETENTION_S)
            self._run("insert_call", account=row.account, session_id=self.session_id, key=row.key, at=step.at)
        gate = self._account_activity(row.account, max(closed_until, wait_until))
        return SendPermit(is_granted=not wait_until, gate=gate)

    def add_hint(self, token: str, task_id: str, at: float) -> bool:
        if not self._run("has_attempt", token=token).fetchone():
            return False
        self._run("insert_hint", token=token, task_id=task_id, at=at)
        self.offsets = attrs.evolve(self.offsets, has_local_hint=True)
        return True

    def get(self, key: str) -> JobRow | None:
        return next(self._jobs("job", key=key), None)

    def job_of_task(self, task_id: str) -> JobRow | None:
        return next(self._jobs("job_of_task", task_id=task_id), None)

    def jobs(self, states: Collection[str] | None) -> list[JobRow]:
        if states is None:
            return list(self._jobs("jobs", account=self.account))
        return list(self._jobs("jobs_in_states", account=self.account, states=json.dumps([*map(str, states)])))

    def transitions(self, key: str) -> list[Transition]:
        return [_step(apply) for apply in self._run("transitions", key=key)]

    def prune(self, before: float) -> int:
        keys = [{"key": key} for (key,) in self._run("prunable_jobs", account=self.account, before=before).fetchall()]
        for name in ("delete_hints", "delete_attempts", "delete_transitions"):
            self._run_many(name, keys)
        since = before - rules.RETENTION_S
        self._run_many("delete_calls", [{**key, "since": since} for key in keys])
        self._run_many("delete_job", keys)
        return len(keys)

    def knowledge(self) -> str | None:
        found = self._run("knowledge", account=self.account or "").fetchone()
        return None if found is None else found[0]

    def save_knowledge(self, knowledge: str) -> None:
        self._run("save_knowledge", account=self.account or "", knowledge=knowledge)

    # --- news ---

    def changes_if_quiet(self) -> LedgerChanges | None:
        """The news if nothing has happened, which costs one page of the file; None when it takes a closer look."""
        offsets = self.offsets
        if not offsets.was_read or offsets.has_local_hint or offsets.adopted or offsets.uncertain_after != _NEVER:
            return None
        if self._version() != offsets.version or not all(map(self.session_lock.is_alive, offsets.owners)):
            return None
        return LedgerChanges(gate=AccountActivity(closed_until=offsets.closed_until))

    def changes(self, at: float) -> LedgerChanges:
        """All the news, and whatever nobody drives any more taken over."""
        version = self._version()
        taken = [] if self.account is None else self._take_over(at)
        keys = {row.key for row in taken}
        changed = tuple(row for row in self._changed() if row.key not in keys)
        hints = self._new_hints(keys | self.offsets.adopted)
        gate = AccountActivity() if self.account is None else self._account_activity(self.account)
        self.offsets = attrs.evolve(
            self.offsets,
            was_read=True,
            step=self._value("last_transition"),
            hint=self._value("last_hint"),
            adopted=frozenset(),
            has_local_hint=False,
            uncertain_after=_NEVER,
            version=version,
            owners=tuple(self._other_owners()),
            closed_until=gate.closed_until,
        )
        return LedgerChanges(taken_over=tuple(taken), changed=changed, hints=hints, gate=gate)

    def _take_over(self, at: float) -> list[JobRow]:
        gone = [owner for owner in self._other_owners() if not self.session_lock.is_alive(owner)]
        if not self.offsets.was_read:
            self._delete_stale_sessions()
        return [
            self._take_one(row, at) for row in self._jobs("orphaned_jobs", account=self.account, dead=json.dumps(gone))
        ]

    def _take_one(self, row: JobRow, at: float) -> JobRow:
        owned = attrs.evolve(row, owner=self.session_id)
        if row.state == JobState.SENDING:
            owned = attrs.evolve(owned, state=JobState.IN_DOUBT.value)
            self._log(rules.sender_lost(row, at))
        self._run("update_job", **_bound(owned))
        return owned

    def _delete_stale_sessions(self) -> None:
        written = [name for (name,) in self._run("known_sessions", session_id=self.session_id)]
        gone = [name for name in written if not self.session_lock.is_alive(name)]
        if gone:
            self._run("delete_sessions", dead=json.dumps(gone))

    def _changed(self) -> Iterable[JobRow]:
        offsets = self.offsets
        if not offsets.was_read:
            return self._jobs("active_jobs", account=self.account, session_id=self.session_id)
        since = min(offsets.step, offsets.uncertain_after)
        return self._jobs(
            "changed",
            account=self.account,
            session_id=self.session_id,
            after=since,
            uncertain_after=offsets.uncertain_after,
        )

    def _new_hints(self, adopted: Collection[str]) -> tuple[CallbackHint, ...]:
        after = self.offsets.hint
        earlier = [
            CallbackHint(key=key, token=token, task_id=task_id)
            for _, key, token, task_id in self._run(
                "hints_of_jobs", keys=json.dumps([*adopted]), after=after, session_id=self.session_id
            )
        ]
        later = [
            CallbackHint(key=key, token=token, task_id=task_id)
            for key, token, task_id in self._run("hints", after=after, session_id=self.session_id)
        ]
        return (*earlier, *later)

    def _other_owners(self) -> list[str]:
        if self.account is None:
            return []
        return [owner for (owner,) in self._run("owners", account=self.account, session_id=self.session_id)]

    def _account_activity(self, account: str, closed_until: float | None = None) -> AccountActivity:
        """A call is told once, with the time that is known then; what a permit counts is always the latest time."""
        new = self._run("calls_after", account=account, session_id=self.session_id, after=self.offsets.call)
        calls = tuple(at for (at,) in new)
        self.offsets = attrs.evolve(self.offsets, call=self._value("last_call"))
        return AccountActivity(
            calls=calls, closed_until=self._closed_until(account) if closed_until is None else closed_until
        )

    def _closed_until(self, account: str) -> float:
        return float(self._value("closed_until", account=account, session_id=self.session_id))

    # --- what stands behind them ---

    def save_batch(self, batch: int) -> None:
        """Write down which batch of this book this is."""
        self._run("save_batch", session_id=self.session_id, batch=batch)

    def last_batch(self) -> int:
        """The last batch of this book that came to be."""
        found = self._run("last_batch", session_id=self.session_id).fetchone()
        return 0 if found is None else int(found[0])

    def last_step(self) -> int:
        return int(self._value("last_transition"))

    def _apply(self, step: Transition) -> JobRow | None:
        row = rules.apply(self.get(step.key), step, self.session_id, self.account, self.session_lock.is_alive)
        if row is not None:
            self._check_task_is_free(row)
        return row

    def _check_task_is_free(self, row: JobRow) -> None:
        holder = None if row.task_id is None else self.job_of_task(row.task_id)
        if holder is not None and holder.key != row.key:
            raise TaskAlreadyBound(holder.key)

    def _write(self, row: JobRow, step: Transition) -> None:
        current = self.get(row.key)
        if current is not None and row.owner == self.session_id != current.owner:
            self.offsets = attrs.evolve(self.offsets, adopted=self.offsets.adopted | {row.key})
        self._run("update_job", **_bound(row))
        self._log(step)
        self._keep_token(row)

    def _keep_token(self, row: JobRow) -> None:
        if row.token is not None:
            sent_at = row.submitted_at if row.sent_at is None else row.sent_at
            self._run("insert_attempt", token=row.token, key=row.key, number=row.attempts, sent_at=sent_at)

    def _log(self, step: Transition) -> None:
        self._run(
            "insert_transition",
            key=step.key,
            event=str(step.event),
            before=str(step.before),
            after=str(step.after),
            at=step.at,
            changes=_as_json(step.changes),
            evidence=_as_json(step.evidence),
            session_id=self.session_id,
        )

    def _run(self, name: str, **values: Scalar | bytes) -> sqlite3.Cursor:
        if self._connection is None:
            raise sqlite3.OperationalError("there is no connection")
        return self._connection.execute(SQL[name], values)

    def _run_many(self, name: str, rows: Sequence[Mapping[str, Scalar]]) -> None:
        if self._connection is None:
            raise sqlite3.OperationalError("there is no connection")
        self._connection.executemany(SQL[name], rows)

    def _value(self, name: str, **values: Scalar) -> Any:
        return self._run(name, **values).fetchone()[0]

    def _jobs(self, name: str, **values: Scalar) -> Iterator[JobRow]:
        # Read to the end at once: a cursor that is left open keeps the file locked.
        return iter([_job(apply) for apply in self._run(name, **values).fetchall()])

    def _version(self) -> int:
        if self._connection is None:
            raise sqlite3.OperationalError("there is no connection")
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def _bound(row: JobRow) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {name: getattr(row, name) for name in _COLUMNS}
    return {**values, "state": str(row.state)}


def _job(apply: tuple[Any, ...]) -> JobRow:
    return JobRow(**dict(zip(_COLUMNS, apply[: len(_COLUMNS)], strict=True)))


def _step(apply: tuple[Any, ...]) -> Transition:
    _, key, event, before, after, at, changes, evidence, _ = apply
    return Transition(
        key=key,
        event=event,
        before=before,
        after=after,
        at=at,
        changes=json.loads(changes),
        evidence=json.loads(evidence),
    )


def _as_json(values: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(values), sort_keys=True)
