"""`upgrade` and `extend`: more of a clip that is there, saved; the same command again pays for nothing."""

from pathlib import Path

from tests.fast_clock import SPEED
from tests.programs import run_fast
from veo_async.media import check_complete
from veo_async.simulator import Simulator

PROGRAM = """
from veo_async.__main__ import main
main()
"""


def written(folder: Path) -> Path:
    program = folder / "veo.py"
    program.write_text(PROGRAM)
    return program


async def test_from_a_prompt_to_a_long_and_large_film(tmp_path: Path) -> None:
    """Each step by the key of the one before; nothing is paid twice."""
    program = written(tmp_path)
    async with Simulator(speed=SPEED, seed=3) as sim:

        async def veo(*arguments: str, exits: int = 0) -> str:
            return await run_fast(program, *arguments, sim=sim, cwd=tmp_path, exits=exits)

        await veo("generate", "A dog", "--key", "dog")
        told = await veo("extend", "dog", "It swims ashore", "--model", "lite")
        key = next(line.split(":")[0] for line in told.splitlines() if ": queued" in line)
        large = ("upgrade", key, "4k", "--out", "large.mp4")
        assert f"{key}.4k: saved" in await veo(*large)
        with (tmp_path / "large.mp4").open("rb") as file:
            check_complete(file)
        assert "saved" in await veo(*large)
        assert [charge.endpoint for charge in sim.charges] == ["generate", "extend", "get-4k-video"]

        assert "saved" in await veo("upgrade", key)
        told = await veo("extend", key, "It shakes itself dry", exits=3)
        assert "cannot be extended" in told


async def test_a_task_that_was_made_elsewhere_and_one_that_never_was(tmp_path: Path) -> None:
    """By its id; a key that nobody has is taken for one, and the provider knows no such task."""
    program = written(tmp_path)
    async with Simulator(speed=SPEED) as sim:
        await run_fast(program, "generate", "A dog", sim=sim, cwd=tmp_path)
        [task_id] = sim.tasks
        (tmp_path / "elsewhere").mkdir()
        assert "saved" in await run_fast(program, "upgrade", task_id, sim=sim, cwd=tmp_path / "elsewhere")
        told = await run_fast(program, "upgrade", "nobody", sim=sim, cwd=tmp_path, exits=3)
        assert "refused" in told
        told = await run_fast(program, "upgrade", "two words", sim=sim, cwd=tmp_path, exits=2)
        assert "is not a task id" in told
