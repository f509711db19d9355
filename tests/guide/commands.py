"""The page about all commands, from the commands themselves."""

import inspect
from collections.abc import Iterator
from typing import Any

from cyclopts import App

from veo_async.cli import exit_codes
from veo_async.cli.app import app
from veo_async.cli.help_pages import ENVIRONMENT

from .markdown import as_cell, default, table

_INTRODUCTION = """# Command reference

This page is generated from the commands. [The command line](command-line.md) explains how to work with them.
`veo-async COMMAND --help` prints the same.
"""


def command_page() -> str:
    """Return the whole page."""
    commands = sorted(_commands(app), key=lambda item: _place(item[0]))
    variables = table(["variable", "meaning"], [[_code(names), text] for names, text in ENVIRONMENT.items()])
    parts = [
        _INTRODUCTION,
        f"## Commands\n\n{_summary(commands)}",
        f"## Options of every command\n\n{_argument_table(_arguments(app.meta))}",
        f"## Exit codes\n\n{exit_code_table()}",
        f"## Environment variables\n\n{variables}\n[Configuration](configuration.md#environment-variables) has all.\n",
        *(_section(names, command) for names, command in commands),
    ]
    return "\n".join(parts)


def exit_code_table() -> str:
    """Return what each exit code means."""
    return table(["exit code", "meaning"], [[str(code), meaning] for code, meaning in exit_codes.MEANINGS.items()])


def _commands(tree: App, *names: str) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield the words of each command with the command, those of its group first."""
    for name in tree:
        if not name.startswith("-"):
            below = list(_commands(tree[name], *names, name))
            yield from below or [((*names, name), tree[name])]


def _place(names: tuple[str, ...]) -> tuple[Any, Any]:
    """Return where the help lists a command: by its group, and its place there."""
    top = app[names[0]]
    return top.group[0].sort_key, top.sort_key


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _summary(commands: list[tuple[tuple[str, ...], App]]) -> str:
    rows = [
        [f"[`{' '.join(names)}`](#veo-async-{'-'.join(names)})", app[names[0]].group[0].name, _first_line(command)]
        for names, command in commands
    ]
    return table(["command", "group", "what it does"], rows)


def _arguments(command: App) -> list[Any]:
    return [
        argument
        for argument in command.assemble_argument_collection(parse_docstring=True)
        if argument.parse and argument.show and argument.parameter.name != ("*",)
    ]


def _section(names: tuple[str, ...], command: App) -> str:
    arguments = _arguments(command)
    positional = [_placeholder(argument) for argument in arguments if _is_positional(argument)]
    usage = " ".join(["veo-async", *names, *positional, "[OPTIONS]"])
    words = f"\n{_argument_table(arguments)}" if arguments else ""
    return f"## veo-async {' '.join(names)}\n\n`{usage}`\n\n{as_cell(_first_line(command))}.\n{words}"


def _argument_table(arguments: list[Any]) -> str:
    rows = [[_name(argument), _meaning(argument), _default_of(argument)] for argument in arguments]
    return table(["argument", "meaning", "default"], rows)


def _first_line(command: App) -> str:
    return inspect.cleandoc(str(command.help)).partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _is_positional(argument: Any) -> bool:
    return argument.field_info.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _placeholder(argument: Any) -> str:
    word = argument.name.lstrip("-").replace("-", "_").upper()
    return word if argument.field_info.default is inspect.Parameter.empty else f"[{word}]"


def _name(argument: Any) -> str:
    if _is_positional(argument):
        return f"`{_placeholder(argument).strip('[]')}`"
    return ", ".join(f"`{name}`" for name in argument.names if not name.startswith(("--no-", "--empty-")))


def _meaning(argument: Any) -> str:
    return as_cell(str(argument.parameter.help))


def _default_of(argument: Any) -> str:
    value = argument.field_info.default
    if value is inspect.Parameter.empty:
        return "required"
    if value in (None, False, ()):
        return "–"
    return f"`{value}`" if not isinstance(value, tuple) else default(value)
