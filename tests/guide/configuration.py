"""Tables of the arguments of a session, of the settings objects and of the environment variables."""

import inspect
from typing import Any

import attrs

from veo_async import VeoSession, settings
from veo_async._api.base_urls import BASE_URL_VARIABLES, UPLOAD_URL_VARIABLES
from veo_async._api.key import KEY_FILE_VARIABLE, KEY_VARIABLES
from veo_async._session.callbacks import SECRET_VARIABLE
from veo_async.settings import ROUTE_VARIABLE

from .markdown import entries, table

SETTINGS = (settings.Limits, settings.Credits, settings.Files, settings.Network, settings.Callbacks)
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_VARIABLES = (
    (KEY_VARIABLES, "the API key"),
    ((KEY_FILE_VARIABLE,), "a file that contains the API key"),
    (BASE_URL_VARIABLES, "address of the API"),
    (UPLOAD_URL_VARIABLES, "address for uploads; by default a given address of the API also serves uploads"),
    ((SECRET_VARIABLE,), "the webhook secret"),
    ((ROUTE_VARIABLE,), "the [route](routes.md) of new requests: `veo`, `jobs` or `auto`"),
    (PROXY_VARIABLES, "proxies, and the hosts that are reached without one"),
)


def argument_table() -> str:
    """Return the arguments of `VeoSession` with their defaults."""
    documented = entries(VeoSession)
    parameters = inspect.signature(VeoSession).parameters
    rows = [[f"`{name}`", documented[name], _default_of(parameter.default)] for name, parameter in parameters.items()]
    return table(["argument of `VeoSession`", "meaning", "default"], rows)


def settings_table(kind: type[Any]) -> str:
    """Return the fields of one settings object with their defaults."""
    documented = entries(kind)
    rows = [
        [
            f"`{field.name}`",
            documented[field.name],
            "required" if field.default is attrs.NOTHING else _default_of(field.default),
        ]
        for field in attrs.fields(kind)
    ]
    return table([f"`{kind.__name__}`", "meaning", "default"], rows)


def variable_table() -> str:
    """Return the environment variables; of several names for one thing first the one that the documentation uses."""
    rows = []
    for names, meaning in _VARIABLES:
        first, *others = sorted(names, key=lambda name: (not name.startswith("KIE_"), "_AI_" in name))
        if names is PROXY_VARIABLES:
            first, others = "`, `".join(names), []
        aliases = f"; also {', '.join(f'`{name}`' for name in others)}" if others else ""
        rows.append([f"`{first}`", meaning + aliases])
    return table(["variable", "meaning"], rows)


def _default_of(value: Any) -> str:
    if attrs.has(type(value)):
        return f"`{type(value).__name__}()`"
    return "the built-in table" if value is settings.PRICES else f"`{value!r}`".replace("'", '"')
