"""The progress of a run, without a terminal, a session or a clock."""

import io
from typing import Any

import pytest
from rich.console import Console

from veo_async._rules.lifecycle import TABLE, JobState
from veo_async._rules.pauses import PauseReason
from veo_async.cli.progress import FINISHED, Progress, Row, changes, counts_of, estimate_left_s, pause_text, render


def rendered(**values: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(render(Progress(**values)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_board_shows_counts_slots_credits_and_the_remaining_time() -> None:
    """States in their order, and the credits spent next to those reserved and the budget."""
    text = rendered(
        counts={"queued": 50, "running": 40, "saved": 9, "refused": 1},
        slots=100,
        spent=540.0,
        reserved=2400.0,
        budget=3000.0,
        left_s=190.0,
    )
    assert "10 of 100 finished" in text
    assert text.index("9 saved") < text.index("40 running") < text.index("50 queued") < text.index("1 refused")
    assert "40 of 100 slots · about 540 of 3,000 credits spent, 2,400 reserved · about 3 min left" in text


def test_board_omits_unknown_values() -> None:
    """Without a budget, an estimate or slots it says nothing about them, nor about the time left of a finished run."""
    text = rendered(counts={"saved": 2}, left_s=0.0)
    assert "left" not in text
    assert "credits" not in text
    assert "slots" not in text


@pytest.mark.parametrize("reason", [*PauseReason, "unauthorized"])
def test_pause_is_shown_with_its_reason_and_a_remedy(reason: str) -> None:
    """The reason as in `statistics()`, and a sentence."""
    text = rendered(counts={"queued": 1}, pause_reason=str(reason))
    assert f"Paused ({reason}): " in text
    assert any(word in text for word in ("automatically", "Check"))


def test_rate_limit_is_shown_with_the_time_until_the_next_request() -> None:
    """And that no job fails because of it."""
    text = rendered(counts={"queued": 1}, retry_in_s=3.2)
    assert "Rate limited by the provider (429); retrying in 4 s. No job fails because of this." in text
    assert "Rate limited by the provider (429); retrying now." in rendered(counts={"queued": 1}, retry_in_s=0.0)
    assert pause_text(Progress(counts={"queued": 1})) is None


def test_rows_are_escaped_and_limited_to_twelve() -> None:
    """Keys come from the user and errors from the provider: neither may control the terminal."""
    rows = [Row(f"row-{n} [red]\x1b[2J", "running", "about 40 s left [/]") for n in range(30)]
    text = rendered(counts={"running": 30}, rows=rows)
    assert "row-0 [red]\\x1b[2J" in text
    assert "\x1b" not in text
    assert "and 18 more" in text
    assert "row-20" not in text


def test_every_job_state_is_listed_and_an_unknown_one_comes_last() -> None:
    """A state without a place in the order is not dropped."""
    counts: dict[str, int] = {str(state): 1 for state in JobState} | {"new": 1}
    assert [state for state, _ in counts_of(counts)][-1] == "new"
    assert len(counts_of(counts)) == len(JobState) + 1
    final = {str(state) for state in JobState if not TABLE[state]}
    assert final <= FINISHED


def test_each_change_is_reported_once() -> None:
    """Submission paused, submission resumed, a response lost; a countdown is not a change."""
    normal = Progress(counts={"queued": 2})
    limited = Progress(counts={"queued": 2}, retry_in_s=4.0)
    later = Progress(counts={"queued": 2}, retry_in_s=3.0)
    in_doubt = Progress(counts={"queued": 1, "in_doubt": 1})
    assert changes(None, normal) == []
    assert len(changes(normal, limited)) == 1
    assert changes(limited, later) == []
    assert changes(later, normal) == ["Submission resumed."]
    assert "1 job in doubt" in changes(normal, in_doubt)[0]
    assert changes(in_doubt, in_doubt) == []
    paused = Progress(counts={"queued": 2}, pause_reason="insufficient-credits")
    assert changes(limited, paused)[0].startswith("Paused (insufficient-credits)")


def test_remaining_time_is_the_later_of_two_bounds() -> None:
    """The longest running task; or the queue at the pace of the rate limit or the slots, and one more task."""
    left_s = estimate_left_s
    assert left_s([30.0, 70.0], waiting=0, new_task_s=80.0, per_second=2.0, slots=100) == 70.0
    assert left_s([30.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=1000) == 130.0
    assert left_s([30.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=80) == 180.0
    assert left_s([900.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=1000) == 900.0
    assert left_s([], waiting=100, new_task_s=None, per_second=2.0, slots=100) is None
