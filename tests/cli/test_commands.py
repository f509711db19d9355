"""Every command: its help, its example, and the module that a newcomer finds it in."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

import veo_async.cli
import veo_async.simulator
from veo_async.cli.app import app, run
from veo_async.simulator import Fault

PACKAGE = Path(veo_async.cli.__file__).parent


def commands(tree: App = app, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command, those of its group first."""
    for name in tree:
        if not name.startswith("-"):
            below = list(commands(tree[name], *names, name))
            yield from below or [(*names, name)]


ALL = list(commands())


def test_all_commands_are_found() -> None:
    """Those of a group included."""
    assert {("demo",), ("batch",), ("jobs",), ("timeline",), ("contact-sheet",), ("ledger", "in-doubt")} <= set(ALL)
    assert ("ledger", "resolve") in ALL
    assert ("ledger",) not in ALL


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_help_shows_an_example_that_parses(
    names: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line to copy, of exactly this command, with options that exist; 80 columns do not break it."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as exit_info:
        run([*names, "--help"])
    assert exit_info.value.code == 0
    output = capsys.readouterr().out
    example = re.search(r"Example: veo-async (.+)", output)
    assert example is not None, output
    words = shlex.split(example[1])
    assert words[: len(names)] == list(names)
    function, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert example[0].strip() in str(function.__doc__).splitlines()[2]
    assert bound.arguments or names in (("credits",), ("simulator",))


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_parameter_has_a_help_text(names: tuple[str, ...]) -> None:
    """Those of the shared options included."""
    command = app
    for name in names:
        command = command[name]
    arguments = command.assemble_argument_collection(parse_docstring=True)
    named = [argument for argument in arguments if argument.parameter.name != ("*",) and argument.parse]
    assert [argument.name for argument in named if not argument.parameter.help] == []


def test_help_of_the_simulator_lists_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """All faults that the HTTP server can inject; an unreachable host needs the simulator in memory."""
    with pytest.raises(SystemExit):
        run(["simulator", "--help"])
    listed = re.sub(r"[│\s]+", " ", capsys.readouterr().out).partition("Faults: ")[2].partition(".")[0].split(", ")
    functions = {name: value for name, value in vars(veo_async.simulator).items() if inspect.isfunction(value)}
    faults = [name for name, value in functions.items() if value.__annotations__.get("return") is Fault]
    without_text = ("tamper", "parse_fault", "unreachable")
    assert listed == sorted(name.replace("_", "-") for name in faults if name not in without_text)


@pytest.mark.parametrize("name", ["batch", "resume"])
def test_help_lists_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts that run the command."""
    with pytest.raises(SystemExit):
        run([name, "--help"])
    output = " ".join(capsys.readouterr().out.split())
    assert "0 all done, 2 usage, 3 some were refused, failed or not sent, 4 some are in doubt, 5 stopped" in output


def test_help_loads_neither_the_simulator_nor_the_batch_package() -> None:
    """A command imports what it needs when it runs, so that the help page appears quickly."""
    code = (
        "import sys, veo_async.cli.app\n"
        "heavy = ('veo_async.simulator', 'veo_async.batch', 'rich.live', 'PIL', 'av')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, timeout=50, check=True
    )
    assert done.stdout == "[]\n"


def test_no_module_is_longer_than_250_lines() -> None:
    """So that a command is found quickly."""
    assert [path.name for path in PACKAGE.rglob("*.py") if path.read_text("utf-8").count("\n") > 250] == []
