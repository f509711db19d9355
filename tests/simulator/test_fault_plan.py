"""Which call a fault strikes, and how faults are written."""

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


def struck(fault: Fault, calls: int = 10, endpoint: str = "generate") -> list[int]:
    """The places, from 1, of the calls that *fault* strikes."""
    plan = FaultPlan((fault,), seed=0)
    return [place for place in range(1, calls + 1) if plan.next_fault(endpoint, 0.0)]


def test_places_are_counted_from_one() -> None:
    """A number, several, a range, all after some, at most so many, and combinations."""
    assert struck(refuse(500, on=1)) == [1]
    assert struck(refuse(500, on={2, 5})) == [2, 5]
    assert struck(refuse(500, on=range(3, 6))) == [3, 4, 5]
    assert struck(refuse(500, after=8)) == [9, 10]
    assert struck(refuse(500, times=2)) == [1, 2]
    assert struck(refuse(500, after=3, times=1)) == [4]
    assert struck(refuse(500)) == list(range(1, 11))


def test_chance_is_seeded() -> None:
    """The same seed strikes the same calls, about as many as were ordered."""
    first, again, other = (struck(refuse(500, probability=0.2, seed=seed), 1000) for seed in (7, 7, 8))
    assert first == again != other
    assert 150 < len(first) < 250


def test_a_star_means_the_api_alone() -> None:
    """Downloads and callbacks are named on purpose or not at all."""
    everywhere = refuse(500, endpoint="*")
    assert struck(everywhere, 1, "record-info") == [1]
    assert struck(everywhere, 1, "download") == struck(everywhere, 1, "callback") == []


def test_the_first_in_the_list_wins() -> None:
    """The other counts the call all the same."""
    plan = FaultPlan((refuse(500, on=1), refuse(501, on={1, 2})), seed=0)
    drawn = [plan.next_fault("generate", 0.0) for _ in range(2)]
    assert [found[0].code for found in drawn if found] == [500, 501]


def test_an_injected_fault_counts_from_then() -> None:
    """``on=1`` is the next call, however many there were."""
    at = bench()
    at.generate()
    at.provider.faults.add(refuse(500, on=1))
    assert at.told("generate", {"prompt": "x"})["code"] == 500
    assert [fired.kind for fired in at.provider.faults.triggered] == ["refuse"]


def test_a_fault_shows_only_what_it_was_given() -> None:
    """Its repr is short enough for a failing test."""
    assert repr(drop_after_accepting(on=1)) == "Fault(kind='drop', on=1)"


@pytest.mark.parametrize(
    ("word", "fault"),
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
def test_faults_can_be_written_as_words(word: str, fault: Fault) -> None:
    """For a command line; the settings take both."""
    assert parse_fault(word) == fault
    assert SimulatorSettings(faults=[word]).faults == (fault,)


@pytest.mark.parametrize("word", ["explode", "drop-after:nowhere", "drop-after::x", "drop-after:::colour=red", ""])
def test_a_wrong_word_says_what_is_wrong(word: str) -> None:
    """A mistake names itself and the remedy."""
    with pytest.raises(UsageError, match=r"use one of|write it like"):
        parse_fault(word)


def test_what_is_no_fault_is_refused() -> None:
    """Nor does a stray value pass for one."""
    with pytest.raises(UsageError, match="is no fault"):
        SimulatorSettings(faults=[5])


def test_a_fault_must_fit_its_endpoint() -> None:
    """A callback cannot be redirected, nor an answer swapped."""
    for wrong in ({"kind": "redirect", "endpoint": "callback"}, {"kind": "swapped", "endpoint": "generate"}):
        with pytest.raises(UsageError, match="callbacks have faults of their own"):
            Fault(**wrong)


def test_a_server_is_there_for_all_or_for_none() -> None:
    """`unreachable` is for the memory skin; the remedy is named."""
    with pytest.raises(UsageError, match="go_offline"):
        Simulator(faults=[unreachable()])


def test_a_refusal_can_lie() -> None:
    """``accepted=True``: it says 500, and the task exists and was charged."""
    at = bench(faults=[refuse(500, form="http", accepted=True)])
    assert at.ask("generate", {"prompt": "x"}).status == 500
    assert len(at.provider.charges) == 1
