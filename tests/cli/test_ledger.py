"""The commands that read a ledger and repair it."""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tests.sessions import session_arguments
from veo_async import Done, InDoubt, VeoSession
from veo_async._ports import JobRow
from veo_async.cli.app import run
from veo_async.cli.ledger_text import JobTable, in_doubt_lines, job_as_dict, timeline_lines
from veo_async.ledger import SqliteLedger
from veo_async.settings import Limits
from veo_async.simulator import Simulator, drop_after_accepting, drop_before_accepting

Veo = Callable[..., tuple[int, str]]

VEO = (sys.executable, "-m", "veo_async")


@pytest.fixture
def veo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Veo:
    """Run a command; return its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_info:
            run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exit_info.value.code or 0), captured.out + captured.err

    return run_command


def session_on(sim: Simulator, file: Path, **options: Any) -> VeoSession:
    return VeoSession(
        sim.api_key, **session_arguments(base_url=sim.url, ledger=file, account="studio", poll_every=0.2, **options)
    )


async def fill(file: Path) -> dict[str, str]:
    """Write a ledger with a clip, a job whose response was lost, and one whose request was lost.

    Returns:
        the charged task ids by prompt.
    """
    faults = [drop_after_accepting(on=2), drop_before_accepting(on=3)]
    async with Simulator(duration_s=0.1, faults=faults) as sim, session_on(sim, file) as session:
        assert isinstance(await (await session.submit("A dog", key="dog")).finished(), Done)
        for key in ("cat", "bird"):
            assert isinstance(await (await session.submit(f"A {key}", key=key)).finished(), InDoubt)
        return {str(charge.body["prompt"]): charge.task_id for charge in sim.charges}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "veo.db"


@pytest.fixture
def charged(file: Path) -> dict[str, str]:
    return asyncio.run(fill(file))


def test_jobs_lists_the_jobs_and_the_next_command(veo: Veo, file: Path, charged: dict[str, str]) -> None:
    """All jobs or those in one state, as a table or as JSON."""
    code, output = veo("jobs", file)
    assert code == 0
    assert "3 jobs: 1 ready, 2 in_doubt" in output
    assert charged["A dog"] in output
    assert f"Next: veo-async ledger in-doubt {file}" in output
    code, output = veo("jobs", file, "--state", "ready", "--json")
    assert [json.loads(line)["key"] for line in output.splitlines()] == ["dog"]
    assert "1 job: 1 ready" in veo("jobs", file, "--state", "ready")[1]
    assert veo("jobs", file, "--state", "failed")[1] == "No jobs.\n"
    assert veo("jobs", file, "--state", "lost")[0] == 2


def test_narrow_terminal_keeps_the_key_and_state_columns() -> None:
    """Other columns appear if they fit; control characters in a key are escaped."""
    rows = [
        JobRow(key=key, account="", state="in_doubt", request=None, submitted_at=0.0) for key in ("row-1", "\x1b[2J")
    ]
    assert JobTable(10).lines(rows) == ["key      state", "row-1    in_doubt", "\\x1b[2J  in_doubt"]
    names = ["key", "state", "prompt", "task", "route", "attempts", "submitted"]
    assert JobTable(200).lines(rows)[0].split() == names
    assert JobTable(200).lines([]) == []


def test_table_of_several_pages_has_one_heading_and_the_same_columns() -> None:
    """The first page decides."""
    table = JobTable(10)
    first, second = (
        JobRow(key=key, account="", state="queued", request=None, submitted_at=0.0) for key in ("row-1", "2")
    )
    assert table.lines([first]) == ["key    state", "row-1  queued"]
    assert table.lines([second]) == ["2      queued"]


@pytest.mark.parametrize(
    ("state", "sent_at", "task_id", "shown"),
    [
        ("queued", None, None, None),
        ("queued", 1.0, None, None),  # a request that created nothing; the next one may take another route
        ("refused", None, None, None),
        ("refused", 1.0, None, "jobs"),
        ("running", 1.0, "task", "jobs"),
        ("running", None, "task", "jobs"),  # adopted
    ],
)
def test_route_is_shown_of_jobs_that_were_sent(
    state: str, sent_at: float | None, task_id: str | None, shown: str | None
) -> None:
    """In the table, in the timeline and as JSON."""
    row = JobRow(
        key="dog",
        account="",
        state=state,
        request='{"prompt": "dog"}',
        submitted_at=0.0,
        sent_at=sent_at,
        task_id=task_id,
        route="jobs",
    )
    assert ("jobs" in JobTable(200).lines([row])[1].split()) == (shown == "jobs")
    assert f"route      {shown or '(none)'}" in timeline_lines(row, [])
    assert job_as_dict(row)["route"] == shown


@pytest.mark.parametrize("outcome", ['{"error": {"log_url": "https://kie.ai/logs"}}', '{"error": {}}', "[]", None])
def test_in_doubt_names_the_page_to_search_if_it_is_known(outcome: str | None) -> None:
    """A row of another version or a damaged one is shown, too."""
    row = JobRow(key="a", account="", state="in_doubt", request=None, submitted_at=0.0, token="tk", outcome=outcome)
    page = " (https://kie.ai/logs)" if outcome and "kie.ai" in outcome else ""
    assert in_doubt_lines(row, [])[-1] == f"    callback token tk: search for it in the provider's logs{page}"


@pytest.mark.usefixtures("charged")
def test_in_doubt_shows_the_evidence_and_three_commands(veo: Veo, file: Path) -> None:
    """When the request was sent, with which token, and how it failed; and the commands that resolve it."""
    code, output = veo("ledger", "in-doubt", file)
    assert code == 0
    assert "ResponseLost" in output
    for name in ("resolve", "resubmit", "abandon"):
        assert f"veo-async ledger {name} {file}" in output
    _, output = veo("ledger", "in-doubt", file, "--json")
    rows = [json.loads(line) for line in output.splitlines()]
    assert {row["key"] for row in rows} == {"cat", "bird"}
    assert all(row["token"] and row["transitions"] for row in rows)


def test_next_session_continues_repaired_jobs(veo: Veo, file: Path, charged: dict[str, str]) -> None:
    """One job is resolved and one resubmitted; each is charged once."""
    assert veo("ledger", "resolve", file, "cat", charged["A cat"], "--no-verify")[0] == 0
    code, output = veo("ledger", "resubmit", file, "bird")
    assert code == 0
    assert "Job bird is queued." in output
    code, output = veo("ledger", "in-doubt", file)
    assert "No job is in doubt." in output

    async def resume() -> int:
        async with Simulator(duration_s=0.1, seed=2) as sim, session_on(sim, file) as session:
            assert (session.ledger.recovered.queued, session.ledger.recovered.running) == (1, 1)
            await session.job("bird")
            return len(sim.requests_to())

    assert asyncio.run(resume()) == 1


def test_resolve_checks_the_record_of_the_task(
    veo: Veo, file: Path, charged: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of another request is rejected, and the job stays in doubt."""

    async def resolve_twice() -> None:
        async with Simulator(duration_s=0.1) as sim:
            async with VeoSession(sim.api_key, base_url=sim.url, limits=Limits(poll_every=0.1)) as session:
                wrong = await (await session.submit("A whale")).accepted()
                right = await (await session.submit("A cat")).accepted()
            monkeypatch.setenv("VEO_BASE_URL", sim.url)
            monkeypatch.setenv("VEO_API_KEY", sim.api_key)
            code, output = await asyncio.to_thread(veo, "ledger", "resolve", file, "cat", wrong)
            assert code == 1
            assert "different request" in output
            code, output = await asyncio.to_thread(veo, "ledger", "resolve", file, "cat", right)
            assert code == 0
            assert "Job cat is running." in output

    asyncio.run(resolve_twice())
    assert charged


