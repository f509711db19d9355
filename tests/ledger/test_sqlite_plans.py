"""SQLite's plans: no statement that a session needs reads all jobs, however many have finished."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from veo_async.ledger import SqliteLedger
from veo_async.ledger.sqlite.sql import SQL

from .support import ACCOUNT, Inline

#: Statements that read every job, because that is what they are for.
READS_ALL = {"jobs"}

#: Indexes that contain the unfinished jobs only.
OF_UNFINISHED = "job_active"


@pytest.fixture
async def connection(tmp_path: Path) -> "Iterator[sqlite3.Connection]":
    """A connection to a new ledger."""
    path = tmp_path / "veo.db"
    await (await SqliteLedger(path, executor=Inline()).open(ACCOUNT)).close()
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    """Return the steps of the plan; the values do not matter."""
    values = dict.fromkeys(re.findall(r":(\w+)", re.sub(r"--[^\n]*", "", statement)))
    return [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def reads_all_rows(step: str) -> bool:
    """Whether a step reads all rows of a table of jobs or of their history."""
    is_scan = re.match(r"SCAN (job|old|transition|attempt|hint)\b", step) is not None
    return is_scan and OF_UNFINISHED not in step


@pytest.mark.parametrize("name", sorted(SQL.keys() - READS_ALL))
def test_statement_does_not_read_all_jobs(name: str, connection: sqlite3.Connection) -> None:
    """It searches by an index, or reads the unfinished jobs only."""
    steps = plan(connection, SQL[name])
    assert not [step for step in steps if reads_all_rows(step)], steps


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("page", "job_by_time"),
        ("page_in_state", "job_by_state"),
        ("before_newest", "COVERING INDEX job_by_time"),
        ("before_newest_in_state", "COVERING INDEX job_by_state"),
        ("count_in_state", "COVERING INDEX job_by_state"),
        ("states", "COVERING INDEX job_by_state"),
        ("jobs_in_states", "job_by_state"),
        ("orphaned_jobs", "job_active"),
        ("owners", "job_active"),
        ("prunable_jobs", "job_finished"),
        ("prunable_count", "job_finished"),
        ("follow_ups", "job_by_source"),
        ("job_of_task", "job_by_task"),
    ],
)
def test_statement_uses_its_index(name: str, index: str, connection: sqlite3.Connection) -> None:
    """Pages and places need no sorting either."""
    steps = plan(connection, SQL[name])
    assert any(index in step for step in steps), steps
    if name.startswith(("page", "before_newest")):
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_statement_that_reads_all_jobs_is_found(connection: sqlite3.Connection) -> None:
    """The check above can fail."""
    assert any(reads_all_rows(step) for step in plan(connection, SQL["jobs"]))
