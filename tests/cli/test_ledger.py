"""The commands that look at a ledger and mend it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done, InDoubt, VeoSession
from veo_async._ports import JobRow
from veo_async.cli.app import run
from veo_async.cli.ledger_commands import _lines
from veo_async.simulator import Simulator, drop_after_accepting, drop_before_accepting

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command; its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def said(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            run([str(each) for each in arguments])
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out + told.err

    return said


async def on(sim: Simulator, file: Path, **options: Any) -> VeoSession:
    return VeoSession(sim.api_key, base_url=sim.url, ledger=file, account="studio", poll_every=0.2, **options)


async def fill(file: Path) -> dict[str, str]:
    """A ledger with a clip, a job whose answer was lost, and one whose request was; what was charged, by prompt."""
    faults = [drop_after_accepting(on=2), drop_before_accepting(on=3)]
    async with Simulator(duration_s=0.1, faults=faults) as sim, await on(sim, file) as veo:
        assert isinstance(await (await veo.submit("A dog", key="dog")).finished(), Done)
        for key in ("cat", "bird"):
            assert isinstance(await (await veo.submit(f"A {key}", key=key)).finished(), InDoubt)
        return {str(charge.body["prompt"]): charge.task_id for charge in sim.charges}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "veo.db"


@pytest.fixture
def charged(file: Path) -> dict[str, str]:
    return asyncio.run(fill(file))


def test_show_lists_the_jobs_and_says_what_to_type_next(say: Say, file: Path, charged: dict[str, str]) -> None:
    """By state, too, and for machines."""
    code, told = say("ledger", "show", file)
    assert code == 0
    assert "3 jobs: 1 ready, 2 in_doubt" in told
    assert charged["A dog"] in told
    assert f"veo-async ledger doubts {file}" in told
    code, told = say("ledger", "show", file, "--state", "ready", "--json")
    assert [row["key"] for row in json.loads(told)] == ["dog"]
    assert say("ledger", "show", file, "--state", "lost")[0] == 2
    assert say("jobs", file, "--json") == say("ledger", "show", file, "--json")


def test_a_narrow_terminal_hides_no_key_and_no_state() -> None:
    """The other columns come as there is room; a key that would paint the terminal does not."""
    rows = [
        JobRow(key=key, account="", state="in_doubt", request=None, submitted_at=0.0) for key in ("row-1", "\x1b[2J")
    ]
    assert _lines(rows, 10) == ["key      state", "row-1    in_doubt", "\\x1b[2J  in_doubt"]
    assert _lines(rows, 200)[0].split() == ["key", "state", "prompt", "task", "attempts", "planned"]
    assert _lines([], 200) == []


@pytest.mark.usefixtures("charged")
def test_doubts_tell_the_evidence_and_the_ways_out(say: Say, file: Path) -> None:
    """When it was sent, with which token, what came back; and three commands to copy."""
    code, told = say("ledger", "doubts", file)
    assert code == 0
    assert "ResponseLost" in told
    for way in ("resolve", "resubmit", "abandon"):
        assert f"veo-async ledger {way} {file}" in told
    _, told = say("ledger", "doubts", file, "--json")
    assert {row["key"] for row in json.loads(told)} == {"cat", "bird"}
    assert all(row["token"] and row["steps"] for row in json.loads(told))


def test_what_is_mended_the_next_session_goes_on_with(say: Say, file: Path, charged: dict[str, str]) -> None:
    """One named, one sent again; each is paid once in the end."""
    assert say("ledger", "resolve", file, "cat", charged["A cat"], "--unverified")[0] == 0
    code, told = say("ledger", "resubmit", file, "bird")
    assert code == 0
    assert "Job bird is queued." in told
    code, told = say("ledger", "doubts", file)
    assert "No job is in doubt." in told

    async def go_on() -> int:
        async with Simulator(duration_s=0.1, seed=2) as sim, await on(sim, file) as veo:
            assert (veo.recovered.queued, veo.recovered.running) == (1, 1)
            await veo.job("bird")
            return len(sim.requests_to())

    assert asyncio.run(go_on()) == 1


def test_resolving_reads_the_record_first(
    say: Say, file: Path, charged: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of something else is refused, and the job stays in doubt."""

    async def served() -> None:
        async with Simulator(duration_s=0.1) as sim:
            async with VeoSession(sim.api_key, base_url=sim.url, poll_every=0.1) as veo:
                wrong = await (await veo.submit("A whale")).accepted()
                right = await (await veo.submit("A cat")).accepted()
            monkeypatch.setenv("VEO_BASE_URL", sim.url)
            monkeypatch.setenv("VEO_API_KEY", sim.api_key)
            code, told = await asyncio.to_thread(say, "ledger", "resolve", file, "cat", wrong)
            assert code == 1
            assert "different request" in told
            code, told = await asyncio.to_thread(say, "ledger", "resolve", file, "cat", right)
            assert code == 0
            assert "Job cat is running." in told

    asyncio.run(served())
    assert charged


def test_abandoning_and_adopting(say: Say, file: Path, charged: dict[str, str]) -> None:
    """Given up for good; and a task from elsewhere put down under a name."""
    assert "Job cat is abandoned." in say("ledger", "abandon", file, "cat")[1]
    code, told = say("ledger", "adopt", file, "0" * 32, "--key", "found", "--account", "studio")
    assert code == 0
    assert "Job found is running." in told
    assert say("ledger", "adopt", file, "1" * 32, "--key", "found", "--account", "studio")[0] == 2
    assert say("ledger", "adopt", file, charged["A dog"], "--key", "new", "--account", "studio")[0] == 2
    assert say("ledger", "adopt", file, "no task id", "--account", "studio")[0] == 2


@pytest.mark.usefixtures("charged")
def test_evidence_is_the_timeline_of_one_job(say: Say, file: Path) -> None:
    """Times, events, codes and ids, and no secret."""
    code, told = say("evidence", file, "dog")
    assert code == 0
    for event in ("submit", "send", "accept", "complete"):
        assert f"Z  {event}" in told
    _, told = say("evidence", file, "cat", "--json")
    assert [step["event"] for step in json.loads(told)["steps"]] == ["submit", "send", "lose"]
    assert say("evidence", file, "nobody")[0] == 2


def test_a_file_that_is_not_there_is_not_made(say: Say, file: Path) -> None:
    """Looking must not leave an empty ledger behind."""
    code, told = say("ledger", "show", file)
    assert code == 2
    assert "there is no file" in told
    assert not file.exists()


def test_a_running_sessions_job_is_not_taken_from_it(say: Say, file: Path) -> None:
    """But a doubt of its is, and it goes on with the job by itself."""

    async def served() -> None:
        faults = [drop_after_accepting(on=2)]
        async with Simulator(duration_s=3.0, faults=faults) as sim, await on(sim, file) as veo:
            running = await veo.submit("A dog", key="dog")
            await running.accepted()
            code, told = await asyncio.to_thread(say, "ledger", "abandon", file, "dog")
            assert code == 2
            assert "running drives this job" in told
            doubtful = await veo.submit("A cat", key="cat")
            assert isinstance(await doubtful.finished(), InDoubt)
            task_id = sim.charges[1].task_id
            assert (await asyncio.to_thread(say, "ledger", "resolve", file, "cat", task_id, "--unverified"))[0] == 0
            await asyncio.sleep(2.5)  # the session asks its ledger for news every second
            assert (await doubtful).task_id == task_id
            assert (await running).urls

    asyncio.run(served())
