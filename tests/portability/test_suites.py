"""Whole suites run as if on Windows."""

import subprocess
import sys

import pytest

from .support import ROOT, environment, imitated


@imitated
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", ["tests/ledger/test_ledgers.py", "tests/media", "tests/runtime/test_resume.py"])
def test_suite_passes_without_what_windows_lacks(suite: str) -> None:
    """Ledgers, downloads and take-overs, apart from tests that need POSIX; `suite` lists those."""
    command = [sys.executable, "-m", "tests.portability.suite", suite]
    found = subprocess.run(command, cwd=ROOT, env=environment(encoding="utf-8"), capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
