"""Runs jobs for the commands: a single one, or everything on a ledger."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from veo_async import ExtendRequest, VeoSession
from veo_async.batch.costs import reserved_by, spent_by
from veo_async.batch.waiting import wait_for_jobs
from veo_async.errors import SessionEnded, VeoError, printable
from veo_async.events import (
    CreditsDiffer,
    JobEvent,
    ResolutionDiffers,
    RouteChanged,
)
from veo_async.progress import Progress as JobProgress
from veo_async.requests import follow_up_of
from veo_async.settings import Credits, Files, Limits
from veo_async.types import AnyRequest, Job, Outcome, Recovered, UpgradeRequest

from .console import console, print_note
from .formatting import same_command
from .invocation import current
from .job_output import event_text, exit_code_for, next_command, report_outcome
from .ledger_file import ledger_for_work
from .options import ClipOptions
from .output import Reporter, live_progress, reporting
from .progress import Progress
from .progress_source import RATE, read_job_progress, read_progress
from .signals import cancel_on_signal, stop_on_signal


@asynccontextmanager
async def session_on(
    ledger: Path,
    message: Callable[[str], None],
    *,
    account: str | None,
    accept_restored: bool,
    min_balance: float | None = None,
    stop_on_overcharge: bool = False,
    **options: Any,
) -> AsyncIterator[VeoSession]:
    """Open a session on *ledger*; if it is interrupted, print the command that continues its jobs."""
    try:
        opened = ledger_for_work(ledger, accept_restored=accept_restored)
        credits = Credits(min_balance=min_balance, stop_on_overcharge=stop_on_overcharge)
        async with VeoSession(
            ledger=opened, account=account, limits=Limits(rate=RATE), credits=credits, **options
        ) as veo:
            if stop_on_overcharge:
                warn_without_figures(veo, message)
            yield veo
    except asyncio.CancelledError:
        message(f"Stopped. Nothing is lost. Next: {same_command()}")
        raise


def warn_without_figures(veo: VeoSession, message: Callable[[str], None]) -> None:
    """Say that ``--stop-on-overcharge`` has no effect on the route of new requests, if so."""
    if veo.statistics().route == "veo":
        route = "the veo route, which does not say what a clip costs"
        message(f"--stop-on-overcharge has no effect on {route}. Use --route jobs.")


async def run_one(submit: Callable[[VeoSession], Awaitable[Job]], options: ClipOptions) -> int:
    """Submit one job, wait until it has finished, and report it.

    Returns:
        the exit code.
    """
    with reporting(console, as_json=options.json, with_board=False) as reporter:
        hook = None if options.json else _print_event if _shows_events(reporter) else _print_warning
        with cancel_on_signal():
            session = session_on(
                options.ledger,
                reporter.message,
                account=options.account,
                accept_restored=options.accept_restored,
                min_balance=options.min_balance,
                on_event=hook,
                files=Files(overwrite=options.overwrite),
            )
            async with session as veo:
                outcome = await _finish_one(await submit(veo), veo, reporter)
        report_outcome(reporter, outcome, options.ledger)
        code = exit_code_for([outcome])
        if not options.json:
            reporter.note(f"Next: {next_command(code, options.ledger)}")
    return code


async def _finish_one(job: Job, veo: VeoSession, reporter: Reporter) -> Outcome:
    """Wait until *job* has finished; on a terminal, show what it does until then."""
    if reporter.is_live:

        def show(progress: JobProgress) -> None:
            reporter.update(read_job_progress(veo, progress, now=asyncio.get_running_loop().time()))

        with suppress(VeoError):  # how it ends is an outcome here
            await job.wait(progress=show)
        reporter.close()
    return await job.finished()


async def submit_follow_up(veo: VeoSession, task: str, request: ExtendRequest | UpgradeRequest, out: str) -> Job:
    """Submit *request* for *task*: the key of a job on the ledger, or the id of another task of the account."""
    source = await veo.ledger.find(task)
    if source is None:
        follow_up: AnyRequest = attrs.evolve(request, task_id=task)
        key = None
    else:
        item = follow_up_of(task, request, source=source.request)
        follow_up, key = item.request, item.key
    return await veo.submit(follow_up, key=key, priority="interactive", save_to=out)


async def finish_all(
    jobs: list[Job], veo: VeoSession, ledger: Path, reporter: Reporter, stop_timeout_s: float
) -> list[Outcome]:
    """Wait until all *jobs* have finished, and report each.

    After the first Ctrl-C it waits only for running jobs, and at most *stop_timeout_s* seconds.

    Returns:
        the outcomes of the jobs that have finished.
    """
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        veo.stop_sending()

    def progress() -> Progress:
        now = asyncio.get_running_loop().time()
        return read_progress(veo, jobs, now=now, spent=spent_by(jobs), reserved=reserved_by(jobs))

    with stop_on_signal(stop, reporter.message, stop_timeout_s):
        reporter.note(f"On the ledger: {_recovered_text(veo.ledger.recovered)}")
        async with live_progress(reporter, progress):
            return await _outcomes(jobs, ledger, reporter, stopping, stop_timeout_s)


async def _outcomes(
    jobs: list[Job], ledger: Path, reporter: Reporter, stopping: asyncio.Event, stop_timeout_s: float
) -> list[Outcome]:
    outcomes: list[Outcome] = []

    async def follow(job: Job) -> None:
        try:
            outcomes.append(outcome := await job.finished())
        except SessionEnded:
            return  # the job is on the ledger, and the session itself reports why it ended
        report_outcome(reporter, outcome, ledger)

    following = {asyncio.create_task(follow(job), name="veo.resume"): job for job in jobs}
    try:
        await wait_for_jobs(following, stopping, stop_timeout_s)
    finally:
        for task in following:
            task.cancel()
        if following:
            await asyncio.wait(following)
    return outcomes


def _recovered_text(recovered: Recovered) -> str:
    counts = (f"{recovered.queued:,} queued", f"{recovered.running:,} running", f"{recovered.ready:,} to save")
    return f"{', '.join(counts)}, {recovered.in_doubt:,} in doubt"


def _shows_events(reporter: Reporter) -> bool:
    """Whether each event gets a line: not next to a line that is redrawn, unless ``-v`` was given."""
    return current().is_verbose or not reporter.is_live


def _print_warning(event: JobEvent) -> None:
    if isinstance(event, CreditsDiffer | ResolutionDiffers | RouteChanged):
        _print_event(event)


def _print_event(event: JobEvent) -> None:
    if (text := event_text(event)) is not None:
        print_note(printable(text, 300))
