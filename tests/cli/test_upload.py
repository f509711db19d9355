"""`upload`: from files to URLs, and what to type next."""

import json
import sys
from pathlib import Path

from tests.programs import run
from veo_async.simulator import Simulator, refuse

VEO = (sys.executable, "-m", "veo_async")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


async def test_upload_prints_the_urls_and_the_next_command(tmp_path: Path) -> None:
    """Each file's URL on a line of its own; and for machines."""
    (tmp_path / "first.png").write_bytes(PNG)
    (tmp_path / "last.png").write_bytes(PNG + b"!")
    command = (*VEO, "upload", "first.png", "last.png")
    async with Simulator() as sim:
        told = (await run(*command, cwd=tmp_path, sim=sim)).splitlines()
        assert all(line.startswith(sim.url) for line in told[:2])
        assert told[2] == f"Next: veo-async generate \"…\" --image '{told[0]}' --image '{told[1]}'"
        listed = json.loads(await run(*command, "--json", cwd=tmp_path, sim=sim))
        assert [each["url"] for each in listed] == told[:2]
        assert sim.charges == ()


async def test_all_files_are_checked_before_the_first_is_sent(tmp_path: Path) -> None:
    """Every fault at once: exit code 2."""
    (tmp_path / "first.png").write_bytes(PNG)
    (tmp_path / "page.png").write_text("<html>")
    async with Simulator() as sim:
        told = await run(*VEO, "upload", "first.png", "page.png", "gone.png", cwd=tmp_path, sim=sim, exits=2)
        assert "is a web page" in told
        assert "gone.png" in told
        assert sim.requests == ()


async def test_a_refused_upload_is_told_in_the_hosts_words(tmp_path: Path) -> None:
    """Exit code 1."""
    (tmp_path / "first.png").write_bytes(PNG)
    faults = [refuse(400, "File type not supported", form="http", endpoint="file-stream-upload")]
    async with Simulator(faults=faults) as sim:
        told = await run(*VEO, "upload", "first.png", cwd=tmp_path, sim=sim, exits=1)
        assert "File type not supported" in told


async def test_generate_takes_a_file(tmp_path: Path) -> None:
    """As it takes a URL."""
    (tmp_path / "first.png").write_bytes(PNG)
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "A dog", "--image", "first.png", cwd=tmp_path, sim=sim)
        [charge] = sim.charges
        assert charge.body["imageUrls"][0].startswith(sim.url)
