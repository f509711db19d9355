"""`generate`, `resume`, `save`: from the command line to files, interrupted and gone on with."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.programs import run
from veo_async.media import check_complete
from veo_async.simulator import Simulator, drop_after_accepting

VEO = (sys.executable, "-m", "veo_async")


def is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        check_complete(file)
    return True


async def test_generate_makes_one_clip_and_says_each_step(tmp_path: Path) -> None:
    """Queued, sent, running, saved; the same command again attaches and pays for nothing."""
    async with Simulator(duration_s=0.5) as sim:
        command = (*VEO, "generate", "A dog surfing", "--out", "dog.mp4", "--key", "dog")
        told = await run(*command, cwd=tmp_path, sim=sim)
        for piece in ("dog: queued", "dog: sent", "dog: running as", f"dog: saved {tmp_path / 'dog.mp4'}"):
            assert piece in told
        assert "Next: veo-async jobs veo.db" in told
        assert is_whole(tmp_path / "dog.mp4")
        again = json.loads(await run(*command, "--json", cwd=tmp_path, sim=sim))
        assert again["files"] == [str(tmp_path / "dog.mp4")]
        assert len(sim.requests_to()) == 1


async def test_exit_codes_tell_refusals_and_doubts(tmp_path: Path) -> None:
    """3 for a refusal, 4 for a doubt with the next command, 2 for a request that breaks a rule."""
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=2)]) as sim:
        told = await run(*VEO, "generate", "A dog [refuse]", cwd=tmp_path, sim=sim, exits=3)
        assert "refused" in told
        told = await run(*VEO, "generate", "A cat", cwd=tmp_path, sim=sim, exits=4)
        assert "Next: veo-async ledger doubts veo.db" in told
        told = await run(*VEO, "generate", "A fox", "--seeds", "7", cwd=tmp_path, sim=sim, exits=2)
        assert "seeds=7" in told
        assert len(sim.requests_to()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_row_58_stopped_and_the_command_that_it_prints(tmp_path: Path, number: signal.Signals) -> None:
    """Interrupted while the clip is made: nothing is lost, and the printed command brings it home."""
    async with Simulator(duration_s=2.0) as sim:
        process = await asyncio.create_subprocess_exec(
            *(*VEO, "generate", "A dog", "--key", "dog"),
            cwd=tmp_path,
            env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        told = b""
        while b"running" not in told:
            told += await process.stdout.readline()
        process.send_signal(number)
        rest, _ = await process.communicate()
        assert process.returncode == 130
        assert b"Next: veo-async resume veo.db" in rest
        told_after = await run(*VEO, "resume", "veo.db", "--out", "clips", cwd=tmp_path, sim=sim)
        assert "1 running" in told_after
        assert "dog: saved" in told_after
        assert is_whole(tmp_path / "veo-out" / "dog.mp4")
        assert len(sim.requests_to()) == 1


async def test_save_fetches_what_is_ready(tmp_path: Path) -> None:
    """By its key; a key without a clip is told, and the code says so."""
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "A dog", "--key", "dog", cwd=tmp_path, sim=sim)
        told = await run(*VEO, "save", "veo.db", "dog", "cat", "--out", "elsewhere", cwd=tmp_path, sim=sim, exits=3)
        assert "cat: no clip is ready" in told
        assert is_whole(tmp_path / "elsewhere" / "dog.mp4")
