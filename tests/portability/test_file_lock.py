"""Locks on files, with ``flock`` and with ``msvcrt.locking``."""

from pathlib import Path

import pytest

from .support import SYSTEMS, line_of, on_every_system, run, start


@on_every_system
def test_lock_excludes_other_descriptors_until_it_is_closed(tmp_path: Path, system: str) -> None:
    """The content stays readable, the position stays, and closing a duplicate does not release the lock."""
    assert run(system, "locks", tmp_path / "file") == {
        "first": True,
        "second": False,
        "position": 7,
        "content": "content",
        "kept": False,
        "after": True,
    }


@on_every_system
def test_lock_is_released_when_its_process_is_killed(tmp_path: Path, system: str) -> None:
    """A process that waits for the lock gets it then, and not before."""
    with start(system, "hold", tmp_path / "file") as holder:
        line_of(holder)
        with start(system, "wait_for_lock", tmp_path / "file") as waiting:
            assert line_of(waiting) == {"free": False}
            holder.kill()
            assert line_of(waiting) == {"locked": True}


@on_every_system
def test_locked_file_can_be_renamed_and_removed(tmp_path: Path, system: str) -> None:
    """It replaces its target, and nothing is left."""
    found = run(system, "moves", tmp_path / "file")
    assert found == {"named": True, "moved": "content", "left": []}


@pytest.mark.parametrize("system", SYSTEMS[1:])
def test_replacing_waits_for_a_program_that_has_the_file_open_for_a_moment(tmp_path: Path, system: str) -> None:
    """Virus scanners do that on Windows, where the first attempts are refused."""
    assert run(system, "busy_target", tmp_path / "file") == {"content": "new"}


@on_every_system
def test_folder_lock_admits_one_process_at_a_time(tmp_path: Path, system: str) -> None:
    """Three processes never meet, and no lock file is left in the folder."""
    path = tmp_path / "turns"
    processes = [start(system, "take_turns", path, name) for name in "abc"]
    for process in processes:
        with process:
            _, err = process.communicate(timeout=50)
            assert process.returncode == 0, err
    turns = path.read_text().splitlines()
    assert sorted(turns) == sorted(f"{name} {name}" for name in "abc" for _ in range(20))
    assert [file.name for file in tmp_path.iterdir()] == ["turns"]
