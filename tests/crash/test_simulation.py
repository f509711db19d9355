"""Two hundred batches in hostile worlds, and that the simulation would see what it looks for."""

from pathlib import Path
from typing import Any

import pytest

from veo_async._rules.doubt import Verdict
from veo_async._runtime.in_doubt.hints import HintFollower
from veo_async._runtime.sending import sender as sending
from veo_async.errors import ResponseLost

SEEDS, JOBS = 200, 300
#: So many in one test, which may take a minute.
TOGETHER = 25


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The simulation; it is a script, so its folder is on the path as it is for it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import simulate  # only now on the path

    return simulate


@pytest.mark.realtime
@pytest.mark.parametrize("first", range(1, SEEDS + 1, TOGETHER))
def test_batches_are_safe_and_come_to_their_end(simulate: Any, first: int) -> None:
    """Whatever the network, the provider, the ledger and death do to them; each failure says how to see it alone."""
    found = list(simulate.stories(range(first, first + TOGETHER), jobs=JOBS, workers=2))
    wrong = [simulate.how_to(story, JOBS) for story in found if story.broken or story.stuck]
    assert not wrong, "\n".join(wrong)
    assert len(found) == TOGETHER
    # It was a storm: sessions were killed, and answers were lost.
    assert sum(story.deaths for story in found) > TOGETHER
    assert sum(story.bound for story in found) > TOGETHER


def test_the_same_seed_is_the_same_story(simulate: Any) -> None:
    """Or a failure could not be seen again."""
    seed = next(seed for seed in range(1, 50) if simulate.simulate(seed, 100).deaths)
    one, other = simulate.simulate(seed, 100), simulate.simulate(seed, 100)
    assert one == other
    assert one.digest != simulate.simulate(seed + 1, 100).digest


def test_paying_twice_would_be_seen(simulate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mistake that most clients make: what got no answer is sent again."""

    def careless(error: Exception) -> Verdict:
        return Verdict.RATE_LIMITED if isinstance(error, ResponseLost) else honest(error)  # type: ignore[arg-type]  # ours

    honest = sending.classify_failure
    monkeypatch.setattr(sending, "classify_failure", careless)
    assert any("was paid 2 times" in told for seed in range(1, 6) for told in simulate.simulate(seed, 100).broken)


def test_a_doubt_that_nobody_ends_would_be_seen(simulate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hints that nobody listens to."""
    monkeypatch.setattr(HintFollower, "on_hint", lambda *_: None)
    told = [told for seed in range(1, 6) for told in simulate.simulate(seed, 100).stuck]
    assert any("in doubt though the callback of its task has come" in each for each in told)
