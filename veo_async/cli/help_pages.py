"""How the help is laid out: the groups of commands, what the help of the whole program says below them, and the text of
an error in what was typed.
"""

from typing import TypedDict

from cyclopts import Argument, CycloptsError, Group, MissingArgumentError, UnusedCliTokensError

from .exit_codes import MEANINGS
from .formatting import command, plain_number

START, MAKE, INSPECT, REPAIR = (
    Group(name, sort_key=place) for place, name in enumerate(("Start", "Make", "Look", "Repair"))
)
OPTIONS: Group = Group("Options", sort_key=90)
GLOBAL_OPTIONS: Group = Group("Options of every command", sort_key=91)

#: The environment variables of the command line, and what they set.
ENVIRONMENT: dict[str, str] = {
    "KIE_API_KEY": "the API key",
    "KIE_API_KEY_FILE": "a file that contains the API key",
    "KIE_BASE_URL": "base URL of the API, for a mirror or the simulator",
    "KIE_UPLOAD_BASE_URL": "base URL for uploads",
    "KIE_WEBHOOK_HMAC_KEY": "the secret that signs callbacks",
    "VEO_ROUTE": "the endpoints for new requests: veo, jobs or auto",
    "HTTPS_PROXY, NO_PROXY": "the proxy, and the hosts that need none",
    "NO_COLOR": "print without colors",
}

#: What `veo-async` prints without arguments.
SHORT_START = """\
Generate video clips with Veo 3 and 3.1.

  veo-async demo                              see a run on the built-in simulator: no key, no cost
  veo-async doctor                            check your API key, balance and network; free
  veo-async generate "A dog surfing at dusk"  generate your first clip
  veo-async guide                             read the guide: first steps, prices, errors

All commands: veo-async --help"""


class Listing(TypedDict):
    """Arguments of `App.command`."""

    group: Group
    sort_key: int
    help_epilogue: str


def listed(group: Group, place: int) -> Listing:
    """Return where the help lists a command: its group, and its place there.

    Without an empty epilogue, a command would repeat that of the whole program.
    """
    return {"group": group, "sort_key": place, "help_epilogue": ""}


def epilogue() -> str:
    """Return the end of the help of the whole program: environment variables and exit codes."""
    codes = {str(code): meaning for code, meaning in MEANINGS.items()}
    return f"Environment\n{_columns(ENVIRONMENT)}\n\nExit codes\n{_columns(codes)}"


def shown_default(value: object) -> object:
    """Return what the help shows as a default: nothing for an option that is off or empty."""
    match value:
        case None | False | ():
            return None
        case float():
            return plain_number(value)
        case tuple():
            return " ".join(str(shown_default(item)) for item in value)
        case _:
            return value


def usage_error_text(error: CycloptsError) -> str:
    """Return what is wrong with the words that were typed, and which help says what is right."""
    match error:
        case MissingArgumentError(argument=Argument(name=name)) if not name.startswith("-"):
            text = f"{name} is missing."
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            text = f'Unexpected "{first}". Put quotes around a value that has blanks.'
        case _:
            text = str(error).partition(" Available commands:")[0].replace("?.", "?")
    return f"{text} See {command(*error.command_chain or (), '--help')}"


def _columns(entries: dict[str, str]) -> str:
    width = max(map(len, entries))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in entries.items())
