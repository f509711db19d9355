"""What is shown of a run: decided without a terminal, a session or a clock."""

import io
from typing import Any

import pytest
from rich.console import Console

from veo_async._rules.lifecycle import TABLE, JobState
from veo_async._rules.pauses import PauseReason
from veo_async.cli.progress import (
    FINISHED,
    Progress,
    Row,
    changes,
    counts_of,
    estimate_left_s,
    format_duration,
    pause_text,
    render,
)


def drawn(**told: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(render(Progress(**told)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_counts_slots_credits_and_the_end() -> None:
    """In the order of interest, with what was spent of what may be."""
    text = drawn(
        counts={"queued": 50, "running": 40, "saved": 9, "refused": 1},
        slots=100,
        credits=540.0,
        budget=3000.0,
        left_s=190.0,
    )
    assert "10 of 100 ended" in text
    assert text.index("9 saved") < text.index("40 running") < text.index("50 queued") < text.index("1 refused")
    assert "40 of 100 slots · about 540 of 3000 credits spent · about 3 min left" in text


def test_what_nobody_knows_is_not_shown() -> None:
    """No budget, no estimate, no slots: no words about them. Nothing is left once all has ended."""
    text = drawn(counts={"saved": 2}, left_s=0.0)
    assert "left" not in text
    assert "credits" not in text
    assert "slots" not in text


@pytest.mark.parametrize("reason", [*PauseReason, "unauthorized"])
def test_a_pause_is_told_with_what_to_do(reason: str) -> None:
    """In the word that statistics() has, and in a sentence."""
    text = drawn(counts={"queued": 1}, paused=str(reason))
    assert f"creation pauses ({reason}): " in text
    assert any(word in text for word in ("by itself", "check"))


def test_a_gate_that_is_shut_is_told() -> None:
    """For how long, and that no job fails by it."""
    assert "429: the gate is shut for 4 s more; no job fails by it" in drawn(counts={"queued": 1}, opens_in_s=3.2)
    assert "429: the gate lets one job try" in drawn(counts={"queued": 1}, opens_in_s=0.0)
    assert pause_text(Progress(counts={"queued": 1})) is None


def test_rows_are_shown_safely_and_not_too_many() -> None:
    """Keys are the user's and errors the provider's: neither may paint the terminal."""
    rows = [Row(f"row-{n} [red]\x1b[2J", "running", "about 40 s more [/]") for n in range(30)]
    text = drawn(counts={"running": 30}, rows=rows)
    assert "row-0 [red]\\x1b[2J" in text
    assert "\x1b" not in text
    assert "and 18 more" in text
    assert "row-20" not in text


def test_every_state_of_a_job_has_its_place() -> None:
    """A state that nobody thought of is told all the same, at the end."""
    counts: dict[str, int] = {str(state): 1 for state in JobState} | {"new": 1}
    assert [state for state, _ in counts_of(counts)][-1] == "new"
    assert len(counts_of(counts)) == len(JobState) + 1
    final = {str(state) for state in JobState if not TABLE[state]}
    assert final <= FINISHED


def test_news_are_told_once() -> None:
    """When creation stops, when it goes on, when an answer is lost; a countdown is no news."""
    calm = Progress(counts={"queued": 2})
    shut = Progress(counts={"queued": 2}, retry_in_s=4.0)
    later = Progress(counts={"queued": 2}, retry_in_s=3.0)
    doubt = Progress(counts={"queued": 1, "in_doubt": 1})
    assert changes(None, calm) == []
    assert len(changes(calm, shut)) == 1
    assert changes(shut, later) == []
    assert changes(later, calm) == ["creation goes on"]
    assert "in doubt" in changes(calm, doubt)[0]
    assert changes(doubt, doubt) == []
    assert changes(shut, Progress(counts={"queued": 2}, paused="insufficient-credits"))[0].startswith(
        "creation pauses (no-credit)"
    )


def test_the_end_is_the_later_of_two_bounds() -> None:
    """What runs longest; or what waits, at the account's pace or the slots', and one task more."""
    end = estimate_left_s
    assert end([30.0, 70.0], waiting=0, new_task_s=80.0, per_second=2.0, slots=100) == 70.0
    assert end([30.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=1000) == 130.0
    assert end([30.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=80) == 180.0
    assert end([900.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=1000) == 900.0
    assert end([], waiting=100, new_task_s=None, per_second=2.0, slots=100) is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "1 s"), (42.4, "42 s"), (95.0, "2 min"), (7140.0, "119 min"), (8100.0, "2 h 15 min")]
)
def test_spans_are_told_as_roughly_as_they_are_known(seconds: float, told: str) -> None:
    """Nobody reads seconds of hours."""
    assert format_duration(seconds) == told
