"""The progress of one job: what ``progress=`` reports while you wait, and how it is shown by default.

::

    clip = await veo.generate("A dog surfing at dusk", progress=True)

    def show(progress: Progress) -> None:
        print(f"{progress.fraction:.0%} {progress.text}")

    clip = await job.wait(progress=show)

A callback gets a `Progress` about once a second and at every change, plain or async. If it raises, the error is logged
and it is not called again; the job continues. If it has a method ``close``, that is called at the end of the waiting,
also when it was cancelled or timed out: a line on a terminal is erased then.

``progress=True`` uses `default_callback`.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import TextIO

import attrs

from ._base.checks import reject
from ._rules.lifecycle import JobState
from ._rules.polling.durations import Eta

__all__ = [
    "Eta",
    "JobState",
    "LiveLine",
    "Progress",
    "ProgressCallback",
    "StateLines",
    "callback_of",
    "default_callback",
]


@attrs.frozen(kw_only=True)
class Progress:
    """A job at one moment.

    Attributes:
        key: the key of the job.
        state: its state.
        elapsed_s: seconds since the waiting began.
        eta: estimated seconds until the clip is ready; None once the job has finished.
        queue_position: how many jobs are sent before it; None if it is not in the queue.
        pause_reason: why it is not sent at the moment, if it waits for more than its turn; None otherwise.
        text: all of that in a few words, for people; at the end the outcome.
        is_finished: whether this is the last one.
    """

    key: str
    state: JobState
    elapsed_s: float
    eta: Eta | None = None
    queue_position: int | None = None
    pause_reason: str | None = None
    text: str = ""
    is_finished: bool = False

    @property
    def fraction(self) -> float:
        """The elapsed share of the waiting, from 0 to 1, by the estimate; it can decrease when the estimate grows."""
        if self.is_finished:
            return 1.0
        left_s = self.eta.p50 if self.eta is not None else 0.0
        return self.elapsed_s / (self.elapsed_s + left_s) if left_s > 0 else 0.99

    @property
    def clock(self) -> str:
        """The elapsed time as ``1:05``."""
        minutes, seconds = divmod(int(self.elapsed_s), 60)
        return f"{minutes}:{seconds:02}"


#: Takes a `Progress`, plain or async.
ProgressCallback = Callable[[Progress], Awaitable[None] | None]


class LiveLine:
    """One line on a terminal that is rewritten in place, and erased at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._width = stream, 0

    def __call__(self, progress: Progress) -> None:
        """Show *progress*."""
        if progress.is_finished:
            self.close()
        else:
            self._write(f"{progress.clock}  {progress.text}")

    def close(self) -> None:
        """Erase the line."""
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()

    def _write(self, text: str) -> None:
        """Replace the line. Spaces erase the rest of it, because some terminals know no escape sequences."""
        shown = text[: _columns(self._stream) - 1]
        self._stream.write(f"\r{shown}{' ' * (self._width - len(shown))}")
        self._stream.flush()
        self._width = len(shown)


class StateLines:
    """A line for each state of a job, for pipes and log files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._before = stream, ""

    def __call__(self, progress: Progress) -> None:
        """Print *progress* if the job is in another state than before."""
        state = f"{progress.state} {progress.pause_reason} {progress.is_finished}"
        if state != self._before:
            self._before = state
            self._stream.write(f"{progress.clock}  {progress.text}\n")
            self._stream.flush()


def default_callback() -> ProgressCallback:
    """Return what ``progress=True`` calls: a live line on a terminal, elsewhere a line for each state, on stderr."""
    stream = sys.stderr
    if stream is None:  # a program without a console
        return lambda _: None
    is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    return LiveLine(stream) if is_terminal else StateLines(stream)


def callback_of(progress: bool | ProgressCallback) -> ProgressCallback | None:
    """Return the callback for the argument ``progress=``; None if there is nothing to report.

    Raises:
        UsageError: it is neither True, False nor callable.
    """
    if isinstance(progress, bool):
        return default_callback() if progress else None
    if not callable(progress):
        reject("progress", progress, "must be True, False or a function that takes a Progress")
    return progress


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
