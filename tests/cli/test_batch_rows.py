"""`veo-async batch` and related commands when something goes wrong, by rows of the fault matrix; and their JSON."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.programs import read_until, started
from tests.programs import run as run_program
from veo_async.cli.app import run
from veo_async.simulator import Simulator, blocked_1010, drop_after_accepting, record_flag, refuse

VEO = (sys.executable, "-m", "veo_async")


def write_list(folder: Path, *prompts: str) -> Path:
    file = folder / "prompts.csv"
    file.write_text("key,prompt\n" + "".join(f"row-{n},{prompt}\n" for n, prompt in enumerate(prompts, 1)))
    return file


async def run_separately(sim: Simulator, *words: str, cwd: Path) -> tuple[int, list[str], str]:
    """Return a command's exit code, the lines of its standard output, and its standard error."""
    process = await started(sim, *words, cwd=cwd, stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate()
    return int(process.returncode or 0), out.decode().splitlines(), err.decode()


@pytest.mark.slow
async def test_row_with_half_an_emoji_is_rejected_alone(tmp_path: Path) -> None:
    """JSON can escape one half of it. The row ends up, escaped, in rejected.csv, and the other rows run."""
    (tmp_path / "list.jsonl").write_text('{"prompt": "A dog \\ud83d"}\n{"prompt": "A cat"}\n')
    async with Simulator(duration_s=0.2) as sim:
        output = await run_program(*VEO, "batch", "list.jsonl", "--skip-invalid", cwd=tmp_path, sim=sim, exits=3)
    assert "Traceback" not in output
    rejected = (tmp_path / "list-out" / "rejected.csv").read_text("utf-8-sig")
    assert "A dog \\ud83d" in rejected
    assert "lone surrogate" in rejected
    assert len(list((tmp_path / "list-out").glob("*.mp4"))) == 1


# --- JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_json_output_is_an_object_per_row_and_a_summary(tmp_path: Path) -> None:
    """Standard output holds nothing else, and the summary contains the exit code."""
    write_list(tmp_path, "A dog", "A cat [refuse]")
    async with Simulator(duration_s=0.2) as sim:
        code, lines, errors = await run_separately(sim, "batch", "prompts.csv", "--json", cwd=tmp_path)
        assert code == 3
        *rows, summary = [json.loads(line) for line in lines]
        assert {row["event"] for row in rows} == {"finished"}
        by_key = {row["key"]: row for row in rows}
        assert by_key["row-1"]["status"] == "saved"
        assert Path(tmp_path, by_key["row-1"]["paths"][0]).exists()
        assert by_key["row-2"]["reason"] == "content policy"
        assert "flagged" in by_key["row-2"]["detail"]
        assert summary["event"] == "summary"
        assert summary["counts"] == {"saved": 1, "refused": 1}
        assert summary["over_budget"] == 0
        assert summary["exit_code"] == 3
        assert "Next:" in errors


@pytest.mark.slow
async def test_json_output_of_a_dry_run_and_of_resume(tmp_path: Path) -> None:
    """The price of the list as a number, and the outcome of each job on the ledger."""
    write_list(tmp_path, "A dog", "A cat")
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=2)]) as sim:
        _, lines, _ = await run_separately(sim, "batch", "prompts.csv", "--dry-run", "--json", cwd=tmp_path)
        estimate = json.loads(lines[0])
        assert estimate["credits"] == 120.0
        assert (estimate["dry_run"], estimate["without_price"]) == (True, 0)
        await run_separately(sim, "batch", "prompts.csv", "--json", cwd=tmp_path)
        code, lines, _ = await run_separately(sim, "resume", "prompts-out/ledger.db", "--json", cwd=tmp_path)
        *jobs, summary = [json.loads(line) for line in lines]
        assert code == 4 == summary["exit_code"]
        assert (summary["route"], summary["is_route_changed"]) == ("veo", False)
        assert [job["outcome"] for job in jobs] == ["in_doubt"]


@pytest.mark.slow
async def test_named_account_continues_the_list_with_another_api_key(tmp_path: Path) -> None:
    """API keys change; the jobs belong to the account's name, so nothing is charged twice."""
    write_list(tmp_path, "A dog")
    async with Simulator(duration_s=0.2) as sim:
        command = (*VEO, "batch", "prompts.csv", "--account", "studio")
        assert "1 saved" in await run_program(*command, cwd=tmp_path, sim=sim)
        sim.revoke_key(sim.api_key)
        sim.api_key = "sk-" + "n" * 30
        sim.add_key(sim.api_key)
        assert "1 saved" in await run_program(*command, cwd=tmp_path, sim=sim)
        words = ("save", "prompts-out/ledger.db", "row-1", "--out", "again", "--account", "studio")
        assert "row-1.mp4" in await run_program(*VEO, *words, cwd=tmp_path, sim=sim)
        assert len(sim.requests_to()) == 1


