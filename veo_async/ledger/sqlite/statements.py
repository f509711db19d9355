"""Runs the ledger's named SQL statements on the current connection, and converts rows to values and back.

Everything here runs in the ledger session's own thread. Nothing here begins or commits a transaction: `LedgerFile` does
that for a whole batch of calls.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

import attrs

from veo_async._ports import JobPage, JobRow, Scalar, Transition
from veo_async.ledger import rules

from .packing import pack, unpack
from .sql import SQL

_COLUMNS = tuple(field.name for field in attrs.fields(JobRow))
_SUBMITTED_AT, _OUTCOME = map(_COLUMNS.index, ("submitted_at", "outcome"))
_TYPES: tuple[Any, ...] = tuple(field.type for field in attrs.fields(JobRow))


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

    def rows(self, name: str, **values: Scalar | bytes) -> list[tuple[Any, ...]]:
        """Return all rows of a statement."""
        return fetch_all(self.connection, SQL[name], values)

    def jobs(self, name: str, **values: Scalar | bytes) -> list[JobRow]:
        """Return the jobs that a ``SELECT * FROM job_row`` finds."""
        return [_job_from_row(row) for row in self.rows(name, **values)]

    def page(self, name: str, size: int, **values: Scalar) -> JobPage:
        """Return the first *size* jobs that a ``SELECT * FROM job_row`` with a limit finds."""
        rows = self.rows(name, size=size + 1, **values)  # one more, to know whether there are more
        last = rows[size - 1] if len(rows) > size else None
        next_ = None if last is None else (last[_SUBMITTED_AT], last[len(_COLUMNS)])
        return JobPage([_job_from_row(row) for row in rows[:size]], next_)

    def transitions(self, key: str) -> list[Transition]:
        return [_transition_from_row(row) for row in self.rows("transitions", key=key)]

    def insert_job(self, row: JobRow, *, seq: int) -> None:
        self.run("insert_job", **_job_to_row(row), seq=seq)

    def update_job(self, row: JobRow, columns: Iterable[str]) -> None:
        """Write *columns* of *row*. SQLite updates only the indexes that contain one of them."""
        names = tuple(columns)
        self.connection.execute(_update_of(names), {**_job_to_row(row, names), "key": row.key})

    def insert_transition(self, transition: Transition, session_id: str) -> None:
        transition = rules.as_history(transition)
        self.run(
            "insert_transition",
            key=transition.key,
            event=str(transition.event),
            before=str(transition.before),
            after=str(transition.after),
            at=transition.at,
            changes=_as_json(transition.changes),
            evidence=_as_json(transition.evidence),
            session_id=as_blob(session_id),
        )

    def data_version(self) -> int:
        """Return a number that changes when another connection has changed the file."""
        return self.pragma("data_version")

    def pragma(self, name: str) -> int:
        """Return a number that describes the file."""
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])


def fetch_all(
    connection: sqlite3.Connection, statement: str, values: Mapping[str, Scalar | bytes] | None = None
) -> list[tuple[Any, ...]]:
    """Return all rows of *statement*, because an open cursor locks the file. Text that is not UTF-8 becomes bytes."""
    try:
        return connection.execute(statement, values or {}).fetchall()
    except sqlite3.OperationalError as exc:
        if "decode to UTF-8" not in str(exc):
            raise
    connection.text_factory = _text_or_bytes
    try:
        return connection.execute(statement, values or {}).fetchall()
    finally:
        connection.text_factory = str


@cache
def _update_of(columns: tuple[str, ...]) -> str:
    return f"UPDATE job SET {', '.join(f'{name} = :{name}' for name in columns)} WHERE key = :key"  # noqa: S608  # our names


def _job_to_row(row: JobRow, columns: Collection[str] = _COLUMNS) -> dict[str, Scalar | bytes]:
    """Return the values of *columns* as they are stored."""
    values: dict[str, Scalar | bytes] = {name: getattr(row, name) for name in columns}
    if "state" in values:
        values["state"] = str(row.state)
    if "outcome" in values:
        values["outcome"] = pack(row.outcome)
    return values


def _job_from_row(row: tuple[Any, ...]) -> JobRow:
    """Return the job in *row*; one whose values have other types than those we write has the state ``unreadable``."""
    outcome = unpack(row[_OUTCOME])
    values = (*row[:_OUTCOME], outcome, *row[_OUTCOME + 1 : len(_COLUMNS)])
    if not _has_our_types(tuple(map(type, values))):
        key, account = (str(value) for value in values[:2])
        return JobRow(key=key, account=account, state=rules.UNREADABLE, request=None, submitted_at=0.0)
    return JobRow(**dict(zip(_COLUMNS, values, strict=True)))


@cache
def _has_our_types(types: tuple[type, ...]) -> bool:
    return all(issubclass(found, ours) for found, ours in zip(types, _TYPES, strict=True))


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _transition_from_row(row: tuple[Any, ...]) -> Transition:
    _, key, event, before, after, at, changes, evidence, _ = row
    return Transition(
        key=str(key),
        event=str(event),
        before=str(before),
        after=str(after),
        at=at if isinstance(at, float) else 0.0,
        changes=_from_json(changes),
        evidence=_from_json(evidence),
    )


def as_blob(session_id: str) -> bytes:
    """Return the id of a session as the history stores it, in half the space."""
    return bytes.fromhex(session_id)


def _from_json(text: Any) -> Mapping[str, Scalar]:
    """Return the object in *text*; the text itself if it is not one, because a timeline is shown and not acted on."""
    try:
        values = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {"unreadable": str(text)}


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _as_json(values: Mapping[str, Scalar]) -> str:
    return _encode(dict(values)) if values else "{}"
