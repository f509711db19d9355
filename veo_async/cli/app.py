"""The tree of commands, and how a command is run. The commands themselves are in ``commands/``."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from veo_async import VeoError, __version__
from veo_async.errors import InvalidKey, InvalidRequest, LedgerRestored, UsageError, printable
from veo_async.types import RouteSetting

from .api_key import key_error_text
from .commands import creating, guide, inspecting, ledger, lists, resuming, simulating
from .completion import Shell, install_completion
from .console import console, escape_unprintable, print_error, print_line
from .env_file import load_env_file
from .exit_codes import ALL_DONE, ERROR, INTERRUPTED, USAGE
from .formatting import same_command
from .help_pages import GLOBAL_OPTIONS, OPTIONS, SHORT_START, epilogue, shown_default, usage_error_text
from .invocation import Invocation, Verbosity, begin, current

app: App = App(
    name="veo-async",
    help="Generate video clips with Veo 3 and 3.1: never charged twice, never lost.",
    version=__version__,
    console=console,
    help_format="plaintext",
    help_epilogue=epilogue(),
    default_parameter=Parameter(negative=(), show_default=shown_default),
    group_commands=OPTIONS,
    print_error=False,
)
for _family in (guide, simulating, creating, lists, resuming, inspecting):
    app.update(_family.app)
app.command(ledger.app)


@app.command(name="--install-completion", help_epilogue="")
def _install_completion(shell: Shell | None = None, /, *, output: Path | None = None) -> None:
    """Complete commands and options in your shell.

    Example: veo-async --install-completion bash

    Parameters
    ----------
    shell
        bash, zsh, fish or powershell (default: the shell that you use).
    output
        Only write the script to this file.
    """
    install_completion(app, shell, output)


@app.meta.default
def _run_command(
    *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), group=GLOBAL_OPTIONS)] = False,
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), group=GLOBAL_OPTIONS)] = False,
    env_file: Annotated[Path | None, Parameter(group=GLOBAL_OPTIONS)] = None,
    route: Annotated[RouteSetting | None, Parameter(group=GLOBAL_OPTIONS)] = None,
) -> int:
    """Take the options of every command from the words that were typed, and run the command that is left.

    Parameters
    ----------
    verbose
        Add codes, ids and the provider's words.
    quiet
        Print only results and errors.
    env_file
        Read environment variables from a file of NAME=VALUE lines. Variables that are set are kept.
    route
        The provider's endpoints for new requests: veo (default), jobs, or auto (veo until it is gone, then jobs).
    """
    if verbose and quiet:
        raise UsageError("-v and -q exclude each other; give one of them")
    verbosity = Verbosity.VERBOSE if verbose else Verbosity.QUIET if quiet else Verbosity.NORMAL
    begin(Invocation(words=current().words, verbosity=verbosity, env_file=env_file))
    if env_file is not None:
        load_env_file(env_file, os.environ)
    if route is not None:
        os.environ["VEO_ROUTE"] = route
    if not words:
        print_line(SHORT_START)
        return ALL_DONE
    return app(_hyphen_last(words), exit_on_error=False, result_action="return_value") or ALL_DONE


def _hyphen_last(words: tuple[str, ...]) -> list[str]:
    """Return *words* with a single hyphen, which stands for standard input, where it cannot be taken for an option."""
    rest = [word for word in words if word != "-"]
    return [*words] if len(rest) == len(words) or "--" in words else [*rest, "--", "-"]


def _text_of(error: VeoError) -> str:
    """Return the text of *error*; some remedies exist only in Python."""
    match error:
        case InvalidRequest():
            text = error.message
        case InvalidKey():
            text = key_error_text(error)
        case LedgerRestored():
            from .ledger_file import restored_with  # it loads SQLite

            text = restored_with(error, same_command())
        case _:
            text = str(error)
    facts = "".join(f"\n  {name}: {printable(str(value))}" for name, value in error.evidence.items())
    return f"{text}{facts}" if current().is_verbose else text


def run(arguments: list[str] | None = None) -> None:
    """Parse *arguments* (by default those of the process), run the command, and exit with its exit code."""
    escape_unprintable()
    words = sys.argv[1:] if arguments is None else arguments
    begin(Invocation(words=tuple(words)))
    try:
        code = app.meta(words, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        print_error(usage_error_text(error))
        sys.exit(USAGE)
    except VeoError as error:
        print_error(_text_of(error))
        sys.exit(USAGE if isinstance(error, UsageError) else ERROR)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
    sys.exit(code or ALL_DONE)