async def test_interrupted_resume_stops_sending_and_prints_the_command_to_continue(tmp_path: Path) -> None:
    """Row 58: no new requests; it waits for running clips up to --stop-timeout and exits with 5."""
    write_list(tmp_path, *(f"Dog {n}" for n in range(25)))
    async with Simulator(duration_s=3600.0) as sim:
        process = await started(sim, "batch", "prompts.csv", "--stop-timeout", "0", cwd=tmp_path)
        while not sim.charges:  # noqa: ASYNC110  # the program is another process
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output = (await process.communicate())[0].decode()
        assert process.returncode == 5, output
        assert "Next: veo-async batch prompts.csv" in output
        process = await started(sim, "resume", "prompts-out/ledger.db", "--stop-timeout", "0", cwd=tmp_path)
        await read_until(process, b"queued")
        process.send_signal(signal.SIGTERM)
        output = (await process.communicate())[0].decode()
        assert process.returncode == 5, output
        assert "no new requests" in output
        assert "Next: veo-async resume prompts-out/ledger.db" in output
        assert 1 <= len(sim.charges) < 25
        sim.assert_no_double_charge()


# --- the fault matrix -------------------------------------------------------------------------------------------


async def test_blocked_client_gets_the_reason_and_sends_nothing_more(tmp_path: Path) -> None:
    """Row 12: a 403 from a firewall in front of the API is reported with the User-Agent as a possible cause."""
    write_list(tmp_path, "A dog")
    async with Simulator(faults=[blocked_1010(endpoint="*")]) as sim:
        output = await run_program(*VEO, "credits", cwd=tmp_path, sim=sim, exits=1)
        assert "no proxy strips the User-Agent header" in " ".join(output.split())
        assert "error code: 1010" in output
        assert "User-Agent" in await run_program(*VEO, "doctor", cwd=tmp_path, sim=sim, exits=1)
    async with Simulator(faults=[blocked_1010()]) as sim:
        process = await started(sim, "batch", "prompts.csv", cwd=tmp_path)
        line = await read_until(process, b"Paused: a firewall")
        assert b"Check the key's IP allowlist and the User-Agent" in line
        process.send_signal(signal.SIGTERM)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == 5, rest
        assert "1 queued" in rest
        assert (len(sim.requests_to()), len(sim.charges)) == (1, 0)


