"""2,000 runs against a provider that cuts, delays, mixes up and lies, half on each route. After each one the promises
are checked.

- A job is paid once, and once more for each time that its user asked for another request.
- A paid task whose id reached us is on the ledger, and its clip is saved unless the provider really fails.
- A file with its final name is the job's own clip, byte for byte.
- The job that the provider treats correctly is saved, whatever happens to the others.
- The session neither crashes nor hangs, and the API key is in no log line, outcome, file or redirected request.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from .hostile_attack import run_attack
from .hostile_behaviours import BEHAVIOURS, DECISIVE, UNREPAIRED

RUNS = 2000
#: Runs per test. The first test runs with every change, the others with the slow tests.
_PER_TEST = 50
#: Runs at the same time, each in a thread with its own loop: they mostly wait for a socket to become idle.
_THREADS = 4


@pytest.mark.parametrize(
    "first", [pytest.param(first, marks=pytest.mark.slow if first else ()) for first in range(0, RUNS, _PER_TEST)]
)
def test_guarantees_hold_against_a_hostile_provider(first: int, tmp_path: Path) -> None:
    """Whatever the seed; a failure prints the command that repeats it. A run takes a tenth of a second."""
    attack = partial(_attack, tmp_path)
    with ThreadPoolExecutor(_THREADS) as threads:
        failures = [failure for failure in threads.map(attack, range(first, first + _PER_TEST)) if failure]
    assert not failures, "\n".join(failures)


def _attack(folder: Path, seed: int) -> str:
    attack = run_attack(seed, folder / str(seed))
    return str(attack) if attack.broken else ""


def test_named_sets_contain_only_behaviours() -> None:
    """A misspelled name would leave out nothing."""
    assert BEHAVIOURS.keys() >= UNREPAIRED | DECISIVE


@pytest.mark.parametrize("seed", [7, 8], ids=["jobs", "veo"])
@pytest.mark.parametrize("name", ["late", "duplicate-response", "cut-in-body"])
def test_single_behaviour_is_met_by_the_session(name: str, seed: int, tmp_path: Path) -> None:
    """The provider really does what its seed draws."""
    attack = run_attack(seed, tmp_path / "run", [name])
    assert not attack.broken, str(attack)
    assert {lie.split(":")[0] for lie in attack.lies} == {name}
