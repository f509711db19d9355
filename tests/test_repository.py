"""Facts that are written in several places of the repository agree: versions, addresses, commands and files."""

import re
import tomllib
from pathlib import Path

import pytest

from veo_async._api.transport import USER_AGENT
from veo_async._version import PROJECT_URL, __version__

ROOT = Path(__file__).parent.parent
WORKFLOWS = {path.name: path.read_text("utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRIBUTING = (ROOT / ".github/CONTRIBUTING.md").read_text("utf-8")
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))


def test_version_has_a_section_in_the_changelog() -> None:
    """The first section below Unreleased is that of the version, and both have a link."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[:2] == ["Unreleased", __version__]
    assert f"[Unreleased]: {PROJECT_URL}/compare/v{__version__}...HEAD\n" in changelog
    assert f"[{__version__}]: {PROJECT_URL}/releases/tag/v{__version__}\n" in changelog


def test_security_policy_supports_the_version() -> None:
    """The table of supported versions names the present minor version."""
    minor, _, _ = __version__.rpartition(".")
    assert f"| {minor}.x | yes |" in (ROOT / ".github/SECURITY.md").read_text("utf-8")


def test_lowest_python_is_the_same_everywhere() -> None:
    """Package, README, type checker, linter and CONTRIBUTING name it."""
    lowest = PYTHONS[0]
    assert PROJECT["project"]["requires-python"] == f">={lowest}"
    assert f"Python {lowest} or newer" in (ROOT / "README.md").read_text("utf-8")
    assert PROJECT["tool"]["basedpyright"]["pythonVersion"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert f"python{lowest} -m venv" in CONTRIBUTING


def test_classifiers_name_every_python_that_workflows_test() -> None:
    """Every matrix has all of them, without a gap, and the changelog names the first and the last."""
    assert [f"3.{minor}" for minor in range(11, 11 + len(PYTHONS))] == PYTHONS
    matrices = [
        re.findall(r"3\.\d+", row) for text in WORKFLOWS.values() for row in re.findall(r"python: \[.+\]", text)
    ]
    assert len(matrices) == 3
    assert all(matrix == PYTHONS for matrix in matrices)
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_address_of_the_project_is_the_same_everywhere() -> None:
    """Package, User-Agent, badges, issue templates and policies lead to one repository."""
    files = [path for path in (ROOT / ".github").rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("pyproject.toml", "README.md", "CHANGELOG.md")]
    found = {
        url for path in files for url in re.findall(r"https://github\.com/veo[\w-]*/[\w-]+", path.read_text("utf-8"))
    }
    assert found == {PROJECT_URL}
    assert all(url.startswith(PROJECT_URL) for url in PROJECT["project"]["urls"].values())
    assert f"(+{PROJECT_URL})" in USER_AGENT


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_pins_actions_and_grants_nothing_by_default(name: str) -> None:
    """An action is named by its commit, with its version as a comment; a job asks for each permission."""
    uses = re.findall(r"uses: (.+)", WORKFLOWS[name])
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", action) for action in uses), uses
    assert "\npermissions: {}\n" in WORKFLOWS[name]


def test_workflows_use_one_version_of_each_action() -> None:
    """An update that misses a place would leave two."""
    uses = {action for text in WORKFLOWS.values() for action in re.findall(r"uses: (.+)", text)}
    assert len(uses) == len({action.partition("@")[0] for action in uses})


def test_hosted_checks_run_the_same_commands_as_the_local_ones() -> None:
    """The job for uvloop runs the step of `.ci/run`."""
    local = (ROOT / ".ci/run").read_text("utf-8")
    hosted = " ".join(WORKFLOWS["ci.yml"].split())
    (command,) = re.findall(r"^python -m pytest --uvloop .+$", local, re.MULTILINE)
    assert command in hosted
    assert "run: .ci/run " in hosted


def test_required_check_waits_for_every_job() -> None:
    """A job that the last one does not need could fail unnoticed."""
    jobs = re.findall(r"^  (\w+):", WORKFLOWS["ci.yml"].partition("\njobs:\n")[2], re.MULTILINE)
    needed = re.search(r"needs: \[(.+)\]", WORKFLOWS["ci.yml"])
    assert needed is not None
    assert [*needed[1].split(", "), "passed"] == jobs


def test_contributing_names_existing_files() -> None:
    """Every path in backticks and every link of CONTRIBUTING and the security policy exists."""
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / ".github" / name).read_text("utf-8")
        paths = re.findall(r"`((?:veo_async|tests|benchmarks|\.github|\.ci)/[\w./-]*)`", text)
        links = re.findall(r"\]\((?!https:)([^)#]+)", text)
        missing = [path for path in paths if not (ROOT / path).exists()]
        missing += [link for link in links if not (ROOT / ".github" / link).exists()]
        assert not missing, name
