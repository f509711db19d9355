"""``--min-balance``: the credits that a command leaves on the account."""

import signal
from pathlib import Path

import pytest

from tests.programs import read_until, run, started
from veo_async.simulator import Simulator

from .test_run_jobs import VEO


async def test_list_that_would_take_the_balance_below_it_is_not_started(tmp_path: Path) -> None:
    """Nothing is sent, and the budget that is proposed leaves the minimum."""
    (tmp_path / "prompts.csv").write_text("prompt\nA dog\nA cat\n")
    async with Simulator(credits=150.0) as sim:
        output = await run(*VEO, "batch", "prompts.csv", "--min-balance", "60", cwd=tmp_path, sim=sim, exits=2)
        assert "the balance is 150, of which --min-balance keeps 60: nothing was sent" in output
        assert "--budget 90" in output
        assert sim.charges == ()


@pytest.mark.parametrize("value", ["-1", "much"])
async def test_wrong_minimum_is_a_usage_error(value: str, tmp_path: Path) -> None:
    """The message names the option; exit code 2, before any request."""
    async with Simulator() as sim:
        output = await run(*VEO, "generate", "A dog", f"--min-balance={value}", cwd=tmp_path, sim=sim, exits=2)
        assert "min-balance" in output.replace("_", "-")
        assert sim.requests == ()


@pytest.mark.slow
async def test_clip_waits_while_the_balance_is_too_low(tmp_path: Path) -> None:
    """`generate` says why, and sends nothing."""
    async with Simulator(credits=100.0) as sim:
        process = await started(sim, "generate", "A dog", "--min-balance", "60", cwd=tmp_path)
        await read_until(process, b"less than the minimum balance")
        process.send_signal(signal.SIGINT)
        await process.communicate()
        assert sim.charges == ()
