"""What a terminal shows of a run: a board for many clips, a line for a single one. Both are redrawn in place."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from veo_async.errors import printable

from .formatting import format_count, format_credits, format_duration, format_number
from .progress import (
    Progress,
    Row,
    counts_of,
    hold_text,
    pause_text,
    rate_limit_text,
    route_text,
    state_text,
    uncapitalized,
)

_STYLES = {
    "saved": "green",
    "ready": "cyan",
    "running": "yellow",
    "in_doubt": "magenta",
    "refused": "red",
    "failed": "red",
    "expired": "red",
}
#: The most rows of the table on the board.
_MAX_ROWS = 12
#: What a single clip does in each state.
_DOING = {"queued": "waiting", "running": "generating", "ready": "downloading"}


def render(progress: Progress) -> RenderableType:
    """Return the board: how far the run is, the clips by state, the credits, what delays it, and some clips."""
    parts: list[RenderableType] = [_head(progress), _counts(progress)]
    if credits := _credits(progress):
        parts.append(Text(credits, style="dim"))
    if (route := route_text(progress)) is not None:
        parts.append(Text(route, style="yellow"))
    if (reason := pause_text(progress)) is not None:
        parts.append(Text(reason, style="yellow"))
    if (on_hold := hold_text(progress.on_hold)) is not None:
        parts.append(Text(on_hold, style="yellow"))
    if progress.rows:
        parts += [Text(), _table(progress.rows)]
    if len(progress.rows) > _MAX_ROWS:
        parts.append(Text(f"and {len(progress.rows) - _MAX_ROWS:,} more", style="dim"))
    return Group(*parts)


def render_line(progress: Progress) -> RenderableType:
    """Return the line of a single clip: what it does, for how long, how long still, and what delays it."""
    [row] = progress.rows
    behind = f" behind {format_count(row.ahead, 'other')}" if row.ahead else ""
    parts = [f"{printable(row.key, 40)}: {_DOING.get(row.state, state_text(row.state))}{behind}"]
    if progress.elapsed_s is not None:
        parts.append(format_duration(progress.elapsed_s))
    if progress.left_s:
        parts.append(f"about {format_duration(progress.left_s)} left")
    if row.state == "queued" and (reason := rate_limit_text(progress) or pause_text(progress)):
        parts.append(uncapitalized(reason))
    return Text(" · ".join(parts), style=_STYLES.get(row.state, ""))


def _head(progress: Progress) -> Table:
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(1, progress.total), completed=progress.finished, width=30, complete_style="green")
    finished = f"{progress.finished:,} of {progress.total:,} finished"
    is_open = progress.left_s is not None and progress.finished < progress.total
    left = f"about {format_duration(progress.left_s or 0.0)} left" if is_open else ""
    head.add_row(bar, Text(finished, style="bold"), Text(left))
    return head


def _counts(progress: Progress) -> Text:
    line = Text("  ").join(
        Text(f"{number:,} {state_text(state)}", style=_STYLES.get(state, ""))
        for state, number in counts_of(progress.counts)
    )
    if progress.slots and (running := progress.counts.get("running")):
        line.append(f"  ({running:,} of {progress.slots:,} slots)", style="dim")
    return line


def _credits(progress: Progress) -> str | None:
    """Return the credits spent and reserved, and the budget; None if they are not known."""
    if progress.spent is None:
        return None
    spent = format_credits(progress.spent)
    if progress.budget is not None:
        spent = f"{format_number(progress.spent)} of {format_credits(progress.budget)}"
    return f"about {spent} spent, {format_number(progress.reserved)} reserved"


def _table(rows: Sequence[Row]) -> Table:
    """Return a line per clip; the prompt gets the room that the rest leaves."""
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows[:_MAX_ROWS]:
        state = Text(state_text(row.state), style=_STYLES.get(row.state, "dim"))
        cells = (row.key, row.prompt, row.detail)
        key, prompt, detail = (Text(printable(text, 200)) for text in cells)
        prompt.stylize("dim")
        table.add_row(key, prompt, state, detail)
    return table
