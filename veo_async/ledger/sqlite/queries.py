"""What a book reads and writes, as SQL on one connection: everything here runs in the book's own thread.

No function commits or begins; the disk does, for several at once. What a book has been told already is in `Told`, a
value, so that a transaction that did not come to be can put it back.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

from veo_async._ports import Claim, GateNews, Hint, JobRow, News, Permit, Plain, Step, TaskTaken
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import rules as terms

from .session_lock import Presence
from .sql import SQL

_COLUMNS = tuple(field.name for field in attrs.fields(JobRow))
_NEVER = 2**62


@attrs.frozen(kw_only=True)
class Told:
    """How far a book has been told, and what it may say without looking again."""

    has_asked: bool = False
    #: The highest numbers of steps, hints and calls that it knows of.
    step: int = 0
    hint: int = 0
    call: int = 0
    #: Jobs that became this book's by a step; their earlier hints are untold.
    adopted: frozenset[str] = frozenset()
    #: A hint came through this book itself, which `version` does not show.
    is_stirred: bool = False
    #: Own steps after this one are told as if they were others': their batch was refused and came to be after all.
    unsure: int = _NEVER
    #: The file as other connections have left it, when last asked.
    version: int | None = None
    #: The living owners of this account's jobs.
    owners: tuple[str, ...] = ()
    closed_until: float = 0.0


@attrs.define(eq=False)
class Pages:
    """The statements of one book."""

    presence: Presence
    account: str | None
    told: Told = attrs.field(factory=Told)
    _connection: sqlite3.Connection | None = attrs.field(default=None, repr=False)

    @property
    def instance(self) -> str:
        return self.presence.instance

    def turn_to(self, connection: sqlite3.Connection | None) -> None:
        """Write to *connection* from now on; what another one said of versions means nothing here."""
        self._connection = connection
        self.told = attrs.evolve(self.told, version=None)

    # --- jobs ---

    def plan(self, row: JobRow, instead: JobRow | None) -> JobRow:
        there = self.get(row.key)
        if there is not None and not terms.is_replaceable(there, instead):
            return there
        self._refuse_taken(row)
        row = attrs.evolve(row, owner=None if self.account is None else self.instance)
        # The job's number is that of its plan, which refers to the job: the row is put down first and numbered so.
        seq = self._value("last_step") + 1
        self._run("put_job", **_bound(row), seq=seq)
        self._log(terms.planning(row, there))
        self._keep_token(row)
        return row

    def record(self, step: Step, closed_until: float) -> bool:
        row = self._moved(step)
        if row is None:
            return False
        self._take(row, step)
        if step.before == JobState.SENDING:
            self._run("answer_call", key=row.key, at=step.at)
        if closed_until:
            self._run("put_closing", account=row.account, instance=self.instance, until=closed_until)
        return True

    def send(self, step: Step, claim: Claim) -> Permit | None:
        row = self._moved(step)
        if row is None:
            return None
        closed_until = self._closed_until(row.account)
        since = step.at - claim.span_s - 1.0  # a second more, for what rounding may do: the sum decides
        others = [at for (at,) in self._run("calls_since", account=row.account, instance=self.instance, since=since)]
        wait_until = terms.opens_at(others, closed_until, claim, step.at)
        if not wait_until:
            self._take(row, step)
            self._run("forget_calls", account=row.account, since=step.at - terms.REMEMBERED_S)
            self._run("put_call", account=row.account, instance=self.instance, key=row.key, at=step.at)
        gate = self._gate_news(row.account, max(closed_until, wait_until))
        return Permit(is_granted=not wait_until, gate=gate)

    def hint(self, token: str, task_id: str, at: float) -> bool:
        if not self._run("has_attempt", token=token).fetchone():
            return False
        self._run("put_hint", token=token, task_id=task_id, at=at)
        self.told = attrs.evolve(self.told, is_stirred=True)
        return True

    def get(self, key: str) -> JobRow | None:
        return next(self._jobs("job", key=key), None)

    def holder_of(self, task_id: str) -> JobRow | None:
        return next(self._jobs("job_of_task", task_id=task_id), None)

    def rows(self, states: Collection[str] | None) -> list[JobRow]:
        if states is None:
            return list(self._jobs("jobs", account=self.account))
        return list(self._jobs("jobs_in_states", account=self.account, states=json.dumps([*map(str, states)])))

    def steps(self, key: str) -> list[Step]:
        return [_step(record) for record in self._run("steps", key=key)]

    def knowledge(self) -> str | None:
        found = self._run("knowledge", account=self.account or "").fetchone()
        return None if found is None else found[0]

    def keep_knowledge(self, knowledge: str) -> None:
        self._run("keep_knowledge", account=self.account or "", knowledge=knowledge)

    # --- news ---

    def quiet_news(self) -> News | None:
        """The news if nothing has happened, which costs one page of the file; None when it takes a closer look."""
        told = self.told
        if not told.has_asked or told.is_stirred or told.adopted or told.unsure != _NEVER:
            return None
        if self._version() != told.version or not all(map(self.presence.is_alive, told.owners)):
            return None
        return News(gate=GateNews(closed_until=told.closed_until))

    def news(self, at: float) -> News:
        """All the news, and whatever nobody drives any more taken over."""
        version = self._version()
        taken = [] if self.account is None else self._take_over(at)
        keys = {row.key for row in taken}
        changed = tuple(row for row in self._changed() if row.key not in keys)
        hints = self._untold_hints(keys | self.told.adopted)
        gate = GateNews() if self.account is None else self._gate_news(self.account)
        self.told = attrs.evolve(
            self.told,
            has_asked=True,
            step=self._value("last_step"),
            hint=self._value("last_hint"),
            adopted=frozenset(),
            is_stirred=False,
            unsure=_NEVER,
            version=version,
            owners=tuple(self._others()),
            closed_until=gate.closed_until,
        )
        return News(taken=tuple(taken), changed=changed, hints=hints, gate=gate)

    def _take_over(self, at: float) -> list[JobRow]:
        gone = [owner for owner in self._others() if not self.presence.is_alive(owner)]
        if not self.told.has_asked:
            self._forget_writers()
        return [self._take_one(row, at) for row in self._jobs("ownerless", account=self.account, gone=json.dumps(gone))]

    def _take_one(self, row: JobRow, at: float) -> JobRow:
        owned = attrs.evolve(row, owner=self.instance)
        if row.state == JobState.SENDING:
            owned = attrs.evolve(owned, state=JobState.IN_DOUBT.value)
            self._log(terms.loss(row, at))
        self._run("move_job", **_bound(owned))
        return owned

    def _forget_writers(self) -> None:
        written = [name for (name,) in self._run("writers", instance=self.instance)]
        gone = [name for name in written if not self.presence.is_alive(name)]
        if gone:
            self._run("forget_writers", gone=json.dumps(gone))

    def _changed(self) -> Iterable[JobRow]:
        told = self.told
        if not told.has_asked:
            return self._jobs("not_over", account=self.account, instance=self.instance)
        since = min(told.step, told.unsure)
        return self._jobs("changed", account=self.account, instance=self.instance, told=since, unsure=told.unsure)

    def _untold_hints(self, adopted: Collection[str]) -> tuple[Hint, ...]:
        told = self.told.hint
        earlier = [
            Hint(key=key, token=token, task_id=task_id)
            for _, key, token, task_id in self._run(
                "hints_of_jobs", keys=json.dumps([*adopted]), told=told, instance=self.instance
            )
        ]
        later = [
            Hint(key=key, token=token, task_id=task_id)
            for key, token, task_id in self._run("hints", told=told, instance=self.instance)
        ]
        return (*earlier, *later)

    def _others(self) -> list[str]:
        if self.account is None:
            return []
        return [owner for (owner,) in self._run("owners", account=self.account, instance=self.instance)]

    def _gate_news(self, account: str, closed_until: float | None = None) -> GateNews:
        """A call is told once, with the time that is known then; what a permit counts is always the latest time."""
        untold = self._run("calls_untold", account=account, instance=self.instance, told=self.told.call)
        calls = tuple(at for (at,) in untold)
        self.told = attrs.evolve(self.told, call=self._value("last_call"))
        return GateNews(calls=calls, closed_until=self._closed_until(account) if closed_until is None else closed_until)

    def _closed_until(self, account: str) -> float:
        return float(self._value("closed_until", account=account, instance=self.instance))

    # --- what stands behind them ---

    def mark(self, batch: int) -> None:
        """Write down which batch of this book this is."""
        self._run("put_batch", instance=self.instance, batch=batch)

    def last_batch(self) -> int:
        """The last batch of this book that came to be."""
        found = self._run("batch", instance=self.instance).fetchone()
        return 0 if found is None else int(found[0])

    def last_step(self) -> int:
        return int(self._value("last_step"))

    def _moved(self, step: Step) -> JobRow | None:
        row = terms.moved(self.get(step.key), step, self.instance, self.account, self.presence.is_alive)
        if row is not None:
            self._refuse_taken(row)
        return row

    def _refuse_taken(self, row: JobRow) -> None:
        holder = None if row.task_id is None else self.holder_of(row.task_id)
        if holder is not None and holder.key != row.key:
            raise TaskTaken(holder.key)

    def _take(self, row: JobRow, step: Step) -> None:
        there = self.get(row.key)
        if there is not None and row.owner == self.instance != there.owner:
            self.told = attrs.evolve(self.told, adopted=self.told.adopted | {row.key})
        self._run("move_job", **_bound(row))
        self._log(step)
        self._keep_token(row)

    def _keep_token(self, row: JobRow) -> None:
        if row.token is not None:
            sent_at = row.planned_at if row.sent_at is None else row.sent_at
            self._run("put_attempt", token=row.token, key=row.key, number=row.attempts, sent_at=sent_at)

    def _log(self, step: Step) -> None:
        self._run(
            "put_step",
            key=step.key,
            event=str(step.event),
            before=str(step.before),
            after=str(step.after),
            at=step.at,
            changes=_as_json(step.changes),
            evidence=_as_json(step.evidence),
            instance=self.instance,
        )

    def _run(self, name: str, **values: Plain | bytes) -> sqlite3.Cursor:
        if self._connection is None:
            raise sqlite3.OperationalError("there is no connection")
        return self._connection.execute(SQL[name], values)

    def _value(self, name: str, **values: Plain) -> Any:
        return self._run(name, **values).fetchone()[0]

    def _jobs(self, name: str, **values: Plain) -> Iterator[JobRow]:
        # Read to the end at once: a cursor that is left open keeps the file locked.
        return iter([_job(record) for record in self._run(name, **values).fetchall()])

    def _version(self) -> int:
        if self._connection is None:
            raise sqlite3.OperationalError("there is no connection")
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def _bound(row: JobRow) -> dict[str, Plain]:
    values: dict[str, Plain] = {name: getattr(row, name) for name in _COLUMNS}
    return {**values, "state": str(row.state)}


def _job(record: tuple[Any, ...]) -> JobRow:
    return JobRow(**dict(zip(_COLUMNS, record[: len(_COLUMNS)], strict=True)))


def _step(record: tuple[Any, ...]) -> Step:
    _, key, event, before, after, at, changes, evidence, _ = record
    return Step(
        key=key,
        event=event,
        before=before,
        after=after,
        at=at,
        changes=json.loads(changes),
        evidence=json.loads(evidence),
    )


def _as_json(values: Mapping[str, Plain]) -> str:
    return json.dumps(dict(values), sort_keys=True)
