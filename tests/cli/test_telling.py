"""A board on a terminal, lines elsewhere, JSON lines for machines."""

import asyncio
import io
import json

import pytest
from rich.console import Console

from veo_async import errors
from veo_async.cli.output import live_progress, reporting
from veo_async.cli.progress import Progress


def test_lines_where_there_is_no_terminal() -> None:
    """Each job that ends, with its words as they are; and what is new."""
    console = Console(file=io.StringIO(), width=80)
    with reporting(console, as_json=False) as teller:
        teller.update(Progress(counts={"queued": 1}, retry_in_s=4.0))
        teller.job_finished("[1/1] row-1: saved [red]x", {"key": "row-1"}, is_good=True)
        teller.summary({"exit_code": 0})
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert "the gate is shut" in first
    assert second == "[1/1] row-1: saved [red]x"


def test_a_board_on_a_terminal() -> None:
    """Counts in place; a line of its own only for what did not end well."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, highlight=False)
    with reporting(console, as_json=False) as teller:
        teller.update(Progress(counts={"running": 2}))
        teller.job_finished("[1/2] row-1: saved", {}, is_good=True)
        teller.job_finished("[2/2] row-2: refused", {}, is_good=False)
        teller.close()
        teller.message("the end")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "2 running" in text
    assert text.rstrip().endswith("the end")
    assert "row-2: refused" in text
    assert "row-1" not in text


def test_json_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """What is for people goes to standard error."""
    with reporting(Console(), as_json=True) as teller:
        teller.message("for people")
        teller.update(Progress(counts={"running": 2}, paused="insufficient-credits"))
        teller.job_finished("row-1: saved", {"key": "Hörnchen\n"}, is_good=True)
        teller.summary({"exit_code": 0})
    told = capsys.readouterr()
    assert [json.loads(line) for line in told.out.splitlines()] == [
        {"event": "ended", "key": "Hörnchen\n"},
        {"event": "summary", "exit_code": 0},
    ]
    assert told.err == "for people\n"


async def test_a_look_that_fails_ends_the_looking_and_nothing_else() -> None:
    """Of a session that has broken down others tell."""
    looks = 0

    def look() -> Progress:
        nonlocal looks
        looks += 1
        raise errors.SessionClosed("gone")

    with reporting(Console(file=io.StringIO()), as_json=False) as teller:
        async with live_progress(teller, look, every_s=0.0):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert looks == 2
