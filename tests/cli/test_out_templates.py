"""``--out`` and ``--name`` with placeholders, and files that have no key."""

import sys
from pathlib import Path

import pytest

from tests.programs import run
from veo_async.simulator import Simulator

VEO = (sys.executable, "-m", "veo_async")


@pytest.mark.slow
async def test_out_of_a_single_clip_may_be_a_template(tmp_path: Path) -> None:
    """`generate`, `upgrade` and `save` take one; without it, a clip is named after its prompt."""
    async with Simulator(duration_s=0.2) as sim:
        await run(*VEO, "generate", "Eine Möwe", "--out", "clips/{slug}-{model}.mp4", cwd=tmp_path, sim=sim)
        await run(*VEO, "generate", "A dog", "--key", "dog", cwd=tmp_path, sim=sim)
        await run(*VEO, "generate", "A dog at dusk", cwd=tmp_path, sim=sim)
        await run(*VEO, "upgrade", "dog", "4k", "--out", "{slug}.4k.mp4", cwd=tmp_path, sim=sim)
        await run(*VEO, "save", "veo.db", "dog", "--out", "copies/{slug}.mp4", cwd=tmp_path, sim=sim)
        output = await run(*VEO, "generate", "A cat", "--out", "{prompt}.mp4", cwd=tmp_path, sim=sim, exits=2)
        assert "{prompt} is not a placeholder; use {key}, {slug}, {id}, {model}" in output
        assert len(sim.charges) == 4
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mp4")}
    [named] = [path for path in found if path.startswith("veo-out/a-dog-at-dusk-")]
    assert found == {"clips/eine-möwe-veo3_fast.mp4", "veo-out/dog.mp4", named, "a-dog.4k.mp4", "copies/a-dog.mp4"}


@pytest.mark.slow
async def test_row_without_a_key_is_reported_under_a_readable_name(tmp_path: Path) -> None:
    """Also one that is refused; the key itself is in the results."""
    (tmp_path / "list.csv").write_text("prompt\nA dog [refuse]\nA cat\n")
    async with Simulator(duration_s=0.2) as sim:
        output = await run(*VEO, "batch", "list.csv", cwd=tmp_path, sim=sim, exits=3)
    assert "a-dog-refuse-" in output
    assert "a-cat-" in output
