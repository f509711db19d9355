"""Where the API key of a command comes from, and what to do if there is none."""

import os

from veo_async.errors import InvalidKey
from veo_async.providers import KEY_FILE_VARIABLE, KEY_VARIABLES, KIE

from .formatting import environment_lines


def key_source() -> str | None:
    """Return the environment variable that holds the key or names its file."""
    return next((name for name in (*KEY_VARIABLES, KEY_FILE_VARIABLE) if os.environ.get(name)), None)


def key_error_text(error: InvalidKey) -> str:
    """Return the text of *error* for someone who types commands: an argument does not help there."""
    if key_source() is not None:
        return str(error)
    [example] = environment_lines({"KIE_API_KEY": "KEY"})
    return (
        f"no API key is set. Type {example}, or name a file that sets it with --env-file. Get a key at {KIE.key_page}."
    )
