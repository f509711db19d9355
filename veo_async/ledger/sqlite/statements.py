"""Runs the ledger's named SQL statements on the current connection, and converts rows to values and back.

Everything here runs in the ledger session's own thread. Nothing here begins or commits a transaction: `LedgerFile` does
that for a whole batch of calls.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from veo_async._ports import JobRow, Scalar, Transition

from .sql import SQL

_COLUMNS = tuple(field.name for field in attrs.fields(JobRow))


@attrs.define(eq=False)
class Statements:
    """The statements of `sql`, by name, on one connection at a time."""

    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False, repr=False)

    def use(self, connection: sqlite3.Connection | None) -> None:
        """Run on *connection* from now on; with None every statement fails."""
        self._connection = connection

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("there is no connection")
        return self._connection

    def run(self, name: str, **values: Scalar | bytes) -> sqlite3.Cursor:
        return self.connection.execute(SQL[name], values)

    def run_many(self, name: str, rows: Iterable[Mapping[str, Scalar]]) -> None:
        self.connection.executemany(SQL[name], rows)

    def value(self, name: str, **values: Scalar) -> Any:
        """Return the first column of the first row."""
        return self.run(name, **values).fetchone()[0]

    def jobs(self, name: str, **values: Scalar) -> list[JobRow]:
        """Return the jobs that a ``SELECT * FROM job`` finds."""
        return [_job_from_row(row) for row in self.run(name, **values).fetchall()]  # an open cursor locks the file

    def transitions(self, key: str) -> list[Transition]:
        return [_transition_from_row(row) for row in self.run("transitions", key=key)]

    def insert_job(self, row: JobRow, *, seq: int) -> None:
        self.run("insert_job", **_job_to_row(row), seq=seq)

    def update_job(self, row: JobRow) -> None:
        self.run("update_job", **_job_to_row(row))

    def insert_transition(self, transition: Transition, session_id: str) -> None:
        self.run(
            "insert_transition",
            key=transition.key,
            event=str(transition.event),
            before=str(transition.before),
            after=str(transition.after),
            at=transition.at,
            changes=_as_json(transition.changes),
            evidence=_as_json(transition.evidence),
            session_id=session_id,
        )

    def data_version(self) -> int:
        """Return a number that changes when another connection has changed the file."""
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])


def _job_to_row(row: JobRow) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {name: getattr(row, name) for name in _COLUMNS}
    return {**values, "state": str(row.state)}


def _job_from_row(row: tuple[Any, ...]) -> JobRow:
    return JobRow(**dict(zip(_COLUMNS, row[: len(_COLUMNS)], strict=True)))


def _transition_from_row(row: tuple[Any, ...]) -> Transition:
    _, key, event, before, after, at, changes, evidence, _ = row
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