@pytest.mark.slow
async def test_list_beyond_the_balance_is_not_sent(tmp_path: Path) -> None:
    """Row 83: the price, the balance and three options are printed; clips that are already paid for do not count."""
    write_list(tmp_path, "A dog", "A cat", "A fox")
    async with Simulator(duration_s=0.2, credits=130.0) as sim:
        output = await run_program(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=2)
        assert "costs about 180 credits and the balance is 130" in output
        assert "--budget 130" in output
        assert sim.requests_to() == ()
        output = await run_program(*VEO, "batch", "prompts.csv", "--budget", "130", cwd=tmp_path, sim=sim, exits=3)
        assert "2 saved" in output
        assert "1 row was not sent because of --budget: 120 of 130 credits spent, 0 reserved." in output
        assert "Next: veo-async batch prompts.csv --budget 180 " in output
        assert len(sim.charges) == 2
        sim.account().credits = 60.0
        assert "3 saved" in await run_program(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert len(sim.charges) == 3


@pytest.mark.slow
async def test_unknown_task_state_does_not_stop_the_list(tmp_path: Path) -> None:
    """Row 87: a task with a state that the library does not know counts as running."""
    write_list(tmp_path, "A dog")
    async with Simulator(duration_s=0.2, faults=[record_flag("FLYING", on=1)]) as sim:
        assert "1 saved" in await run_program(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)


async def test_control_characters_in_provider_messages_are_escaped_everywhere(tmp_path: Path) -> None:
    """Row 88: neither the terminal nor a table or the gallery receives them."""
    write_list(tmp_path, "A dog \x1b]0;mine\x07")
    async with Simulator(faults=[refuse(422, "\x1b[2J\x1b[31mrude [bold]words[/bold]")]) as sim:
        output = await run_program(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=3)
        assert "rude" not in output
        assert "\x1b" not in output
        out = tmp_path / "prompts-out"
        assert "\x1b" not in (out / "index.html").read_text()
        assert "\\x1b[2J\\x1b[31mrude [bold]words[/bold]" in (out / "results.csv").read_text()
        assert "\x1b[2J" not in (out / "results.csv").read_text()
        assert "\x1b" not in await run_program(*VEO, "jobs", str(out / "ledger.db"), cwd=tmp_path, sim=sim)


# --- unusable lists and folders ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "name a file that can be read"),
        ("prompt\nZażółć gęślą\n".encode("cp1250"), "list.csv, line 2: not valid UTF-8; save the file as UTF-8"),
        (b"promt,colour\nA dog,red\n", 'list.csv, line 1: no column is called "prompt"; the columns are "promt" and'),
        (b'prompt\n"A dog\n', "fix the quoting"),
        (b"key,prompt\na,A dog\na,A cat\n", "line 3: key='a'"),
        (b"", "list.csv: the list is empty. Write the column names into the first line"),
        (b"prompt;key\r\n", "list.csv, line 1: the list has column names and no rows. Add a line"),
    ],
)
def test_unreadable_list_is_a_usage_error_with_a_remedy(
    content: bytes | None,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, before a session is opened."""
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "list.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as exit_info:
        run(["batch", str(file)])
    assert exit_info.value.code == 2
    assert message in "".join(capsys.readouterr())
    assert not (tmp_path / "list-out").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--strict", '"colour" is an unknown column. Rename or remove it, or leave out --strict. Known columns: '),
        ("--name={nr}-{slug}", "name='{nr}-{slug}.mp4': {nr} is not a placeholder"),
        ("--name={model}", "must contain {n:03}, {key}, {id} or {slug}"),
    ],
)
def test_wrong_column_or_name_is_refused_before_anything_is_sent(
    option: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a dry run; exit code 2."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "list.csv").write_text("prompt,colour\nA dog,red\n")
    with pytest.raises(SystemExit) as exit_info:
        run(["batch", str(tmp_path / "list.csv"), "--dry-run", option])
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
async def test_plain_csv_of_excel_is_run_with_one_warning_about_its_columns(tmp_path: Path) -> None:
    """The clips are named by row and prompt; the other columns are in the results and in the JSON of each row."""
    content = "Nr;Prompt;Seed\r\n1;Ein Hörnchen;7\r\n2;Die Möwe;8\r\n"
    (tmp_path / "liste.csv").write_bytes(content.encode("cp1252"))
    async with Simulator(duration_s=0.2) as sim:
        command = (*VEO, "batch", "liste.csv", "--name", "{n:03}-{slug}")
        output = await run_program(*command, cwd=tmp_path, sim=sim)
        assert "liste.csv, line 2: not UTF-8, so the list was read as Windows-1252" in output
        assert output.count("unknown columns") == 1
        assert 'liste.csv, line 1: "Nr" and "Seed" (did you mean "seeds"?) are unknown columns. They are' in output
        assert "2 saved" in output
        out = tmp_path / "liste-out"
        assert sorted(path.name for path in out.glob("*.mp4")) == ["001-ein-hörnchen.mp4", "002-die-möwe.mp4"]
        assert (out / "results.csv").read_text("utf-8-sig").startswith("Nr,prompt,Seed,key,status,")
        _, lines, messages = await run_separately(sim, *command[3:], "--json", cwd=tmp_path)
        rows = [row for line in lines if "columns" in (row := json.loads(line))]
        columns = sorted((row["columns"] for row in rows), key=lambda row: row["Nr"])
        assert columns == [{"Nr": "1", "Seed": "7"}, {"Nr": "2", "Seed": "8"}]
        assert "unknown columns" in messages
        assert len(sim.charges) == 2


@pytest.mark.slow
async def test_spreadsheet_export_is_read_and_missing_folders_are_created(tmp_path: Path) -> None:
    """A byte order mark, quotes, blank lines and semicolons; the output folder's parents do not exist."""
    (tmp_path / "prompts.csv").write_bytes('\ufeffkey;prompt\r\n\r\nrow-1;"A dog; ""wet"""\r\n;;\r\n'.encode())
    async with Simulator(duration_s=0.2) as sim:
        await run_program(*VEO, "batch", "prompts.csv", "--out", "a/b/c", cwd=tmp_path, sim=sim)
        assert sim.charges[0].body["prompt"] == 'A dog; "wet"'
    assert (tmp_path / "a" / "b" / "c" / "row-1.mp4").exists()


@pytest.mark.parametrize("command", ["batch", "demo"])
async def test_unwritable_folder_is_reported_before_anything_is_sent(tmp_path: Path, command: str) -> None:
    """The message names the folder and the remedy; exit code 2."""
    write_list(tmp_path, "A dog")
    words = ["batch", "prompts.csv"] if command == "batch" else ["demo"]
    async with Simulator() as sim:
        output = await run_program(*VEO, *words, "--out", "/proc/nowhere", cwd=tmp_path, sim=sim, exits=2)
        assert sim.requests_to() == ()
    assert "/proc/nowhere: " in output
    assert "choose a writable folder" in output


def test_contact_sheet_needs_a_folder_with_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without clips it is a usage error; with one it writes sheet.webp."""
    from veo_async.simulator.clips import choose

    with pytest.raises(SystemExit) as exit_info:
        run(["contact-sheet", str(tmp_path)])
    assert exit_info.value.code == 2
    assert "pass the output folder of a list" in capsys.readouterr().err
    (tmp_path / "dog.mp4").write_bytes(choose(task_number=1).data)
    with pytest.raises(SystemExit) as exit_info:
        run(["contact-sheet", str(tmp_path)])
    assert exit_info.value.code == 0
    assert (tmp_path / "sheet.webp").exists()
