"""Run tests as if on Windows: ``python -m tests.portability.suite tests/ledger/test_ledgers.py``."""

import sys

import _pytest.tmpdir
import pytest

from . import windows

_OPTIONS = ("-q", "-n", "0", "--capture=sys", "-p", "no:cacheprovider", "--tb=short")
#: Its plugin imports what Windows lacks, because it asks `sys.platform`, which says Linux.
_OPTIONS += ("-p", "no:platformdirs")
#: Tests that need what Windows does not have.
_POSIX_ONLY = {
    "named pipes": "tests/media/test_disk_space.py::test_planted_partial_file_is_not_used[fifo]",
    "removing a folder of open files": (
        "tests/media/test_disk_space.py::test_folder_removed_during_the_download_raises_download_failed"
    ),
    "a clock with steps of 10 ms or less": "tests/media/test_saver.py::test_max_downloads_limits_concurrency",
    "SIGKILL": "tests/media/test_saved_file.py::test_partial_file_of_a_killed_process_is_resumed",
    "removing a lock file in use": (
        "tests/runtime/test_transition_defects.py::"
        "test_a_session_that_is_considered_dead_records_the_task_of_its_request"
    ),
    "an id of the system start": (
        "tests/media/test_crash_safety.py::test_killed_download_leaves_a_complete_video_or_none"
    ),
}

if __name__ == "__main__":
    _pytest.tmpdir.get_user_id = lambda: None
    windows.take_away()
    sys.exit(pytest.main([*_OPTIONS, *(f"--deselect={name}" for name in _POSIX_ONLY.values()), *sys.argv[1:]]))
