"""The table of faults: each entry works as a function, as text, in help and in the exports."""

import subprocess
import sys
from typing import Any

import attrs
import pytest

import veo_async.simulator
from veo_async.errors import UsageError
from veo_async.simulator import FAULTS, Fault, describe_faults, fault_names, parse_fault
from veo_async.simulator.faults import bodies, callbacks, connections, downloads, refusals
from veo_async.simulator.faults.table import FaultKind, fault_kind

from .support import bench

#: Values for the arguments that have no default.
REQUIRED: dict[str, dict[str, Any]] = {
    "refuse": {"code": 500},
    "delay": {"seconds": 1},
    "late-callback": {"seconds": 1},
    "tamper": {"change": str},
}
#: Faults that need a Python function as argument.
WITHOUT_TEXT = {"tamper"}

every_fault = pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)


@every_fault
def test_fault_is_created_by_its_function(kind: FaultKind) -> None:
    """The exported function creates a fault of this kind, for the default endpoint of the table."""
    assert getattr(veo_async.simulator, kind.create.__name__) is kind.create
    fault = kind.create(**REQUIRED.get(kind.name, {}))
    assert (fault.kind, fault.endpoint) == (kind.name, kind.endpoint)


@every_fault
def test_fault_is_created_by_its_text(kind: FaultKind) -> None:
    """The text with the fault's name, or its short name, gives the same fault as the function."""
    arguments = REQUIRED.get(kind.name, {})
    options = ",".join(f"{name}={value}" for name, value in arguments.items())
    if kind.name in WITHOUT_TEXT:
        with pytest.raises(UsageError, match="unknown fault"):
            parse_fault(kind.name)
        return
    for name in filter(None, (kind.name, kind.short_name)):
        assert parse_fault(f"{name}:::{options}") == kind.create(**arguments)
    assert kind.name in fault_names()


@every_fault
def test_fault_has_a_description(kind: FaultKind) -> None:
    """It is one sentence, and it appears in the list of faults and in the package's documentation."""
    assert kind.description.endswith(".")
    assert 15 < len(kind.description) <= 120
    assert f"{kind.name} " in describe_faults()
    assert kind.description in describe_faults()
    assert kind.description in (veo_async.simulator.__doc__ or "")


@every_fault
def test_fault_has_an_effect(kind: FaultKind) -> None:
    """It alters the request, the response, the callback, or when they are sent."""
    has_effect = [
        kind.delay_s is not _default("delay_s"),
        kind.alter_request is not _default("request"),
        kind.alter_response is not _default("response"),
        kind.alter_callback is not _default("callback"),
    ]
    assert any(has_effect)


def _default(argument: str) -> Any:
    return (fault_kind.__kwdefaults__ or {})[argument]


def test_every_public_function_of_the_fault_modules_is_in_the_table() -> None:
    """A constructor that lacks the decorator would be missing from text and help."""
    constructors = {
        name
        for module in (bodies, callbacks, connections, downloads, refusals)
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert constructors == {kind.create.__name__ for kind in FAULTS.values()}


def test_exports_contain_every_fault() -> None:
    """`__all__` is derived from the table, and a star import provides every name in it."""
    names = veo_async.simulator.__all__
    assert {kind.create.__name__ for kind in FAULTS.values()} <= set(names)
    assert len(set(names)) == len(names)
    assert all(hasattr(veo_async.simulator, name) for name in names)


def test_names_and_short_names_are_unique() -> None:
    """No text can mean two faults."""
    names = [name for kind in FAULTS.values() for name in (kind.name, kind.short_name) if name]
    assert len(set(names)) == len(names)


def test_unknown_kind_is_rejected() -> None:
    """The error lists the kinds that exist."""
    with pytest.raises(UsageError, match=r"kind='explode': is not a kind of fault; use one of .*delay"):
        Fault(kind="explode")


def test_new_fault_needs_one_definition_only() -> None:
    """A decorated constructor can be injected as text and alters the response."""

    def teapot(**when: Any) -> Fault:
        """Respond with status 418."""
        return Fault(kind="teapot", **when)

    def alter(fault: Fault, response: Any, context: Any) -> Any:
        return attrs.evolve(response, status=418)

    fault_kind(response=alter)(teapot)
    try:
        sim = bench(faults=["teapot:credit:1"])
        assert [sim.request("credit").status for _ in range(2)] == [418, 200]
        assert "Respond with status 418." in describe_faults()
        assert "teapot" in fault_names()
    finally:
        del FAULTS["teapot"]


def test_command_line_help_lists_every_fault_of_the_server() -> None:
    """``veo-async simulator --help`` names all faults that ``--fault`` accepts."""
    command = [sys.executable, "-m", "veo_async", "simulator", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "200", "PATH": ""})
    words = done.stdout.replace("│", " ").split()
    listed = words[words.index("Faults:") + 1 :][: len(fault_names(in_memory=False))]
    assert [name.rstrip(",.") for name in listed] == fault_names(in_memory=False)
    assert set(fault_names()) - set(fault_names(in_memory=False)) == {"unreachable"}
