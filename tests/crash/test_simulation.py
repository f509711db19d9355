"""Two hundred simulated batches with random faults, and proof that the simulation detects planted bugs."""

from pathlib import Path
from typing import Any

import pytest

from veo_async._rules.doubt import Verdict
from veo_async._runtime.in_doubt.hints import HintFollower
from veo_async._runtime.sending import sender as sending
from veo_async.errors import ResponseLost

SEEDS, JOBS = 200, 300
#: Seeds per test; one test may take a minute.
SEEDS_PER_TEST = 25


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark `simulate`; like every script, it imports from its own folder."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import simulate  # its folder is on the path only now

    return simulate


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.timeout(300)  # much CPU time, which a busy machine stretches
@pytest.mark.parametrize("first", range(1, SEEDS + 1, SEEDS_PER_TEST))
def test_batches_under_random_faults_are_safe_and_finish(simulate: Any, first: int) -> None:
    """No job is charged twice or lost, and every job finishes; a failure prints the command that reproduces it."""
    results = list(simulate.results(range(first, first + SEEDS_PER_TEST), jobs=JOBS, workers=2))
    failed = [simulate.describe(result, JOBS) for result in results if result.has_failed]
    assert not failed, "\n".join(failed)
    assert len(results) == SEEDS_PER_TEST
    # The faults took place: sessions were killed, and responses were lost.
    assert sum(result.kills for result in results) > SEEDS_PER_TEST
    assert sum(result.bound for result in results) > SEEDS_PER_TEST


def test_same_seed_gives_the_same_result(simulate: Any) -> None:
    """Everything is drawn from the seed, so that a failure can be reproduced."""
    seed = next(seed for seed in range(1, 50) if simulate.simulate(seed, 100).kills)
    first, second = simulate.simulate(seed, 100), simulate.simulate(seed, 100)
    assert first == second
    assert first.digest != simulate.simulate(seed + 1, 100).digest


def test_resending_after_a_lost_response_is_detected(simulate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bug of most clients, which send a request again when its response was lost, jobs are charged twice."""

    def careless(error: Exception) -> Verdict:
        return Verdict.RATE_LIMITED if isinstance(error, ResponseLost) else correct(error)  # type: ignore[arg-type]  # ours

    correct = sending.classify_failure
    monkeypatch.setattr(sending, "classify_failure", careless)
    violations = [text for seed in range(1, 6) for text in simulate.simulate(seed, 100).violations]
    assert any("was charged 2 times" in text for text in violations)


def test_ignoring_hints_is_detected(simulate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a session that ignores hints, jobs stay in doubt although their callbacks were stored."""
    monkeypatch.setattr(HintFollower, "on_hint", lambda *_: None)
    unfinished = [text for seed in range(1, 6) for text in simulate.simulate(seed, 100).unfinished]
    assert any("in doubt although the callback of its task was stored" in text for text in unfinished)
