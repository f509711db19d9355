"""Sessions on one ledger file see which of them live, with either kind of lock."""

from pathlib import Path

from .support import line_of, on_every_system, start


@on_every_system
def test_jobs_of_a_killed_session_are_taken_over_and_those_of_a_living_one_are_not(tmp_path: Path, system: str) -> None:
    """The lock file of the dead session is removed."""
    path = tmp_path / "veo.db"
    with start(system, "own_jobs", path) as owner:
        owner_id = line_of(owner)["owner"]
        with start(system, "take_over", path) as other:
            assert line_of(other) == {"taken": []}
            assert (tmp_path / "veo.db.d" / f"{owner_id}.lock").exists()
            owner.kill()
            owner.wait()
            out, err = other.communicate("\n", timeout=30)
            assert other.returncode == 0, err
            assert out == '{"taken": ["dog", "cat"]}\n'
    assert list((tmp_path / "veo.db.d").glob("*.lock")) == []
