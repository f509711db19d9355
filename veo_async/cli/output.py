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

from .progress import Progress, news, show

#: Seconds between two looks; a board that changes faster is not read.
EVERY_S = 0.5
_WIDTH = 400


class Teller(Protocol):
    """Tells whoever looks on."""

    def say(self, text: str) -> None:
        """A line for people."""
        ...

    def ended(self, text: str, facts: Mapping[str, Any], *, is_good: bool) -> None:
        """A job has ended: a line for people, and the same as plain values."""
        ...

    def look(self, progress: Progress) -> None:
        """Where the run stands now."""
        ...

    def rest(self) -> None:
        """Nothing changes any more: what is said from now on stands beneath."""
        ...

    def over(self, facts: Mapping[str, Any]) -> None:
        """The run has ended, as plain values; people are told by `say`."""
        ...


class Lines:
    """A line for each job that ends, and when the run comes to stand still or goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Progress | None = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def ended(self, text: str, facts: Mapping[str, Any], *, is_good: bool) -> None:
        self.say(printable(text, _WIDTH))

    def look(self, progress: Progress) -> None:
        for told in news(self._before, progress):
            self.say(told)
        self._before = progress

    def rest(self) -> None:
        pass

    def over(self, facts: Mapping[str, Any]) -> None:
        pass


class _Board(Lines):
    """The board; above it a line for each job that did not end well."""

    def __init__(self, console: Console, live: Live) -> None:
        super().__init__(console)
        self._live = live

    def ended(self, text: str, facts: Mapping[str, Any], *, is_good: bool) -> None:
        if not is_good:
            self.say(printable(text, _WIDTH))

    def look(self, progress: Progress) -> None:
        self._live.update(show(progress), refresh=True)

    def rest(self) -> None:
        self._live.stop()


class _JsonLines:
    """An object to a line on standard output; what is for people goes to standard error."""

    def __init__(self) -> None:
        self._people = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        self._people.print(text, markup=False, soft_wrap=True)

    def ended(self, text: str, facts: Mapping[str, Any], *, is_good: bool) -> None:
        _write({"event": "ended", **facts})

    def look(self, progress: Progress) -> None:
        pass

    def rest(self) -> None:
        pass

    def over(self, facts: Mapping[str, Any]) -> None:
        _write({"event": "summary", **facts})


@contextmanager
def telling(console: Console, *, as_json: bool, with_board: bool = True) -> Iterator[Teller]:
    """Whoever tells it best where the output goes; for a single job a board would be too much."""
    if as_json:
        yield _JsonLines()
    elif console.is_terminal and with_board:
        # Drawn by `look` alone: a thread of its own would look into the session from outside its loop.
        with Live(console=console, auto_refresh=False) as live:
            yield _Board(console, live)
    else:
        yield Lines(console)


@asynccontextmanager
async def looking(teller: Teller, look: Callable[[], Progress], *, every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Show how things stand for as long as the block lasts, and once more at its end."""
    beating = asyncio.create_task(_beat(teller, look, every_s), name="veo.progress")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait([beating])
        _look_once(teller, look)
        teller.rest()


async def _beat(teller: Teller, look: Callable[[], Progress], every_s: float) -> None:
    while _look_once(teller, look):  # noqa: ASYNC110  # it asks for a picture, not for an event
        await asyncio.sleep(every_s)


def _look_once(teller: Teller, look: Callable[[], Progress]) -> bool:
    """Whether there was something to be seen: of a session that has broken down others tell."""
    try:
        teller.look(look())
    except VeoError:
        return False
    return True


def _write(facts: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
    sys.stdout.flush()  # whoever reads the other end of a pipe waits for it
