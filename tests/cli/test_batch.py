"""`veo-async batch`, as somebody types it: a fault, a price, a run, Ctrl-C, and the same command again."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.programs import read_until, run, started
from veo_async.simulator import Simulator

KEY = "sk-" + "b" * 30
VEO = (sys.executable, "-m", "veo_async")


def write(folder: Path, rows: int = 5) -> Path:
    lines = ["key,prompt,seeds", *(f"row-{n},Dog number {n},{20000 + n}" for n in range(1, rows + 1))]
    file = folder / "prompts.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


async def test_a_fault_in_line_seven_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    """Which line, which field, what to write; exit code 2. Left out on request, it comes out in rejected.csv."""
    file = write(tmp_path, 6)
    file.write_text(file.read_text().replace("20006", "7"))
    async with Simulator(duration_s=0.2) as sim:
        told = await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=2)
        assert "prompts.csv, line 7: seeds=7" in told
        assert "--skip-invalid" in told
        assert sim.requests_to() == ()
        told = await run(*VEO, "batch", "prompts.csv", "--skip-invalid", cwd=tmp_path, sim=sim, exits=3)
        assert "5 saved" in told
        assert "row-6" in (tmp_path / "prompts-out" / "rejected.csv").read_text("utf-8-sig")


async def test_a_dry_run_tells_the_price(tmp_path: Path) -> None:
    """Clips, credits and dollars; nothing is sent and no file is made."""
    write(tmp_path)
    async with Simulator() as sim:
        told = await run(*VEO, "batch", "prompts.csv", "--dry-run", cwd=tmp_path, sim=sim)
        assert "5 clips, about 300 credits ($1.50). Nothing was sent." in told
        assert sim.requests == ()
    assert not (tmp_path / "prompts-out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_row_58_interrupted_or_terminated_and_the_same_command_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    """What runs is collected, the command to go on is printed, and nothing is paid twice."""
    write(tmp_path, 25)
    async with Simulator(duration_s=1.0, api_key=KEY) as sim:
        process = await started(sim, "batch", "prompts.csv", "--skip-invalid", "--grace", "60", cwd=tmp_path)
        await read_until(process, b"saved")
        process.send_signal(number)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == 5, rest
        assert "Nothing more is sent" in rest
        assert "Next: veo-async batch prompts.csv --skip-invalid --grace 60 " in rest
        sent = len(sim.charges)
        assert 1 <= sent <= 22
        assert len(list((tmp_path / "prompts-out").glob("*.mp4"))) == sent
    async with Simulator(duration_s=0.2, limiter="none", seed=2, api_key=KEY) as sim:
        told = await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert "25 saved" in told
        assert f"Next: open {Path('prompts-out') / 'index.html'}" in told
        assert len(sim.charges) == 25 - sent


async def test_row_58_interrupted_twice_it_stops_at_once_and_loses_nothing(tmp_path: Path) -> None:
    """Clips that take for ever are not waited for; the same command attaches to them. Exit code 130."""
    write(tmp_path, 3)
    async with Simulator(duration_s=3600.0, api_key=KEY) as sim:
        process = await started(sim, "batch", "prompts.csv", cwd=tmp_path)
        while len(sim.charges) < 3:  # noqa: ASYNC110  # the program is another process
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        await read_until(process, b"Nothing more is sent")
        process.send_signal(signal.SIGINT)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == 130, rest
        assert "Traceback" not in rest
        assert "Next: veo-async batch prompts.csv" in rest
        sim.advance(3600.0)
        assert "3 saved" in await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert len(sim.requests_to()) == 3


async def test_a_list_on_standard_input_with_a_template(tmp_path: Path) -> None:
    """JSON lines from a pipe, the prompt made of their columns."""
    lines = tmp_path / "animals"
    lines.write_text('{"animal": "dog"}\n{"animal": "cat"}\n')
    async with Simulator(duration_s=0.2) as sim:
        shell = f"{sys.executable} -m veo_async batch - --prompt 'A {{animal}} at dusk' --out clips < animals"
        told = await run("sh", "-c", shell, cwd=tmp_path, sim=sim)
        assert "2 saved" in told
        assert sorted(str(charge.body["prompt"]) for charge in sim.charges) == ["A cat at dusk", "A dog at dusk"]
    assert (tmp_path / "clips" / "index.html").exists()


async def test_image_files_of_a_list(tmp_path: Path) -> None:
    """Counted by a dry run, uploaded once by a run, and named from the list's own folder."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "lists" / "cats.csv").write_text("prompt,image\nA dog,cat.png\nA fox,cat.png\n")
    async with Simulator(duration_s=0.2) as sim:
        told = await run(*VEO, "batch", "lists/cats.csv", "--dry-run", cwd=tmp_path, sim=sim)
        assert "1 images would be uploaded first" in told
        assert sim.requests == ()
        assert "2 saved" in await run(*VEO, "batch", "lists/cats.csv", cwd=tmp_path, sim=sim)
        assert sim.count("file-stream-upload") == 1
