"""Which requests trigger a fault, and how faults are written as text."""

import pytest

from veo_async.errors import UsageError
from veo_async.simulator import (
    Simulator,
    SimulatorSettings,
    delay,
    drop_after_accepting,
    html_page,
    lost_callback,
    parse_fault,
    rate_limited,
    refuse,
    unreachable,
)
from veo_async.simulator.faults.plan import FaultPlan
from veo_async.simulator.faults.table import Fault

from .support import bench


def triggering(fault: Fault, requests: int = 10, endpoint: str = "generate") -> list[int]:
    """Return the numbers, from 1, of the requests that trigger *fault*."""
    plan = FaultPlan((fault,), seed=0)
    return [number for number in range(1, requests + 1) if plan.next_fault(endpoint, 0.0)]


def test_requests_are_selected_by_number() -> None:
    """By one number, several, a range, a start, a maximum count, and combinations."""
    assert triggering(refuse(500, on=1)) == [1]
    assert triggering(refuse(500, on={2, 5})) == [2, 5]
    assert triggering(refuse(500, on=range(3, 6))) == [3, 4, 5]
    assert triggering(refuse(500, after=8)) == [9, 10]
    assert triggering(refuse(500, times=2)) == [1, 2]
    assert triggering(refuse(500, after=3, times=1)) == [4]
    assert triggering(refuse(500)) == list(range(1, 11))


def test_requests_are_selected_by_prompt() -> None:
    """A request with another prompt is not counted; a body that is not JSON has no prompt."""
    fault = refuse(500, prompt="größer", on=2)
    plan = FaultPlan((fault,), seed=0)
    bodies = [
        '{"prompt": "Ein gr\\u00f6\\u00dferer Hund"}',
        '{"prompt": "A cat"}',
        "no JSON",
        "[1]",
        '{"prompt": "größer"}',
    ]
    assert [bool(plan.next_fault("generate", 0.0, body.encode())) for body in bodies] == [False] * 4 + [True]
    assert repr(fault).startswith("Fault(kind='refuse', prompt='größer', on=2")


def test_probability_is_seeded() -> None:
    """The same seed selects the same requests, in roughly the configured fraction."""
    first, again, other = (triggering(refuse(500, probability=0.2, seed=seed), 1000) for seed in (7, 7, 8))
    assert first == again != other
    assert 150 < len(first) < 250


def test_star_matches_api_endpoints_only() -> None:
    """Downloads and callbacks must be named."""
    everywhere = refuse(500, endpoint="*")
    assert triggering(everywhere, 1, "record-info") == [1]
    assert triggering(everywhere, 1, "download") == triggering(everywhere, 1, "callback") == []


def test_first_matching_fault_is_used() -> None:
    """The other fault counts the request nevertheless."""
    plan = FaultPlan((refuse(500, on=1), refuse(501, on={1, 2})), seed=0)
    drawn = [plan.next_fault("generate", 0.0) for _ in range(2)]
    assert [found[0].code for found in drawn if found] == [500, 501]


def test_injected_fault_counts_from_its_injection() -> None:
    """``on=1`` is the next request, regardless of earlier ones."""
    sim = bench()
    sim.generate()
    sim.provider.faults.add(refuse(500, on=1))
    assert sim.request_json("generate", {"prompt": "x", "model": "veo3_fast"})["code"] == 500
    assert [triggered.kind for triggered in sim.provider.faults.triggered] == ["refuse"]


def test_repr_shows_only_what_differs_from_the_default() -> None:
    """The repr is short enough for a failing test."""
    assert repr(drop_after_accepting(on=1)) == "Fault(kind='drop-after-accepting', on=1)"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop-after", drop_after_accepting()),
        ("drop-after:generate:1", drop_after_accepting(endpoint="generate", on=frozenset({1}))),
        ("lost-callback::2,3", lost_callback(on=frozenset({2, 3}))),
        (
            "rate-limited:extend:1-3:retry_after=4,form=body",
            rate_limited(endpoint="extend", on=range(1, 4), retry_after=4, form="body"),
        ),
        ("html-page:record-info:10%:status=502", html_page(502, endpoint="record-info", probability=0.1)),
        ("delay:*:4+:seconds=1.5,before=false", delay(1.5, before=False, endpoint="*", after=3)),
    ],
)
def test_fault_is_parsed_from_text(text: str, fault: Fault) -> None:
    """The settings accept text and values."""
    assert parse_fault(text) == fault
    assert SimulatorSettings(faults=[text]).faults == (fault,)


@pytest.mark.parametrize("text", ["explode", "drop-after:nowhere", "drop-after::x", "drop-after:::colour=red", ""])
def test_invalid_text_is_rejected_with_a_remedy(text: str) -> None:
    """The error lists the valid names or shows an example."""
    with pytest.raises(UsageError, match=r"use one of|expected e\.g\."):
        parse_fault(text)


def test_value_that_is_not_a_fault_is_rejected() -> None:
    """The error names the functions that create faults."""
    with pytest.raises(UsageError, match="is not a Fault"):
        SimulatorSettings(faults=[5])


def test_fault_of_another_endpoint_is_rejected() -> None:
    """A callback cannot be redirected, and a response cannot be reordered."""
    for arguments in (
        {"kind": "redirect", "endpoint": "callback"},
        {"kind": "reordered-callbacks", "endpoint": "generate"},
    ):
        with pytest.raises(UsageError, match="callbacks have their own kinds of fault"):
            Fault(**arguments)


def test_server_rejects_unreachable() -> None:
    """The error names the method to use instead."""
    with pytest.raises(UsageError, match="go_offline"):
        Simulator(faults=[unreachable()])


def test_accepted_refusal_creates_the_task() -> None:
    """``accepted=True``: the response has code 500, but the task was created and charged."""
    sim = bench(faults=[refuse(500, form="http", accepted=True)])
    assert sim.request("generate", {"prompt": "x", "model": "veo3_fast"}).status == 500
    assert len(sim.provider.charges) == 1
