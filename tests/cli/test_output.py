"""A board on a terminal, lines elsewhere, JSON lines for programs."""

import asyncio
import io
import json

import pytest
from rich.console import Console

from veo_async import errors
from veo_async.cli.invocation import Invocation, Verbosity, begin
from veo_async.cli.output import live_progress, reporting
from veo_async.cli.progress import Progress


def test_without_a_terminal_each_finished_job_and_each_pause_is_a_line() -> None:
    """The text of a job is printed literally."""
    console = Console(file=io.StringIO(), width=80)
    with reporting(console, as_json=False) as reporter:
        reporter.update(Progress(counts={"queued": 1}, retry_in_s=4.0))
        reporter.job_finished("[1/1] row-1: saved [red]x", {"key": "row-1"}, is_good=True)
        reporter.summary({"exit_code": 0})
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert "Rate limited" in first
    assert second == "[1/1] row-1: saved [red]x"


def test_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would show nothing until the end."""
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with reporting(console, as_json=False) as reporter:
        assert not reporter.is_live
        reporter.update(Progress(counts={"queued": 1}, retry_in_s=4.0))
    assert isinstance(console.file, io.StringIO)
    assert "Rate limited: next clip in 4 s" in console.file.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_quiet_output_has_results_and_no_notes(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """No pause, no next command; finished jobs and messages remain."""
    begin(Invocation(verbosity=Verbosity.QUIET))
    console = Console(width=80)
    with reporting(console, as_json=as_json) as reporter:
        reporter.note("Next: veo-async jobs veo.db")
        reporter.update(Progress(counts={"queued": 1}, retry_in_s=4.0))
        reporter.job_finished("row-1: saved", {"key": "row-1"}, is_good=True)
        reporter.message("1 saved")
    captured = capsys.readouterr()
    results = ['{"event": "finished", "key": "row-1"}'] if as_json else ["row-1: saved", "1 saved"]
    assert captured.out.splitlines() == results
    assert captured.err.splitlines() == (["1 saved"] if as_json else [])


def test_board_updates_counts_and_prints_only_unsuccessful_jobs() -> None:
    """A saved clip changes the counts on the board; a refused one gets a line."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, highlight=False)
    with reporting(console, as_json=False) as reporter:
        reporter.update(Progress(counts={"running": 2}))
        reporter.job_finished("[1/2] row-1: saved", {}, is_good=True)
        reporter.job_finished("[2/2] row-2: refused", {}, is_good=False)
        reporter.close()
        reporter.message("the end")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "2 running" in text
    assert text.rstrip().endswith("the end")
    assert "row-2: refused" in text
    assert "row-1" not in text


def test_json_reporter_writes_objects_to_standard_output_and_messages_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A program can parse every line of standard output."""
    with reporting(Console(), as_json=True) as reporter:
        reporter.message("for people")
        reporter.update(Progress(counts={"running": 2}, pause_reason="insufficient-credits"))
        reporter.job_finished("row-1: saved", {"key": "Hörnchen\n"}, is_good=True)
        reporter.summary({"exit_code": 0})
    captured = capsys.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {"event": "finished", "key": "Hörnchen\n"},
        {"event": "summary", "exit_code": 0},
    ]
    assert captured.err == "for people\n"


async def test_failed_progress_read_stops_the_updates_and_raises_nothing() -> None:
    """The command itself reports a session that has crashed."""
    reads = 0

    def read_progress() -> Progress:
        nonlocal reads
        reads += 1
        raise errors.SessionClosed("closed")

    with reporting(Console(file=io.StringIO()), as_json=False) as reporter:
        async with live_progress(reporter, read_progress, every_s=0.0):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert reads == 2
