"""Commands that drive jobs: one clip, or all that a ledger holds. A line as each thing happens, and a code that tells.

Exit codes: 0 all done, 3 some were refused or failed, 4 some are in doubt, 5 stopped before all had ended.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from veo_async import Done, Failed, InDoubt, Refused, VeoSession
from veo_async._runtime.job import Job
from veo_async._runtime.outcome import Outcome
from veo_async.errors import printable
from veo_async.events import JobEvent, Paused, Queued, Ready, Running, Sent

ALL_DONE, SOME_FAILED, SOME_IN_DOUBT, STOPPED = 0, 3, 4, 5


@asynccontextmanager
async def _session(ledger: Path, console: Console, *, is_quiet: bool, **options: Any) -> AsyncIterator[VeoSession]:
    """A session on *ledger* that tells what happens; when it is interrupted it says how to go on."""
    hook = None if is_quiet else lambda event: _say(event, console)
    try:
        async with VeoSession(ledger=ledger, on_event=hook, **options) as veo:
            yield veo
    except asyncio.CancelledError:
        console.print(f"Stopped; nothing is lost. Next: veo-async resume {ledger}", soft_wrap=True)
        raise


async def generate(
    prompt: str, *, options: dict[str, Any], key: str | None, out: Path, ledger: Path, as_json: bool, console: Console
) -> int:
    """One clip, from prompt to file."""
    async with _session(ledger, console, is_quiet=as_json) as veo:
        job = await veo.submit(prompt, key=key, priority="interactive", save_to=out, **options)
        code = await _ended([job], as_json=as_json, console=console)
    _next(code, ledger, console, as_json=as_json)
    return code


async def resume(ledger: Path, *, out: Path, as_json: bool, console: Console) -> int:
    """Go on with everything that a ledger holds, and save what comes of it."""
    async with _session(ledger, console, is_quiet=as_json, save_to=out) as veo:
        if not as_json:
            found = veo.recovered
            told = f"{found.queued} to send, {found.running} running, {found.ready} to save, {found.in_doubt} in doubt"
            console.print(f"{ledger}: {told}", soft_wrap=True)
        code = await _ended(veo.jobs(), as_json=as_json, console=console)
    _next(code, ledger, console, as_json=as_json)
    return code


async def save(ledger: Path, keys: list[str], *, out: Path, console: Console) -> int:
    """Save clips that are ready."""
    code = ALL_DONE
    async with VeoSession(ledger=ledger) as veo:
        for key in keys:
            job = await veo.find(key)
            if job is None or not isinstance(job.outcome, Done):
                console.print(f"{key}: no clip is ready under this key", markup=False, soft_wrap=True)
                code = SOME_FAILED
                continue
            for file in (await veo.save(job.outcome.clip, out)).files:
                console.print(f"{key}: {file}", markup=False, soft_wrap=True)
    return code


async def _ended(jobs: Iterable[Job], *, as_json: bool, console: Console) -> int:
    """Wait for all; what they came to, told, and as an exit code."""
    outcomes: list[Outcome] = []
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(job.ended()) for job in jobs]
    for task in waiting:
        outcomes.append(task.result())
        if as_json:
            console.print_json(json.dumps(_plain(task.result())))
        else:
            console.print(_line(task.result()), markup=False, soft_wrap=True)
    if any(isinstance(outcome, InDoubt) for outcome in outcomes):
        return SOME_IN_DOUBT
    return ALL_DONE if all(isinstance(outcome, Done) for outcome in outcomes) else SOME_FAILED


def _next(code: int, ledger: Path, console: Console, *, as_json: bool) -> None:
    if as_json:
        return
    if code == SOME_IN_DOUBT:
        console.print(f"Next: veo-async ledger doubts {ledger}", soft_wrap=True)
    else:
        console.print(f"Next: veo-async ledger show {ledger}", soft_wrap=True)


def _say(event: JobEvent, console: Console) -> None:
    match event:
        case Queued(key=key, position=position, eta=eta):
            told = f"{key}: queued, {position} before it, about {eta.p50:.0f} s"
        case Sent(key=key):
            told = f"{key}: sent"
        case Running(key=key, task_id=task_id, eta=eta):
            told = f"{key}: running as {task_id}, about {eta.p50:.0f} s"
        case Paused(key=key, reason=reason):
            told = f"{key}: waits ({reason})"
        case Ready(key=key):
            told = f"{key}: ready"
        case _:
            return  # its end is told at the end
    console.print(printable(told, 300), markup=False, soft_wrap=True)


def _line(outcome: Outcome) -> str:
    match outcome:
        case Done(clip=clip):
            return f"{clip.key}: saved {', '.join(map(str, clip.files)) or 'nowhere'}"
        case Refused(key=key, error=error):
            return f"{key}: refused: {error}"
        case Failed(key=key, error=error):
            return f"{key}: failed: {error}"
        case InDoubt(key=key, error=error):
            return f"{key}: in doubt: {error}"


def _plain(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Done):
        clip = outcome.clip
        return {
            "key": clip.key,
            "outcome": "done",
            "task_id": clip.task_id,
            "files": [str(file) for file in clip.files],
        }
    kind = {Refused: "refused", Failed: "failed", InDoubt: "in_doubt"}[type(outcome)]
    return {"key": outcome.key, "outcome": kind, "error": str(outcome.error)}
