"""`upload`: from files to URLs, and the next command."""

import json
import sys
from pathlib import Path

import pytest

from tests.programs import run
from veo_async.simulator import Simulator, refuse

VEO = (sys.executable, "-m", "veo_async")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


async def test_upload_prints_the_urls_and_the_next_command(tmp_path: Path) -> None:
    """One line per URL, or one JSON object. Nothing is charged."""
    (tmp_path / "first.png").write_bytes(PNG)
    (tmp_path / "last.png").write_bytes(PNG + b"!")
    command = (*VEO, "upload", "first.png", "last.png")
    async with Simulator() as sim:
        lines = (await run(*command, cwd=tmp_path, sim=sim)).splitlines()
        assert all(line.startswith(sim.url) for line in lines[:2])
        assert lines[2] == f'Next: veo-async generate "A dog surfing at dusk" --image {lines[0]} --image {lines[1]}'
        output = await run(*command, "--json", cwd=tmp_path, sim=sim)
        uploads = [json.loads(line) for line in output.splitlines()]
        assert [upload["url"] for upload in uploads] == lines[:2]
        assert sim.charges == ()


async def test_all_files_are_checked_before_the_first_upload(tmp_path: Path) -> None:
    """Every problem of every file is reported; exit code 2."""
    (tmp_path / "first.png").write_bytes(PNG)
    (tmp_path / "page.png").write_text("<html>")
    async with Simulator() as sim:
        output = await run(*VEO, "upload", "first.png", "page.png", "gone.png", cwd=tmp_path, sim=sim, exits=2)
        assert "is a web page" in output
        assert "gone.png" in output
        assert sim.requests == ()


async def test_rejected_upload_shows_the_hosts_message(tmp_path: Path) -> None:
    """Exit code 1."""
    (tmp_path / "first.png").write_bytes(PNG)
    faults = [refuse(400, "File type not supported", form="http", endpoint="file-stream-upload")]
    async with Simulator(faults=faults) as sim:
        output = await run(*VEO, "upload", "first.png", cwd=tmp_path, sim=sim, exits=1)
        assert "File type not supported" in output


@pytest.mark.slow
async def test_generate_uploads_an_image_file(tmp_path: Path) -> None:
    """The request contains the URL of the upload."""
    (tmp_path / "first.png").write_bytes(PNG)
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "A dog", "--image", "first.png", cwd=tmp_path, sim=sim)
        [charge] = sim.charges
        assert charge.body["imageUrls"][0].startswith(sim.url)
