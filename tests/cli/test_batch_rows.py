"""`veo-async batch` and its neighbours where things go wrong, row by row of the fault matrix; and for machines."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.programs import read_until, started
from tests.programs import run as programme
from veo_async.cli.app import run
from veo_async.simulator import Simulator, blocked_1010, drop_after_accepting, record_flag, refuse

VEO = (sys.executable, "-m", "veo_async")


def write(folder: Path, *prompts: str) -> Path:
    file = folder / "prompts.csv"
    file.write_text("key,prompt\n" + "".join(f"row-{n},{prompt}\n" for n, prompt in enumerate(prompts, 1)))
    return file


async def told_apart(sim: Simulator, *words: str, cwd: Path) -> tuple[int, list[str], str]:
    """A command's exit code, the lines of its standard output, and its standard error."""
    process = await started(sim, *words, cwd=cwd, stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate()
    return int(process.returncode or 0), out.decode().splitlines(), err.decode()


# --- for machines -----------------------------------------------------------------------------------------------


async def test_json_is_an_object_for_each_row_and_a_summary(tmp_path: Path) -> None:
    """And nothing else on standard output; the exit code stands in the summary, too."""
    write(tmp_path, "A dog", "A cat [refuse]")
    async with Simulator(duration_s=0.2) as sim:
        code, lines, people = await told_apart(sim, "batch", "prompts.csv", "--json", cwd=tmp_path)
        assert code == 3
        *rows, summary = [json.loads(line) for line in lines]
        assert {row["event"] for row in rows} == {"ended"}
        by_key = {row["key"]: row for row in rows}
        assert by_key["row-1"]["status"] == "saved"
        assert Path(tmp_path, by_key["row-1"]["paths"][0]).exists()
        assert "flagged" in by_key["row-2"]["error"]
        assert summary["event"] == "summary"
        assert summary["counts"] == {"saved": 1, "refused": 1}
        assert summary["exit_code"] == 3
        assert "Next:" in people


async def test_json_of_a_dry_run_and_of_resume(tmp_path: Path) -> None:
    """The price as a value; and each job that a ledger goes on with."""
    write(tmp_path, "A dog", "A cat")
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=2)]) as sim:
        _, lines, _ = await told_apart(sim, "batch", "prompts.csv", "--dry-run", "--json", cwd=tmp_path)
        assert json.loads(lines[0])["credits"] == 120.0
        await told_apart(sim, "batch", "prompts.csv", "--json", cwd=tmp_path)
        code, lines, _ = await told_apart(sim, "resume", "prompts-out/ledger.db", "--json", cwd=tmp_path)
        *jobs, summary = [json.loads(line) for line in lines]
        assert code == 4 == summary["exit_code"]
        assert [job["outcome"] for job in jobs] == ["in_doubt"]


async def test_another_key_of_the_same_account(tmp_path: Path) -> None:
    """Keys are changed now and then: by its account's name the list goes on and pays for nothing twice."""
    write(tmp_path, "A dog")
    async with Simulator(duration_s=0.2) as sim:
        command = (*VEO, "batch", "prompts.csv", "--account", "studio")
        assert "1 saved" in await programme(*command, cwd=tmp_path, sim=sim)
        sim.revoke_key(sim.api_key)
        sim.api_key = "sk-" + "n" * 30
        sim.add_key(sim.api_key)
        assert "1 saved" in await programme(*command, cwd=tmp_path, sim=sim)
        words = ("save", "prompts-out/ledger.db", "row-1", "--out", "again", "--account", "studio")
        assert "row-1.mp4" in await programme(*VEO, *words, cwd=tmp_path, sim=sim)
        assert len(sim.requests_to()) == 1


async def test_row_58_resume_is_held_as_a_list_is(tmp_path: Path) -> None:
    """Nothing more is sent, what runs is waited for as long as was said; exit code 5 and the command to go on with."""
    write(tmp_path, *(f"Dog {n}" for n in range(25)))
    async with Simulator(duration_s=3600.0) as sim:
        process = await started(sim, "batch", "prompts.csv", "--grace", "0", cwd=tmp_path)
        while not sim.charges:  # noqa: ASYNC110  # the program is another process
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        told = (await process.communicate())[0].decode()
        assert process.returncode == 5, told
        assert "Next: veo-async batch prompts.csv" in told
        process = await started(sim, "resume", "prompts-out/ledger.db", "--grace", "0", cwd=tmp_path)
        await read_until(process, b"to send")
        process.send_signal(signal.SIGTERM)
        told = (await process.communicate())[0].decode()
        assert process.returncode == 5, told
        assert "Nothing more is sent" in told
        assert "Next: veo-async resume prompts-out/ledger.db" in told
        assert 1 <= len(sim.charges) < 25
        sim.assert_no_double_charge()


# --- the matrix -------------------------------------------------------------------------------------------------


