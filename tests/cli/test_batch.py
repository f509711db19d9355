"""`veo-async batch` as a user types it: an invalid row, the price, a run, Ctrl-C, and the same command again."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.programs import read_until, run, started
from veo_async.simulator import Simulator

KEY = "sk-" + "b" * 30
VEO = (sys.executable, "-m", "veo_async")


def write_list(folder: Path, rows: int = 5) -> Path:
    lines = ["key,prompt,seeds", *(f"row-{n},Dog number {n},{20000 + n}" for n in range(1, rows + 1))]
    file = folder / "prompts.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.slow
async def test_invalid_row_is_reported_and_nothing_is_sent(tmp_path: Path) -> None:
    """The line, the field and the remedy, and exit code 2. With --skip-invalid the row ends up in rejected.csv."""
    file = write_list(tmp_path, 6)
    file.write_text(file.read_text().replace("20006", "7"))
    async with Simulator(duration_s=0.2) as sim:
        output = await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=2)
        assert "prompts.csv, line 7: seeds=7" in output
        assert "--skip-invalid" in output
        assert sim.requests_to() == ()
        output = await run(*VEO, "batch", "prompts.csv", "--skip-invalid", cwd=tmp_path, sim=sim, exits=3)
        assert "5 saved" in output
        assert f"Next: veo-async batch {Path('prompts-out') / 'rejected.csv'} --skip-invalid " in output
        assert "row-6" in (tmp_path / "prompts-out" / "rejected.csv").read_text("utf-8-sig")


async def test_dry_run_prints_the_price_and_sends_nothing(tmp_path: Path) -> None:
    """Clips, credits and dollars; no request is sent and no file is created."""
    write_list(tmp_path)
    async with Simulator() as sim:
        output = await run(*VEO, "batch", "prompts.csv", "--dry-run", cwd=tmp_path, sim=sim)
        assert "0 done, 5 left, costing about 300 credits ($1.50). Nothing was sent." in output
        assert sim.requests == ()
    assert not (tmp_path / "prompts-out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_batch_saves_running_clips_and_continues_without_a_second_charge(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Row 58: running clips are saved, the command to continue is printed, and nothing is charged twice."""
    write_list(tmp_path, 25)
    async with Simulator(duration_s=1.0, api_key=KEY) as sim:
        process = await started(sim, "batch", "prompts.csv", "--skip-invalid", "--stop-timeout", "60", cwd=tmp_path)
        await read_until(process, b"saved")
        process.send_signal(number)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == 5, rest
        assert "no new requests" in rest
        assert "Next: veo-async batch prompts.csv --skip-invalid --stop-timeout 60 " in rest
        sent = len(sim.charges)
        assert 1 <= sent <= 22
        assert len(list((tmp_path / "prompts-out").glob("*.mp4"))) == sent
    async with Simulator(duration_s=0.2, limiter="none", seed=2, api_key=KEY) as sim:
        output = await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert "25 saved" in output
        assert f"Next: open {Path('prompts-out') / 'index.html'}" in output
        assert len(sim.charges) == 25 - sent


@pytest.mark.slow
async def test_batch_interrupted_twice_quits_immediately_and_loses_nothing(tmp_path: Path) -> None:
    """Row 58: it does not wait for slow clips, and the same command attaches to them. Exit code 130."""
    write_list(tmp_path, 3)
    async with Simulator(duration_s=3600.0, api_key=KEY) as sim:
        process = await started(sim, "batch", "prompts.csv", cwd=tmp_path)
        while len(sim.charges) < 3:  # noqa: ASYNC110  # the program is another process
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        await read_until(process, b"no new requests")
        process.send_signal(signal.SIGINT)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == 130, rest
        assert "Traceback" not in rest
        assert "Next: veo-async batch prompts.csv" in rest
        sim.advance(3600.0)
        assert "3 saved" in await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert len(sim.requests_to()) == 3


@pytest.mark.slow
async def test_list_on_standard_input_fills_the_prompt_template(tmp_path: Path) -> None:
    """JSON lines from a pipe; the prompt is built from their columns."""
    lines = tmp_path / "animals"
    lines.write_text('{"animal": "dog"}\n{"animal": "cat"}\n')
    async with Simulator(duration_s=0.2) as sim:
        shell = f"{sys.executable} -m veo_async batch - --prompt 'A {{animal}} at dusk' --out clips < animals"
        output = await run("sh", "-c", shell, cwd=tmp_path, sim=sim)
        assert "2 saved" in output
        assert sorted(str(charge.body["prompt"]) for charge in sim.charges) == ["A cat at dusk", "A dog at dusk"]
    assert (tmp_path / "clips" / "index.html").exists()


@pytest.mark.slow
async def test_image_files_are_relative_to_the_list_and_uploaded_once(tmp_path: Path) -> None:
    """A dry run counts them, and a run uploads a file once even if two rows use it."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "lists" / "cats.csv").write_text("prompt,image\nA dog,cat.png\nA fox,cat.png\n")
    async with Simulator(duration_s=0.2) as sim:
        output = await run(*VEO, "batch", "lists/cats.csv", "--dry-run", cwd=tmp_path, sim=sim)
        assert "1 image would be uploaded first" in output
        assert sim.requests == ()
        assert "2 saved" in await run(*VEO, "batch", "lists/cats.csv", cwd=tmp_path, sim=sim)
        assert sim.count("file-stream-upload") == 1


@pytest.mark.slow
async def test_batch_on_the_jobs_route_costs_nothing_when_it_is_run_again_on_the_other(tmp_path: Path) -> None:
    """``--route jobs`` sends createTask requests only; without it, the same list finds its clips."""
    (tmp_path / "prompts.csv").write_text("key,prompt\nrow-1,A dog\nrow-2,A cat\n")
    async with Simulator(duration_s=0.2, api_key=KEY) as sim:
        output = await run(*VEO, "--route", "jobs", "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert "2 saved" in output
        assert [request.endpoint for request in sim.requests if request.method == "POST"] == ["create-task"] * 2
        await run(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim)
        assert len(sim.charges) == 2
        assert sim.double_charges() == ()
