"""The tree of commands, and how one of them is run; the commands themselves are in ``commands/``."""

import asyncio
import sys

from cyclopts import App, CycloptsError
from rich.console import Console

from veo_async import VeoError, __version__
from veo_async.errors import InvalidRequest, UsageError

from .commands import creating as making
from .commands import follow_ups as going_on
from .commands import inspecting as looking
from .commands import ledger
from .commands import simulating as trying
from .exit_codes import ERROR, INTERRUPTED, USAGE, console

app: App = App(
    name="veo-async",
    help="Video clips from Veo 3 / 3.1: never paid twice, never lost.",
    version=__version__,
    console=console,
    help_format="plaintext",
)
app.update(trying.app)
app.update(making.app)
app.update(going_on.app)
app.update(looking.app)
app.command(ledger.app)


def _text_of(error: VeoError) -> str:
    """Return the text of *error*; the remedy of an invalid request, validate=False, exists only in Python."""
    return error.message if isinstance(error, InvalidRequest) else str(error)


def run(arguments: list[str] | None = None) -> None:
    """Parse, run, and leave with the command's exit code."""
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        sys.exit(USAGE)  # cyclopts has said what is wrong and how it is meant
    except VeoError as error:
        Console(stderr=True, highlight=False).print(_text_of(error), markup=False, soft_wrap=True)
        sys.exit(USAGE if isinstance(error, UsageError) else ERROR)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
    sys.exit(code or 0)