def test_abandon_and_adopt(veo: Veo, file: Path, charged: dict[str, str]) -> None:
    """A job is abandoned for good, and an existing task is added under a new key."""
    assert "Job cat is abandoned." in veo("ledger", "abandon", file, "cat")[1]
    code, output = veo("ledger", "adopt", file, "0" * 32, "--key", "found", "--account", "studio")
    assert code == 0
    assert "Job found is running." in output
    assert veo("ledger", "adopt", file, "1" * 32, "--key", "found", "--account", "studio")[0] == 2
    assert veo("ledger", "adopt", file, charged["A dog"], "--key", "new", "--account", "studio")[0] == 2
    assert veo("ledger", "adopt", file, "no task id", "--account", "studio")[0] == 2


@pytest.mark.usefixtures("charged")
def test_timeline_lists_the_transitions_of_one_job(veo: Veo, file: Path) -> None:
    """Times, events, codes and ids; an unknown key is a usage error."""
    code, output = veo("timeline", file, "dog")
    assert code == 0
    for event in ("submit", "send", "accept", "complete"):
        assert f"Z  {event}" in output
    _, output = veo("timeline", file, "cat", "--json")
    assert [transition["event"] for transition in json.loads(output)["transitions"]] == ["submit", "send", "lose"]
    code, output = veo("timeline", file, "unknown")
    assert code == 2
    assert f"list jobs with veo-async jobs {file}" in output


