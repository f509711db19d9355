"""`veo-async batch --budget` in real processes: a budget belongs to a list, across runs, Ctrl-C and processes."""

import asyncio
import csv
import shlex
import signal
import sys
from pathlib import Path

import pytest

from tests.programs import read_until, run, started
from veo_async.simulator import Simulator

KEY = "sk-" + "b" * 30
VEO = (sys.executable, "-m", "veo_async")


def write_list(folder: Path, rows: int, name: str = "prompts.csv") -> Path:
    lines = ["key,prompt", *(f"row-{n},Dog number {n}" for n in range(1, rows + 1))]
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))


def charged(sim: Simulator) -> float:
    return sum(charge.credits for charge in sim.charges)


@pytest.mark.slow
async def test_second_run_with_the_same_budget_spends_no_more(tmp_path: Path) -> None:
    """What the first run has spent counts, also after the list was edited. A larger budget continues."""
    write_list(tmp_path, 4)
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        output = await run(*VEO, "batch", "prompts.csv", "--budget", "130", cwd=tmp_path, sim=sim, exits=3)
        assert "2 rows were not sent because of --budget" in output
        assert "120 of 130 credits spent" in output
        write_list(tmp_path, 5)
        output = await run(*VEO, "batch", "prompts.csv", "--budget", "130", cwd=tmp_path, sim=sim, exits=3)
        assert "3 rows were not sent" in output
        assert charged(sim) == 120.0
        await run(*VEO, "batch", "prompts.csv", "--budget", "300", cwd=tmp_path, sim=sim)
        assert charged(sim) == 300.0
        sim.assert_no_double_charge()


@pytest.mark.slow
async def test_run_without_a_budget_counts_in_the_budget_of_a_later_run(tmp_path: Path) -> None:
    """The list spent it, so it counts."""
    write_list(tmp_path, 2)
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        write_list(tmp_path, 3)
        output = await run(*VEO, "batch", "prompts.csv", "--budget", "150", cwd=tmp_path, sim=sim, exits=3)
        assert "1 row was not sent" in output
        assert charged(sim) == 120.0


