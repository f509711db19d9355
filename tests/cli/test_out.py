"""``--out``: which files are replaced, and what names a folder."""

import sys
from pathlib import Path

import pytest

from tests.programs import run
from veo_async.simulator import Simulator

VEO = (sys.executable, "-m", "veo_async")


@pytest.mark.slow
async def test_second_clip_is_refused_the_file_of_the_first_unless_overwrite_is_given(tmp_path: Path) -> None:
    """Exit code 2 before anything is sent; the file stays the first clip's, and asking for that again is free."""
    target = tmp_path / "dog.mp4"
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "A dog", "--out", "dog.mp4", cwd=tmp_path, sim=sim)
        dog = target.read_bytes()
        output = await run(*VEO, "generate", "A cat", "--out", "dog.mp4", cwd=tmp_path, sim=sim, exits=2)
        assert "belongs to another clip" in output
        assert "overwrite" in output
        assert (target.read_bytes(), len(sim.requests_to())) == (dog, 1)
        await run(*VEO, "generate", "A cat", "--out", "dog.mp4", "--overwrite", cwd=tmp_path, sim=sim)
        assert target.read_bytes() != dog
        output = await run(*VEO, "generate", "A dog", "--out", "dog.mp4", cwd=tmp_path, sim=sim, exits=2)
        assert "belongs to another clip" in output


@pytest.mark.slow
async def test_clip_that_could_not_be_saved_is_saved_elsewhere(tmp_path: Path) -> None:
    """`save` takes the clip of a job whose own file name was taken."""
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "A dog", "--key", "dog", "--out", "a.mp4", cwd=tmp_path, sim=sim)
        (tmp_path / "a.mp4").write_bytes(b"mine")
        (tmp_path / "a.json").unlink()
        output = await run(*VEO, "save", "veo.db", "dog", "--out", "a.mp4", cwd=tmp_path, sim=sim, exits=1)
        assert "not replaced" in output
        output = await run(*VEO, "save", "veo.db", "dog", "--out", "b.mp4", cwd=tmp_path, sim=sim)
        assert f"dog: {tmp_path / 'b.mp4'}" in output
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"


@pytest.mark.slow
async def test_name_that_is_no_clip_needs_a_slash_to_be_a_folder(tmp_path: Path) -> None:
    """With the slash it is a folder."""
    async with Simulator(duration_s=0.2) as sim:
        output = await run(*VEO, "generate", "A dog", "--out", "a.mov", cwd=tmp_path, sim=sim, exits=2)
        assert "a.mov/" in output
        assert len(sim.requests_to()) == 0
        await run(*VEO, "generate", "A dog", "--key", "dog", "--out", "a.mov/", cwd=tmp_path, sim=sim)
    assert (tmp_path / "a.mov" / "dog.mp4").exists()


@pytest.mark.parametrize("command", [("resume", "veo.db"), ("batch", "prompts.csv"), ("demo",)])
async def test_folder_of_many_clips_cannot_be_a_file(command: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 2, and no folder of that name."""
    (tmp_path / "prompts.csv").write_text("prompt\nA dog\n")
    async with Simulator() as sim:
        output = await run(*VEO, *command, "--out", "all.mp4", cwd=tmp_path, sim=sim, exits=2)
    assert "folder" in output
    assert not (tmp_path / "all.mp4").exists()
