"""The imitation of Windows is strict enough to find mistakes, and its clock does no harm."""

import errno
from pathlib import Path

from .support import imitated, on_every_system, run


@imitated
def test_imitation_refuses_what_windows_refuses(tmp_path: Path) -> None:
    """Open files keep their names, folders cannot be opened, and locked bytes cannot be read."""
    found = run("windows", "rules_of_windows", tmp_path / "file")
    assert found == {
        "refused": [errno.EACCES] * 3,
        "folder": errno.EACCES,
        "exists": errno.EEXIST,
        "text": "a\r\nb\r\n",
        "locked": errno.EACCES,
        "missing": [],
    }


@on_every_system
def test_timers_fire_no_earlier_than_the_session_expects(tmp_path: Path, system: str) -> None:
    """On Windows the clock advances in steps of 16 ms, and a timer may fire one step early."""
    found = run(system, "early_timers", tmp_path)
    assert found["early_s"] <= found["slack_s"]
