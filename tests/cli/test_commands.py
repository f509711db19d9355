"""Every command there is: its help, its example, and where a stranger finds it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

import veo_async.cli
from veo_async.cli.app import app, run

ROOM = Path(veo_async.cli.__file__).parent


def commands(tree: App = app, *names: str) -> Iterator[tuple[str, ...]]:
    """The names of each command, those of its family before its own."""
    for name in tree:
        if not name.startswith("-"):
            below = list(commands(tree[name], *names, name))
            yield from below or [(*names, name)]


ALL = list(commands())


def test_they_are_all_found() -> None:
    """The walk goes into families, too."""
    assert {("demo",), ("batch",), ("jobs",), ("sheet",), ("ledger", "show"), ("ledger", "resolve")} <= set(ALL)
    assert ("ledger",) not in ALL


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_help_shows_an_example_that_is_understood(
    names: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line to copy: of this very command, save for an alias, with options that there are."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as left:
        run([*names, "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    example = re.search(r"Example: veo-async (.+)", told)
    assert example is not None, told
    words = shlex.split(example[1])
    assert words[: len(names)] == list(names) or (names, words[0]) == (("ledger", "show"), "jobs")
    function, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert callable(function)
    assert bound.arguments or names in (("credits",), ("simulator",))


@pytest.mark.parametrize("name", ["batch", "resume"])
def test_help_tells_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever writes a script around it."""
    with pytest.raises(SystemExit):
        run([name, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "0 all done, 2 usage, 3 some were refused or failed, 4 some are in doubt, 5 stopped" in told


def test_a_module_is_read_in_one_sitting() -> None:
    """No more than 250 lines each, so that a command is found at once."""
    assert [path.name for path in ROOM.rglob("*.py") if path.read_text("utf-8").count("\n") > 250] == []
