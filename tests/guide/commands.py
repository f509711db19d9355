"""The page about all commands, from the commands themselves."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from cyclopts import App

from veo_async.cli import exit_codes
from veo_async.cli.app import app

from .markdown import as_cell, default, table

_INTRODUCTION = """# Command reference

This page is generated from the commands. [The command line](command-line.md) explains how to work with them.
`veo-async COMMAND --help` prints the same.

"""


def command_page() -> str:
    """Return the whole page."""
    commands = list(_commands(app))
    parts = [_INTRODUCTION, "## Commands\n\n", _summary(commands), "\n## Exit codes\n\n", exit_code_table()]
    parts += [_section(names, command) for names, command in commands]
    return "".join(parts)


def exit_code_table() -> str:
    """Return what each exit code means."""
    rows = re.findall(r"^(\d+)\s+(\S.*)$", exit_codes.__doc__ or "", re.MULTILINE)
    return table(["exit code", "meaning"], rows)


def _commands(tree: App, *names: str) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield the words of each command with the command, those of its group first."""
    for name in tree:
        if not name.startswith("-"):
            below = list(_commands(tree[name], *names, name))
            yield from below or [((*names, name), tree[name])]


def _summary(commands: list[tuple[tuple[str, ...], App]]) -> str:
    rows = [
        [f"[`{' '.join(names)}`](#veo-async-{'-'.join(names)})", _first_line(command)] for names, command in commands
    ]
    return table(["command", "what it does"], rows)


def _section(names: tuple[str, ...], command: App) -> str:
    arguments = [
        argument
        for argument in command.assemble_argument_collection(parse_docstring=True)
        if argument.parse and argument.parameter.name != ("*",)
    ]
    positional = [_placeholder(argument) for argument in arguments if _is_positional(argument)]
    usage = " ".join(["veo-async", *names, *positional, "[OPTIONS]"])
    rows = [[_name(argument), _meaning(argument), _default_of(argument)] for argument in arguments]
    words = table(["argument", "meaning", "default"], rows) if rows else ""
    return (
        f"\n## veo-async {' '.join(names)}\n\n`{usage}`\n\n{as_cell(_first_line(command))}.\n\n{words}".rstrip() + "\n"
    )


def _first_line(command: App) -> str:
    return inspect.cleandoc(str(command.help)).partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _is_positional(argument: Any) -> bool:
    return argument.field_info.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _placeholder(argument: Any) -> str:
    word = argument.name.lstrip("-").replace("-", "_").upper()
    return word if argument.field_info.default is inspect.Parameter.empty else f"[{word}]"


def _name(argument: Any) -> str:
    return f"`{_placeholder(argument).strip('[]')}`" if _is_positional(argument) else f"`{argument.name}`"


def _meaning(argument: Any) -> str:
    return as_cell(str(argument.parameter.help))


def _default_of(argument: Any) -> str:
    value = argument.field_info.default
    if value is inspect.Parameter.empty:
        return "required"
    if value in (None, False, ()):
        return "–"
    return f"`{value}`" if not isinstance(value, tuple) else default(value)
