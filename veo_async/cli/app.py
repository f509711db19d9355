"""The tree of commands, and how a command is run. The commands themselves are in ``commands/``."""

import asyncio
import sys

from cyclopts import App, CycloptsError
from rich.console import Console

from veo_async import VeoError, __version__
from veo_async.errors import InvalidRequest, UsageError, printable

from .commands import creating, inspecting, ledger, lists, resuming, simulating
from .console import console, escape_unprintable
from .exit_codes import ERROR, INTERRUPTED, USAGE

app: App = App(
    name="veo-async",
    help="Generate video clips with Veo 3 and 3.1: never charged twice, never lost. -v adds codes and ids to errors.",
    version=__version__,
    console=console,
    help_format="plaintext",
)
for _family in (simulating, creating, lists, resuming, inspecting):
    app.update(_family.app)
app.command(ledger.app)


#: Given anywhere, they add an error's codes and ids to its text.
_VERBOSE = ("-v", "--verbose")


def _text_of(error: VeoError, *, is_verbose: bool) -> str:
    """Return the text of *error*; the remedy of an invalid request, ``validate=False``, exists only in Python."""
    text = error.message if isinstance(error, InvalidRequest) else str(error)
    facts = "".join(f"\n  {name}: {printable(str(value))}" for name, value in error.evidence.items())
    return f"{text}{facts}" if is_verbose else text


def run(arguments: list[str] | None = None) -> None:
    """Parse *arguments* (by default those of the process), run the command, and exit with its exit code."""
    escape_unprintable()
    given = sys.argv[1:] if arguments is None else arguments
    is_verbose = any(word in _VERBOSE for word in given)
    try:
        code = app([word for word in given if word not in _VERBOSE], exit_on_error=False, result_action="return_value")
    except CycloptsError:
        sys.exit(USAGE)  # cyclopts has printed what is wrong
    except VeoError as error:
        Console(stderr=True, highlight=False).print(
            _text_of(error, is_verbose=is_verbose), markup=False, soft_wrap=True
        )
        sys.exit(USAGE if isinstance(error, UsageError) else ERROR)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
    sys.exit(code or 0)