def test_prune_deletes_old_jobs_and_says_what_that_means(veo: Veo, file: Path, charged: dict[str, str]) -> None:
    """A dry run deletes nothing. Jobs in doubt are kept, however old."""
    again = "Their requests, submitted again, are charged again."
    assert veo("ledger", "prune", file, "--older-than", "90d") == (0, f"0 jobs deleted from {file}. {again}\n")
    code, output = veo("ledger", "prune", file, "--older-than", "0s", "--dry-run")
    assert (code, output.splitlines()[0]) == (0, f"1 job would be deleted from {file}. {again}")
    assert output.splitlines()[1] == f"Next: veo-async ledger prune {file} --older-than 0s"
    assert "3 jobs" in veo("jobs", file)[1]
    assert veo("ledger", "prune", file, "--older-than", "0s", "--vacuum") == (
        0,
        f"1 job deleted from {file}. {again}\n",
    )
    assert "2 jobs: 2 in_doubt" in veo("jobs", file)[1]
    assert charged.keys() == {"A dog", "A cat"}


def test_prune_without_a_usable_age_is_a_usage_error(veo: Veo, file: Path) -> None:
    """Nothing is deleted by mistake: there is no default."""
    asyncio.run(fill(file))
    code, output = veo("ledger", "prune", file, "--older-than", "old")
    assert (code, output.splitlines()[0][:24]) == (2, "--older-than 'old': writ")
    code, output = veo("ledger", "prune", file)
    assert code == 2
    assert "--older-than" in output
    assert "3 jobs" in veo("jobs", file)[1]


def test_missing_ledger_file_is_not_created(veo: Veo, file: Path) -> None:
    """A command that reads a ledger leaves no empty one behind."""
    code, output = veo("jobs", file)
    assert code == 2
    assert "does not exist" in output
    assert not file.exists()


def test_job_of_a_running_session_cannot_be_abandoned_but_a_job_in_doubt_can_be_resolved(veo: Veo, file: Path) -> None:
    """The running session continues with the resolved job."""

    async def repair_while_running() -> None:
        faults = [drop_after_accepting(on=2)]
        async with Simulator(duration_s=3.0, faults=faults) as sim, session_on(sim, file) as session:
            running = await session.submit("A dog", key="dog")
            await running.accepted()
            code, output = await asyncio.to_thread(veo, "ledger", "abandon", file, "dog")
            assert code == 2
            assert "a running session owns this job" in output
            doubtful = await session.submit("A cat", key="cat")
            assert isinstance(await doubtful.finished(), InDoubt)
            task_id = sim.charges[1].task_id
            code, _ = await asyncio.to_thread(veo, "ledger", "resolve", file, "cat", task_id, "--no-verify")
            assert code == 0
            await asyncio.sleep(2.5)  # the session reads the changes on its ledger every second
            assert (await doubtful).task_id == task_id
            assert (await running).urls

    asyncio.run(repair_while_running())


# --- restored from a backup ---------------------------------------------------------------------------------------


async def restore(file: Path, sim: Simulator) -> None:
    """Submit a job, back the ledger up, send the job, and restore the backup."""
    backup = file.with_name("backup.db")
    session = await SqliteLedger(file).open("studio")
    await session.insert(row_of_account("studio"))
    await session.close()
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    async with session_on(sim, file) as veo:
        assert isinstance(await veo.job("dog").finished(), Done)
    backup.replace(file)


def row_of_account(account: str) -> JobRow:
    """Return a queued job as a session writes it."""
    request, now = json.dumps({"prompt": "A dog", "model": "veo3_fast"}), time.time()  # noqa: TID251  # the real clock
    return JobRow(
        key="dog", account=account, state="queued", request=request, submitted_at=now, price=60.0, credits=60.0
    )


@pytest.mark.slow
async def test_restored_ledger_is_resumed_only_with_the_option(file: Path) -> None:
    """The refusal names the commands to run next; reading commands show the ledger and say what happened to it."""
    async with Simulator(duration_s=0.1) as sim:
        await restore(file, sim)
        folder, resume = file.parent, ("resume", file.name, "--account", "studio")
        refused = await programs.run(*VEO, *resume, cwd=folder, sim=sim, exits=1)
        assert "1 request sent since then is not in it" in refused
        assert "up to 60 credits" in refused
        assert f"Next: veo-async jobs {file}" in refused
        assert "veo-async resume veo.db --account studio --accept-restored" in refused
        assert len(sim.charges) == 1
        jobs = await programs.run(*VEO, "jobs", file.name, cwd=folder, sim=sim)
        assert "1 job: 1 queued" in jobs
        assert "restored from a backup" in jobs
        doctor = await programs.run(*VEO, "doctor", "--ledger", file.name, cwd=folder, sim=sim, exits=1)
        assert "restored from a backup" in doctor
        assert f"veo-async resume {file} --accept-restored" in doctor
        await programs.run(*VEO, *resume, "--accept-restored", cwd=folder, sim=sim)
        assert len(sim.charges) == 2
        await programs.run(*VEO, *resume, cwd=folder, sim=sim)
        assert len(sim.charges) == 2
