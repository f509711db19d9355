"""How a run is told while it goes on: a live board on a terminal, plain lines elsewhere, JSON lines for machines."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from veo_async.errors import VeoError, printable

from .progress import Progress, changes, render

#: Seconds between two looks; a board that changes faster is not read.
REFRESH_S = 0.5
_WIDTH = 400


class Reporter(Protocol):
    """Tells whoever looks on."""

    def message(self, text: str) -> None:
        """A line for people."""
        ...

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        """A job has ended: a line for people, and the same as plain values."""
        ...

    def update(self, progress: Progress) -> None:
        """Where the run stands now."""
        ...

    def close(self) -> None:
        """Nothing changes any more: what is said from now on stands beneath."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """The run has ended, as plain values; people are told by `say`."""
        ...


class LineReporter:
    """A line for each job that ends, and when the run comes to stand still or goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Progress | None = None

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        self.message(printable(text, _WIDTH))

    def update(self, progress: Progress) -> None:
        for told in changes(self._before, progress):
            self.message(told)
        self._before = progress

    def close(self) -> None:
        pass

    def summary(self, values: Mapping[str, Any]) -> None:
        pass


class BoardReporter(LineReporter):
    """The board; above it a line for each job that did not end well."""

    def __init__(self, console: Console, live: Live) -> None:
        super().__init__(console)
        self._live = live

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        if not is_good:
            self.message(printable(text, _WIDTH))

    def update(self, progress: Progress) -> None:
        self._live.update(render(progress), refresh=True)

    def close(self) -> None:
        self._live.stop()


class JsonReporter:
    """An object to a line on standard output; what is for people goes to standard error."""

    def __init__(self) -> None:
        self._stderr = Console(stderr=True, highlight=False)

    def message(self, text: str) -> None:
        self._stderr.print(text, markup=False, soft_wrap=True)

    def job_finished(self, text: str, values: Mapping[str, Any], *, is_good: bool) -> None:
        _write({"event": "ended", **values})

    def update(self, progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass

    def summary(self, values: Mapping[str, Any]) -> None:
        _write({"event": "summary", **values})


@contextmanager
def reporting(console: Console, *, as_json: bool, with_board: bool = True) -> Iterator[Reporter]:
    """Whoever tells it best where the output goes; for a single job a board would be too much."""
    if as_json:
        yield JsonReporter()
    elif console.is_terminal and with_board:
        # Drawn by `update` alone: a thread of its own would look into the session from outside its loop.
        with Live(console=console, auto_refresh=False) as live:
            yield BoardReporter(console, live)
    else:
        yield LineReporter(console)


@asynccontextmanager
async def live_progress(
    teller: Reporter, update: Callable[[], Progress], *, every_s: float = REFRESH_S
) -> AsyncIterator[None]:
    """Show how things stand for as long as the block lasts, and once more at its end."""
    beating = asyncio.create_task(_refresh_loop(teller, update, every_s), name="veo.progress")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait([beating])
        _refresh(teller, update)
        teller.close()


async def _refresh_loop(teller: Reporter, update: Callable[[], Progress], every_s: float) -> None:
    while _refresh(teller, update):  # noqa: ASYNC110  # it asks for a picture, not for an event
        await asyncio.sleep(every_s)


def _refresh(teller: Reporter, update: Callable[[], Progress]) -> bool:
    """Whether there was something to be seen: of a session that has broken down others tell."""
    try:
        teller.update(update())
    except VeoError:
        return False
    return True


def _write(values: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")
    sys.stdout.flush()  # whoever reads the other end of a pipe waits for it
