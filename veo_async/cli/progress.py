"""Where a run stands, and how that is shown: decided by plain functions, which know neither session nor terminal.

The end is estimated from two bounds, of which the later holds: the running task that will take longest, and what waits
going out no faster than the account and the slots let it, the last of it taking as long as a task just begun.
"""

import math
from collections.abc import Mapping, Sequence

import attrs
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from veo_async.errors import printable

#: The states in the order in which they are told; what came of the run stands first.
_ORDER = (
    *("saved", "ready", "running", "sending", "queued", "not_submitted"),
    *("in_doubt", "refused", "failed", "expired", "abandoned"),
)
#: A job in one of these goes no further by itself. A clip that is ready has still to be saved.
FINISHED = frozenset({"saved", "in_doubt", "refused", "failed", "expired", "abandoned"})
_STYLES = {
    "saved": "green",
    "ready": "cyan",
    "running": "yellow",
    "in_doubt": "magenta",
    "refused": "red",
    "failed": "red",
    "expired": "red",
}
_PAUSE_TEXTS = {
    "insufficient-credits": "the balance is used up: top up the account, and it goes on by itself",
    "key-limit": "the key's own spending cap is used up: raise it, and it goes on by itself",
    "blocked": "something in front of the API refuses this client: check the key's IP whitelist and the User-Agent",
    "network": "the provider cannot be reached: check the network and the address with veo-async doctor",
    "ledger-unavailable": "the ledger cannot be written: make room on its disk, and it goes on by itself",
    "unauthorized": "the key was refused: check it with veo-async doctor",
}
#: Rows of a table that a terminal has room for.
_MAX_ROWS = 12


@attrs.frozen
class Row:
    """What is shown of one job."""

    key: str
    state: str
    detail: str = ""


@attrs.frozen(kw_only=True)
class Progress:
    """A run at one moment."""

    #: How many jobs are in each state; ``not_submitted`` are those not taken in hand yet.
    counts: Mapping[str, int]
    slots: int = 0
    #: Why nothing is created just now; None when only the rate stands in the way.
    paused: str | None = None
    #: Seconds until the gate opens, when a refusal has shut it.
    retry_in_s: float | None = None
    #: Seconds until all will have ended; None while nobody can know.
    left_s: float | None = None
    credits: float | None = None
    budget: float | None = None
    #: Some jobs, those of most interest first.
    rows: Sequence[Row] = ()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        return sum(number for state, number in self.counts.items() if state in FINISHED)


def estimate_left_s(
    running_s: Sequence[float], *, waiting: int, new_task_s: float | None, per_second: float, slots: int
) -> float | None:
    """Seconds until all will have ended, with even chance.

    Args:
        running_s: how much longer each running task may take.
        waiting: jobs that are still to be sent.
        new_task_s: how long a task takes that begins now; None when nothing tells.
        per_second: creations that the account allows.
        slots: tasks that may run at once.
    """
    longest_s = max(running_s, default=0.0)
    if not waiting:
        return longest_s
    if new_task_s is None or per_second <= 0:
        return None
    pace = min(per_second, slots / new_task_s) if new_task_s > 0 else per_second
    return max(longest_s, waiting / pace + new_task_s)


def render(progress: Progress) -> RenderableType:
    """What a terminal shows of it."""
    bar = ProgressBar(total=max(1, progress.total), completed=progress.finished, width=40)
    head = Table.grid(padding=(0, 1))
    head.add_row(bar, Text(f"{progress.finished} of {progress.total} ended", style="bold"), _counts(progress))
    parts: list[RenderableType] = [head, Text(" · ".join(_facts(progress)), style="dim")]
    if (why := pause_text(progress)) is not None:
        parts.append(Text(why, style="yellow"))
    if progress.rows:
        parts.append(_table(progress.rows))
    return Group(*parts)


def pause_text(progress: Progress) -> str | None:
    """Why nothing is sent, for people; None when all goes its way."""
    if progress.paused is not None:
        return f"creation pauses ({progress.paused}): {_PAUSE_TEXTS.get(progress.paused, 'it goes on by itself')}"
    if progress.retry_in_s is not None:
        when = f"is shut for {math.ceil(progress.retry_in_s)} s more" if progress.retry_in_s > 0 else "lets one job try"
        return f"the provider said 429: the gate {when}; no job fails by it"
    return None


def changes(before: Progress | None, after: Progress) -> list[str]:
    """The lines to print where there is no board: the run stands still or goes on, or an answer was lost."""
    lines = []
    was, now = None if before is None else _pause_key(before), _pause_key(after)
    if was != now:
        lines.append(pause_text(after) or "creation goes on")
    doubts = after.counts.get("in_doubt", 0)
    if doubts > (0 if before is None else before.counts.get("in_doubt", 0)):
        lines.append(f"{doubts} in doubt: an answer was lost; nothing is sent again, evidence is waited for")
    return lines


def _pause_key(progress: Progress) -> str | None:
    return progress.paused or ("gate" if progress.retry_in_s is not None else None)


def format_duration(seconds: float) -> str:
    """A span, no finer than anybody can know it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def counts_of(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """States and numbers, in the order in which they are told."""
    known = [(state, counts[state]) for state in _ORDER if counts.get(state)]
    return known + sorted((state, number) for state, number in counts.items() if number and state not in _ORDER)


def _counts(progress: Progress) -> Text:
    lines = Text()
    for state, number in counts_of(progress.counts):
        lines.append(f"{number} {state}  ", style=_STYLES.get(state, ""))
    return lines


def _facts(progress: Progress) -> list[str]:
    facts = []
    if progress.slots:
        facts.append(f"{progress.counts.get('running', 0)} of {progress.slots} slots")
    if progress.credits is not None:
        within = "" if progress.budget is None else f" of {progress.budget:g}"
        facts.append(f"about {progress.credits:g}{within} credits spent")
    if progress.left_s is not None and progress.finished < progress.total:
        facts.append(f"about {format_duration(progress.left_s)} left")
    return facts


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows[:_MAX_ROWS]:
        style = _STYLES.get(row.state, "dim")
        table.add_row(Text(printable(row.key, 40)), Text(row.state, style=style), Text(printable(row.detail, 80)))
    if len(rows) > _MAX_ROWS:
        table.add_row(f"and {len(rows) - _MAX_ROWS} more")
    return table
