"""Commands that drive jobs: one clip, or all that a ledger holds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from veo_async import Done, ExtendRequest, Failed, InDoubt, Refused, VeoSession
from veo_async._runtime.engine import Recovered
from veo_async._runtime.job.follow_ups import follow_up_of
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.outcome import Outcome
from veo_async._wire import AnyRequest, UpgradeRequest
from veo_async.batch.waiting import wait_for_jobs
from veo_async.errors import SessionEnded, printable
from veo_async.events import JobEvent, Paused, Queued, Ready, Running, Sent

from .exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED
from .output import Reporter, live_progress, reporting
from .progress import Progress, counts_of
from .progress_source import RATE, read_progress
from .signals import cancel_on_signal, stop_on_signal


@asynccontextmanager
async def _session(ledger: Path, say: Callable[[str], None], **options: Any) -> AsyncIterator[VeoSession]:
    """A session on *ledger*; when it is interrupted it says how to go on."""
    try:
        async with VeoSession(ledger=ledger, rate=RATE, **options) as veo:
            yield veo
    except asyncio.CancelledError:
        say(f"Stopped; nothing is lost. Next: veo-async resume {ledger}")
        raise


async def generate(
    prompt: str,
    *,
    options: dict[str, Any],
    key: str | None,
    out: Path,
    ledger: Path,
    account: str | None,
    as_json: bool,
    console: Console,
) -> int:
    """One clip, from prompt to file."""

    async def submit(veo: VeoSession) -> Job:
        return await veo.submit(prompt, key=key, priority="interactive", save_to=out, **options)

    return await _one(submit, ledger=ledger, account=account, as_json=as_json, console=console)


async def follow_up(
    task: str,
    request: ExtendRequest | UpgradeRequest,
    *,
    out: Path,
    ledger: Path,
    account: str | None,
    as_json: bool,
    console: Console,
) -> int:
    """What is made of a clip that is there: of a job on the ledger, by its key, or of a task made elsewhere."""

    async def submit(veo: VeoSession) -> Job:
        if await veo.find(task) is None:
            wanted: AnyRequest = attrs.evolve(request, task_id=task)
            key = None
        else:
            link = follow_up_of(task, request)
            wanted, key = link.request, link.key
        return await veo.submit(wanted, key=key, priority="interactive", save_to=out)

    return await _one(submit, ledger=ledger, account=account, as_json=as_json, console=console)


async def _one(
    submit: Callable[[VeoSession], Awaitable[Job]],
    *,
    ledger: Path,
    account: str | None,
    as_json: bool,
    console: Console,
) -> int:
    """One job, to its end."""
    hook = None if as_json else lambda event: _print_event(event, console)
    with reporting(console, as_json=as_json, with_board=False) as teller:
        with cancel_on_signal():
            async with _session(ledger, teller.message, account=account, on_event=hook) as veo:
                outcome = await (await submit(veo)).finished()
        report_outcome(teller, outcome)
        code = exit_code_for([outcome])
        if not as_json:
            teller.message(f"Next: {_next(code, ledger)}")
    return code


async def resume(
    ledger: Path, *, out: Path, account: str | None, grace_s: float, as_json: bool, console: Console
) -> int:
    """Go on with everything that a ledger holds, and save what comes of it."""
    stopping = asyncio.Event()
    with reporting(console, as_json=as_json) as teller:
        async with _session(ledger, teller.message, account=account, save_to=out) as veo:
            jobs = veo.jobs()

            def stop_sending() -> None:
                stopping.set()
                veo.stop_sending()

            def look() -> Progress:
                return read_progress(veo, jobs, now=asyncio.get_running_loop().time())

            with stop_on_signal(stop_sending, teller.message, grace_s):
                teller.message(f"{ledger}: {_recovered_text(veo.recovered)}")
                async with live_progress(teller, look):
                    outcomes = await _outcomes(jobs, teller, stopping, grace_s)
        code = exit_code_for(outcomes) if len(outcomes) == len(jobs) else STOPPED
        counts = Counter(str(job.state) for job in jobs)
        teller.message(f"Next: {_next(code, ledger)}")
        teller.summary({"counts": dict(counts_of(counts)), "exit_code": code})
    return code


def _recovered_text(found: Recovered) -> str:
    return f"{found.queued} to send, {found.running} running, {found.ready} to save, {found.in_doubt} in doubt"


async def save(ledger: Path, keys: list[str], *, out: Path, account: str | None, console: Console) -> int:
    """Save clips that are ready."""
    code = ALL_DONE
    async with VeoSession(ledger=ledger, account=account) as veo:
        for key in keys:
            job = await veo.find(key)
            if job is None or not isinstance(job.outcome, Done):
                told = f"{key}: no clip is ready under this key; look for it with veo-async jobs {ledger}"
                console.print(told, markup=False, soft_wrap=True)
                code = PARTIAL
                continue
            for file in (await veo.save(job.outcome.clip, out)).files:
                console.print(f"{key}: {file}", markup=False, soft_wrap=True)
    return code


async def _outcomes(jobs: list[Job], teller: Reporter, stopping: asyncio.Event, grace_s: float) -> list[Outcome]:
    """How they ended, each told as it does; once held, of those that did."""
    outcomes: list[Outcome] = []

    async def follow(job: Job) -> None:
        try:
            outcomes.append(outcome := await job.finished())
        except SessionEnded:
            return  # it is on the ledger; why the session ended is told by the session
        report_outcome(teller, outcome)

    following = {asyncio.create_task(follow(job), name="veo.resume"): job for job in jobs}
    try:
        await wait_for_jobs(following, stopping, grace_s)
    finally:
        for task in following:
            task.cancel()
        if following:
            await asyncio.wait(following)
    return outcomes


def exit_code_for(outcomes: Iterable[Outcome]) -> int:
    """What they came to, as an exit code."""
    codes = {type(outcome): PARTIAL for outcome in outcomes}
    if InDoubt in codes:
        return SOME_IN_DOUBT
    return ALL_DONE if not codes.keys() - {Done} else PARTIAL


def report_outcome(teller: Reporter, outcome: Outcome) -> None:
    """How a job ended."""
    teller.job_finished(_outcome_text(outcome), _outcome_as_dict(outcome), is_good=isinstance(outcome, Done))


def _next(code: int, ledger: Path) -> str:
    match code:
        case 4:
            return f"veo-async ledger doubts {ledger}"
        case 5:
            return f"veo-async resume {ledger}"
        case _:
            return f"veo-async jobs {ledger}"


def _print_event(event: JobEvent, console: Console) -> None:
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


def _outcome_text(outcome: Outcome) -> str:
    match outcome:
        case Done(clip=clip):
            return f"{clip.key}: saved {', '.join(map(str, clip.files)) or 'nowhere'}"
        case Refused(key=key, error=error):
            return f"{key}: refused: {error}"
        case Failed(key=key, error=error):
            return f"{key}: failed: {error}"
        case InDoubt(key=key, error=error):
            return f"{key}: in doubt: {error}"


def _outcome_as_dict(outcome: Outcome) -> dict[str, Any]:
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
