"""A ledger from the command line: look at its jobs, end their doubts, and print what the provider's support asks for.

No command here sends anything that costs, and none drives a job: a session does, the one that runs or the next.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from veo_async import VeoApi
from veo_async._ports import JobRow, LedgerSession, Transition
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.in_doubt.repair import LedgerRepair
from veo_async._runtime.job.live_job import LiveJob
from veo_async.errors import UsageError, printable
from veo_async.ledger import SqliteLedger

_PROMPT_WIDTH = 48
#: Where there is no terminal nobody's window is too small.
_PIPE_WIDTH = 1000


async def show(file: Path, *, state: JobState | None, as_json: bool, console: Console) -> None:
    """All jobs, or those in one state."""
    async with open_for_repair(file) as ledger:
        rows = await ledger.jobs(None if state is None else [state])
    if as_json:
        console.print_json(json.dumps([_as_dict(row) for row in rows]))
        return
    for line in _lines(rows, console.width if console.is_terminal else _PIPE_WIDTH):
        console.print(line, markup=False, soft_wrap=True)
    counts = Counter(row.state for row in rows)
    console.print(f"{len(rows)} jobs: " + ", ".join(f"{n} {name}" for name, n in counts.items()), soft_wrap=True)
    if counts[JobState.IN_DOUBT]:
        console.print(f"Next: veo-async ledger doubts {file}", soft_wrap=True)


async def in_doubt(file: Path, *, as_json: bool, console: Console) -> None:
    """The jobs in doubt, what is known of each, and how to go on."""
    async with open_for_repair(file) as ledger:
        rows = await ledger.jobs([JobState.IN_DOUBT])
        values = [(row, await ledger.transitions(row.key)) for row in rows]
    if as_json:
        console.print_json(
            json.dumps([{**_as_dict(row), "steps": [_transition(step) for step in steps]} for row, steps in values])
        )
        return
    if not rows:
        console.print("No job is in doubt.")
        return
    for row, steps in values:
        last = next(step for step in reversed(steps) if step.after == JobState.IN_DOUBT)
        console.print(f"{row.key}  sent {_time(row.sent_at)}, {row.attempts} time(s)", soft_wrap=True, markup=False)
        console.print(f"    {_details(last)}", soft_wrap=True, markup=False)
        console.print(f"    callback token {row.token}: look for it in the provider's logs", soft_wrap=True)
    key = rows[0].key
    console.print(f"\nNext: veo-async ledger resolve {file} {key} TASK_ID   if you find its task", soft_wrap=True)
    console.print(f"      veo-async ledger resubmit {file} {key}   to send it again, paid again", soft_wrap=True)
    console.print(f"      veo-async ledger abandon {file} {key}    to give it up", soft_wrap=True)


async def resolve(file: Path, key: str, task_id: str, *, is_unverified: bool, console: Console) -> None:
    """Name a doubtful job's task."""
    async with _repair(file, is_verified=not is_unverified) as repair:
        _print_state(await repair.resolve(key, task_id), file, console)


async def resubmit(file: Path, key: str, console: Console) -> None:
    """Have a doubtful job sent again."""
    async with _repair(file) as repair:
        _print_state(await repair.resubmit(key), file, console)


async def abandon(file: Path, key: str, console: Console) -> None:
    """Give a job up."""
    async with _repair(file) as repair:
        _print_state(await repair.abandon(key), file, console)


async def adopt(file: Path, task_id: str, *, key: str | None, account: str | None, console: Console) -> None:
    """Put a task down that was made elsewhere."""
    async with _repair(file) as repair:
        if account is None:
            async with VeoApi() as api:
                account = await api.account_id()
        _print_state(await repair.adopt(task_id, key=key or task_id, account=account), file, console)


