"""A row of the ledger that cannot be read is one job's problem: it is reported, and all other jobs continue."""

import itertools
import logging
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veo_async import Done
from veo_async.cli.ledger_text import JobTable, in_doubt_lines, job_as_dict, timeline_lines
from veo_async.errors import JobUnreadable
from veo_async.ledger import SqliteLedger
from veo_async.simulator import MemoryTransport, drop_after_accepting

from .ledgers import InlineExecutor, session_with_ledger
from .support import memory

pytestmark = pytest.mark.veo_virtual_time

#: The jobs of the ledger that the tests damage, one in each state that a session finds.
STATES = {"doubt": "in_doubt", "failed": "refused", "ready": "ready", "running": "running", "queued": "queued"}


def at(path: Path, **options: Any) -> SqliteLedger:
    return SqliteLedger(path, executor=InlineExecutor(), **options)


async def fill(path: Path) -> MemoryTransport:
    """Write a ledger whose jobs are in different states."""
    sim = memory(faults=[drop_after_accepting(on=1)], max_running=3)
    async with session_with_ledger(sim, at(path)) as veo:
        await (await veo.submit("A bird", key="doubt")).finished()
        await (await veo.submit("[refuse] A fish", key="failed")).finished()
        await (await veo.submit("A cat", key="ready")).finished()
    async with session_with_ledger(sim, at(path)) as veo:
        await (await veo.submit("A dog", key="running", metadata={"chat": 7})).accepted()
        await veo.submit("A horse", key="queued", send_within=900.0)
        veo.stop_sending()
    with closing(sqlite3.connect(path)) as connection:
        found = dict(connection.execute("SELECT key, state FROM job"))
    assert found == STATES
    return sim


def damage(path: Path, statement: str, *values: object) -> None:
    """Change the file as a damaged disk or a careless tool would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement, values)


DAMAGES = [
    ("request = '{broken'", "JSONDecodeError"),
    ("request = '[1, 2]'", "InvalidRequest"),
    ("request = NULL", "ValueError"),
    ("kind = 'hologram'", "KeyError"),
    ("metadata = '{'", "JSONDecodeError"),
    ("submitted_at = 'yesterday'", "unreadable"),
    ("submitted_at = 1e300", "Error"),
    ("tenant = x'ff00'", "unreadable"),
    ("tenant = CAST(x'ff' AS TEXT)", "unreadable"),
    ("attempts = 'many'", "unreadable"),
]


@pytest.mark.parametrize(("change", "reason"), DAMAGES)
async def test_unreadable_row_is_reported_and_the_other_jobs_continue(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, reason: str
) -> None:
    """Who asks for the job gets an error that names its key; nothing is sent for it."""
    path = tmp_path / "veo.db"
    sim = await fill(path)
    damage(path, f"UPDATE job SET {change} WHERE key = 'queued'")  # noqa: S608  # the values are above
    charged = len(sim.charges)
    with caplog.at_level(logging.ERROR):
        async with session_with_ledger(sim, at(path)) as veo:
            assert isinstance(await (await veo.attach("running")).finished(), Done)
            with pytest.raises(JobUnreadable, match="'queued'") as caught:
                await veo.ledger.find("queued")
            assert reason in str(caught.value)
            with pytest.raises(JobUnreadable, match="'queued'"):
                await veo.submit("A horse", key="queued")
            assert isinstance(await (await veo.submit("A snail", key="new")).finished(), Done)
            assert [job.key for job in await veo.ledger.in_doubt()] == ["doubt"]
    assert "queued" in caplog.text
    assert len(sim.charges) == charged + 1


async def test_unknown_state_is_reported_to_who_asks_for_the_job(tmp_path: Path) -> None:
    """A later version may have written it. Other jobs continue."""
    path = tmp_path / "veo.db"
    sim = await fill(path)
    damage(path, "UPDATE job SET state = 'dreaming' WHERE key = 'queued'")
    async with session_with_ledger(sim, at(path)) as veo:
        with pytest.raises(JobUnreadable, match="dreaming"):
            await veo.ledger.find("queued")
        assert isinstance(await (await veo.attach("running")).finished(), Done)


async def test_unreadable_outcome_is_left_out_of_the_jobs_in_doubt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are listed, and the log names the one that is missing."""
    path = tmp_path / "veo.db"
    sim = await fill(path)
    damage(path, "UPDATE job SET outcome = '{\"error\": 7}' WHERE key = 'doubt'")
    async with session_with_ledger(sim, at(path)) as veo:
        assert await veo.ledger.in_doubt() == []
    assert "'doubt'" in caplog.text


