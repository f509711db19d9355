"""``--install-completion``: the script, in a real shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from veo_async.cli.app import run

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def install(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_info:
        run(["--install-completion", *arguments])
    captured = capsys.readouterr()
    assert exit_info.value.code == 0, captured.err
    return captured.out


def completed(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of *words*."""
    program = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _veo_async; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", program, "bash", str(script), "veo-async", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, cwd=script.parent)
    assert done.stderr == ""
    return sorted(done.stdout.split())


def test_bash_completes_commands_options_choices_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the program and of a group of commands."""
    script = tmp_path / "completion"
    install("bash", "--output", str(script), capsys=capsys)
    (tmp_path / "prompts.csv").touch()
    assert completed(script, "gen") == ["generate"]
    assert {"batch", "demo", "ledger", "simulator"} <= set(completed(script, ""))
    assert completed(script, "batch", "--bud") == ["--budget"]
    assert completed(script, "batch", "--env") == ["--env-file"]
    assert completed(script, "batch", "prom") == ["prompts.csv"]
    assert completed(script, "batch", "x", "--format", "js") == ["json", "jsonl"]
    assert completed(script, "ledger", "re") == ["resolve", "resubmit"]
    assert not [word for word in completed(script, "generate", "-") if word.startswith("--no-")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_installed_where_the_shell_expects_it(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the output names the file and what to do."""
    for name in ("ZSH", "ZSH_CUSTOM", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    written, _, hint = install(shell, capsys=capsys).removeprefix("Wrote ").partition("\n")
    assert Path(written).is_relative_to(tmp_path)
    assert "veo-async" in Path(written).read_text("utf-8")
    assert hint == "Open a new terminal to use it.\n"


def test_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the file's name."""
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as exit_info:
        run(["--install-completion", "bash", "--output", str(tmp_path / "file" / "script")])
    assert exit_info.value.code == 2
    assert "file" in capsys.readouterr().err
