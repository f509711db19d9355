"""Other systems: the hosted checks run what CONTRIBUTING names, and the classifiers promise no more."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


@pytest.mark.skipif(not WORKFLOW.exists(), reason="the source distribution has no workflows")
def test_hosted_checks_run_the_fast_subset_and_the_demo_on_windows_and_macos() -> None:
    """The commands are those of CONTRIBUTING."""
    workflow = WORKFLOW.read_text("utf-8")
    contributing = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    _, _, platforms = workflow.partition("\n  platforms:\n")
    assert {"windows-latest", "macos-latest"} <= set(re.findall(r"[\w-]+-latest", platforms))
    commands = re.findall(r"run: (python -m .+)", platforms)
    for row in ("fast subset", "Windows, imitated"):
        named = re.search(rf"^\| {row}.*?\| `(.+?)` \|", contributing, re.MULTILINE)
        assert named is not None
        assert named[1] in commands
    assert any(command.startswith("python -m veo_async demo") for command in commands)


def test_classifiers_name_the_systems_that_are_tested() -> None:
    """Anything more general would promise what no test shows."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    systems = re.findall(r'"Operating System :: (.+?)"', text)
    assert systems == ["MacOS", "Microsoft :: Windows", "POSIX :: Linux"]
