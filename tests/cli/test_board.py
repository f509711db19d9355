"""The board and the line of a single clip, drawn on consoles of a fixed size."""

import io
from typing import Any

import pytest
from rich.console import Console

from veo_async.batch.costs import ModelOnHold
from veo_async.cli.board import render, render_line
from veo_async.cli.progress import Progress, Row

DOG = Row("dog", "running", "about 40 s left", "A dog surfing at dusk, slow motion, seen from a drone far above")


def drawn(drawing: Any, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(drawing)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_board_shows_states_credits_delay_and_clips_with_their_prompts() -> None:
    """Each on its own line; a prompt gets the room that the rest leaves."""
    progress = Progress(
        counts={"queued": 50, "running": 40, "saved": 9, "refused": 1, "in_doubt": 2, "not_submitted": 5},
        slots=100,
        retry_in_s=8.2,
        left_s=190.0,
        spent=540.0,
        reserved=2400.0,
        budget=3000.0,
        rows=[DOG, Row("cat-in-a-hat-with-a-very-long-key", "refused", "content policy. Reword it.", "A cat")],
    )
    head, *lines = drawn(render(progress))
    assert head.endswith("12 of 107 finished about 3 min left")
    assert lines == [
        "9 saved  40 running  50 queued  5 not submitted  2 in doubt  1 refused  (40 of 100 slots)",
        "about 540 of 3,000 credits spent, 2,400 reserved",
        "Rate limited: next clip in 9 s. No clip fails because of this.",
        "",
        "dog                       A dog surfing at dusk, slow mo…  running  about 40 s left",
        "cat-in-a-hat-with-a-ver…  A cat                            refused  content policy. Reword it.",
    ]


def test_board_says_which_clips_are_on_hold_and_why() -> None:
    """By model, with both prices; a clip on hold no longer counts as queued."""
    lite = ModelOnHold(model="veo3_lite", jobs=3, expected=30.0, consumed=60.0)
    extensions = ModelOnHold(model="extend lite", jobs=1, expected=30.0, consumed=60.0)
    lines = drawn(render(Progress(counts={"saved": 1, "on_hold": 4}, on_hold=[lite, extensions])), 240)
    prices = "(the provider charges 60 credits, the price table says 30)"
    assert f"On hold: 3 jobs of veo3_lite {prices}, 1 job of extend lite {prices}." in lines
    assert "1 saved  4 on hold" in lines


def test_board_shows_that_the_route_has_changed() -> None:
    """For the rest of the run, next to what delays it."""
    lines = drawn(render(Progress(counts={"queued": 2}, changed_route="jobs", pause_reason="network")))
    assert "The veo route is gone (404): new clips are made on the jobs route." in lines
    assert any(line.startswith("Paused: ") for line in lines)
    progress = Progress(counts={"running": 9}, changed_route="jobs", on_old_route=3)
    assert any(
        line.endswith("made on the jobs route. Still polled on veo: 3 clips.") for line in drawn(render(progress))
    )


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_row_of_a_clip_is_never_broken(width: int) -> None:
    """Long texts are shortened; the state is always whole."""
    rows = [Row(f"row-{n}", "running", "about 40 s left", DOG.prompt) for n in range(3)]
    lines = drawn(render(Progress(counts={"running": 3}, rows=rows)), width)
    assert [line.split()[0] for line in lines[-3:]] == ["row-0", "row-1", "row-2"]
    assert all("running" in line and len(line) <= width for line in lines[-3:])


def test_board_omits_unknown_values() -> None:
    """Without a budget, an estimate or slots it says nothing about them, nor about the time left of a finished run."""
    text = "\n".join(drawn(render(Progress(counts={"saved": 2}, left_s=0.0))))
    assert "left" not in text
    assert "credits" not in text
    assert "slots" not in text


def test_credits_are_shown_without_a_budget() -> None:
    """What is spent, and what the clips that are not finished may still cost."""
    lines = drawn(render(Progress(counts={"running": 1}, spent=60.0, reserved=120.0)))
    assert "about 60 credits spent, 120 reserved" in lines


def test_texts_are_escaped_and_rows_limited_to_twelve() -> None:
    """Keys and prompts come from the user and errors from the provider: none may control the terminal."""
    rows = [Row(f"row-{n} [red]\x1b[2J", "running", "left [/]", "A \x1b[2J [b]") for n in range(30)]
    text = "\n".join(drawn(render(Progress(counts={"running": 30}, rows=rows)), 160))
    assert "row-0 [red]\\x1b[2J" in text
    assert "A \\x1b[2J [b]" in text
    assert "\x1b" not in text
    assert "and 18 more" in text
    assert "row-20" not in text


@pytest.mark.parametrize(
    ("row", "values", "text"),
    [
        (DOG, {"elapsed_s": 42.4, "left_s": 20.0}, "dog: generating · 42 s · about 20 s left"),
        (DOG, {"elapsed_s": 420.0, "left_s": 0.0, "retry_in_s": 5.0}, "dog: generating · 7 min"),
        (Row("dog", "queued", ahead=1), {"left_s": 100.0}, "dog: waiting behind 1 other · about 2 min left"),
        (Row("dog", "queued", ahead=7), {"elapsed_s": 1.0}, "dog: waiting behind 7 others · 1 s"),
        (Row("dog", "queued"), {"retry_in_s": 8.2}, "dog: waiting · rate limited: next clip in 9 s"),
        (Row("dog", "ready"), {}, "dog: downloading"),
        (Row("dog", "sending"), {}, "dog: sending"),
        (
            Row("dog", "queued"),
            {"pause_reason": "insufficient-credits"},
            "dog: waiting · paused: out of credits. Top up the account; submission resumes automatically.",
        ),
    ],
)
def test_line_of_a_clip_says_what_it_does_for_how_long_and_how_long_still(
    row: Row, values: dict[str, Any], text: str
) -> None:
    """And what delays it, for as long as it was not sent."""
    assert drawn(render_line(Progress(counts={row.state: 1}, rows=[row], **values)), 160) == [text]
