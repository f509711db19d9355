"""Every benchmark runs at a small size, and the lower bound that the goals refer to is exact."""

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
#: Options for an even smaller size than `--quick`, where that takes too long.
SMALLER = {"kill9": ["--kills", "3", "--jobs", "100"]}


@pytest.fixture
def lower_bound(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`lower_bound` of the benchmarks; like every script, they import from their own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import _common  # its folder is on the path only now

    bound: Callable[..., Any] = _common.lower_bound
    return bound


def test_folder_contains_exactly_the_expected_benchmarks() -> None:
    """There is one benchmark for each goal."""
    expected = (
        "batch blips detection fairness import_time in_flight kill9 ledger limited makespan old_ledger refusals "
        "simulate submit_drop webhooks"
    )
    assert expected.split() == NAMES


def test_competent_client_has_at_most_150_lines() -> None:
    """It is what a good engineer writes in an afternoon."""
    assert len((FOLDER / "_competent.py").read_text().splitlines()) <= 150


def test_report_multiplies_a_goal_by_its_slack_only_in_a_quick_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick run allows more noise, and both runs fail beyond the goal."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import _common  # its folder is on the path only now

    for is_quick, value, status in ((False, 1.2, 1), (True, 1.2, 0), (True, 1.6, 1)):
        report = _common.Report("a title", is_quick)
        report.add("a ratio", value, at_most=1.0, slack=1.5)
        assert report.show() == status
    for is_quick, value, status in ((False, 0.7, 1), (True, 0.7, 0), (True, 0.6, 1)):
        report = _common.Report("a title", is_quick)
        report.add("a ratio", value, at_least=1.0, slack=1.5)
        assert report.show() == status
    assert "missed" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.benchmark
@pytest.mark.realtime
@pytest.mark.timeout(300)  # much CPU time, which a busy machine stretches
@pytest.mark.parametrize("name", NAMES)
def test_quick_benchmark_runs_and_exits_with_0(name: str) -> None:
    """It prints its table, and the goals that count at a small size are reached."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--quick", *SMALLER.get(name, [])]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "goal" in process.stdout
    assert process.stderr == ""


@pytest.mark.parametrize("cap", [None, 15])
def test_lower_bound_equals_the_one_of_the_gate_tests(lower_bound: Callable[..., float], cap: int | None) -> None:
    """A formula and a simulated server give the same optimum."""
    for seed in range(5):
        durations = limiters.draw_durations(150, Random(seed))
        server = limiters.Server(limiters.SlidingLog(20), cap=cap)
        simulated = limiters.lower_bound(server, durations)
        assert lower_bound(durations, cap=cap or math.inf) == pytest.approx(simulated, abs=1e-3)


def test_lower_bound_equals_hand_calculated_values(lower_bound: Callable[..., float]) -> None:
    """Three cases: the window limits, the cap limits, and both limit."""
    assert lower_bound([1.0, 1.0, 1.0], limit=2) == 11.0
    assert lower_bound([4.0, 5.0, 6.0], limit=3, cap=1) == 15.0
    assert lower_bound([12.0, 1.0, 1.0], limit=2, cap=1) == 14.0
