"""The rows and transitions of a ledger as tables, lines and plain values."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from veo_async.errors import printable
from veo_async.ledger import JobRow, Transition
from veo_async.repair import route_taken
from veo_async.types import JobState

from .formatting import format_number

_PROMPT_WIDTH = 48


class JobTable:
    """A table of jobs in as many columns as fit into *width*; key and state always appear.

    It is printed page by page. The first page decides on the columns and their widths.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._columns: dict[str, int] = {}

    def lines(self, rows: Sequence[JobRow]) -> list[str]:
        """Return a line per job of the next page; the first page begins with a heading."""
        cells = [_cells(row) for row in rows]
        if cells and not self._columns:
            self._columns = _columns(cells, self._width)
            cells.insert(0, {name: name for name in cells[0]})
        return ["  ".join(line[name].ljust(width) for name, width in self._columns.items()).rstrip() for line in cells]


def _columns(cells: Sequence[Mapping[str, str]], width: int) -> dict[str, int]:
    """Return the columns that fit into *width*, with the width of each."""
    names = [*cells[0]]
    widths = {name: max(len(name), *(len(line[name]) for line in cells)) for name in names}
    fits = [number < 2 or _width(names[: number + 1], widths) <= width for number in range(len(names))]
    return {name: widths[name] for name, is_shown in zip(names, fits, strict=True) if is_shown}


def job_as_dict(row: JobRow, transitions: Sequence[Transition] | None = None) -> dict[str, Any]:
    """Return *row*, and its *transitions* if they are given, as values for JSON."""
    values = {
        name: getattr(row, name)
        for name in ("key", "state", "task_id", "token", "attempts", "tenant", "account", "budget", "credits")
    }
    values["credits_consumed"] = row.credits_consumed
    values["route"] = route_taken(row)
    times = {name: format_time(getattr(row, name)) for name in ("submitted_at", "sent_at", "ended_at")}
    timeline = {} if transitions is None else {"transitions": [_transition_as_dict(item) for item in transitions]}
    return {**values, **times, "request": _parsed(row.request), **timeline}


def timeline_lines(row: JobRow, transitions: Sequence[Transition]) -> list[str]:
    """Return all that is known of one job, its transitions last."""
    return [
        f"job        {row.key}",
        f"state      {row.state}",
        f"task       {row.task_id or '(none known)'}",
        f"route      {route_taken(row) or '(none)'}",
        f"credits    {_credits(row.credits)} by the price table, {_credits(row.credits_consumed)} by the provider",
        f"attempts   {row.attempts}, latest callback token {row.token or '(none)'}",
        f"request    {printable(row.request or '(adopted)', 2000)}",
        "",
        *(f"{format_time(item.at)}  {item.event:<9} {transition_text(item)}" for item in transitions),
    ]


def in_doubt_lines(row: JobRow, transitions: Sequence[Transition]) -> list[str]:
    """Return what is known of a job in doubt."""
    last = [transition_text(item) for item in transitions if item.after == JobState.IN_DOUBT][-1:]
    outcome = _parsed(row.outcome)
    error = outcome.get("error") if isinstance(outcome, dict) else None
    page = error.get("log_url") if isinstance(error, dict) else None
    return [
        f"{row.key}  last sent {format_time(row.sent_at)}, attempt {row.attempts}",
        *(f"    {text}" for text in last),
        f"    callback token {row.token}: search for it in the provider's logs{f' ({page})' if page else ''}",
    ]


def transition_text(transition: Transition) -> str:
    """Return the two states of *transition* and its evidence."""
    values = {**transition.evidence}
    if "task_id" in transition.changes:
        values["task_id"] = transition.changes["task_id"]
    if "token" in transition.changes:  # of a request that is sent
        values |= {name: transition.changes.get(name) for name in ("token", "route")}
    if (consumed := transition.changes.get("credits_consumed")) is not None:
        values["credits"] = consumed
    facts = ", ".join(f"{name} {printable(str(value), 300)}" for name, value in values.items() if value is not None)
    return f"{transition.before or '·'} → {transition.after}" + (f"  ({facts})" if facts else "")


def format_time(at: float | None) -> str:
    """Return *at* in UTC, or ``-``."""
    if at is None:
        return "-"
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # no clock shows such a time: the row is damaged
        return f"{at:g}"


def _credits(credits: float | None) -> str:
    return "unknown" if credits is None else format_number(credits)


def _parsed(text: Any) -> Any:
    """Return the JSON value in *text*; the text itself if it is not JSON."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _width(names: Sequence[str], widths: Mapping[str, int]) -> int:
    return sum(widths[name] + 2 for name in names)


def _cells(row: JobRow) -> dict[str, str]:
    request = _parsed(row.request)
    prompt = str(request.get("prompt") or "") if isinstance(request, dict) else request or ""
    return {
        "key": printable(row.key, 40),
        "state": row.state,
        "prompt": printable(str(prompt), _PROMPT_WIDTH),
        "task": printable(row.task_id or "", 64),
        "route": printable(route_taken(row) or ""),
        "attempts": str(row.attempts),
        "submitted": format_time(row.submitted_at),
    }


def _transition_as_dict(transition: Transition) -> dict[str, Any]:
    states = {"before": transition.before, "after": transition.after}
    found = {name: transition.changes[name] for name in ("task_id",) if name in transition.changes}
    return {"at": format_time(transition.at), "event": transition.event, **states, **transition.evidence, **found}