async def test_row_12_whoever_is_blocked_is_told_why(tmp_path: Path) -> None:
    """A 403 of the gate in front: in a sentence that names the User-Agent; nothing is sent further."""
    write(tmp_path, "A dog")
    async with Simulator(faults=[blocked_1010(endpoint="*")]) as sim:
        told = await programme(*VEO, "credits", cwd=tmp_path, sim=sim, exits=1)
        assert "no proxy strips the User-Agent" in told
        assert "error code: 1010" in told
        assert "User-Agent" in await programme(*VEO, "doctor", cwd=tmp_path, sim=sim, exits=1)
    async with Simulator(faults=[blocked_1010()]) as sim:
        process = await started(sim, "batch", "prompts.csv", cwd=tmp_path)
        line = await read_until(process, b"(blocked): something")
        assert b"check the key's IP whitelist and the User-Agent" in line
        process.send_signal(signal.SIGTERM)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == 5, rest
        assert "1 queued" in rest
        assert (len(sim.requests_to()), len(sim.charges)) == (1, 0)


async def test_row_83_a_list_beyond_the_balance_is_not_begun(tmp_path: Path) -> None:
    """What it costs, what there is, and three ways on; what was paid for already does not count."""
    write(tmp_path, "A dog", "A cat", "A fox")
    async with Simulator(duration_s=0.2, credits=130.0) as sim:
        told = await programme(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=2)
        assert "costs about 180 credits and the balance is 130" in told
        assert "--budget 130" in told
        assert sim.requests_to() == ()
        told = await programme(*VEO, "batch", "prompts.csv", "--budget", "130", cwd=tmp_path, sim=sim, exits=3)
        assert "2 saved" in told
        assert "1 rows were not sent: the budget would not cover them." in told
        assert "Next: veo-async batch prompts.csv --budget MORE" in told
        assert len(sim.charges) == 2
        sim.account().credits = 60.0
        assert "3 saved" in await programme(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert len(sim.charges) == 3


async def test_row_87_a_state_that_is_new_disturbs_no_list(tmp_path: Path) -> None:
    """It is still running, as far as anybody knows."""
    write(tmp_path, "A dog")
    async with Simulator(duration_s=0.2, faults=[record_flag("FLYING", on=1)]) as sim:
        assert "1 saved" in await programme(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)


async def test_row_88_what_the_provider_echoes_paints_no_terminal_table_or_page(tmp_path: Path) -> None:
    """Escapes are shown as such, wherever the message comes to stand."""
    write(tmp_path, "A dog \x1b]0;mine\x07")
    async with Simulator(faults=[refuse(422, "\x1b[2J\x1b[31mrude [bold]words[/bold]")]) as sim:
        told = await programme(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=3)
        assert "\\x1b[2J\\x1b[31mrude [bold]words[/bold]" in told
        assert "\x1b" not in told
        out = tmp_path / "prompts-out"
        assert "\x1b" not in (out / "index.html").read_text()
        assert "\x1b[2J" not in (out / "results.csv").read_text()
        assert "\x1b" not in await programme(*VEO, "jobs", str(out / "ledger.db"), cwd=tmp_path, sim=sim)


# --- lists and folders that cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "name a file that can be read"),
        ("prompt\nEin Hörnchen\n".encode("latin-1"), "save the file as UTF-8"),
        (b"prompt,colour\nA dog,red\n", "write one of"),
        (b'prompt\n"A dog\n', "mend the quotes"),
        (b"key,prompt\na,A dog\na,A cat\n", "line 3: key='a'"),
        (b"", "0 clips"),
    ],
)
def test_a_list_that_cannot_be_read_says_what_to_do(
    content: bytes | None,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, before any session is opened."""
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "list.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as left:
        run(["batch", str(file)])
    assert left.value.code == 2
    assert told in "".join(capsys.readouterr())
    assert not (tmp_path / "list-out").exists()


async def test_a_list_from_a_spreadsheet_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A byte order mark, quotes, blank lines and semicolons; folders are made, their parents included."""
    (tmp_path / "prompts.csv").write_bytes('\ufeffkey;prompt\r\n\r\nrow-1;"A dog; ""wet"""\r\n;;\r\n'.encode())
    async with Simulator(duration_s=0.2) as sim:
        await programme(*VEO, "batch", "prompts.csv", "--out", "a/b/c", cwd=tmp_path, sim=sim)
        assert sim.charges[0].body["prompt"] == 'A dog; "wet"'
    assert (tmp_path / "a" / "b" / "c" / "row-1.mp4").exists()


@pytest.mark.parametrize("command", ["batch", "demo"])
async def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(tmp_path: Path, command: str) -> None:
    """Whatever the reason, with the folder's name and what to do; exit code 2."""
    write(tmp_path, "A dog")
    words = ["batch", "prompts.csv"] if command == "batch" else ["demo"]
    async with Simulator() as sim:
        told = await programme(*VEO, *words, "--out", "/proc/nowhere", cwd=tmp_path, sim=sim, exits=2)
        assert sim.requests_to() == ()
    assert "/proc/nowhere: " in told
    assert "name a folder that can be written" in told


def test_sheet_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without clips; and with one, where the sheet is."""
    from veo_async.simulator.clips import choose

    with pytest.raises(SystemExit) as left:
        run(["sheet", str(tmp_path)])
    assert left.value.code == 2
    assert "name the folder that veo-async batch has made" in capsys.readouterr().err
    (tmp_path / "dog.mp4").write_bytes(choose(task_number=1).data)
    with pytest.raises(SystemExit) as left:
        run(["sheet", str(tmp_path)])
    assert left.value.code == 0
    assert (tmp_path / "sheet.webp").exists()
