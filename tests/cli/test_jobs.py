"""`jobs`: which jobs of a ledger are listed."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from veo_async._ports import Cursor
from veo_async.cli.app import run
from veo_async.cli.since import parse_since
from veo_async.errors import UsageError
from veo_async.ledger import JobPage, JobQuery, JobRow, SqliteLedger
from veo_async.ledger.sqlite.session import SqliteLedgerSession

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z
HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", NOW - 2 * HOUR),
        ("90m", NOW - 1.5 * HOUR),
        ("1.5 h", NOW - 1.5 * HOUR),
        ("30s", NOW - 30),
        ("3d", NOW - 72 * HOUR),
        ("1w", NOW - 168 * HOUR),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14 22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14", NOW - 22 * HOUR - 13 * 60 - 20),
    ],
)
def test_since_is_an_age_or_a_date_in_utc(text: str, at: float) -> None:
    """A date may name another zone."""
    assert parse_since(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "2", "-2h", "2023-13-01", ""])
def test_since_that_is_neither_names_examples_of_both(text: str) -> None:
    """The value, an age and a date."""
    with pytest.raises(UsageError, match=r"--since .*2h.*2026-11-01"):
        parse_since(text, NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a ledger with four jobs; row-0 is four hours old, row-3 one hour."""

    async def fill() -> None:
        ledger = await SqliteLedger(path).open("studio")
        now = time.time()  # noqa: TID251  # the real clock
        for number in range(4):
            request = json.dumps({"prompt": f"A dog {number}"})
            state = "saved" if number == 1 else "queued"
            row = JobRow(
                key=f"row-{number}",
                account="studio",
                state=state,
                request=request,
                submitted_at=now - (4 - number) * HOUR + 1,
            )
            await ledger.insert(row)
        await ledger.close()

    path = tmp_path / "veo.db"
    asyncio.run(fill())
    return path


@pytest.mark.parametrize(
    ("options", "keys", "text"),
    [
        ((), "0123", "4 jobs: 1 saved, 3 queued"),
        (("--limit", "2"), "23", "2 of 4 jobs: 2 queued"),
        (("--limit", "9"), "0123", "4 jobs: 1 saved, 3 queued"),
        (("--since", "2h"), "23", "2 jobs: 2 queued"),
        (("--since", "2h", "--limit", "1"), "3", "1 of 2 jobs: 1 queued"),
        (("--since", "2001-01-01", "--state", "saved"), "1", "1 job: 1 saved"),
        (("--since", "0s"), "", "No jobs."),
    ],
)
def test_jobs_are_selected_by_age_number_and_state(
    options: tuple[str, ...], keys: str, text: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest; as a table, or one JSON object per line."""
    with pytest.raises(SystemExit):
        run(["jobs", str(file), *options])
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == text
    assert "".join(number for number in "0123" if f"row-{number}" in output) == keys
    with pytest.raises(SystemExit):
        run(["jobs", str(file), *options, "--json"])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["key"] for line in lines] == [f"row-{number}" for number in keys]


def test_many_jobs_are_printed_page_by_page(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table has one heading, and each job is printed once; no page is read before the last one is printed."""
    printed: list[int] = []
    read = SqliteLedgerSession.page

    async def page(session: SqliteLedgerSession, query: JobQuery, after: Cursor | None = None) -> JobPage:
        printed.append(capsys.readouterr().out.count("row-"))
        return await read(session, query, after, size=1)

    monkeypatch.setattr(SqliteLedgerSession, "page", page)
    for option in ((), ("--json",)):
        with pytest.raises(SystemExit):
            run(["jobs", str(file), *option])
        assert "row-3" in capsys.readouterr().out
        assert printed == [0, 1, 1, 1]
        printed.clear()


@pytest.mark.slow
def test_list_of_many_jobs_needs_little_memory(tmp_path: Path) -> None:
    """Of 30,000 jobs; the program is hardly larger than for one job.

    Takes some seconds, because a real program prints them.
    """
    peaks = {}
    for number in (1, 30_000):
        file = tmp_path / f"{number}.db"
        make_ledger(file, number)
        program = (
            "import resource, sys\nfrom veo_async.cli.app import run\n"
            "try:\n    run(sys.argv[1:])\nfinally:\n"
            "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        process = subprocess.run(
            [sys.executable, "-c", program, "jobs", str(file), "--json"], capture_output=True, text=True, check=True
        )
        assert [json.loads(line)["key"] for line in process.stdout.splitlines()[-1:]] == [f"row-{number:06}"]
        assert process.stdout.count("\n") == number
        peaks[number] = int(process.stderr)
    assert peaks[30_000] < peaks[1] * 1.25


def make_ledger(file: Path, number: int) -> None:
    """Create a ledger with *number* finished jobs, each with a prompt of 500 letters."""

    async def create() -> None:
        ledger = await SqliteLedger(file).open("studio")
        request = json.dumps({"prompt": "A dog" * 100})
        await ledger.insert(
            JobRow(key="row-000001", account="studio", state="failed", request=request, submitted_at=1.0)
        )
        await ledger.close()

    asyncio.run(create())
    with closing(sqlite3.connect(file)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(job)")]
        new = {"key": "printf('row-%06d', n)", "submitted_seq": "n"}
        copied = ", ".join(new.get(name, name) for name in columns)
        numbers = "WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i LIMIT ?) SELECT n FROM i"
        copy = f"INSERT INTO job SELECT {copied} FROM job, ({numbers}) WHERE n > 1"  # noqa: S608  # no input
        connection.execute(copy, (number,))
        connection.commit()


def test_limit_below_one_is_a_usage_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    with pytest.raises(SystemExit) as exit_info:
        run(["jobs", str(file), "--limit", "0"])
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == "--limit 0: pass a number from 1 on\n"
