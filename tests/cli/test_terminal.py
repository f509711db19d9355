"""What the commands draw on a real terminal."""

import re
import sys
from pathlib import Path

import pytest

from tests.terminals import run_in_terminal
from veo_async.simulator import Simulator, rate_limited

VEO = (sys.executable, "-m", "veo_async")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind"),
    pytest.mark.slow,
]


async def test_generate_redraws_one_line_and_leaves_only_the_result(tmp_path: Path) -> None:
    """State, elapsed time and estimate; the events get no lines of their own."""
    async with Simulator(duration_s=2.0) as sim:
        command = (*VEO, "generate", "A dog", "--key", "dog", "--out", "dog.mp4")
        text = await run_in_terminal(*command, cwd=tmp_path, sim=sim)
        assert len(set(re.findall(r"dog: generating · (\d+ s) · about \d+ (?:s|min) left", text))) >= 2
        assert "task" not in text
        assert text.count("dog: saved dog.mp4") == 1
        assert re.search(r"dog: saved dog.mp4\nNext: veo-async jobs veo.db\n$", text)


async def test_generate_with_v_prints_the_events_as_well(tmp_path: Path) -> None:
    """With the task id."""
    async with Simulator(duration_s=0.3) as sim:
        text = await run_in_terminal(*VEO, "generate", "A dog", "-v", "--key", "dog", cwd=tmp_path, sim=sim)
        [task_id] = sim.tasks
        assert f"dog: generating (task {task_id})" in text


async def test_quiet_generate_prints_the_result_alone(tmp_path: Path) -> None:
    """No line that is redrawn, and no next command."""
    async with Simulator(duration_s=0.3) as sim:
        command = (*VEO, "-q", "generate", "A dog", "--key", "dog", "--out", "dog.mp4")
        assert await run_in_terminal(*command, cwd=tmp_path, sim=sim) == "dog: saved dog.mp4\n"


async def test_board_of_a_list_shows_prompts_credits_and_the_rate_limit(tmp_path: Path) -> None:
    """While it runs, and its end once more at the end."""
    (tmp_path / "prompts.csv").write_text("key,prompt\nrow-1,A dog surfing\nrow-2,A cat\nrow-3,A fox [refuse]\n")
    async with Simulator(duration_s=1.0, faults=[rate_limited(on=2, retry_after=3)]) as sim:
        text = await run_in_terminal(*VEO, "batch", "prompts.csv", cwd=tmp_path, sim=sim, exits=3)
    assert re.search(r"Rate limited: next clip in \d s\. No clip fails because of this\.", text)
    assert re.search(r"row-1 +A dog surfing +running +about \d+ (s|min) left", text)
    assert re.search(r"row-3 +A fox \[refuse\] +refused", text)
    assert re.search(r"about 0 credits spent, \d+ reserved", text)
    assert "3 of 3 finished" in text
    assert "2 saved, 1 refused; about 120 credits spent, 0 reserved." in text
