"""Session arguments for tests: the fields of the settings objects as plain keyword arguments."""

from typing import Any

import attrs

from veo_async.settings import Callbacks, Credits, Files, Limits, Network

_SETTINGS = {"limits": Limits, "credits": Credits, "files": Files, "network": Network}
_GROUP_OF = {field.name: group for group, kind in _SETTINGS.items() for field in attrs.fields(kind)}


def session_arguments(**options: Any) -> dict[str, Any]:
    """Return the arguments of `VeoSession`, with ``rate=``, ``transport=`` and the like moved to their settings object.

    ``public_url=`` and ``webhook_secret=`` become ``callbacks=``.
    """
    public_url, secret = options.pop("public_url", None), options.pop("webhook_secret", None)
    arguments = {name: value for name, value in options.items() if name not in _GROUP_OF}
    if public_url is not None:
        arguments["callbacks"] = Callbacks(public_url, secret=secret)
    for group, kind in _SETTINGS.items():
        fields = {name: value for name, value in options.items() if _GROUP_OF.get(name) == group}
        if fields:
            arguments[group] = attrs.evolve(arguments[group], **fields) if group in arguments else kind(**fields)
    return arguments
