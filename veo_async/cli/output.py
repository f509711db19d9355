"""How a run is shown: a live board on a terminal, plain lines elsewhere, or JSON lines for programs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from veo_async.errors import VeoError, printable

from .board import render, render_line
from .console import write_json
from .invocation import current
from .progress import Progress, changes

#: Seconds between two updates; a board that changes faster cannot be read.
REFRESH_S = 0.5
_WIDTH = 400


class Reporter(Protocol):
    """Shows a run to the user or to a program."""

    @property
    def is_live(self) -> bool:
        """Whether `update` redraws what is shown, so that no line per event is needed."""
        ...

    def message(self, text: str) -> None:
        """Print a line for people."""
        ...

    def note(self, text: str) -> None:
        """Print a line that is not a result, for example the next command."""
        ...

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        """Report a finished job: *text* for people, *values* for programs."""
        ...

    def update(self, progress: Progress) -> None:
        """Show the current state of the run."""
        ...

    def close(self) -> None:
        """Stop updating; later messages appear below the last state shown."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """Report the end of the run to programs; people get it through `message`."""
        ...


class LineReporter:
    """Prints a line for each finished job, and one when submission is paused or resumed."""

    is_live = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Progress | None = None

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        self.message(text)

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        self.message(printable(text, _WIDTH))

    def update(self, progress: Progress) -> None:
        for line in changes(self._before, progress):
            self.message(line)
        self._before = progress

    def close(self) -> None:
        pass

    def summary(self, values: Mapping[str, Any]) -> None:
        pass


class QuietReporter(LineReporter):
    """Prints a line for each finished job, and the result."""

    def note(self, text: str) -> None:
        pass

    def update(self, progress: Progress) -> None:
        pass


class LiveReporter(LineReporter):
    """Redraws the line of a single clip."""

    is_live = True

    def __init__(self, console: Console, live: Live, draw: Callable[[Progress], RenderableType] = render_line) -> None:
        super().__init__(console)
        self._live, self._draw = live, draw

    def update(self, progress: Progress) -> None:
        self._live.update(self._draw(progress), refresh=True)

    def close(self) -> None:
        self._live.stop()


class BoardReporter(LiveReporter):
    """Redraws the board, and prints above it a line for each job that did not succeed."""

    def __init__(self, console: Console, live: Live) -> None:
        super().__init__(console, live, render)

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        if not is_good:
            self.message(printable(text, _WIDTH))


class JsonReporter:
    """Writes one JSON object per line to standard output, and lines for people to standard error."""

    is_live = False

    def __init__(self) -> None:
        self._stderr = Console(stderr=True, highlight=False)

    def message(self, text: str) -> None:
        self._stderr.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        if not current().is_quiet:
            self.message(text)

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        write_json({"event": "finished", **values})

    def update(self, progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass

    def summary(self, values: Mapping[str, Any]) -> None:
        write_json({"event": "summary", **values})


@contextmanager
def reporting(console: Console, *, as_json: bool, with_board: bool = True) -> Iterator[Reporter]:
    """Yield the reporter that fits the output; pass ``with_board=False`` for a single job."""
    if as_json:
        yield JsonReporter()
    elif current().is_quiet:
        yield QuietReporter(console)
    elif console.is_terminal and not console.is_dumb_terminal:
        # Only `update` draws: a refresh thread would read the session from outside its event loop.
        with Live(console=console, auto_refresh=False, transient=not with_board) as live:
            yield BoardReporter(console, live) if with_board else LiveReporter(console, live)
    else:
        yield LineReporter(console)


@asynccontextmanager
async def live_progress(
    reporter: Reporter, read: Callable[[], Progress], *, every_s: float = REFRESH_S
) -> AsyncIterator[None]:
    """Update *reporter* from *read* for as long as the block lasts, and once more at its end."""
    refreshing = asyncio.create_task(_refresh_loop(reporter, read, every_s), name="veo.progress")
    try:
        yield
    finally:
        refreshing.cancel()
        await asyncio.wait([refreshing])
        _refresh(reporter, read)
        reporter.close()


async def _refresh_loop(reporter: Reporter, read: Callable[[], Progress], every_s: float) -> None:
    while _refresh(reporter, read):  # noqa: ASYNC110  # it samples a state; no event announces each change
        await asyncio.sleep(every_s)


def _refresh(reporter: Reporter, read: Callable[[], Progress]) -> bool:
    """Update once. Return False if the session has crashed: the command itself reports that error."""
    try:
        reporter.update(read())
    except VeoError:
        return False
    return True
