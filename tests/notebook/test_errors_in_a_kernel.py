"""Errors in a notebook show the user's lines and the message, not what happens inside this library."""

import re

import pytest

from .kernels import CellOutput, Kernel

_TEN_LINES = 10
_NESTED = """
def one_clip(prompt):
    # The lines around a call
    # are shown, too,
    # but not all of them.
    return veo.generate(prompt, seeds=1)

clip = one_clip("A dog")
print(clip)
"""


@pytest.fixture
def opened(kernel: Kernel) -> Kernel:
    """The kernel with an open session."""
    kernel.check("from veo_async.sync import VeoSession; veo = VeoSession(limits=LIMITS)")
    return kernel


def plain_lines(output: CellOutput) -> list[str]:
    """Return the lines of a traceback without colours."""
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in output.traceback]


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("veo.generate('A cat [refuse]')", "ContentRefused"),
        ("veo.submit('A cat', seeds=1)", "InvalidRequest"),
        ("veo.submit('A cat [refuse]').wait()", "ContentRefused"),
        ("veo.job('unknown')", "UsageError"),
        ("VeoSession(budget=-1)", "UsageError"),
        ("VeoSession(ledger='missing/jobs.db').submit('A cat')", "LedgerIOError"),
        ("with VeoSession(limits=LIMITS) as closed: pass\nclosed.generate('A cat')", "SessionClosed"),
        ("VideoRequest('A cat', seeds='many')", "InvalidRequest"),
        ("async with __import__('veo_async').VeoSession() as s: await s.generate('A cat [refuse]')", "ContentRefused"),
        ("first = 1\nsecond = 2\nveo.generate(\n    'A cat',\n    seeds=1,\n)\nlast = 3", "InvalidRequest"),
    ],
)
def test_error_has_at_most_ten_lines_without_our_own(opened: Kernel, cell: str, error: str) -> None:
    """The cell with its line, the message with its remedy; no file of this library or of Python."""
    output = opened.run(cell)
    lines = plain_lines(output)
    assert output.error == error
    assert len(lines) <= _TEN_LINES, "\n".join(lines)
    assert any("Cell In[" in line for line in lines)
    assert any("---->" in line for line in lines)
    assert not [line for line in lines if "File " in line]
    assert lines[-1].startswith(f"{error}: ")


def test_error_in_a_function_of_the_user_shows_both_lines(opened: Kernel) -> None:
    """The call in the cell, and the call of this library in the function: a few lines each."""
    lines = plain_lines(opened.run(_NESTED))
    assert [line[:6] for line in lines if "---->" in line] == ["----> "] * 2
    assert any("clip = one_clip(" in line for line in lines)
    assert any("return veo.generate(" in line for line in lines)
    assert not [line for line in lines if "File " in line]
    assert len(lines) <= _TEN_LINES + 1


#: Presses the stop button once the cell waits for the thread of its session.
_INTERRUPT = """
import os, signal, sys, threading, time, traceback
def interrupt(waiting_in, cell_thread=threading.get_ident()):
    while waiting_in not in [f.name for f in traceback.extract_stack(sys._current_frames()[cell_thread])]:
        time.sleep(0.01)
    time.sleep(0.01)  # beyond its first line
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("cell", "waiting_in"),
    [("veo.generate('Stopped [stuck]')", "_wait_for"), ("list(veo.map(['Stopped, too [stuck]']))", "_next")],
)
def test_interrupt_shows_the_cell_only(opened: Kernel, cell: str, waiting_in: str) -> None:
    """The stop button is not an error: its cause is not inside this library."""
    opened.check(_INTERRUPT)
    output = opened.run(f"threading.Thread(target=interrupt, args=('{waiting_in}',)).start()\n{cell}")
    assert output.error == "KeyboardInterrupt"
    assert len(plain_lines(output)) <= _TEN_LINES


def test_verbose_mode_shows_everything(opened: Kernel) -> None:
    """As IPython's documentation says of `%xmode Verbose`."""
    opened.check("%xmode Verbose")
    try:
        lines = plain_lines(opened.run("VeoSession(budget=-1)"))
    finally:
        opened.check("%xmode Context")
    assert [line for line in lines if "File " in line and "sync.py" in line]


def test_debugger_has_all_frames(opened: Kernel) -> None:
    """Only what is shown is short; the traceback is complete."""
    opened.run("VeoSession(budget=-1)")
    shown = opened.check("import sys, traceback; print(''.join(traceback.format_tb(sys.last_traceback)))")
    assert "sync.py" in shown.printed


def test_crash_shows_its_cause(opened: Kernel) -> None:
    """An internal error belongs into a bug report, whole."""
    output = opened.run("""
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise SessionCrashed("a background task failed") from error
    """)
    assert output.error == "SessionCrashed"
    assert any(line.startswith("ZeroDivisionError") for line in plain_lines(output))


def test_other_exceptions_are_shown_as_always(opened: Kernel) -> None:
    """Those of the user's own code, here of the prompts of a list."""
    output = opened.run("list(veo.map(str(1 / number) for number in [0]))")
    assert output.error == "ZeroDivisionError"
    assert any("loop_thread.py" in line for line in plain_lines(output))
