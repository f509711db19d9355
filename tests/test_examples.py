"""Each example is a whole program, is short, and runs against the simulator as it stands."""

from pathlib import Path

import pytest

from tests.fast_clock import SPEED
from tests.programs import run_fast
from veo_async.simulator import Simulator

FOLDER = Path(__file__).parent.parent / "veo_async" / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


async def run(name: str, cwd: Path, *arguments: str, exits: int = 0) -> tuple[list[str], Simulator]:
    """The lines that an example prints, and the simulator that it talked to."""
    async with Simulator(speed=SPEED, seed=7) as sim:
        output = await run_fast(FOLDER / f"{name}.py", *arguments, cwd=cwd, sim=sim, exits=exits)
    sim.assert_no_double_charge()
    return output.splitlines(), sim


def test_there_is_a_test_for_each() -> None:
    """An example that nothing runs would be an untested promise."""
    assert EXAMPLES == ["many_clips", "two_users"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_short(name: str) -> None:
    """Under sixty lines, and it says how to start it."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) < 60
    assert f"``python -m veo_async.examples.{name}" in text


async def test_many_clips(tmp_path: Path) -> None:
    """One line per outcome, whatever it is, and the exit code tells of those that did not come."""
    lines, sim = await run("many_clips", tmp_path)
    assert [line.split()[0] for line in lines[:-1]] == ["ready"] * 6
    assert "credits left" in lines[-1]
    assert len(sim.charges) == 6


async def test_many_clips_from_a_file(tmp_path: Path) -> None:
    """A refusal and a failure are lines among lines."""
    (tmp_path / "prompts.txt").write_text("A dog\n\nA cat [refuse]\nA cow [fail]\n")
    lines, _ = await run("many_clips", tmp_path, "prompts.txt", exits=1)
    assert sorted(line.split()[0] for line in lines[:-1]) == ["failed", "ready", "refused"]


async def test_two_users(tmp_path: Path) -> None:
    """Boris is told where he stands and has his clip before Anna's batch is through."""
    lines, sim = await run("two_users", tmp_path)
    assert "before you, about" in lines[0] or lines[0] == "boris: on its way"
    assert lines[-1] == "anna: 30 of 30 are ready"
    assert any("being made, about" in line for line in lines)
    assert sum(line.startswith("boris: http") for line in lines) == 1
    assert len(sim.charges) == 31