@pytest.mark.slow
async def test_three_processes_with_one_budget_spend_it_once(tmp_path: Path) -> None:
    """Together they spend no more than the budget, and each line of ``results.jsonl`` is written once."""
    write_list(tmp_path, 30)
    async with Simulator(duration_s=1.0, limiter="none", api_key=KEY) as sim:
        words = ("batch", "prompts.csv", "--budget", "300", "--account", "studio")
        processes = [await started(sim, *words, cwd=tmp_path) for _ in range(3)]
        outputs = [(await process.communicate())[0].decode() for process in processes]
        assert [process.returncode for process in processes] == [3, 3, 3], outputs
        assert charged(sim) == 300.0
        sim.assert_no_double_charge()
    lines = (tmp_path / "prompts-out" / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 5


@pytest.mark.slow
async def test_printed_command_after_ctrl_c_keeps_to_the_budget(tmp_path: Path) -> None:
    """Run as printed, it spends the rest of the budget, and not the whole budget again."""
    write_list(tmp_path, 30)
    async with Simulator(duration_s=1.0, rate=(4, 1.0), api_key=KEY) as sim:
        words = ("batch", "prompts.csv", "--budget", "600", "--stop-timeout", "30")
        process = await started(sim, *words, cwd=tmp_path)
        await read_until(process, b"saved")
        process.send_signal(signal.SIGINT)
        output = (await process.communicate())[0].decode()
        assert process.returncode == 5, output
        assert 0 < charged(sim) < 600.0
        [line] = [line for line in output.splitlines() if line.startswith("Next: veo-async ")]
        printed = shlex.split(line.removeprefix("Next: ").split("   (")[0])
        await run(*VEO, *printed[1:], cwd=tmp_path, sim=sim, exits=3)
        assert charged(sim) == 600.0
        sim.assert_no_double_charge()


@pytest.mark.slow
async def test_second_run_of_a_finished_list_reports_what_it_cost(tmp_path: Path) -> None:
    """The summary, ``results.csv`` and the gallery show the credits of the ledger, not of this run."""
    write_list(tmp_path, 2)
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        output = await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert charged(sim) == 120.0
    assert "about 120 credits spent, 0 reserved" in output
    assert [row["credits"] for row in table(tmp_path / "prompts-out" / "results.csv")] == ["60", "60"]
    page = (tmp_path / "prompts-out" / "index.html").read_text("utf-8")
    assert "<dt>Credits</dt><dd>120</dd>" in page


@pytest.mark.slow
async def test_dry_run_says_what_is_done_what_is_left_and_what_that_costs(tmp_path: Path) -> None:
    """It reads the ledger; without one everything is left, and none is created."""
    write_list(tmp_path, 3)
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        output = await run(*VEO, "batch", "prompts.csv", "--dry-run", cwd=tmp_path, sim=sim)
        assert "0 done, 3 left, costing about 180 credits ($0.90). Nothing was sent." in output
        assert not (tmp_path / "prompts-out").exists()
        await run(*VEO, "batch", "prompts.csv", "--budget", "120", cwd=tmp_path, sim=sim, exits=3)
        output = await run(*VEO, "batch", "prompts.csv", "--dry-run", cwd=tmp_path, sim=sim)
        assert "2 done, 1 left, costing about 60 credits ($0.30). Nothing was sent." in output


@pytest.mark.slow
async def test_rejected_rows_are_run_again_in_the_same_folder_under_the_same_budget(tmp_path: Path) -> None:
    """`rejected.csv` is a list of the same output folder: same keys, same ledger, and results of other rows stay."""
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "prompts.csv").write_text(
        "key,prompt,image,seeds\nrow-1,A dog,,\nrow-2,A cat [refuse],cat.png,\nrow-3,A fox,,7\n,A bird [refuse],,\n"
    )
    out = Path("prompts-out")
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        words = ("batch", "prompts.csv", "--skip-invalid", "--budget", "250")
        output = await run(*VEO, *words, cwd=tmp_path, sim=sim, exits=3)
        [line] = [line for line in output.splitlines() if line.startswith("Next: veo-async ")]
        printed = shlex.split(line.removeprefix("Next: ").split("   (")[0])
        assert printed == ["veo-async", "batch", str(out / "rejected.csv"), "--skip-invalid", "--budget", "250"]
        rejected = tmp_path / out / "rejected.csv"
        text = rejected.read_bytes().replace(b"A cat [refuse]", b"A cat").replace(b"A fox,,7", b"A fox,,10007")
        rejected.write_bytes(text)
        output = await run(*VEO, *printed[1:], cwd=tmp_path, sim=sim, exits=3)
        assert "2 saved" in output
        assert charged(sim) == 180.0
        rows = {row["key"]: row["status"] for row in table(tmp_path / out / "results.csv")}
        assert (rows.pop("row-1"), rows.pop("row-2"), rows.pop("row-3")) == ("saved", "saved", "saved")
        assert list(rows.values()) == ["refused"]
        assert [row["prompt"] for row in table(rejected)] == ["A bird [refuse]"]
        assert not list(tmp_path.glob("**/rejected-out"))
        rejected.write_bytes(rejected.read_bytes().replace(b"A bird [refuse]", b"A bird"))
        output = await run(*VEO, *printed[1:-1], "200", cwd=tmp_path, sim=sim, exits=3)
        assert "1 row was not sent because of --budget: 180 of 200 credits spent, 0 reserved" in output
        assert charged(sim) == 180.0
        assert [row["prompt"] for row in table(rejected)] == ["A bird"]


@pytest.mark.slow
async def test_killed_run_leaves_no_temporary_files_after_the_next_one(tmp_path: Path) -> None:
    """Leftovers of a killed process are removed; a file that another process is writing stays."""
    write_list(tmp_path, 1)
    out = tmp_path / "prompts-out"
    out.mkdir()
    (out / ".0123456789abcdef.tmp").write_text("left by a killed process")
    (out / ".row-1.mp4.01234567.part").write_bytes(b"")
    (out / ".row-1.mp4.89abcdef.part.json").write_text("{}")
    (out / ".mine.tmp").write_text("of another program")
    script = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR); "
        "fcntl.flock(fd, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    )
    live = out / ".fedcba9876543210.tmp"
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(live)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await read_until(writer, b"locked")
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
    hidden = sorted(path.name for path in out.iterdir() if path.name.startswith("."))
    assert writer.stdin is not None
    writer.stdin.close()
    await writer.wait()
    assert [name for name in hidden if name.endswith((".tmp", ".part", ".part.json"))] == [live.name, ".mine.tmp"]