async def test_row_damaged_while_a_session_follows_it_releases_the_waiter(tmp_path: Path) -> None:
    """The waiter gets the error that names the job; the session continues."""
    path = tmp_path / "veo.db"
    sim = memory()
    async with session_with_ledger(sim, at(path)) as one, session_with_ledger(sim, at(path)) as two:
        job = await one.submit("A dog", key="dog")
        await job.accepted()
        followed = await two.attach("dog")
        damage(path, "UPDATE job SET metadata = '{' WHERE key = 'dog'")
        assert isinstance(await job.finished(), Done)
        with pytest.raises(JobUnreadable, match="'dog'"):
            await followed.wait(timeout=300.0)
        assert isinstance(await (await two.submit("A cat", key="cat")).finished(), Done)


@pytest.mark.parametrize("knowledge", ["{", "7", "[]", '{"mode": "x"}', '{"mode": "window", "limit": "x"}', b"\xff"])
async def test_unreadable_knowledge_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, knowledge: str | bytes
) -> None:
    """The session learns the limits again."""
    path = tmp_path / "veo.db"
    sim = await fill(path)
    damage(path, "UPDATE account_limits SET knowledge = ?", knowledge)
    async with session_with_ledger(sim, at(path)) as veo:
        assert isinstance(await (await veo.attach("queued")).finished(), Done)
    assert "is dropped" in caplog.text


# --- any damage -------------------------------------------------------------------------------------------------

COLUMNS = {
    "job": (
        "key account state request kind tenant priority metadata task_id token attempts owner submitted_at sent_at"
        " deadline ended_at outcome save_to"
    ),
    "transition": "key event before after at changes evidence session_id",
    "attempt": "token key",
    "sent_call": "account session_id key at",
    "closure": "account session_id closed_until",
    "account_limits": "account knowledge",
    "session_batch": "session_id batch",
}
_numbers = itertools.count()
PLACES = [(table, column) for table, columns in COLUMNS.items() for column in columns.split()]
JSON = [
    "{",
    "[]",
    "{}",
    "7",
    '"x"',
    "null",
    '{"record": 5}',
    '{"error": {"error": "RateLimited", "args": 1}}',
    "[" * 9000,
]
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=8),
    st.sampled_from(
        [*JSON, "../../x", "a\0b", "queued", "sending", "running", "ready", "saved", "in_doubt", "generate"]
    ),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a ledger that is filled once."""
    return tmp_path_factory.mktemp("template") / "veo.db"


@pytest.mark.slow
@pytest.mark.timeout(300)
@given(place=st.sampled_from(PLACES), value=VALUES, as_text=st.booleans(), row=st.integers(0, 9))
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_damaged_column_leaves_the_ledger_usable(
    template: Path,
    place: tuple[str, str],
    value: Any,
    as_text: bool,
    row: int,
) -> None:
    """The session opens, a new job is done, every job is found or named in an error, and the file can be shown."""
    if not template.exists():
        await fill(template)
    path = template.with_name(f"{next(_numbers)}.db")
    shutil.copyfile(template, path)
    table, column = place
    shown = "CAST(? AS TEXT)" if as_text and isinstance(value, bytes) else "?"
    try:
        name = "token" if table == "attempt" else "rowid"
        one_row = f"SELECT {name} FROM {table} LIMIT 1 OFFSET {row} % max(1, (SELECT count(*) FROM {table}))"  # noqa: S608
        damage(path, f"UPDATE {table} SET {column} = {shown} WHERE {name} = ({one_row})", value)  # noqa: S608
    except (sqlite3.IntegrityError, OverflowError):
        return  # the file itself rejects this value
    await check_usable(path)


async def check_usable(path: Path) -> None:
    inspector = await at(path).open(None)
    rows = await inspector.jobs()
    assert len(rows) == len(STATES)
    JobTable(200).lines(rows)
    for row in rows:
        transitions = await inspector.transitions(row.key)
        job_as_dict(row, transitions)
        timeline_lines(row, transitions)
        in_doubt_lines(row, transitions)
    await inspector.close()
    sim = memory()
    async with session_with_ledger(sim, at(path, accept_restored=True)) as veo:
        for key in STATES:
            with suppress(JobUnreadable):
                await veo.ledger.find(key)
        await veo.ledger.in_doubt()
        assert isinstance(await (await veo.submit("A snail", key="new")).finished(), Done)
        veo.statistics()  # raises if the session has crashed
