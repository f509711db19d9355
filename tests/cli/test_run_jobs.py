"""`generate`, `resume` and `save`: from the command line to files, interrupted and continued."""

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


def is_complete(path: Path) -> bool:
    with path.open("rb") as file:
        check_complete(file)
    return True


@pytest.mark.slow
async def test_generate_prints_each_event_and_a_second_run_reuses_the_clip(tmp_path: Path) -> None:
    """Queued, sent, generating, saved; the same command again attaches to the job and costs nothing."""
    async with Simulator(duration_s=0.5) as sim:
        command = (*VEO, "generate", "A dog surfing", "--out", "dog.mp4", "--key", "dog")
        output = await run(*command, cwd=tmp_path, sim=sim)
        for text in ("dog: queued", "dog: sent", "dog: generating (task ", "dog: saved dog.mp4"):
            assert text in output
        assert "Next: veo-async jobs veo.db" in output
        assert is_complete(tmp_path / "dog.mp4")
        again = json.loads(await run(*command, "--json", cwd=tmp_path, sim=sim))
        assert again["event"] == "finished"
        assert again["files"] == [str(tmp_path / "dog.mp4")]
        assert len(sim.requests_to()) == 1


async def test_exit_codes_of_a_refusal_a_job_in_doubt_and_an_invalid_request(tmp_path: Path) -> None:
    """3 for a refusal, 4 and the next command for a job in doubt, 2 for a request that breaks a rule."""
    async with Simulator(duration_s=0.2, faults=[drop_after_accepting(on=2)]) as sim:
        output = await run(*VEO, "generate", "A dog [refuse]", "--key", "dog", "-v", cwd=tmp_path, sim=sim, exits=3)
        remedy = "Reword the prompt, change the image, or try another seed."
        sentence, words, timeline, _ = output.splitlines()[-4:]
        assert sentence == f"dog: refused: content policy. {remedy}"
        assert "flagged by Website" in words
        assert "body_code 422" in words
        assert timeline == "  Timeline: veo-async timeline veo.db dog"
        assert "422" in await run(*VEO, *timeline.split()[2:], cwd=tmp_path, sim=sim)
        output = await run(*VEO, "generate", "A cat", cwd=tmp_path, sim=sim, exits=4)
        assert "Next: veo-async ledger in-doubt veo.db" in output
        output = await run(*VEO, "generate", "A fox", "--seeds", "7", cwd=tmp_path, sim=sim, exits=2)
        assert "seeds=7" in output
        assert len(sim.requests_to()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_generate_prints_the_command_that_saves_the_clip(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Row 58: interrupted while the clip is generated, nothing is lost; the printed command saves the clip."""
    async with Simulator(duration_s=2.0) as sim:
        process = await asyncio.create_subprocess_exec(
            *(*VEO, "generate", "A dog", "--key", "dog"),
            cwd=tmp_path,
            env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        output = b""
        while b"generating" not in output:
            output += await process.stdout.readline()
        process.send_signal(number)
        rest, _ = await process.communicate()
        assert process.returncode == 130
        assert b"Next: veo-async generate 'A dog' --key dog" in rest
        resumed = await run(*VEO, "resume", "veo.db", "--out", "clips", cwd=tmp_path, sim=sim)
        assert "1 running" in resumed
        assert "dog: saved" in resumed
        assert is_complete(tmp_path / "veo-out" / "dog.mp4")
        assert len(sim.requests_to()) == 1


@pytest.mark.slow
async def test_save_downloads_finished_clips_by_key(tmp_path: Path) -> None:
    """A key without a finished clip is reported, and the exit code is 3."""
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "A dog", "--key", "dog", cwd=tmp_path, sim=sim)
        output = await run(*VEO, "save", "veo.db", "dog", "cat", "--out", "copies", cwd=tmp_path, sim=sim, exits=3)
        assert "cat: no finished clip under this key" in output
        assert is_complete(tmp_path / "copies" / "dog.mp4")
