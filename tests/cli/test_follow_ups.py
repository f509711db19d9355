"""`upgrade` and `extend`: a new clip from a finished one, saved; the same command again costs nothing."""

from pathlib import Path

import pytest

from tests.fast_clock import SPEED
from tests.programs import run_fast
from veo_async.media import check_complete
from veo_async.simulator import Simulator

PROGRAM = """
from veo_async.__main__ import main
main()
"""


def write_program(folder: Path) -> Path:
    program = folder / "veo.py"
    program.write_text(PROGRAM)
    return program


@pytest.mark.slow
async def test_clip_is_extended_and_upgraded_by_key_without_a_second_charge(tmp_path: Path) -> None:
    """Each command names the key of the job before it; an upgraded clip cannot be extended."""
    program = write_program(tmp_path)
    async with Simulator(speed=SPEED, client_speed=SPEED, seed=3) as sim:

        async def veo(*arguments: str, exits: int = 0) -> str:
            return await run_fast(program, *arguments, sim=sim, cwd=tmp_path, exits=exits)

        await veo("generate", "A dog", "--key", "dog")
        output = await veo("extend", "dog", "It swims ashore", "--model", "lite")
        key = next(line.split(":")[0] for line in output.splitlines() if ": queued" in line)
        upgrade = ("upgrade", key, "4k", "--out", "large.mp4")
        assert f"{key}.4k: saved" in await veo(*upgrade)
        with (tmp_path / "large.mp4").open("rb") as file:
            check_complete(file)
        assert "saved" in await veo(*upgrade)
        assert [charge.endpoint for charge in sim.charges] == ["generate", "extend", "get-4k-video"]

        assert "saved" in await veo("upgrade", key)
        output = await veo("extend", key, "It shakes itself dry", exits=3)
        assert "cannot be extended" in output


@pytest.mark.slow
async def test_task_from_another_ledger_is_upgraded_and_an_unknown_task_is_refused(tmp_path: Path) -> None:
    """A name that is not a key on the ledger is used as a task id."""
    program = write_program(tmp_path)
    async with Simulator(speed=SPEED, client_speed=SPEED) as sim:
        await run_fast(program, "generate", "A dog", sim=sim, cwd=tmp_path)
        [task_id] = sim.tasks
        (tmp_path / "other").mkdir()
        assert "saved" in await run_fast(program, "upgrade", task_id, sim=sim, cwd=tmp_path / "other")
        output = await run_fast(program, "upgrade", "unknown", sim=sim, cwd=tmp_path, exits=3)
        assert "refused" in output
        output = await run_fast(program, "upgrade", "two words", sim=sim, cwd=tmp_path, exits=2)
        assert "is not a task id" in output
