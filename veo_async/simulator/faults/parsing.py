"""Faults as text: ``name:endpoint:which:options``. Only the name is required.

- *name*: a name in `FAULTS`, such as ``drop-after-accepting`` (``drop-after`` for short) or ``rate-limited``.
- *endpoint*: ``generate``, ``record-info``, ``download``, ``*`` and so on; empty for the fault's default.
- *which*: ``1``, ``2,5``, ``1-3``, ``4+`` (the fourth and later) or ``10%`` (at random); empty for every request.
- *options*: ``key=value`` for the arguments of the fault's constructor, separated by commas.

::

    drop-after:generate:1    rate-limited:generate:1-3:retry_after=4,form=body    html-page:record-info:10%:status=502
"""

from collections.abc import Iterable
from typing import Any

from veo_async.errors import UsageError

from .table import FAULTS, Fault, FaultKind


def parse_faults(given: "Iterable[Fault | str] | Fault | str") -> tuple[Fault, ...]:
    """Return faults that are given as `Fault` values, as text, or as a mixture of both."""
    listed = [given] if isinstance(given, Fault | str) else list(given)
    return tuple(parse_fault(item) if isinstance(item, str) else _checked(item) for item in listed)


def _checked(fault: Any) -> Fault:
    if not isinstance(fault, Fault):
        raise UsageError(f"faults={fault!r}: is not a Fault; create one with the functions in veo_async.simulator")
    return fault


def parse_fault(text: str) -> Fault:
    """Return the fault that *text* describes.

    Raises:
        UsageError: the name, endpoint, selection or an option is not valid.
    """
    name, endpoint, which, options = (*text.split(":", 3), "", "", "")[:4]
    kind = _find(name)
    if kind is None:
        raise UsageError(f"fault={text!r}: unknown fault {name!r}; use one of {', '.join(fault_names())}")
    arguments: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    try:
        arguments |= _selection(which)
        arguments |= _options(options)
        return kind.create(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"fault={text!r}: {error}; expected e.g. drop-after:generate:1") from None


def fault_names(*, in_memory: bool = True) -> list[str]:
    """Return the names of all faults that can be written as text, sorted.

    Args:
        in_memory: False leaves out the faults that only `MemoryTransport` supports.
    """
    return sorted(kind.name for kind in FAULTS.values() if kind.has_text and (in_memory or not kind.memory_only))


def _find(name: str) -> FaultKind | None:
    kinds = (kind for kind in FAULTS.values() if kind.has_text)
    return next((kind for kind in kinds if name and name in (kind.name, kind.short_name)), None)


def _selection(which: str) -> dict[str, Any]:
    if not which:
        return {}
    if which.endswith("%"):
        return {"probability": float(which[:-1]) / 100}
    if which.endswith("+"):
        return {"after": int(which[:-1]) - 1}
    first, dash, last = which.partition("-")
    if dash:
        return {"on": range(int(first), int(last) + 1)}
    return {"on": frozenset(int(number) for number in which.split(","))}


def _options(text: str) -> dict[str, Any]:
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name: _value(value) for name, _, value in pairs}


def _value(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
