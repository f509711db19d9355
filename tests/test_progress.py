"""How `progress=True` is shown: a live line on a terminal, lines in a pipe."""

import asyncio
import io
import os
import sys
import textwrap
from pathlib import Path

import pytest

from veo_async import progress as progress_module
from veo_async.errors import UsageError
from veo_async.progress import Eta, JobState, LiveLine, Progress, StateLines, callback_of, default_callback
from veo_async.simulator import Simulator


def at(elapsed_s: float, text: str, state: JobState = JobState.RUNNING, **options: object) -> Progress:
    return Progress(key="dog", state=state, elapsed_s=elapsed_s, text=text, **options)  # type: ignore[arg-type]


def screen(written: str) -> str:
    """Return what a terminal shows after *written*: a carriage return goes back to the beginning of the line."""
    shown: list[str] = []
    column = 0
    for character in written:
        if character == "\r":
            column = 0
            continue
        shown[column : column + 1] = [character]
        column += 1
    return "".join(shown).rstrip()


def test_live_line_is_rewritten_in_place_and_erased_at_the_end() -> None:
    """A shorter text leaves nothing of a longer one, and the end leaves nothing at all."""
    stream = io.StringIO()
    line = LiveLine(stream)
    line(at(0.0, "queued behind 12 jobs, about 2 min left"))
    assert screen(stream.getvalue()) == "0:00  queued behind 12 jobs, about 2 min left"
    line(at(65.4, "generating"))
    assert screen(stream.getvalue()) == "1:05  generating"
    line(at(70.0, "done", is_finished=True))
    assert screen(stream.getvalue()) == ""
    assert stream.getvalue().endswith("\r")
    assert "\n" not in stream.getvalue()


def test_closed_live_line_writes_nothing_if_it_is_empty() -> None:
    """A job that had finished before leaves the terminal untouched."""
    stream = io.StringIO()
    line = LiveLine(stream)
    line(at(0.0, "done", is_finished=True))
    line.close()
    assert stream.getvalue() == ""


def test_live_line_is_cut_at_the_width_of_the_terminal() -> None:
    """A line that wraps could not be rewritten."""
    stream = io.StringIO()
    LiveLine(stream)(at(0.0, "x" * 500))
    assert len(screen(stream.getvalue())) == 79


def test_state_lines_print_each_state_once() -> None:
    """And the reason of a pause, and the end."""
    stream = io.StringIO()
    show = StateLines(stream)
    show(at(0.0, "queued", JobState.QUEUED))
    show(at(1.0, "queued", JobState.QUEUED))
    show(at(2.0, "paused: network", JobState.QUEUED, pause_reason="network"))
    show(at(3.0, "generating"))
    show(at(4.0, "generating"))
    show(at(5.0, "done", is_finished=True))
    assert stream.getvalue().splitlines() == [
        "0:00  queued",
        "0:02  paused: network",
        "0:03  generating",
        "0:05  done",
    ]


@pytest.mark.parametrize(
    ("elapsed_s", "eta", "fraction"),
    [(0.0, Eta(60.0, 90.0), 0.0), (30.0, Eta(30.0, 60.0), 0.5), (30.0, Eta(0.0, 0.0), 0.99), (30.0, None, 0.99)],
)
def test_fraction_is_the_elapsed_share_of_the_estimate(elapsed_s: float, eta: Eta | None, fraction: float) -> None:
    """It is 1 only at the end."""
    assert at(elapsed_s, "", eta=eta).fraction == fraction
    assert at(elapsed_s, "", eta=eta, is_finished=True).fraction == 1.0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_default_fits_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live line on a terminal that can rewrite it, else lines, and nothing without a console."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(default_callback(), LiveLine)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(default_callback(), StateLines)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(default_callback(), StateLines)
    monkeypatch.setattr(sys, "stderr", None)
    default_callback()(at(0.0, "queued"))


def test_argument_is_true_false_or_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """True asks for the default at the moment of the call, so that another program can replace it."""
    seen: list[Progress] = []
    monkeypatch.setattr(progress_module, "default_callback", lambda: seen.append)
    assert callback_of(True) == seen.append
    assert callback_of(False) is None
    assert callback_of(print) is print
    with pytest.raises(UsageError, match="progress='bar': must be True, False or a function"):
        callback_of("bar")  # type: ignore[arg-type]


PROGRAM = """
    import asyncio
    from veo_async import VeoSession

    async def main():
        async with VeoSession() as veo:
            print(await veo.generate("A dog", key="dog", progress=True))

    asyncio.run(main())
"""


@pytest.mark.slow  # a real process in real time
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
async def test_program_on_a_terminal_leaves_no_trace_of_the_line(tmp_path: Path) -> None:
    """On a real terminal the line appears, is rewritten, and is gone when the clip is printed."""
    import pty  # exists on POSIX only

    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    main, side = pty.openpty()
    async with Simulator(duration_s=1.5) as sim:
        environment = {**os.environ, "KIE_API_KEY": sim.api_key, "KIE_BASE_URL": sim.url, "TERM": "xterm"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), cwd=tmp_path, env=environment, stdin=side, stdout=side, stderr=side
        )
        os.close(side)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    written = os.read(main, 100_000).decode()
    os.close(main)
    assert "generating, about " in written
    assert screen(written.replace("\r\n", "\n").partition("\n")[0]).startswith("dog: http")
