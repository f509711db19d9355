"""The tree of commands, and how a command is run. The commands themselves are in ``commands/``."""

import asyncio
import sys

from cyclopts import App, CycloptsError

from veo_async import VeoError, __version__
from veo_async.errors import InvalidRequest, LedgerRestored, UsageError, printable

from .commands import creating, guide, inspecting, ledger, lists, resuming, simulating
from .console import console, escape_unprintable, print_error
from .exit_codes import ERROR, INTERRUPTED, USAGE
from .formatting import command

app: App = App(
    name="veo-async",
    help="Generate video clips with Veo 3 and 3.1: never charged twice, never lost. -v adds codes and ids to errors.",
    version=__version__,
    console=console,
    help_format="plaintext",
)
for _family in (guide, simulating, creating, lists, resuming, inspecting):
    app.update(_family.app)
app.command(ledger.app)


#: Given anywhere, they add an error's codes and ids to its text.
_VERBOSE = ("-v", "--verbose")


def _text_of(error: VeoError, given: list[str], *, is_verbose: bool) -> str:
    """Return the text of *error* after the command *given*; some remedies exist only in Python."""
    match error:
        case InvalidRequest():
            text = error.message
        case LedgerRestored():
            text = (
                f"{error.message} Check its jobs with your provider. Next: {command('jobs', error.path)}, then, to use "
                f"it anyway: {command(*given)} --accept-restored"
            )
        case _:
            text = str(error)
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
        print_error(_text_of(error, given, is_verbose=is_verbose))
        sys.exit(USAGE if isinstance(error, UsageError) else ERROR)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
    sys.exit(code or 0)
