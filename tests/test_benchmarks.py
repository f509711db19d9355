"""The benchmarks run, at a size for smoke tests; and the bound that they are held against is the exact one."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from .rules import limiters

FOLDER = Path(__file__).parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
#: Smaller than `--quick`, which CI runs by itself.
SMALLER = {"kill9": ["--kills", "3", "--jobs", "100"]}


@pytest.fixture
def lower_bound(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The benchmarks' bound; they are scripts, so their folder is on the path as it is for them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import _common  # only now on the path

    bound: Callable[..., Any] = _common.lower_bound
    return bound


def test_there_are_all_of_them() -> None:
    """One command for each number of the design page."""
    wanted = (
        "batch blips detection fairness import_time in_flight kill9 ledger limited makespan refusals simulate "
        "submit_drop webhooks"
    )
    assert wanted.split() == NAMES


@pytest.mark.realtime
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_reaches_what_a_small_size_can_show(name: str) -> None:
    """It prints its table and exits with 0."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--quick", *SMALLER.get(name, [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goal" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("cap", [None, 15])
def test_the_bound_is_that_of_the_gates_own_tests(lower_bound: Callable[..., float], cap: int | None) -> None:
    """Two ways of reckoning the same optimum, by a formula and by asking a server, agree."""
    for seed in range(5):
        durations = limiters.draw_durations(150, Random(seed))
        server = limiters.Server(limiters.SlidingLog(20), cap=cap)
        asked = limiters.lower_bound(server, durations)
        assert lower_bound(durations, cap=cap or math.inf) == pytest.approx(asked, abs=1e-3)


def test_the_bound_by_hand(lower_bound: Callable[..., float]) -> None:
    """Two per ten seconds and one at a time, where each binds."""
    assert lower_bound([1.0, 1.0, 1.0], limit=2) == 11.0
    assert lower_bound([4.0, 5.0, 6.0], limit=3, cap=1) == 15.0
    assert lower_bound([12.0, 1.0, 1.0], limit=2, cap=1) == 14.0