async def evidence(file: Path, key: str, *, as_json: bool, console: Console) -> None:
    """The timeline of one job, ready for the provider's support."""
    async with open_for_repair(file) as ledger:
        row, steps = await ledger.get(key), await ledger.transitions(key)
    if row is None:
        raise UsageError(
            f"there is no job {key!r} on this ledger; list its jobs with veo-async jobs {file}", job_key=key
        )
    if as_json:
        console.print_json(json.dumps(_as_dict(row, steps)))
        return
    console.print(f"job        {row.key}", soft_wrap=True, markup=False)
    console.print(f"state      {row.state}")
    console.print(f"task       {row.task_id or '(none known)'}", markup=False)
    console.print(f"attempts   {row.attempts}, latest callback token {row.token or '(none)'}", soft_wrap=True)
    console.print(f"request    {printable(row.request or '(adopted)', 2000)}", soft_wrap=True, markup=False)
    console.print()
    for step in steps:
        console.print(f"{_time(step.at)}  {step.event:<9} {_details(step)}", soft_wrap=True, markup=False)


# --- small things -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_for_repair(file: Path) -> AsyncIterator[LedgerSession]:
    """The ledger in *file*, to be looked at and mended."""
    ledger = await _existing(file).open(None)
    try:
        yield ledger
    finally:
        await ledger.close()


def _existing(file: Path) -> SqliteLedger:
    """The ledger in *file*; to look at one must not make one."""
    if not file.exists():
        raise UsageError(f"there is no file {str(file)!r}; name the ledger that generate or batch has made")
    return SqliteLedger(file)


@asynccontextmanager
async def _repair(file: Path, *, is_verified: bool = False) -> AsyncIterator[LedgerRepair]:
    async with open_for_repair(file) as ledger, AsyncExitStack() as stack:
        read_record = (await stack.enter_async_context(VeoApi())).record_info if is_verified else None
        yield LedgerRepair(ledger, read_record, time.time)  # noqa: TID251  # the shell's own clock


def _print_state(job: LiveJob, file: Path, console: Console) -> None:
    console.print(f"Job {job.key} is {job.state}.", soft_wrap=True, markup=False)
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        console.print("The session that has this ledger open goes on with it, or the next that opens it.")
    console.print(f"Next: veo-async evidence {file} {job.key}", soft_wrap=True, markup=False)


def _lines(rows: Sequence[JobRow], width: int) -> list[str]:
    """A line for each job: as many columns as there is room for, the key and the state before all others."""
    cells = [_cells(row) for row in rows]
    names = [*cells[0]] if cells else []
    widths = {name: max(len(name), *(len(each[name]) for each in cells)) for name in names}
    shown = [name for number, name in enumerate(names) if number < 2 or _room(names[: number + 1], widths) <= width]
    return [
        "  ".join(each[name].ljust(widths[name]) for name in shown).rstrip()
        for each in ({name: name for name in names}, *cells)
        if shown
    ]


def _room(names: Sequence[str], widths: Mapping[str, int]) -> int:
    return sum(widths[name] + 2 for name in names)


def _cells(row: JobRow) -> dict[str, str]:
    prompt = json.loads(row.request).get("prompt", "") if row.request else ""
    return {
        "key": printable(row.key, 40),
        "state": row.state,
        "prompt": printable(prompt, _PROMPT_WIDTH),
        "task": printable(row.task_id or "", 64),
        "attempts": str(row.attempts),
        "planned": _time(row.submitted_at),
    }


def _as_dict(row: JobRow, steps: Sequence[Transition] | None = None) -> dict[str, Any]:
    values = {
        name: getattr(row, name) for name in ("key", "state", "task_id", "token", "attempts", "tenant", "account")
    }
    times = {name: _time(getattr(row, name)) for name in ("submitted_at", "sent_at", "ended_at")}
    timeline = {} if steps is None else {"steps": [_transition(step) for step in steps]}
    return {**values, **times, "request": json.loads(row.request) if row.request else None, **timeline}


def _transition(step: Transition) -> dict[str, Any]:
    return {"at": _time(step.at), "event": step.event, "before": step.before, "after": step.after, **step.evidence}


def _details(step: Transition) -> str:
    values = {**step.evidence}
    if "task_id" in step.changes:
        values["task_id"] = step.changes["task_id"]
    if "token" in step.changes:
        values["token"] = step.changes["token"]
    record = json.loads(str(step.changes.get("outcome") or "{}")).get("record", {})
    if "creditsConsumed" in record:
        values["credits"] = record["creditsConsumed"]
    facts = ", ".join(f"{name} {printable(str(value), 300)}" for name, value in values.items() if value is not None)
    return f"{step.before or '·'} → {step.after}" + (f"  ({facts})" if facts else "")


def _time(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
