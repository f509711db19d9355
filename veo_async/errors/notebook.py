"""Tracebacks of our errors in IPython, which notebooks run: the user's own lines, then the message.

IPython asks an exception for ``_render_traceback_()``, a list of lines. The traceback itself stays complete: ``%debug``
walks through it, and after ``%xmode Verbose`` all of it is shown.
"""

import copy
import sys
from types import TracebackType
from typing import Any

_PACKAGE = __name__.partition(".")[0]
#: Lines of code around the line of the only frame, and of each of several.
_CONTEXT, _CONTEXT_OF_MANY = 3, 2


def render_short(error: BaseException) -> list[str]:
    """Return the traceback down to the call of this library, without causes."""
    formatter = _formatter()
    if formatter.mode == "Verbose":
        return render_in_full(error)
    frames = _frames_of_user(error.__traceback__)
    context = _CONTEXT if len(frames) == 1 else _CONTEXT_OF_MANY
    # A copy has no causes. Nothing is to be skipped at the top: IPython's own frames are gone.
    return _render(formatter, copy.copy(error), _linked(frames), 0, context)


def render_in_full(error: BaseException) -> list[str]:
    """Return what IPython shows for any other exception."""
    return _render(_formatter(), error, error.__traceback__, 1, 5)


def _formatter() -> Any:
    shell = sys.modules["IPython"].get_ipython()  # only IPython calls this, so it is imported
    return shell.InteractiveTB


def _render(
    formatter: Any, error: BaseException, trace: TracebackType | None, skipped_frames: int, context: int
) -> list[str]:
    lines: list[str] = formatter.structured_traceback(type(error), error, trace, skipped_frames, context)
    return lines


def _frames_of_user(trace: TracebackType | None) -> list[TracebackType]:
    """Return the frames above the first one of this library, without IPython's."""
    frames: list[TracebackType] = []
    while trace is not None:
        package = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if package == _PACKAGE:
            break
        if package != "IPython":
            frames.append(trace)
        trace = trace.tb_next
    return frames


def _linked(frames: list[TracebackType]) -> TracebackType | None:
    """Return a traceback of *frames*; the one that they come from is not changed."""
    linked: TracebackType | None = None
    for frame in reversed(frames):
        linked = TracebackType(linked, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return linked
