"""Faults as words, for a command line: ``name:endpoint:which:options``, of which only the name is needed.

- *name*: a function of `faults`, with dashes: ``drop-after-accepting`` (``drop-after`` for short), ``rate-limited``.
- *endpoint*: ``generate``, ``record-info``, ``download``, ``*`` …; empty for the fault's own.
- *which*: ``1``, ``2,5``, ``1-3``, ``4+`` (from the fourth on), ``10%`` (by chance); empty for every call.
- *options*: ``key=value``, several parted by commas.

::

    drop-after:generate:1      rate-limited:generate:1-3:retry_after=4,form=body      html:record-info:10%:status=502
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from veo_async.errors import UsageError

from . import faults
from .plan import Fault

_SHORT = {
    "drop-after": "drop-after-accepting",
    "drop-before": "drop-before-accepting",
    "reset": "reset-connection",
    "empty": "empty-body",
    "endless": "endless-body",
}
_FAULTS: dict[str, Callable[..., Fault]] = {
    name.replace("_", "-"): maker
    for name, maker in inspect.getmembers(faults, inspect.isfunction)
    if maker.__annotations__.get("return") is Fault and name != "tamper"
}


def parse_faults(given: "Iterable[Fault | str] | Fault | str") -> tuple[Fault, ...]:
    """Faults, whichever way they were written."""
    listed = [given] if isinstance(given, Fault | str) else list(given)
    return tuple(parse_fault(each) if isinstance(each, str) else _checked(each) for each in listed)


def _checked(fault: Any) -> Fault:
    if not isinstance(fault, Fault):
        raise UsageError(f"faults={fault!r}: is no fault; make one with the functions of veo_async.simulator")
    return fault


def parse_fault(text: str) -> Fault:
    """The fault that *text* describes.

    Raises:
        UsageError: there is no such fault, endpoint, place or option.
    """
    name, endpoint, which, options = (*text.split(":", 3), "", "", "")[:4]
    name = _SHORT.get(name, name)
    if name not in _FAULTS:
        raise UsageError(f"fault={text!r}: there is no fault {name!r}; use one of {', '.join(sorted(_FAULTS))}")
    arguments: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    try:
        arguments |= _selector(which)
        arguments |= _options(options)
        return _FAULTS[name](**arguments)
    except (TypeError, ValueError) as problem:
        raise UsageError(f"fault={text!r}: {problem}; write it like drop-after:generate:1") from None


def _selector(which: str) -> dict[str, Any]:
    if not which:
        return {}
    if which.endswith("%"):
        return {"probability": float(which[:-1]) / 100}
    if which.endswith("+"):
        return {"after": int(which[:-1]) - 1}
    first, dash, last = which.partition("-")
    if dash:
        return {"on": range(int(first), int(last) + 1)}
    return {"on": frozenset(int(place) for place in which.split(","))}


def _options(written: str) -> dict[str, Any]:
    pairs = (pair.partition("=") for pair in written.split(",") if pair)
    return {name: _value(value) for name, _, value in pairs}


def _value(written: str) -> Any:
    for kind in (int, float):
        try:
            return kind(written)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(written.lower(), written)
