"""What the guide says about commands, variables, prices and files is true."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import veo_async
from veo_async._rules.lifecycle import Event
from veo_async.cli.app import app
from veo_async.models import MODELS, UPGRADE_CREDITS

from .configuration import variable_table

PACKAGE = Path(veo_async.__file__).parent
SKILL = PACKAGE / ".agents" / "skills" / "veo-async" / "SKILL.md"
PAGES = {path.stem: path.read_text("utf-8") for path in (SKILL, *sorted((PACKAGE / "guide").glob("*.md")))}


def commands(text: str) -> Iterator[str]:
    """Yield every command on a page, in blocks and in sentences, that is complete enough to be typed."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    prose = " ".join(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).split())
    for command in (*lines, *re.findall(r"`([^`]+)`", prose)):
        if command.startswith("veo-async ") and not re.search(r"[\[{…<]", command):
            yield command


COMMANDS = list(dict.fromkeys(command for text in PAGES.values() for command in commands(text)))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_on_a_page_can_be_typed(command: str) -> None:
    """Its name, its arguments and its options exist; a word in capitals stands for a value."""
    words = shlex.split(command)[1:]
    if words == ["COMMAND", "--help"] or (len(words) == 1 and words[0] in app):
        return  # the name of a command in a sentence
    _, bound, ignored = app.parse_args(words, exit_on_error=False, print_error=False)
    assert not ignored
    assert bound is not None


def test_pages_name_enough_commands() -> None:
    """A change of their format must not empty the list above."""
    assert len(COMMANDS) >= 25


def test_every_variable_in_the_code_is_on_the_page_about_configuration() -> None:
    """Except those that only tests of this library set."""
    strings = {
        node.value
        for path in PACKAGE.rglob("*.py")
        if "examples" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    names = {name for name in strings if re.fullmatch(r"(KIE|VEO)_[A-Z_]+", name) and "ASYNC" not in name}
    assert len(names) >= 8
    assert {name for name in names if f"`{name}`" not in variable_table()} == set()


def test_actions_on_the_page_about_observability_exist() -> None:
    """Each is a transition or the action of a log record in the code."""
    table = PAGES["observability"].partition("| action |")[2].partition("\n\n")[0]
    first_cells = "".join(re.findall(r"^\| (`[^|]+)\|", table, re.MULTILINE))
    actions = set(re.findall(r"`([a-z-]+)`", first_cells))
    code = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    assert len(actions) >= 15
    assert {name for name in actions - {*map(str, Event)} if f'"{name}"' not in code} == set()


def test_upgrading_costs_the_same_as_requesting_the_resolution() -> None:
    """What the FAQ says: for every model, except that ``veo3`` in 4K may cost ten credits more at once."""
    more = {
        (model.name, to): model.credits[to] - model.credits["720p"] - price
        for model in MODELS
        for to, price in UPGRADE_CREDITS.items()
    }
    assert more.pop(("veo3", "4k")) == 10.0
    assert set(more.values()) == {0.0}


def test_skill_has_a_name_and_a_description() -> None:
    """Programs that load skills read them; the name must be that of the folder."""
    front_matter = PAGES["SKILL"].split("---\n")[1]
    name = re.search(r"^name: (.+)$", front_matter, re.MULTILINE)
    description = re.search(r"^description: (.+(?:\n  .+)*)", front_matter, re.MULTILINE)
    assert name is not None
    assert name[1] == SKILL.parent.name
    assert description is not None
    assert 100 < len(description[1]) <= 1024


def test_index_for_programs_has_the_expected_format() -> None:
    """A title, a summary, rules, and sections of links: https://llmstxt.org."""
    text = (PACKAGE / "guide" / "llms.txt").read_text("utf-8")
    assert re.match(r"# veo_async\n\n> .+(\n> .+)*\n\n[^#]+\n\n## ", text)
    below = text.partition("\n## ")[2].splitlines()[1:]
    assert all(re.match(r"$|## .+|- \[.+\]\([\w-]+\.md\): .+", line) for line in below)


def test_python_on_the_pages_is_formatted_and_imports_only_public_names() -> None:
    """A reader copies it."""
    for name, text in PAGES.items():
        for code in re.findall(r"^ *```python\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            assert not re.search(r"(from|import) veo_async\._", code), name
            assert max(map(len, code.splitlines())) <= 120, name
