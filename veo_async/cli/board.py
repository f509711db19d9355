"""Progress: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table


class Stage(StrEnum):
    """How far a clip has come, in the words of the whole project."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    SAVED = "saved"
    FAILED = "failed"


_STYLES = {Stage.QUEUED: "dim", Stage.RUNNING: "yellow", Stage.READY: "cyan", Stage.SAVED: "green", Stage.FAILED: "red"}


@attrs.frozen
class Row:
    """What is shown of one clip."""

    name: str
    stage: Stage = Stage.QUEUED
    detail: str = ""


Show = Callable[[Row], None]


@contextmanager
def board(console: Console, names: list[str]) -> Iterator[Show]:
    """A function that shows how a clip stands, for as long as the block lasts."""
    if not console.is_terminal:
        yield _lines(console)
        return
    rows = {name: Row(name) for name in names}
    with Live(_table(rows), console=console, refresh_per_second=8) as live:

        def show(row: Row) -> None:
            rows[row.name] = row
            live.update(_table(rows))

        yield show


def _lines(console: Console) -> Show:
    """A line for each new stage; what changes within a stage is for the live table."""
    told: dict[str, Stage] = {}

    def show(row: Row) -> None:
        if told.get(row.name) is not row.stage:
            told[row.name] = row.stage
            console.print(f"{row.name}: {row.stage} {row.detail}".rstrip(), markup=False, soft_wrap=True)

    return show


def _table(rows: dict[str, Row]) -> Table:
    table = Table("clip", "state", "", box=None, pad_edge=False)
    for row in rows.values():
        table.add_row(row.name, f"[{_STYLES[row.stage]}]{row.stage}[/]", row.detail)
    saved = sum(row.stage is Stage.SAVED for row in rows.values())
    table.caption = f"{saved} of {len(rows)} saved"
    return table
